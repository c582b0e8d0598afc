//! First-run set-up: the first customer and account, by the code from the relay's terminal. Gone once it was used.

use super::Api;
use super::arrival::{Arrival, Keep, LoggedIn, Welcome};
use super::caller::{Body, Client};
use super::passkeys::{Brought, Challenge, begin_first};
use super::problem::{Code, Problem, ProblemBody};
use super::sign_in::{Me, MyTenant, acceptable, name};
use crate::access::{Owner, SetupAnswer};
use crate::clock;
use crate::store::{AlreadySetUp, FirstAccount, FirstPasskey};
use crate::tunnels::gate::Prefix;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use std::sync::Arc;
use tracing::info;
use utoipa::ToSchema;

/// Who knows the code, and what the first customer and account are called.
#[derive(Deserialize, ToSchema)]
pub(super) struct Names {
    /// The code from the relay's terminal.
    code: String,
    /// Name of the account.
    account: String,
    /// The customer's name; the account's when empty.
    #[serde(default)]
    tenant_name: String,
}

impl Names {
    /// Account and customer, for who knows the code.
    fn checked(&self, api: &Api, client: Client) -> Result<(&str, &str), Problem> {
        may_set_up(api, client, &self.code)?;
        let account = name(&self.account)?;
        Ok((account, if self.tenant_name.is_empty() { account } else { name(&self.tenant_name)? }))
    }
}

fn may_set_up(api: &Api, client: Client, code: &str) -> Result<(), Problem> {
    let instant = clock::instant();
    api.access.may_guess(Prefix::of(client.ip()), instant)?;
    match api.access.setup.ask(code, instant) {
        SetupAnswer::Right => Ok(()),
        SetupAnswer::Wrong => Err(Code::SetupCode.into()),
        SetupAnswer::Closed => Err(Code::SetupClosed.into()),
    }
}

/// The first customer and its first account.
#[derive(Deserialize, ToSchema)]
pub(super) struct SetUp {
    /// Who.
    #[serde(flatten)]
    names: Names,
    /// The account's password: 12 to 256 characters.
    password: String,
}

/// Makes the first customer and account. Exists only until it was used.
#[utoipa::path(post, path = "/setup", tag = "sign-in", request_body = SetUp, security(()),
    responses((status = 201, body = Me), (status = "default", body = ProblemBody)))]
pub(super) async fn set_up(
    State(api): State<Arc<Api>>,
    client: Client,
    Body(asked): Body<SetUp>,
) -> Result<(StatusCode, Json<Me>), Problem> {
    let (account, tenant) = asked.names.checked(&api, client)?;
    let password = api.access.passwords.hash(acceptable(&asked.password)?).await?;
    let first = FirstAccount { tenant_name: tenant.to_owned(), account: account.to_owned(), password };
    api.store.set_up(&first, &client.ip().to_string(), clock::now()).await?;
    done(&api, account, tenant);
    let tenant = MyTenant { name: first.tenant_name, id: None };
    Ok((StatusCode::CREATED, Json(Me { account: first.account, role: "admin", tenant })))
}

fn done(api: &Api, account: &str, tenant: &str) {
    api.access.setup.close();
    info!(account, tenant, "set-up done");
}

/// Begins to make the first account's passkey, which then needs no password.
#[utoipa::path(post, path = "/setup/passkey/start", tag = "sign-in", request_body = Names, security(()),
    responses((status = 200, body = Challenge), (status = "default", body = ProblemBody)))]
pub(super) async fn begin(
    State(api): State<Arc<Api>>,
    client: Client,
    headers: HeaderMap,
    Body(asked): Body<Names>,
) -> Result<Json<Challenge>, Problem> {
    let (account, tenant) = asked.checked(&api, client)?;
    let owner = Owner::SetUp { account: account.to_owned(), tenant: tenant.to_owned() };
    Ok(Json(begin_first(&api, &headers, account, owner)?))
}

/// The first account's passkey.
#[derive(Deserialize, ToSchema)]
pub(super) struct Finish {
    /// The code from the relay's terminal.
    code: String,
    /// What the browser made.
    #[serde(flatten)]
    brought: Brought,
    /// What the login is for.
    #[serde(flatten)]
    keep: Keep,
}

/// Makes the first customer and account with a passkey, and signs in with it.
#[utoipa::path(post, path = "/setup/passkey", tag = "sign-in", request_body = Finish, security(()),
    responses((status = 201, body = LoggedIn), (status = "default", body = ProblemBody)))]
pub(super) async fn finish(
    State(api): State<Arc<Api>>,
    client: Client,
    headers: HeaderMap,
    Body(asked): Body<Finish>,
) -> Result<(StatusCode, Welcome), Problem> {
    let arrival = Arrival::new(&api, client, &headers, asked.keep)?;
    may_set_up(&api, client, &asked.code)?;
    let made = asked.brought.made(&api)?;
    let Owner::SetUp { account, tenant } = made.owner else { return Err(Code::PasskeyRefused.into()) };
    let (first, now) = (FirstAccount { tenant_name: tenant, account, password: String::new() }, clock::now());
    let passkey = FirstPasskey { handle: made.handle, passkey: made.passkey };
    let account = api.store.set_up_with_passkey(&first, &passkey, &client.ip().to_string(), now).await?;
    done(&api, &first.account, &first.tenant_name);
    arrival.by_passkey(account, now).await
}

impl From<AlreadySetUp> for Problem {
    fn from(refused: AlreadySetUp) -> Self {
        match refused {
            AlreadySetUp::Done => Code::SetupClosed.into(),
            AlreadySetUp::Store(error) => error.into(),
        }
    }
}
