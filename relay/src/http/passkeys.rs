//! Passkeys for signing in: one's own list, and signing in without naming an account.
//!
//! A passkey is made in two steps: the relay says what to ask a browser for, the page brings what the browser made.
//! What is kept between them counts once, for five minutes.

use super::Api;
use super::arrival::{Arrival, Keep, Welcome};
use super::caller::{Body, Caller, Client, Fresh, Id};
use super::encoding::Bytes;
use super::problem::{Code, Problem, ProblemBody};
use super::sign_in::name;
use super::site::site;
use crate::access::{Made, Owner, PasskeyRefused, SignInRefused, User};
use crate::clock;
use crate::store::{PasskeyNotAdded, PasskeyRow, WayNotRemoved};
use crate::tunnels::gate::Prefix;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use tracing::{info, warn};
use utoipa::ToSchema;

/// One's own passkeys. A key that signs grants must be none of them: a page excludes these when it makes one.
#[derive(Serialize, ToSchema)]
pub(super) struct PasskeyList {
    /// Oldest first.
    passkeys: Vec<Passkey>,
}

/// A passkey.
#[derive(Serialize, ToSchema)]
pub(super) struct Passkey {
    /// Its credential id.
    id: Bytes,
    /// What its owner calls it.
    name: String,
    /// Since when.
    created_at: u64,
    /// When it signed in last.
    used_at: Option<u64>,
}

impl Passkey {
    fn of(row: PasskeyRow) -> Self {
        let PasskeyRow { credential_id, name, created_at, used_at } = row;
        Self { id: Bytes(credential_id), name, created_at: created_at.0, used_at: used_at.map(|at| at.0) }
    }
}

/// Lists one's own passkeys for signing in.
#[utoipa::path(get, path = "/me/passkeys", tag = "passkeys", security(("login" = [])),
    responses((status = 200, body = PasskeyList), (status = "default", body = ProblemBody)))]
pub(super) async fn list(State(api): State<Arc<Api>>, caller: Caller) -> Result<Json<PasskeyList>, Problem> {
    let rows = caller.scoped(&api).passkeys(caller.account.account).await?;
    Ok(Json(PasskeyList { passkeys: rows.into_iter().map(Passkey::of).collect() }))
}

/// A wish for a passkey.
#[derive(Deserialize, ToSchema)]
pub(super) struct Wish {
    /// Credential ids that must not be made again: those of the customer's keys for grants, at most 64.
    #[serde(default)]
    exclude: Vec<Bytes>,
}

/// What a page hands to its browser.
#[derive(Serialize, ToSchema)]
pub(super) struct Challenge {
    /// Comes back with what the browser made or signed.
    pub(super) id: String,
    /// As `PublicKeyCredential.parseCreationOptionsFromJSON` or `parseRequestOptionsFromJSON` read it.
    #[schema(value_type = Object)]
    pub(super) options: Value,
}

/// Begins to make the first passkey of an account, under a handle of its own.
pub(super) fn begin_first(api: &Api, headers: &HeaderMap, name: &str, owner: Owner) -> Result<Challenge, Problem> {
    let (site, user) = (site(api, headers)?, User { handle: random()?, name });
    let (id, options) = api.access.passkeys.begin_making(&site, user, owner, Vec::new(), clock::instant())?;
    Ok(Challenge { id, options })
}

/// Begins to make a passkey for signing in. The login must be younger than 15 minutes.
#[utoipa::path(post, path = "/me/passkeys/start", tag = "passkeys", security(("login" = [])), request_body = Wish,
    responses((status = 200, body = Challenge), (status = "default", body = ProblemBody)))]
pub(super) async fn begin(
    State(api): State<Arc<Api>>,
    Fresh(caller): Fresh,
    headers: HeaderMap,
    Body(asked): Body<Wish>,
) -> Result<Json<Challenge>, Problem> {
    let site = site(&api, &headers)?;
    let account = caller.account.account;
    let handle = caller.scoped(&api).user_handle(account, random()?).await?;
    let known = caller.scoped(&api).passkeys(account).await?.into_iter().map(|row| row.credential_id);
    let excluded = known.chain(asked.exclude.into_iter().map(|Bytes(id)| id)).collect();
    let user = User { handle, name: &caller.account.name };
    let owner = Owner::Account(account, caller.login);
    let (id, options) = api.access.passkeys.begin_making(&site, user, owner, excluded, clock::instant())?;
    Ok(Json(Challenge { id, options }))
}

/// A passkey that a browser made.
#[derive(Deserialize, ToSchema)]
pub(super) struct Brought {
    /// From the start.
    id: String,
    /// What its owner calls it.
    name: String,
    /// As `PublicKeyCredential.toJSON` writes it.
    #[schema(value_type = Object)]
    credential: Value,
}

impl Brought {
    /// The passkey, if it is what was asked for.
    pub(super) fn made(self, api: &Api) -> Result<Made, Problem> {
        let credential = credential(self.credential)?;
        Ok(api.access.passkeys.finish_making(&self.id, name(&self.name)?, &credential, clock::instant())?)
    }
}

/// Keeps a passkey for signing in.
#[utoipa::path(post, path = "/me/passkeys", tag = "passkeys", security(("login" = [])), request_body = Brought,
    responses((status = 201), (status = "default", body = ProblemBody)))]
