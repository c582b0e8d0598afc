//! One-time codes that an admin makes for somebody who cannot sign in, and what they lead to: a new password or
//! passkey. The page puts the code into a link to itself; the relay never writes an address that a request named
//! (AUT-04).

use super::Api;
use super::arrival::{Arrival, Keep, LoggedIn, Welcome};
use super::caller::{Admin, Body, Client, Id};
use super::passkeys::{Brought, Challenge, begin_first};
use super::problem::{Code, Problem, ProblemBody};
use super::sign_in::acceptable;
use super::site::site;
use crate::access::{OneTimeCode, Owner, hash_of_typed};
use crate::clock;
use crate::store::{Account, FirstPasskey, ResetRefused};
use crate::tunnels::gate::Prefix;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tracing::info;
use utoipa::ToSchema;

/// How long a code counts (AUT-04).
const LIFETIME_SECS: u64 = 15 * 60;

/// A code, shown once.
#[derive(Serialize, ToSchema)]
pub(super) struct Reset {
    /// Put it behind the `#` of a link: what stands there reaches no server's log.
    code: String,
    /// Until when it counts, once.
    ends_at: u64,
}

/// Takes every way to sign in from an account, ends its logins, cuts its streams, and makes a one-time code.
#[utoipa::path(post, path = "/accounts/{name}/reset", tag = "accounts", security(("login" = [])),
    params(("name" = String, Path, description = "the account's name")),
    responses((status = 201, body = Reset), (status = "default", body = ProblemBody)))]
pub(super) async fn make(
    State(api): State<Arc<Api>>,
    Admin(caller): Admin,
    Id(account): Id<String>,
) -> Result<(StatusCode, Json<Reset>), Problem> {
    if account == caller.account.name {
        return Err(Code::Yourself.into());
    }
    let (code, now) = (OneTimeCode::long()?, clock::now());
    let ends_at = now.plus_secs(LIFETIME_SECS);
    let reset = caller.scoped(&api).reset_account(&account, &code.hash(), ends_at, caller.actor(), now).await?;
    api.in_use.cut(reset, None);
    Ok((StatusCode::CREATED, Json(Reset { code: code.reveal(), ends_at: ends_at.0 })))
}

/// The account of a code that somebody shows.
async fn account_of(api: &Api, client: Client, code: &str) -> Result<Account, Problem> {
    api.access.may_guess(Prefix::of(client.ip()), clock::instant())?;
    Ok(api.store.reset_code(&hash_of_typed(code), clock::now()).await?.ok_or(Code::ResetCode)?)
}

/// A new password.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewPassword {
    /// The code.
    code: String,
    /// 12 to 256 characters.
    password: String,
}

/// Uses a code to set a password. Signing in comes after it.
#[utoipa::path(post, path = "/reset", tag = "sign-in", request_body = NewPassword, security(()),
    responses((status = 204), (status = "default", body = ProblemBody)))]
pub(super) async fn to_password(
    State(api): State<Arc<Api>>,
    client: Client,
    Body(asked): Body<NewPassword>,
) -> Result<StatusCode, Problem> {
    account_of(&api, client, &asked.code).await?;
    let password = api.access.passwords.hash(acceptable(&asked.password)?).await?;
    let hash = hash_of_typed(&asked.code);
    let account = api.store.reset_to_password(&hash, &password, &client.ip().to_string(), clock::now()).await?;
    info!(account = account.name, "a reset code was used");
    Ok(StatusCode::NO_CONTENT)
}

/// A code.
#[derive(Deserialize, ToSchema)]
pub(super) struct Shown {
    /// The code.
    code: String,
}

/// What a code leads to.
#[derive(Serialize, ToSchema)]
pub(super) struct Begun {
    /// The account's name.
    account: String,
    /// To make a passkey with; absent where passkeys do not work at this address.
    passkey: Option<Challenge>,
}

/// Says whose account a code lets in, and begins to make a passkey. The code still counts after it.
#[utoipa::path(post, path = "/reset/start", tag = "sign-in", request_body = Shown, security(()),
    responses((status = 200, body = Begun), (status = "default", body = ProblemBody)))]
pub(super) async fn begin(
    State(api): State<Arc<Api>>,
    client: Client,
    headers: HeaderMap,
    Body(asked): Body<Shown>,
) -> Result<Json<Begun>, Problem> {
    let account = account_of(&api, client, &asked.code).await?;
    let passkey = match site(&api, &headers) {
        Err(_) => None,
        Ok(_) => {
            let owner = Owner::Reset(hash_of_typed(&asked.code));
            Some(begin_first(&api, &headers, &account.name, owner)?)
        }
    };
    Ok(Json(Begun { account: account.name, passkey }))
}

/// A passkey that a browser made.
#[derive(Deserialize, ToSchema)]
pub(super) struct Finish {
    /// The code.
    code: String,
    /// What the browser made.
    #[serde(flatten)]
    brought: Brought,
    /// What the login is for.
    #[serde(flatten)]
    keep: Keep,
}

/// Uses a code to keep a passkey, and signs in with it.
#[utoipa::path(post, path = "/reset/passkey", tag = "sign-in", request_body = Finish, security(()),
    responses((status = 201, body = LoggedIn), (status = "default", body = ProblemBody)))]
pub(super) async fn to_passkey(
    State(api): State<Arc<Api>>,
    client: Client,
    headers: HeaderMap,
    Body(asked): Body<Finish>,
) -> Result<(StatusCode, Welcome), Problem> {
    let arrival = Arrival::new(&api, client, &headers, asked.keep)?;
    account_of(&api, client, &asked.code).await?;
    let (hash, made) = (hash_of_typed(&asked.code), asked.brought.made(&api)?);
    if made.owner != Owner::Reset(hash) {
        return Err(Code::PasskeyRefused.into());
    }
    let (passkey, now) = (FirstPasskey { handle: made.handle, passkey: made.passkey }, clock::now());
    let account = api.store.reset_to_passkey(&hash, &passkey, &client.ip().to_string(), now).await?;
    arrival.by_passkey(account, now).await
}

impl From<ResetRefused> for Problem {
    fn from(refused: ResetRefused) -> Self {
        match refused {
            ResetRefused::Code => Code::ResetCode.into(),
            ResetRefused::Passkey(refused) => refused.into(),
            ResetRefused::Store(error) => error.into(),
        }
    }
}
