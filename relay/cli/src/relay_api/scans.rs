//! Calls about scans of many servers. What the relay says of a server's health is not read: only how far a scan is, whom it
//! could not ask, and what servers signed.

use super::http::{CALL_WAIT, Call, call};
use super::shapes::TextBytes;
use super::{Relay, RelayError};
use hyper::Method;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Reports that one call asks for.
pub const REPORTS_AT_ONCE: usize = 32;

/// A scan to begin, or what a plan's scans are about.
#[derive(Debug, Clone, Serialize)]
pub struct ScanWish {
    /// Labels that a server must have; none: all servers.
    pub labels: Vec<String>,
    /// Ids and groups; none: all that each ceiling allows.
    pub checks: Vec<String>,
    /// Servers of a wave; `None`: as the relay has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_once: Option<u32>,
    /// Sixteen bytes in hex from which the scan's id and all nonces follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<String>,
}

/// A scan in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanLine {
    /// Its id.
    pub scan: String,
    /// What its id follows from.
    pub seed: String,
    /// The plan that began it.
    #[serde(default)]
    pub plan: String,
    /// Who asked.
    #[serde(default)]
    pub by: String,
    /// When it began.
    pub started_at: u64,
    /// When it ended; `None`: it runs.
    #[serde(default)]
    pub ended_at: Option<u64>,
    /// Somebody ended it.
    #[serde(default)]
    pub cancelled: bool,
    /// Labels that servers had to have.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Checks that were asked for.
    #[serde(default)]
    pub checks: Vec<String>,
    /// How many servers were selected.
    #[serde(default)]
    pub servers: u64,
    /// How many are in which state.
    #[serde(default)]
    pub states: BTreeMap<String, u64>,
    /// How many are how, by the relay's reading.
    #[serde(default)]
    pub worst: BTreeMap<String, u64>,
}

impl ScanLine {
    /// How many have a result.
    #[must_use]
    pub fn done(&self) -> u64 {
        let open = |state: &str| self.states.get(state).copied().unwrap_or(0);
        self.servers.saturating_sub(open("pending")).saturating_sub(open("asked"))
    }
}

/// Findings of one check, counted by the relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckCount {
    /// How they changed since the last scan of the same selection.
    #[serde(default)]
    pub change: String,
    /// How many.
    #[serde(default)]
    pub findings: u64,
}

/// A scan at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ScanGlance {
    /// In numbers.
    #[serde(flatten)]
    pub line: ScanLine,
    /// The scan that it is compared with.
    #[serde(default)]
    pub before: Option<String>,
    /// What was found, by check.
    #[serde(default)]
    pub found: Vec<CheckCount>,
}

/// A server of a scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanServer {
    /// Its id.
    pub server: String,
    /// As the relay calls it.
    #[serde(default)]
    pub name: String,
    /// How it stands with it.
    pub state: String,
    /// Why, by an id.
    #[serde(default)]
    pub reason: String,
    /// The value that the reason's sentence names.
    #[serde(default)]
    pub detail: String,
    /// How long it took.
    #[serde(default)]
    pub took_ms: Option<u64>,
}

/// A server's report of a scan, as it was signed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ScanReport {
    /// Whose.
    pub server: String,
    /// The report's exact bytes; `None`: they are kept no more.
    #[serde(default)]
    pub report: Option<TextBytes>,
    /// By the server's identity.
    #[serde(default)]
    pub signature: Option<TextBytes>,
    /// Check and subject of what somebody answers for, by the relay's word.
    #[serde(default)]
    pub waived: Vec<[String; 2]>,
}

/// A plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanPlanLine {
    /// Its id.
    pub plan: String,
    /// Its name.
    pub name: String,
    /// When, in UTC.
    pub cron: String,
    /// Labels that servers must have.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Checks that are asked for.
    #[serde(default)]
    pub checks: Vec<String>,
    /// Who made it.
    #[serde(default)]
    pub by: String,
    /// When the next scan begins.
    pub next_at: u64,
    /// None begins until somebody lets it go on.
    #[serde(default)]
    pub paused: bool,
    /// The newest scan that it began.
    #[serde(default)]
    pub last_scan: Option<String>,
    /// When that began.
    #[serde(default)]
    pub last_at: Option<u64>,
}

#[derive(Serialize)]
struct PlanWish<'a> {
    name: &'a str,
    cron: &'a str,
    #[serde(flatten)]
    wish: &'a ScanWish,
}

#[derive(Deserialize)]
struct Scans {
    scans: Vec<ScanLine>,
}

