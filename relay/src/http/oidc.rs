//! Signing in at an identity provider, and linking one's account to who one is there.
//!
//! The provider sends the browser back to a place inside the console, and the console brings what it was given: so no
//! GET changes anything, and the cookie that proves the browser stays as strict as every other.

use super::Api;
use super::arrival::{Arrival, Keep, LoggedIn, Welcome};
use super::caller::{Body, Caller, Client, Fresh};
use super::page;
use super::problem::{Code, Problem, ProblemBody};
use super::sign_in::name;
use crate::access::{Oidc, OidcRefused, Person, Purpose, Sent};
use crate::clock;
use crate::store::{Account, Identity, NotCreated, Way};
use crate::tunnels::gate::Prefix;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::AppendHeaders;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tracing::{info, warn};
use utoipa::ToSchema;

/// Where the provider sends browsers back to: a place inside the console, which is to be registered there.
const CALLBACK: &str = "/oidc/callback";

fn provider(api: &Api) -> Result<&Oidc, Problem> {
    api.access.oidc.as_ref().ok_or_else(|| Code::Unknown.into())
}

/// Where to send the browser.
#[derive(Serialize, ToSchema)]
pub(super) struct Redirect {
    /// The provider's page.
    url: String,
}

type Away = (AppendHeaders<[(HeaderName, HeaderValue); 1]>, Json<Redirect>);

async fn send(api: &Api, client: Client, headers: &HeaderMap, purpose: Purpose) -> Result<Away, Problem> {
    let oidc = provider(api)?;
    let home = page::origin(api, headers).ok_or(Code::ForeignPage)?;
    let begun = oidc.begin(purpose, format!("{home}{CALLBACK}"), Prefix::of(client.ip()), clock::instant());
    let Sent { url, browser } = begun.await?;
    let cookie = page::set_browser_cookie(api, &browser)?;
    Ok((AppendHeaders([(header::SET_COOKIE, cookie)]), Json(Redirect { url })))
}

/// Begins to sign in at the provider.
#[utoipa::path(post, path = "/login/oidc/start", tag = "sign-in", security(()),
    responses((status = 200, body = Redirect), (status = "default", body = ProblemBody)))]
pub(super) async fn start(State(api): State<Arc<Api>>, client: Client, headers: HeaderMap) -> Result<Away, Problem> {
    page::may_change(&api, &headers)?;
    send(&api, client, &headers, Purpose::SignIn).await
}

/// What the provider gave to the browser, from the query of `/oidc/callback`.
#[derive(Deserialize, ToSchema)]
pub(super) struct Returned {
    /// As it came.
    state: String,
    /// As it came.
    code: String,
    /// As it came, if it came.
    iss: Option<String>,
}

async fn returned(api: &Api, headers: &HeaderMap, asked: &Returned) -> Result<(Person, Purpose), Problem> {
    let browser = page::browser_cookie(api, headers).ok_or(Code::OidcRefused)?;
    let brought = (asked.state.as_str(), asked.code.as_str(), asked.iss.as_deref());
    let finished = provider(api)?.finish(brought, browser, clock::instant()).await;
    finished.map_err(|refused| {
        info!(%refused, "nobody was let in by the identity provider");
        refused.into()
    })
}

/// Signs in whom the provider knows; for a page.
#[utoipa::path(post, path = "/login/oidc", tag = "sign-in", security(()), request_body = Returned,
    responses((status = 200, body = LoggedIn), (status = "default", body = ProblemBody)))]
pub(super) async fn sign_in(
    State(api): State<Arc<Api>>,
    client: Client,
    headers: HeaderMap,
    Body(asked): Body<Returned>,
) -> Result<Welcome, Problem> {
    let arrival = Arrival::new(&api, client, &headers, Keep::BROWSER)?;
    let (person, purpose) = returned(&api, &headers, &asked).await?;
    if purpose != Purpose::SignIn {
        return Err(Code::OidcRefused.into());
    }
    let account = account(&api, client, &person).await?;
    let signed_in = api.access.begin(account, Way::Oidc, &arrival.newcomer(), clock::now()).await?;
    arrival.welcome(Ok(signed_in.ok_or(Code::NoAccount)?)).await
}

