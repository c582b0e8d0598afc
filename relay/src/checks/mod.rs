//! Checks of servers: asks a server for them, keeps what it signed, compares two runs, asks again by the clock.
//!
//! ```text
//!  somebody, the schedule ──▶ Checks::run ──▶ broker ──▶ a server's guard
//!                                 │               its one answer, judged (answer.rs)
//!                                 ▼
//!                               store ──▶ compare.rs ──▶ whoever reads
//! ```
//!
//! What runs and how often is decided by the server's ceiling and guard. Never: an answer that is kept before it was
//! verified (CHK-10), a server that waits for another, or a finding that is acted on here.

mod answer;
mod compare;
mod schedule;

pub use answer::{Answer, Dropped, judge};
pub use compare::{Change, ChangeKind, changes};
pub use schedule::{Plan, keep_asking, look};

use crate::broker::{AgentStream, Broker, BrokerError};
use crate::clock;
use crate::metrics::{CheckOutcome, Metrics};
use crate::store::{CheckRun, FindingCounts, RunLine, RunWhy, Store, StoreError, TenantRef};
use cloud_doctor_proto::checks::{CheckRequest, Report};
use cloud_doctor_proto::control::{StreamHead, StreamPurpose};
use cloud_doctor_proto::finding::Status;
use cloud_doctor_proto::frame::{self, Kind};
use cloud_doctor_proto::ids::{AgentId, Nonce, StreamId};
use cloud_doctor_proto::limits::CONTROL_BYTES_MAX;
use cloud_doctor_proto::refusal::Refused;
use quinn::ReadToEndError;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tracing::{info, warn};

/// For a whole answer: guard gives a run 60 s, and the way takes some.
pub const ANSWER_WAIT: Duration = Duration::from_secs(75);
/// A whole answer: one frame, which is no larger.
const ANSWER_BYTES_MAX: usize = CONTROL_BYTES_MAX;
/// Of an answer, before its rest has a place.
const FIRST_BYTES: usize = 16 << 10;
/// Answers whose rest is read at once, of all scans and askers: each holds up to [`ANSWER_BYTES_MAX`].
const LARGE_MAX: usize = 64;
/// For the rest of an answer that has begun: guard writes it at once, and a server that stalls keeps others waiting.
const READING: Duration = Duration::from_secs(10);
/// Runs that people wait for at once: each holds up to [`ANSWER_BYTES_MAX`].
const ASKED_MAX: usize = 256;
/// Of one customer, so that silent servers of one are no trouble of another.
const ASKED_BY_ONE_MAX: usize = 16;

/// Asks servers for checks. The schedule and people's requests share one.
#[derive(Debug)]
pub struct Checks {
    store: Store,
    broker: Arc<Broker>,
    metrics: Arc<Metrics>,
    asked: Mutex<BTreeMap<TenantRef, usize>>,
    large: Semaphore,
    wait: Duration,
}

/// What a server is asked.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Whose server.
    pub tenant: TenantRef,
    /// Which.
    pub agent: AgentId,
    /// Ids and groups; none: all that the ceiling allows.
    pub checks: Vec<String>,
    /// Fresh: comes back in what the server signs.
    pub nonce: Nonce,
    /// Why.
    pub why: RunWhy,
    /// Who asks; empty for the schedule.
    pub account: String,
    /// From where.
    pub client: String,
}

/// Why there is no new run.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The server is away or has no room, or the account asks too often.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// Too many people wait for runs.
    #[error("too many runs of checks are waited for")]
    Busy,
    /// The server said no.
    #[error("the server refused: {0}")]
    Refused(Refused),
    /// Its answer may not be believed, and was dropped.
    #[error("the answer was dropped: {0}")]
    Dropped(Dropped),
    /// It did not answer in time.
    #[error("the server did not answer in time")]
    Silent,
    /// It went away before it answered.
    #[error("the server went away before it answered")]
    Broke,
    /// See there.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system gives no randomness.
    #[error("the operating system gives no randomness: {0}")]
    Randomness(#[from] getrandom::Error),
}

impl Checks {
    /// Asks through `broker`; an answer may take `wait`.
    #[must_use]
    pub fn new(store: Store, broker: Arc<Broker>, metrics: Arc<Metrics>, wait: Duration) -> Self {
        Self { store, broker, metrics, asked: Mutex::default(), large: Semaphore::new(LARGE_MAX), wait }
    }

    /// Asks a server, and keeps what it found.
    ///
    /// # Errors
    /// [`AskError`]; nothing was kept.
    pub async fn run(&self, ask: &Ask) -> Result<CheckRun, AskError> {
        let _place = match ask.why {
            RunWhy::Asked => Some(Place::take(&self.asked, ask.tenant).ok_or(AskError::Busy)?),
            // It bounds itself.
            RunWhy::Schedule => None,
        };
        if ask.why == RunWhy::Asked && !self.broker.take(&ask.account, clock::instant()) {
            return Err(BrokerError::TooMany.into());
        }
        self.run_in_scan(ask, self.wait).await
    }

    /// The same for a scan, which bounds itself and says how long this server may take.
    ///
    /// # Errors
    /// [`AskError`]; nothing was kept.
    pub async fn run_in_scan(&self, ask: &Ask, wait: Duration) -> Result<CheckRun, AskError> {
        let run = self.ask_and_keep(ask, wait).await;
        let outcome = outcome(&run);
        if let Some(outcome) = outcome {
            self.metrics.check_answer(outcome);
        }
        match (&run, outcome) {
            (Ok(run), _) => info!(agent = %ask.agent.short(), why = run.line.why.id(), "checks kept"),
            (Err(AskError::Dropped(why)), _) => {
                warn!(agent = %ask.agent.short(), %why, "a server's answer about its checks was dropped");
            }
            (Err(_), _) => {}
        }
        run
    }

