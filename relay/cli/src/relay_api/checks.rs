//! Calls about a server's checks: asking for them, who answers for which finding, and how often the relay asks by itself.
//!
//! Of a run only what the server signed is read. Waivers and schedules are the relay's word; never: a finding that is
//! missing or changed because of them.

use super::calls::in_path;
use super::http::{CALL_WAIT, Call, call};
use super::shapes::TextBytes;
use super::{Relay, RelayError};
use cloud_doctor_proto::ids::{AgentId, Nonce};
use cloud_doctor_proto::time::UnixTime;
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

/// What the relay has of a server's checks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct KnownChecks {
    /// The newest run.
    pub latest: Option<SignedRun>,
    /// How often the relay asks by itself.
    pub schedule: CheckSchedule,
    /// Who answers for what, also what counts no more.
    pub waivers: Vec<Waiver>,
}

/// How often the relay asks a server by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckSchedule {
    /// 0: never.
    pub every_secs: u64,
}

/// A finding that somebody answers for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiver {
    /// Its name.
    pub waiver: String,
    /// The check's id.
    pub check: String,
    /// What it is about; empty: the host.
    pub subject: String,
    /// Why it may stay as it is.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// Since when.
    pub created_at: u64,
    /// The last second in which it counts.
    pub until: u64,
}

impl Waiver {
    /// Whether it counts at `now`.
    #[must_use]
    pub fn counts(&self, now: UnixTime) -> bool {
        now.0 <= self.until
    }
}

/// A waiver to be made.
#[derive(Debug, Clone, Serialize)]
pub struct WaiverWish<'a> {
    /// The check's id.
    pub check: &'a str,
    /// What it is about, to the letter.
    pub subject: &'a str,
    /// Why it may stay as it is.
    pub reason: &'a str,
    /// The last second in which it counts.
    pub until: u64,
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

    /// What the relay has of a server's checks.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn known_checks(&self, agent: &AgentId) -> Result<KnownChecks, RelayError> {
        self.get(&format!("/api/v1/servers/{agent}/checks")).await
    }

    /// Answers for a finding, in place of an earlier waiver of it.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn waive(&self, agent: &AgentId, wish: &WaiverWish<'_>) -> Result<Waiver, RelayError> {
        self.post(&format!("/api/v1/servers/{agent}/checks/waivers"), wish).await
    }

    /// Takes a waiver back.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn unwaive(&self, agent: &AgentId, waiver: &str) -> Result<(), RelayError> {
        self.delete(&format!("/api/v1/servers/{agent}/checks/waivers/{}", in_path(waiver))).await
    }

    /// Sets how often the relay asks a server by itself; 0: never.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn schedule_checks(&self, agent: &AgentId, every_secs: u64) -> Result<CheckSchedule, RelayError> {
        let path = &format!("/api/v1/servers/{agent}/checks/schedule");
        let body = &CheckSchedule { every_secs };
        call(self, Call { method: Method::PUT, path, body: Some(body), wait: CALL_WAIT }).await
    }
}