pub(super) async fn finish(
    State(api): State<Arc<Api>>,
    Fresh(caller): Fresh,
    Body(asked): Body<Brought>,
) -> Result<StatusCode, Problem> {
    let made = asked.made(&api)?;
    let account = caller.account.account;
    if made.owner != Owner::Account(account, caller.login) {
        return Err(Code::PasskeyRefused.into());
    }
    caller.scoped(&api).add_passkey(account, &made.passkey, caller.actor(), clock::now()).await?;
    Ok(StatusCode::CREATED)
}

/// Another name.
#[derive(Deserialize, ToSchema)]
pub(super) struct Rename {
    /// What its owner calls it from now on.
    name: String,
}

/// Renames a passkey.
#[utoipa::path(put, path = "/me/passkeys/{id}", tag = "passkeys", security(("login" = [])), request_body = Rename,
    params(("id" = String, Path, description = "its credential id")),
    responses((status = 204), (status = "default", body = ProblemBody)))]
pub(super) async fn rename(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(Bytes(id)): Id<Bytes>,
    Body(asked): Body<Rename>,
) -> Result<StatusCode, Problem> {
    let (scoped, account) = (caller.scoped(&api), caller.account.account);
    match scoped.rename_passkey(account, &id, name(&asked.name)?, caller.actor(), clock::now()).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Code::Unknown.into()),
    }
}

/// Takes a passkey off the list; the last way in stays.
#[utoipa::path(delete, path = "/me/passkeys/{id}", tag = "passkeys", security(("login" = [])),
    params(("id" = String, Path, description = "its credential id")),
    responses((status = 204), (status = "default", body = ProblemBody)))]
pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(Bytes(id)): Id<Bytes>,
) -> Result<StatusCode, Problem> {
    let issuer = api.access.oidc.as_ref().map(|oidc| oidc.settings().issuer.as_str());
    caller.scoped(&api).remove_passkey(caller.account.account, &id, issuer, caller.actor(), clock::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Asks for a challenge to sign in with a passkey; no account is named.
#[utoipa::path(post, path = "/login/passkey/start", tag = "sign-in", security(()),
    responses((status = 200, body = Challenge), (status = "default", body = ProblemBody)))]
pub(super) async fn ask(
    State(api): State<Arc<Api>>,
    client: Client,
    headers: HeaderMap,
) -> Result<Json<Challenge>, Problem> {
    let (site, instant) = (site(&api, &headers)?, clock::instant());
    api.access.passkeys.may_start(Prefix::of(client.ip()), instant)?;
    let (id, options) = api.access.passkeys.ask(&site, instant)?;
    Ok(Json(Challenge { id, options }))
}

/// What a passkey signed.
#[derive(Deserialize, ToSchema)]
pub(super) struct Signed {
    /// From the start.
    id: String,
    /// As `PublicKeyCredential.toJSON` writes it.
    #[schema(value_type = Object)]
    credential: Value,
    /// What the login is for.
    #[serde(flatten)]
    keep: Keep,
}

/// Signs in with a passkey.
#[utoipa::path(post, path = "/login/passkey", tag = "sign-in", security(()), request_body = Signed,
    responses((status = 200, body = super::arrival::LoggedIn), (status = "default", body = ProblemBody)))]
pub(super) async fn sign_in(
    State(api): State<Arc<Api>>,
    client: Client,
    headers: HeaderMap,
    Body(asked): Body<Signed>,
) -> Result<Welcome, Problem> {
    let arrival = Arrival::new(&api, client, &headers, asked.keep)?;
    let (credential, by) = (credential(asked.credential)?, arrival.newcomer());
    let signed_in = api.access.sign_in_by_passkey(&asked.id, &credential, &by, clock::now(), clock::instant()).await;
    if let Err(SignInRefused::Passkey(refused)) = &signed_in {
        info!(client = %client.ip(), %refused, "a passkey was refused");
    }
    arrival.welcome(signed_in).await
}

/// Sixteen random bytes.
fn random() -> Result<[u8; 16], Problem> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

fn credential<T: DeserializeOwned>(value: Value) -> Result<T, Problem> {
    serde_json::from_value(value).map_err(|e| Problem::with(Code::BadRequest, &e.to_string()))
}

impl From<PasskeyRefused> for Problem {
    fn from(refused: PasskeyRefused) -> Self {
        match refused {
            PasskeyRefused::Limited => Code::Limited.into(),
            PasskeyRefused::NotBegun
            | PasskeyRefused::Refused(_)
            | PasskeyRefused::Framed
            | PasskeyRefused::Algorithm
            | PasskeyRefused::Unknown => Code::PasskeyRefused.into(),
            PasskeyRefused::Damaged(error) => {
                warn!(%error, "a passkey cannot be written or read");
                Code::Failed.into()
            }
            PasskeyRefused::Randomness(error) => error.into(),
        }
    }
}

impl From<PasskeyNotAdded> for Problem {
    fn from(refused: PasskeyNotAdded) -> Self {
        match refused {
            PasskeyNotAdded::Known => Code::PasskeyKnown.into(),
            PasskeyNotAdded::TooMany => Problem::with(Code::TooMany, &refused.to_string()),
            PasskeyNotAdded::Store(error) => error.into(),
        }
    }
}

impl From<WayNotRemoved> for Problem {
    fn from(refused: WayNotRemoved) -> Self {
        match refused {
            WayNotRemoved::Unknown => Code::Unknown.into(),
            WayNotRemoved::Last => Code::LastWay.into(),
            WayNotRemoved::Store(error) => error.into(),
        }
    }
}