#[derive(Deserialize)]
struct Servers {
    servers: Vec<ScanServer>,
    more: bool,
}

#[derive(Deserialize)]
struct Reports {
    reports: Vec<ScanReport>,
}

#[derive(Deserialize)]
struct Plans {
    plans: Vec<ScanPlanLine>,
}

const NOTHING: Option<&()> = None;

impl Relay {
    /// Begins a scan.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn start_scan(&self, wish: &ScanWish) -> Result<ScanLine, RelayError> {
        call(self, Call { method: Method::POST, path: "/api/v1/scans", body: Some(wish), wait: CALL_WAIT }).await
    }

    /// Scans, the newest first, one page.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn scans(&self) -> Result<Vec<ScanLine>, RelayError> {
        let call_ = Call { method: Method::GET, path: "/api/v1/scans", body: NOTHING, wait: CALL_WAIT };
        call::<_, Scans>(self, call_).await.map(|answer| answer.scans)
    }

    /// One scan, by its whole id.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn scan(&self, id: &str) -> Result<ScanGlance, RelayError> {
        let path = &format!("/api/v1/scans/{id}");
        call(self, Call { method: Method::GET, path, body: NOTHING, wait: CALL_WAIT }).await
    }

    /// Ends a scan.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn cancel_scan(&self, id: &str) -> Result<(), RelayError> {
        let path = &format!("/api/v1/scans/{id}/cancel");
        let call_ = Call { method: Method::POST, path, body: Some(&()), wait: CALL_WAIT };
        call::<_, IgnoredAny>(self, call_).await.map(|_| ())
    }

    /// All servers of a scan that the relay tells of, at most `most`.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn scan_servers(&self, id: &str, most: usize) -> Result<Vec<ScanServer>, RelayError> {
        let mut all: Vec<ScanServer> = Vec::new();
        loop {
            let after = all.last().map(|last| format!("?after={}", last.server)).unwrap_or_default();
            let path = &format!("/api/v1/scans/{id}/servers{after}");
            let page: Servers = call(self, Call { method: Method::GET, path, body: NOTHING, wait: CALL_WAIT }).await?;
            let empty = page.servers.is_empty();
            all.extend(page.servers);
            if !page.more || empty || all.len() >= most {
                all.truncate(most);
                return Ok(all);
            }
        }
    }

    /// Reports of some servers of a scan, at most [`REPORTS_AT_ONCE`]; what did not fit is not among them.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn scan_reports(&self, id: &str, servers: &[String]) -> Result<Vec<ScanReport>, RelayError> {
        let path = &format!("/api/v1/scans/{id}/reports?of={}", servers.join(","));
        let call_ = Call { method: Method::GET, path, body: NOTHING, wait: CALL_WAIT };
        call::<_, Reports>(self, call_).await.map(|answer| answer.reports)
    }

    /// Plans of scans.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn scan_plans(&self) -> Result<Vec<ScanPlanLine>, RelayError> {
        let call_ = Call { method: Method::GET, path: "/api/v1/scan-plans", body: NOTHING, wait: CALL_WAIT };
        call::<_, Plans>(self, call_).await.map(|answer| answer.plans)
    }

    /// Plans scans by the clock; in the place of the plan with this id, if there is one.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn plan_scans(
        &self,
        id: Option<&str>,
        name: &str,
        cron: &str,
        wish: &ScanWish,
    ) -> Result<ScanPlanLine, RelayError> {
        let (method, path) = match id {
            Some(id) => (Method::PUT, format!("/api/v1/scan-plans/{id}")),
            None => (Method::POST, "/api/v1/scan-plans".to_owned()),
        };
        call(self, Call { method, path: &path, body: Some(&PlanWish { name, cron, wish }), wait: CALL_WAIT }).await
    }

    /// Has a plan wait, or lets it go on.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn pause_scan_plan(&self, id: &str, pause: bool) -> Result<ScanPlanLine, RelayError> {
        let path = &format!("/api/v1/scan-plans/{id}/{}", if pause { "pause" } else { "resume" });
        call(self, Call { method: Method::POST, path, body: Some(&()), wait: CALL_WAIT }).await
    }

    /// Takes a plan away.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn remove_scan_plan(&self, id: &str) -> Result<(), RelayError> {
        let path = &format!("/api/v1/scan-plans/{id}");
        let call_ = Call { method: Method::DELETE, path, body: NOTHING, wait: CALL_WAIT };
        call::<_, IgnoredAny>(self, call_).await.map(|_| ())
    }
}
