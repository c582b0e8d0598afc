//! First-run set-up, sign-in, and one's own account.

use super::caller::{Body, Caller, Client, Shown};
use super::encoding::Hex;
use super::problem::{Code, Problem, ProblemBody};
use super::{Api, page};
use crate::access::{Attempt, Busy, Lasting, PASSWORD_CHARS, Queue, SetupAnswer, SignInRefused};
use crate::clock;
use crate::metrics::LoginOutcome;
use crate::store::{AlreadySetUp, FirstAccount};
use crate::tunnels::gate::Prefix;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse as _, Response};
use cloud_doctor_proto::ids::TenantId;
use cloud_doctor_proto::limits::NAME_CHARS_MAX;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tracing::{info, warn};
use utoipa::ToSchema;

/// The first customer and its first account.
#[derive(Deserialize, ToSchema)]
pub(super) struct SetUp {
    /// The code from the relay's terminal.
    code: String,
    /// Name of the account.
    account: String,
    /// Its password: 12 to 256 characters.
    password: String,
    /// The customer's name; the account's when empty.
    #[serde(default)]
    tenant_name: String,
}

/// Makes the first customer and account. Exists only until it was used.
#[utoipa::path(post, path = "/setup", tag = "sign-in", request_body = SetUp, security(()),
    responses((status = 201, body = Me), (status = "default", body = ProblemBody)))]
pub(super) async fn set_up(
    State(api): State<Arc<Api>>,
    client: Client,
    Body(asked): Body<SetUp>,
) -> Result<(StatusCode, Json<Me>), Problem> {
    let (now, instant) = (clock::now(), clock::instant());
    api.access.may_guess(Prefix::of(client.ip()), instant)?;
    match api.access.setup.ask(&asked.code, instant) {
        SetupAnswer::Right => {}
        SetupAnswer::Wrong => return Err(Code::SetupCode.into()),
        SetupAnswer::Closed => return Err(Code::SetupClosed.into()),
    }
    let account = name(&asked.account)?;
    let tenant_name = if asked.tenant_name.is_empty() { account } else { name(&asked.tenant_name)? };
    let password = api.access.passwords.hash(acceptable(&asked.password)?).await?;
    let first = FirstAccount { tenant_name: tenant_name.to_owned(), account: account.to_owned(), password };
    match api.store.set_up(&first, &client.ip().to_string(), now).await {
        Ok(_) => {}
        Err(AlreadySetUp::Done) => return Err(Code::SetupClosed.into()),
        Err(AlreadySetUp::Store(error)) => return Err(error.into()),
    }
    api.access.setup.close();
    info!(account, tenant = tenant_name, "set-up done");
    let tenant = MyTenant { name: first.tenant_name, id: None };
    Ok((StatusCode::CREATED, Json(Me { account: first.account, role: "admin", tenant })))
}

/// Who signs in.
#[derive(Deserialize, ToSchema)]
pub(super) struct Login {
    /// Name of the account.
    account: String,
    /// Its password.
    password: String,
    /// For a program that keeps the token in a file of its owner: it then ends after 12 hours without use, and after
    /// 30 days at the latest, instead of 15 minutes and 12 hours.
    #[serde(default)]
    lasting: bool,
    /// For a page: the login comes as a cookie that scripts cannot read, and ends after 15 minutes without use, after
    /// 12 hours at the latest.
    #[serde(default)]
    browser: bool,
}

/// A login. The token is shown once.
#[derive(Serialize, ToSchema)]
pub(super) struct LoggedIn {
    /// For `Authorization: Bearer`. Ends when it is not used for a while, see `lasting`. Absent for a page.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// Name of the account.
    account: String,
    /// `admin` or `member`.
    role: &'static str,
    /// When it ends whatever happens.
    ends_at: u64,
}

/// Signs in.
#[utoipa::path(post, path = "/login", tag = "sign-in", request_body = Login, security(()),
    responses((status = 200, body = LoggedIn), (status = "default", body = ProblemBody)))]
pub(super) async fn login(
    State(api): State<Arc<Api>>,
    client: Client,
    headers: HeaderMap,
    Body(asked): Body<Login>,
) -> Result<(AppendHeaders<Option<(HeaderName, HeaderValue)>>, Json<LoggedIn>), Problem> {
    if asked.browser {
        page::may_change(&api, &headers)?;
    }
    let lasting = if asked.lasting && !asked.browser { Lasting::Long } else { Lasting::Short };
    let attempt = Attempt { account: &asked.account, password: &asked.password, client: client.ip(), lasting };
    let signed_in = api.access.sign_in(attempt, clock::now(), clock::instant()).await;
    api.metrics.login(match &signed_in {
        Ok(_) => LoginOutcome::Ok,
        Err(SignInRefused::Wrong) => LoginOutcome::Wrong,
        Err(SignInRefused::Limited | SignInRefused::Busy(_)) => LoginOutcome::Limited,
        Err(SignInRefused::Store(_) | SignInRefused::Randomness(_)) => LoginOutcome::Failed,
    });
    let signed_in = signed_in?;
    info!(account = signed_in.account.name, client = %client.ip(), "signed in");
    let cookie = match asked.browser {
        true => Some((header::SET_COOKIE, page::set_cookie(&api, &signed_in.token)?)),
        false => None,
    };
    // The page's login from before is another one, and nobody has it any more.
    if let Some(before) = page::cookie(&api, &headers).filter(|_| asked.browser) {
        end(&api, &before.hash()).await?;
    }
    let logged_in = LoggedIn {
        token: (!asked.browser).then(|| signed_in.token.reveal()),
        account: signed_in.account.name,
        role: signed_in.account.role.id(),
        ends_at: signed_in.ends_at.0,
    };
    Ok((AppendHeaders(cookie), Json(logged_in)))
}

/// Ends a page's login, with its streams: whoever uses the computer next sees nothing of them.
async fn end(api: &Api, login: &[u8; 32]) -> Result<(), Problem> {
    api.store.end_login(login).await?;
    api.in_use.cut_login(login);
    Ok(())
}

/// Ends the login that asks; a page's with its streams.
#[utoipa::path(post, path = "/logout", tag = "sign-in", security(("login" = [])),
    responses((status = 204), (status = "default", body = ProblemBody)))]
pub(super) async fn logout(State(api): State<Arc<Api>>, caller: Caller) -> Result<Response, Problem> {
    match caller.by {
        Shown::Bearer => {
            api.store.end_login(&caller.login).await?;
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        Shown::Cookie => {
            end(&api, &caller.login).await?;
            let cleared = AppendHeaders([(header::SET_COOKIE, page::clear_cookie(&api)?)]);
            Ok((StatusCode::NO_CONTENT, cleared).into_response())
        }
    }
}

/// The account that asks.
#[derive(Serialize, ToSchema)]
pub(super) struct Me {
    /// Its name.
    account: String,
    /// `admin` or `member`.
    role: &'static str,
    /// Its customer.
    tenant: MyTenant,
}

/// A customer as its own accounts see it.
#[derive(Serialize, ToSchema)]
pub(super) struct MyTenant {
    /// Its name on this relay.
    name: String,
    /// Hash of its trust log's first entry, once posted.
    #[schema(value_type = Option<String>)]
    id: Option<Hex<TenantId>>,
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
    /// The one that counts now.
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
    let stored = found.map(|found| found.password);
    if !api.access.passwords.verify(&asked.old, stored, Queue::Known).await? {
        return Err(Code::WrongLogin.into());
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
