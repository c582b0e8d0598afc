//! Signing in with a password, and one's own account.

use super::arrival::{Arrival, Keep, LoggedIn, Welcome, end};
use super::caller::{Body, Caller, Client, Shown};
use super::encoding::Hex;
use super::problem::{Code, Problem, ProblemBody};
use super::{Api, page};
use crate::access::{Attempt, Busy, PASSWORD_CHARS, Queue, SignInRefused};
use crate::clock;
use crate::tunnels::gate::Prefix;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse as _, Response};
use cloud_doctor_proto::ids::TenantId;
use cloud_doctor_proto::limits::NAME_CHARS_MAX;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tracing::{error, warn};
use utoipa::ToSchema;

/// Who signs in.
#[derive(Deserialize, ToSchema)]
pub(super) struct Login {
    /// Name of the account.
    account: String,
    /// Its password.
    password: String,
    /// Where the account asks for one: of its app, or one on paper.
    #[serde(default)]
    code: String,
    /// What the login is for.
    #[serde(flatten)]
    keep: Keep,
}

/// Signs in.
#[utoipa::path(post, path = "/login", tag = "sign-in", request_body = Login, security(()),
    responses((status = 200, body = LoggedIn), (status = "default", body = ProblemBody)))]
pub(super) async fn login(
    State(api): State<Arc<Api>>,
    client: Client,
    headers: HeaderMap,
    Body(asked): Body<Login>,
) -> Result<Welcome, Problem> {
    let arrival = Arrival::new(&api, client, &headers, asked.keep)?;
    let attempt =
        Attempt { account: &asked.account, password: &asked.password, code: &asked.code, by: arrival.newcomer() };
    let signed_in = api.access.sign_in(attempt, clock::now(), clock::instant()).await;
    arrival.welcome(signed_in).await
}

/// Ends the login that asks, with its streams.
#[utoipa::path(post, path = "/logout", tag = "sign-in", security(("login" = [])),
    responses((status = 204), (status = "default", body = ProblemBody)))]
pub(super) async fn logout(State(api): State<Arc<Api>>, caller: Caller) -> Result<Response, Problem> {
    end(&api, &caller.login).await?;
    let cleared = match caller.by {
        Shown::Bearer => None,
        Shown::Cookie => Some((header::SET_COOKIE, page::clear_cookie(&api)?)),
    };
    Ok((StatusCode::NO_CONTENT, AppendHeaders(cleared)).into_response())
}

/// The account that asks.
#[derive(Serialize, ToSchema)]
pub(super) struct Me {
    /// Its name.
    pub(super) account: String,
    /// `admin` or `member`.
    pub(super) role: &'static str,
    /// Its customer.
    pub(super) tenant: MyTenant,
}

/// A customer as its own accounts see it.
#[derive(Serialize, ToSchema)]
pub(super) struct MyTenant {
    /// Its name on this relay.
    pub(super) name: String,
    /// Hash of its trust log's first entry, once posted.
    #[schema(value_type = Option<String>)]
    pub(super) id: Option<Hex<TenantId>>,
}

/// Who asks.
#[utoipa::path(get, path = "/me", tag = "sign-in", security(("login" = [])),
    responses((status = 200, body = Me), (status = "default", body = ProblemBody)))]
pub(super) async fn me(State(api): State<Arc<Api>>, caller: Caller) -> Result<Json<Me>, Problem> {
    let tenant = caller.scoped(&api).tenant().await?;
    let tenant = MyTenant { name: tenant.name, id: tenant.genesis.map(Hex) };
    Ok(Json(Me { account: caller.account.name, role: caller.account.role.id(), tenant }))
}

/// A change of password.
#[derive(Deserialize, ToSchema)]
pub(super) struct ChangePassword {
    /// The one that counts now. Without one, the login must be younger than 15 minutes instead.
    #[serde(default)]
    old: String,
    /// The next: 12 to 256 characters.
    new: String,
}

/// Changes one's own password. Every other login of the account ends, and its streams.
#[utoipa::path(put, path = "/me/password", tag = "sign-in", request_body = ChangePassword, security(("login" = [])),
    responses((status = 204), (status = "default", body = ProblemBody)))]
pub(super) async fn change_password(
    State(api): State<Arc<Api>>,
    client: Client,
    caller: Caller,
    Body(asked): Body<ChangePassword>,
) -> Result<StatusCode, Problem> {
    let new = acceptable(&asked.new)?;
    let now = clock::now();
    let prefix = Prefix::of(client.ip());
    api.access.may_guess(prefix, clock::instant())?;
    let found = api.store.account_by_name(&caller.account.name, &prefix.bytes(), now).await?;
    match found.and_then(|found| found.password) {
        None => caller.must_be_fresh(&api).await?,
        stored if api.access.passwords.verify(&asked.old, stored.clone(), Queue::Known).await? => {}
        Some(_) => return Err(Code::WrongLogin.into()),
    }
    let new = api.access.passwords.hash(new).await?;
    let account = caller.account.account;
    caller.scoped(&api).set_password(account, &new, &caller.login, caller.actor(), now).await?;
    api.in_use.cut(account, Some(&caller.login));
    Ok(StatusCode::NO_CONTENT)
}

/// A password that may be set.
pub(super) fn acceptable(password: &str) -> Result<&str, Problem> {
    if PASSWORD_CHARS.contains(&password.chars().count()) { Ok(password) } else { Err(Code::WeakPassword.into()) }
}

/// A name of an account, customer or token: one printable line.
pub(super) fn name(text: &str) -> Result<&str, Problem> {
    let printable = cloud_doctor_proto::refusal::one_line(text, NAME_CHARS_MAX) == text;
    if printable && !text.trim().is_empty() { Ok(text) } else { Err(Code::BadName.into()) }
}

impl From<Busy> for Problem {
    fn from(_: Busy) -> Self {
        Code::Busy.into()
    }
}

impl From<SignInRefused> for Problem {
    fn from(refused: SignInRefused) -> Self {
        match refused {
            SignInRefused::Wrong => Code::WrongLogin.into(),
            SignInRefused::Passkey(refused) => match Problem::from(refused) {
                problem if problem.is(Code::PasskeyRefused) => Code::WrongPasskey.into(),
                problem => problem,
            },
            SignInRefused::CodeNeeded => Code::CodeNeeded.into(),
            SignInRefused::WrongCode => Code::WrongCode.into(),
            SignInRefused::Secret => {
                error!("the secret of a second step cannot be opened: factors.key is not the one it was sealed under");
                Code::Failed.into()
            }
            SignInRefused::Limited => Code::Limited.into(),
            SignInRefused::Busy(busy) => busy.into(),
            SignInRefused::Store(error) => error.into(),
            SignInRefused::Randomness(error) => error.into(),
        }
    }
}

impl From<getrandom::Error> for Problem {
    fn from(error: getrandom::Error) -> Self {
        warn!(%error, "the operating system gives no randomness");
        Code::Failed.into()
    }
}