/// The account of a person: by issuer and subject, or a new one where the operator wants that.
async fn account(api: &Api, client: Client, person: &Person) -> Result<Account, Problem> {
    let settings = provider(api)?.settings();
    let who = Identity { issuer: &settings.issuer, subject: &person.subject, label: &person.label };
    if let Some(account) = api.store.account_by_identity(who.issuer, who.subject).await? {
        return Ok(account);
    }
    if !settings.create_accounts || api.store.knows_identity(who.issuer, who.subject).await? {
        return Err(Code::NoAccount.into());
    }
    let wanted = name(&person.username).map_err(|_| Code::NoAccount)?;
    let made = api.store.create_for_identity(wanted, who, &client.ip().to_string(), clock::now()).await?;
    info!(account = made.name, "account made for somebody whom the identity provider knows");
    Ok(made)
}

/// Who one is at the provider.
#[derive(Serialize, ToSchema)]
pub(super) struct Linked {
    /// The provider's name.
    name: String,
    /// Who one is there, for people; `null` when the account is not linked.
    label: Option<String>,
    /// Since when.
    since: Option<u64>,
}

/// Says who one is at the provider.
#[utoipa::path(get, path = "/me/oidc", tag = "sign-in", security(("login" = [])),
    responses((status = 200, body = Linked), (status = "default", body = ProblemBody)))]
pub(super) async fn show(State(api): State<Arc<Api>>, caller: Caller) -> Result<Json<Linked>, Problem> {
    let settings = provider(&api)?.settings();
    let row = caller.scoped(&api).identity(caller.account.account, &settings.issuer).await?;
    let (label, since) = row.map(|row| (row.label, row.created_at.0)).unzip();
    Ok(Json(Linked { name: settings.name.clone(), label, since }))
}

/// Begins to link one's account to who one is at the provider.
#[utoipa::path(post, path = "/me/oidc/start", tag = "sign-in", security(("login" = [])),
    responses((status = 200, body = Redirect), (status = "default", body = ProblemBody)))]
pub(super) async fn start_link(
    State(api): State<Arc<Api>>,
    client: Client,
    Fresh(caller): Fresh,
    headers: HeaderMap,
) -> Result<Away, Problem> {
    let purpose = Purpose::Link(caller.account.tenant, caller.account.account, caller.login);
    send(&api, client, &headers, purpose).await
}

/// Links one's account to who one is at the provider.
#[utoipa::path(post, path = "/me/oidc", tag = "sign-in", security(("login" = [])), request_body = Returned,
    responses((status = 204), (status = "default", body = ProblemBody)))]
pub(super) async fn link(
    State(api): State<Arc<Api>>,
    Fresh(caller): Fresh,
    headers: HeaderMap,
    Body(asked): Body<Returned>,
) -> Result<StatusCode, Problem> {
    let (person, purpose) = returned(&api, &headers, &asked).await?;
    if purpose != Purpose::Link(caller.account.tenant, caller.account.account, caller.login) {
        return Err(Code::OidcRefused.into());
    }
    let issuer = &provider(&api)?.settings().issuer;
    let who = Identity { issuer, subject: &person.subject, label: &person.label };
    let linked = caller.scoped(&api).link(caller.account.account, who, caller.actor(), clock::now()).await?;
    if linked { Ok(StatusCode::NO_CONTENT) } else { Err(Code::LinkedAlready.into()) }
}

/// Unlinks one's account; the last way in stays.
#[utoipa::path(delete, path = "/me/oidc", tag = "sign-in", security(("login" = [])),
    responses((status = 204), (status = "default", body = ProblemBody)))]
pub(super) async fn unlink(State(api): State<Arc<Api>>, caller: Caller) -> Result<StatusCode, Problem> {
    let issuer = &provider(&api)?.settings().issuer;
    caller.scoped(&api).unlink(caller.account.account, issuer, caller.actor(), clock::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<OidcRefused> for Problem {
    fn from(refused: OidcRefused) -> Self {
        match refused {
            OidcRefused::Limited => Code::Limited.into(),
            OidcRefused::Provider(error) => {
                warn!(error, "the identity provider does not answer");
                Code::ProviderAway.into()
            }
            OidcRefused::State | OidcRefused::Proof(_) => Code::OidcRefused.into(),
            OidcRefused::NotAllowed => Code::NotAllowed.into(),
            OidcRefused::Randomness(error) => error.into(),
        }
    }
}

impl From<NotCreated> for Problem {
    fn from(refused: NotCreated) -> Self {
        match refused {
            NotCreated::Taken => Code::AccountExists.into(),
            NotCreated::WhichCustomer => Code::NoAccount.into(),
            NotCreated::Store(error) => error.into(),
        }
    }
}