    async fn ask_and_keep(&self, ask: &Ask, wait: Duration) -> Result<CheckRun, AskError> {
        let mut stream = [0; 16];
        getrandom::fill(&mut stream)?;
        let head = StreamHead {
            purpose: StreamPurpose::Checks,
            stream: StreamId(stream),
            account: ask.account.clone(),
            client: ask.client.clone(),
        };
        let stream = self.broker.reach(&ask.agent, &head).await?;
        let bytes =
            tokio::time::timeout(wait, converse(stream, ask, &self.large)).await.map_err(|_| AskError::Silent)??;
        let now = clock::now();
        let (signed, report) = match judge(&bytes, &ask.agent, &ask.nonce, now).map_err(AskError::Dropped)? {
            Answer::Report(signed, report) => (signed, report),
            Answer::Refused(refused) => return Err(AskError::Refused(refused)),
        };
        let line = RunLine {
            run: ask.nonce,
            agent: ask.agent,
            at: report.at,
            received_at: now,
            why: ask.why,
            account: ask.account.clone(),
            whole: ask.checks.is_empty(),
            counts: counts(&report),
        };
        let run = CheckRun { line, report: signed.report.into_vec(), signature: signed.signature };
        let kept = self.store.of(ask.tenant).add_check_run(&run).await?;
        if kept { Ok(run) } else { Err(AskError::Dropped(Dropped::Duplicate)) }
    }
}

/// One run's place among those that people wait for, free again when dropped.
struct Place<'a> {
    asked: &'a Mutex<BTreeMap<TenantRef, usize>>,
    tenant: TenantRef,
}

impl<'a> Place<'a> {
    fn take(asked: &'a Mutex<BTreeMap<TenantRef, usize>>, tenant: TenantRef) -> Option<Self> {
        // The lock is for one look at a table.
        let mut table = asked.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, own) = (table.values().sum::<usize>(), table.get(&tenant).copied().unwrap_or(0));
        if all >= ASKED_MAX || own >= ASKED_BY_ONE_MAX {
            return None;
        }
        table.insert(tenant, own + 1);
        Some(Self { asked, tenant })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut table = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let left = table.get(&self.tenant).map_or(0, |own| own.saturating_sub(1));
        match left {
            0 => table.remove(&self.tenant),
            left => table.insert(self.tenant, left),
        };
    }
}

/// Says what is wanted; returns all that comes back.
async fn converse(mut stream: AgentStream, ask: &Ask, large: &Semaphore) -> Result<Vec<u8>, AskError> {
    let request = CheckRequest { nonce: ask.nonce, checks: ask.checks.clone() };
    let request = frame::message(Kind::CheckRequest, &request);
    stream.send.write_all(&request).await.map_err(|_| AskError::Broke)?;
    // A few bytes first, so that thousands who have not answered hold nothing.
    let first = stream.recv.read_chunk(FIRST_BYTES, true).await.map_err(|_| AskError::Broke)?.ok_or(AskError::Broke)?;
    let _room = large.acquire().await.map_err(|_| AskError::Broke)?;
    let rest = stream.recv.read_to_end(ANSWER_BYTES_MAX - first.bytes.len());
    match tokio::time::timeout(READING, rest).await.map_err(|_| AskError::Silent)? {
        Ok(rest) => Ok([&first.bytes[..], &rest[..]].concat()),
        Err(ReadToEndError::TooLong) => Err(AskError::Dropped(Dropped::TooLarge)),
        Err(ReadToEndError::Read(_)) => Err(AskError::Broke),
    }
}

/// How many findings of a report are how.
#[must_use]
pub fn counts(report: &Report) -> FindingCounts {
    let mut counts = FindingCounts::default();
    for finding in &report.findings {
        let of = match finding.status {
            Status::Critical => &mut counts.critical,
            Status::Warning => &mut counts.warning,
            Status::Unknown => &mut counts.unknown,
            Status::Ok if finding.note => &mut counts.notes,
            Status::Ok => &mut counts.ok,
        };
        *of += 1;
    }
    counts
}

/// What an answer is counted as; none: nobody was asked.
fn outcome(run: &Result<CheckRun, AskError>) -> Option<CheckOutcome> {
    Some(match run {
        Ok(_) => CheckOutcome::Kept,
        Err(AskError::Refused(_)) => CheckOutcome::Refused,
        Err(AskError::Dropped(why)) => CheckOutcome::Dropped(why.id()),
        Err(AskError::Silent) => CheckOutcome::Silent,
        Err(AskError::Broke) => CheckOutcome::Broke,
        Err(AskError::Broker(_) | AskError::Busy | AskError::Store(_) | AskError::Randomness(_)) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_customers_waiting_takes_no_other_customers_place() {
        let asked = Mutex::default();
        let take = |number| Place::take(&asked, TenantRef::of_test(number));
        let mut places: Vec<_> = (0..16).map(|_| take(1)).collect();
        assert!(places.iter().all(Option::is_some) && take(1).is_none() && take(2).is_some());
        places.pop();
        assert!(take(1).is_some());
        places.extend((2..=17).flat_map(|number| (0..16).map(move |_| number)).map(take));
        assert!(take(99).is_none(), "256 of all");
        drop(places);
        assert!(asked.lock().is_ok_and(|table| table.is_empty()));
    }
}
