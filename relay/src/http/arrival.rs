//! What every way to sign in has in common: where the person comes from, and the answer that carries the login.

use super::caller::Client;
use super::problem::Problem;
use super::{Api, page};
use crate::access::{Lasting, Newcomer, PasskeyRefused, SignInRefused, SignedIn};
use crate::metrics::LoginOutcome;
use crate::store::{Account, LoginKind, Way};
use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::AppendHeaders;
use cloud_doctor_proto::time::UnixTime;
use serde::{Deserialize, Serialize};
use tracing::info;
use utoipa::ToSchema;

/// What the login is for.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
pub(super) struct Keep {
    /// For a program that keeps the token in a file of its owner: it then ends after 12 hours without use, and after
    /// 30 days at the latest, instead of 15 minutes and 12 hours.
    #[serde(default)]
    lasting: bool,
    /// For a page: the login comes as a cookie that scripts cannot read, and ends after 15 minutes without use, after
    /// 12 hours at the latest.
    #[serde(default)]
    browser: bool,
}

impl Keep {
    /// In the page that asks.
    pub(super) const BROWSER: Self = Self { lasting: false, browser: true };
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

/// The answer to somebody who signed in: the login, in the cookie or in the body.
pub(super) type Welcome = (AppendHeaders<Option<(HeaderName, HeaderValue)>>, Json<LoggedIn>);

/// Somebody who signs in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival<'a> {
    api: &'a Api,
    headers: &'a HeaderMap,
    keep: Keep,
    client: Client,
}

impl<'a> Arrival<'a> {
    /// A page must be ours.
    pub(super) fn new(api: &'a Api, client: Client, headers: &'a HeaderMap, keep: Keep) -> Result<Self, Problem> {
        if keep.browser {
            page::may_change(api, headers)?;
        }
        Ok(Self { api, headers, keep, client })
    }

    /// For [`crate::access`].
    pub(super) fn newcomer(&self) -> Newcomer<'a> {
        let Keep { lasting, browser } = self.keep;
        Newcomer {
            client: self.client.ip(),
            user_agent: page::only(self.headers, &header::USER_AGENT).unwrap_or_default(),
            kind: if browser { LoginKind::Browser } else { LoginKind::Program },
            lasting: if lasting && !browser { Lasting::Long } else { Lasting::Short },
        }
    }

    /// Signs in whoever has just made a passkey: the answer of every road that ends with one.
    pub(super) async fn by_passkey(&self, account: Account, now: UnixTime) -> Result<(StatusCode, Welcome), Problem> {
        let signed_in = self.api.access.begin(account, Way::Passkey, &self.newcomer(), now).await?;
        Ok((StatusCode::CREATED, self.welcome(signed_in.ok_or(SignInRefused::Wrong)).await?))
    }

    /// Hands out the login, if there is one, and counts the attempt.
    pub(super) async fn welcome(&self, attempt: Result<SignedIn, SignInRefused>) -> Result<Welcome, Problem> {
        let (api, browser) = (self.api, self.keep.browser);
        api.metrics.login(outcome(&attempt));
        let signed_in = attempt?;
        info!(account = signed_in.account.name, client = %self.client.ip(), "signed in");
        let cookie = match browser {
            true => Some((header::SET_COOKIE, page::set_cookie(api, &signed_in.token)?)),
            false => None,
        };
        // The page's login from before is another one, and nobody has it any more.
        if let Some(before) = page::cookie(api, self.headers).filter(|_| browser) {
            end(api, &before.hash()).await?;
        }
        let logged_in = LoggedIn {
            token: (!browser).then(|| signed_in.token.reveal()),
            account: signed_in.account.name,
            role: signed_in.account.role.id(),
            ends_at: signed_in.ends_at.0,
        };
        Ok((AppendHeaders(cookie), Json(logged_in)))
    }
}

fn outcome(attempt: &Result<SignedIn, SignInRefused>) -> LoginOutcome {
    match attempt {
        Ok(_) => LoginOutcome::Ok,
        Err(SignInRefused::Limited | SignInRefused::Passkey(PasskeyRefused::Limited) | SignInRefused::Busy(_)) => {
            LoginOutcome::Limited
        }
        Err(SignInRefused::Wrong | SignInRefused::WrongCode | SignInRefused::Passkey(_)) => LoginOutcome::Wrong,
        // Half-way in: the code comes with the next attempt.
        Err(SignInRefused::CodeNeeded) => LoginOutcome::CodeNeeded,
        Err(SignInRefused::Store(_) | SignInRefused::Secret | SignInRefused::Randomness(_)) => LoginOutcome::Failed,
    }
}

/// Ends a login, with its streams: whoever holds it next sees nothing of them.
pub(super) async fn end(api: &Api, login: &[u8; 32]) -> Result<(), Problem> {
    api.store.end_login(login).await?;
    api.in_use.cut_login(login);
    Ok(())
}
