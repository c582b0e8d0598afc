//! Calls that are held until there is news, so that a page learns of it within a moment and asks seldom.
//!
//! Nobody is held for longer than proxies allow, when too many are held already, or by a relay that stops. Never: a
//! timer per table row, or an answer that tells one customer of another's news.

use super::Api;
use super::problem::Problem;
use crate::clock;
use cloud_doctor_proto::time::UnixTime;
use serde::Deserialize;
use std::time::Duration;
use tokio::sync::watch;
use utoipa::IntoParams;

/// Longest wait in one request: below what proxies cut.
const SECS_MAX: u64 = 25;

/// How long to wait.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wait {
    /// Seconds to wait for news, at most 25.
    #[serde(default)]
    pub(super) wait: u64,
}

/// What a look found.
pub(super) enum Look<T> {
    /// News: to be told at once.
    News(T),
    /// Nothing new. It becomes news by itself after this moment, if there is one.
    Same(T, Option<UnixTime>),
}

/// Looks again whenever something changes, until there is news or the time is over; then tells what was found.
pub(super) async fn held<T, L>(
    api: &Api,
    changes: &watch::Sender<u64>,
    wait: u64,
    look: impl Fn() -> L,
) -> Result<T, Problem>
where
    L: Future<Output = Result<Look<T>, Problem>>,
{
    // When too many wait already, the next is answered at once and asks again.
    let place = api.waiting.try_acquire();
    let secs = if place.is_ok() { wait.min(SECS_MAX) } else { 0 };
    let deadline = tokio::time::sleep(Duration::from_secs(secs));
    tokio::pin!(deadline);
    let mut changes = changes.subscribe();
    loop {
        let (found, until) = match look().await? {
            Look::News(found) => return Ok(found),
            Look::Same(found, until) => (found, until),
        };
        tokio::select! {
            biased;
            () = &mut deadline => return Ok(found),
            () = api.stopping() => return Ok(found),
            _ = changes.changed() => {}
            () = passed(until) => {}
        }
    }
}

/// Ends in the second after a moment.
async fn passed(until: Option<UnixTime>) {
    match until {
        Some(until) => {
            tokio::time::sleep(Duration::from_secs(until.plus_secs(1).0.saturating_sub(clock::now().0))).await
        }
        None => std::future::pending().await,
    }
}
