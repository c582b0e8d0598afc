//! Calls about a server's checks. What the relay says about them is not read: only what the server signed.

use super::http::{CALL_WAIT, Call, call};
use super::shapes::TextBytes;
use super::{Relay, RelayError};
use cloud_doctor_proto::ids::{AgentId, Nonce};
use hyper::Method;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long the relay waits for a server's answer.
const RUN_WAIT: Duration = Duration::from_secs(75);

/// A run as the server signed it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SignedRun {
    /// The report's exact bytes.
    pub report: TextBytes,
    /// By the server's identity.
    pub signature: TextBytes,
}

#[derive(Serialize)]
struct Wish<'a> {
    checks: &'a [String],
    nonce: String,
}

#[derive(Deserialize)]
struct Known {
    latest: Option<SignedRun>,
}

impl Relay {
    /// Asks a server for checks; returns when they have run.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn ask_checks(&self, agent: &AgentId, checks: &[String], nonce: &Nonce) -> Result<SignedRun, RelayError> {
        let path = &format!("/api/v1/servers/{agent}/checks");
        let wish = Wish { checks, nonce: nonce.to_string() };
        call(self, Call { method: Method::POST, path, body: Some(&wish), wait: CALL_WAIT + RUN_WAIT }).await
    }

    /// The newest run of a server that the relay has.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn newest_checks(&self, agent: &AgentId) -> Result<Option<SignedRun>, RelayError> {
        let path = &format!("/api/v1/servers/{agent}/checks");
        let nothing: Option<&()> = None;
        let known: Known = call(self, Call { method: Method::GET, path, body: nothing, wait: CALL_WAIT }).await?;
        Ok(known.latest)
    }
}
