//! The second step of one's own password: turning it on, codes on paper, turning it off.

use super::Api;
use super::caller::{Body, Caller, Client, Fresh};
use super::problem::{Code, Problem, ProblemBody};
use crate::access::{Queue, TotpRefused, recovery_codes};
use crate::clock;
use crate::tunnels::gate::Prefix;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tracing::warn;
use utoipa::ToSchema;

/// The second step.
#[derive(Serialize, ToSchema)]
pub(super) struct SecondStep {
    /// There is a password at all.
    password: bool,
    /// A password alone does not sign in.
    on: bool,
    /// Codes on paper that were not used yet.
    recovery_codes_left: u64,
}

/// Says whether one's own password needs a code besides.
#[utoipa::path(get, path = "/me/totp", tag = "sign-in", security(("login" = [])),
    responses((status = 200, body = SecondStep), (status = "default", body = ProblemBody)))]
pub(super) async fn show(State(api): State<Arc<Api>>, caller: Caller) -> Result<Json<SecondStep>, Problem> {
    let kept = caller.scoped(&api).totp(caller.account.account).await?;
    let (on, left) = (kept.is_some(), kept.map_or(0, |kept| kept.recovery_left));
    let password = caller.scoped(&api).has_password(caller.account.account).await?;
    Ok(Json(SecondStep { password, on, recovery_codes_left: left }))
}

/// What an app must learn. Shown once.
#[derive(Serialize, ToSchema)]
pub(super) struct Begun {
    /// Comes back with the first code.
    id: String,
    /// The secret in base32, to be typed.
    secret: String,
    /// The same as `otpauth:` URI, to be shown as a picture.
    uri: String,
}

/// Makes a secret for an app. It counts once its first code came back.
#[utoipa::path(post, path = "/me/totp/start", tag = "sign-in", security(("login" = [])),
    responses((status = 200, body = Begun), (status = "default", body = ProblemBody)))]
pub(super) async fn begin(State(api): State<Arc<Api>>, Fresh(caller): Fresh) -> Result<Json<Begun>, Problem> {
    if caller.scoped(&api).totp(caller.account.account).await?.is_some() {
        return Err(Code::TotpOn.into());
    }
    let begun = api.access.second_step.begin(&caller.account, &caller.login, clock::instant())?;
    Ok(Json(Begun { id: begun.id, secret: begun.secret, uri: begun.uri }))
}

/// The app's first code.
#[derive(Deserialize, ToSchema)]
pub(super) struct Confirm {
    /// From the start.
    id: String,
    /// Six digits.
    code: String,
}

/// Codes on paper, shown once.
#[derive(Serialize, ToSchema)]
pub(super) struct Paper {
    /// Ten; each signs in once in place of the app's code.
    recovery_codes: Vec<String>,
}

/// Turns the second step on.
#[utoipa::path(post, path = "/me/totp", tag = "sign-in", security(("login" = [])), request_body = Confirm,
    responses((status = 201, body = Paper), (status = "default", body = ProblemBody)))]
pub(super) async fn confirm(
    State(api): State<Arc<Api>>,
    Fresh(caller): Fresh,
    Body(asked): Body<Confirm>,
) -> Result<(StatusCode, Json<Paper>), Problem> {
    let (account, by, when) = (&caller.account, caller.actor(), (clock::now(), clock::instant()));
    let asked = (asked.id.as_str(), asked.code.trim());
    let paper = api.access.second_step.confirm(&api.store, asked, account, &caller.login, by, when).await?;
    Ok((StatusCode::CREATED, Json(Paper { recovery_codes: paper })))
}

/// Who turns it off: one of the two.
#[derive(Deserialize, ToSchema)]
pub(super) struct Proof {
    /// Of the app, or one on paper.
    #[serde(default)]
    code: String,
    /// The account's.
    #[serde(default)]
    password: String,
}

/// Turns the second step off.
#[utoipa::path(post, path = "/me/totp/remove", tag = "sign-in", security(("login" = [])), request_body = Proof,
    responses((status = 204), (status = "default", body = ProblemBody)))]
pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    client: Client,
    caller: Caller,
    Body(asked): Body<Proof>,
) -> Result<StatusCode, Problem> {
    prove(&api, client, &caller, &asked).await?;
    caller.scoped(&api).remove_totp(caller.account.account, caller.actor(), clock::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Replaces the codes on paper.
#[utoipa::path(post, path = "/me/totp/recovery-codes", tag = "sign-in", security(("login" = [])),
    request_body = Proof, responses((status = 201, body = Paper), (status = "default", body = ProblemBody)))]
pub(super) async fn renew(
    State(api): State<Arc<Api>>,
    client: Client,
    caller: Caller,
    Body(asked): Body<Proof>,
) -> Result<(StatusCode, Json<Paper>), Problem> {
    prove(&api, client, &caller, &asked).await?;
    let (paper, hashes) = recovery_codes()?;
    caller.scoped(&api).set_recovery_codes(caller.account.account, &hashes, caller.actor(), clock::now()).await?;
    Ok((StatusCode::CREATED, Json(Paper { recovery_codes: paper })))
}

/// A login alone, which a thief of a cookie has too, is not enough.
async fn prove(api: &Api, client: Client, caller: &Caller, proof: &Proof) -> Result<(), Problem> {
    let (account, when) = (&caller.account, (clock::now(), clock::instant()));
    if caller.scoped(api).totp(account.account).await?.is_none() {
        return Err(Code::TotpOff.into());
    }
    if proof.password.is_empty() {
        return Ok(api.access.second_step.ask(&api.store, account, &proof.code, &caller.client, when).await?);
    }
    let prefix = Prefix::of(client.ip());
    api.access.may_guess(prefix, when.1)?;
    let found = api.store.account_by_name(&account.name, &prefix.bytes(), when.0).await?;
    let stored = found.and_then(|found| found.password);
    let right = api.access.passwords.verify(&proof.password, stored, Queue::Known).await?;
    if right { Ok(()) } else { Err(Code::WrongLogin.into()) }
}

impl From<TotpRefused> for Problem {
    fn from(refused: TotpRefused) -> Self {
        match refused {
            TotpRefused::NotBegun => Code::TotpNotBegun.into(),
            TotpRefused::Code => Code::WrongCode.into(),
            TotpRefused::On => Code::TotpOn.into(),
            TotpRefused::Failed => {
                warn!(%refused, "a second step was not turned on");
                Code::Failed.into()
            }
            TotpRefused::Store(error) => error.into(),
            TotpRefused::Randomness(error) => error.into(),
        }
    }
}
