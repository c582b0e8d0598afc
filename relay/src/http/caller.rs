//! Who asks. A handler that takes a [`Caller`] runs only for somebody who is signed in; one that takes an
//! [`Admin`], only for an admin. Everything of a customer is reached through [`Caller::scoped`], so that forgetting
//! the tenant does not compile.

use super::problem::{Code, Problem};
use super::{Api, edge, page};
use crate::access::{BearerToken, needs_touch};
use crate::clock;
use crate::store::{Account, Actor, Role, Scoped};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};
use serde::de::DeserializeOwned;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

/// What a page sends with what it asks by a timer: nobody is known to sit there, so it keeps no login from ending.
const BY_ITSELF: HeaderName = HeaderName::from_static("x-cloud-doctor-by-itself");

/// The address at the other end of the connection.
#[derive(Debug, Clone, Copy)]
pub struct Client(pub SocketAddr);

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who.
    pub account: Account,
    /// The login's hash.
    pub login: [u8; 32],
    /// From which address, as text for the audit.
    pub client: String,
    /// How the login was shown.
    pub by: Shown,
}

/// How a login was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// In `Authorization`, by a program that meant to.
    Bearer,
    /// In a cookie, which a browser adds by itself.
    Cookie,
}

/// Somebody who is signed in and an admin.
#[derive(Debug, Clone)]
pub struct Admin(pub Caller);

/// Somebody who signed in a short while ago: a cookie that was stolen later must not make itself a way in that stays.
#[derive(Debug, Clone)]
pub struct Fresh(pub Caller);

/// As long as a page's login may go unused.
const FRESH_SECS: u64 = 15 * 60;

impl Caller {
    /// The database as this caller's customer sees it.
    #[must_use]
    pub fn scoped<'a>(&self, api: &'a Api) -> Scoped<'a> {
        api.store.of(self.account.tenant)
    }

    /// For what needs a [`Fresh`] login only sometimes.
    pub(super) async fn must_be_fresh(&self, api: &Api) -> Result<(), Problem> {
        let login = api.store.login(&self.login).await?.ok_or(Code::SignedOut)?;
        let fresh = clock::now() <= login.created_at.plus_secs(FRESH_SECS);
        if fresh { Ok(()) } else { Err(Code::SignInAgain.into()) }
    }

    /// For the audit.
    #[must_use]
    pub fn actor(&self) -> Actor<'_> {
        Actor { account: &self.account.name, client: &self.client }
    }
}

impl FromRequestParts<Arc<Api>> for Client {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> Result<Self, Problem> {
        parts.extensions.get::<Client>().copied().ok_or_else(|| Code::Failed.into())
    }
}

impl Client {
    /// The address without its port.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        self.0.ip().to_canonical()
    }
}

impl FromRequestParts<Arc<Api>> for Caller {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let client = Client::from_request_parts(parts, api).await?;
        let (token, by) = shown(api, parts)?;
        let login = token.hash();
        let now = clock::now();
        let found = api.store.login(&login).await?;
        let found = found.filter(|found| found.is_alive(now)).ok_or(Code::SignedOut)?;
        if !api.access.may_call(&found.account.name, clock::instant()) {
            return Err(Code::Limited.into());
        }
        let client = client.ip().to_string();
        if needs_touch(found.used_at, now) && !is_by_itself(&parts.headers, by) {
            api.store.touch_login(&login, Some(&client), now).await?;
        }
        Ok(Caller { account: found.account, login, client, by })
    }
}

impl FromRequestParts<Arc<Api>> for Admin {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, api).await?;
        match caller.account.role {
            Role::Admin => Ok(Admin(caller)),
            Role::Member => Err(Code::NotAdmin.into()),
        }
    }
}

impl FromRequestParts<Arc<Api>> for Fresh {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, api).await?;
        caller.must_be_fresh(api).await?;
        Ok(Fresh(caller))
    }
}

/// Whether nobody is known to be behind a request. A page's socket carries no header of ours: the call for its ticket told.
fn is_by_itself(headers: &HeaderMap, by: Shown) -> bool {
    headers.contains_key(&BY_ITSELF) || (by == Shown::Cookie && headers.contains_key(header::UPGRADE))
}

/// The login that a request shows. One in a cookie changes something only for our own page.
fn shown(api: &Api, parts: &Parts) -> Result<(BearerToken, Shown), Problem> {
    if parts.headers.contains_key(header::AUTHORIZATION) {
        return Ok((bearer(&parts.headers).ok_or(Code::SignedOut)?, Shown::Bearer));
    }
    let token = page::cookie(api, &parts.headers).ok_or(Code::SignedOut)?;
    if !parts.method.is_safe() {
        page::may_change(api, &parts.headers)?;
    }
    Ok((token, Shown::Cookie))
}

fn bearer(headers: &HeaderMap) -> Option<BearerToken> {
    let mut sent = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (sent.next()?, sent.next()) else { return None };
    BearerToken::parse(value.to_str().ok()?.strip_prefix("Bearer ")?)
}

/// The id in the path. What is no id is unknown, in the same words as an id that is not there.
#[derive(Debug, Clone, Copy)]
pub struct Id<T>(pub T);

impl<T: FromStr> FromRequestParts<Arc<Api>> for Id<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, api).await.map_err(|_| Code::Unknown)?;
        Ok(Id(text.parse().map_err(|_| Code::Unknown)?))
    }
}

/// The two ids in the path. What is no id is unknown, as with one.
#[derive(Debug, Clone, Copy)]
pub struct TwoIds<A, B>(pub A, pub B);

impl<A: FromStr, B: FromStr> FromRequestParts<Arc<Api>> for TwoIds<A, B> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let path = Path::<(String, String)>::from_request_parts(parts, api).await;
        let Path((a, b)) = path.map_err(|_| Code::Unknown)?;
        Ok(TwoIds(a.parse().map_err(|_| Code::Unknown)?, b.parse().map_err(|_| Code::Unknown)?))
    }
}

/// The JSON body of a request, which has come within 10 s, also where the answer may take longer (DOS-03).
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<Api>> for Body<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, Problem> {
        let reading = axum::Json::<T>::from_request(request, api);
        let read = tokio::time::timeout(edge::REQUEST, reading).await.map_err(|_| Code::TooSlow)?;
        match read {
            Ok(axum::Json(body)) => Ok(Body(body)),
            Err(e) if e.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE => Err(Code::TooLarge.into()),
            Err(e) => Err(Problem::with(Code::BadRequest, &e.body_text())),
        }
    }
}

/// The query of a request.
#[derive(Debug)]
pub struct Asked<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Arc<Api>> for Asked<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        match Query::<T>::from_request_parts(parts, api).await {
            Ok(Query(asked)) => Ok(Asked(asked)),
            Err(e) => Err(Problem::with(Code::BadRequest, &e.body_text())),
        }
    }
}
