//! Questions with one answer: a part of a server's history, the processes that use most, and what happened there.
//!
//! An answer is bounded in bytes and time whatever the server sends, and one customer's silent servers take no other
//! customer's places.

use super::referee::{self, Cut};
use super::stream::{Broke, Frames, Whole};
use super::{Watch, Who};
use crate::broker::BrokerError;
use crate::clock;
use crate::metrics::WatchEvent;
use crate::store::TenantRef;
use crate::tunnels::gate::{Buckets, Rate};
use axum::body::Bytes;
use cloud_doctor_proto::events::{Events, EventsRequest};
use cloud_doctor_proto::frame::Kind;
use cloud_doctor_proto::ids::AgentId;
use cloud_doctor_proto::metrics::{
    MetricsRequest, POINTS_MAX, PROCESSES_MAX, Process, Processes, RangeRequest, SERIES_MAX, TEXT_CHARS_MAX,
};
use cloud_doctor_proto::pack;
use cloud_doctor_proto::refusal::{Refusal, Refused, one_line};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::timeout_at;

/// A whole range: 2,000 series of 500 points have 12 MB.
pub const RANGE_BYTES_MAX: usize = 16 << 20;
/// For all of it, the reader's slowness included.
const RANGE_WAIT: Duration = Duration::from_secs(30);
/// The processes are measured over a second.
const PROCESSES_WAIT: Duration = Duration::from_secs(10);
/// Logs are read for it, on a server that may be in trouble.
const EVENTS_WAIT: Duration = Duration::from_secs(15);
/// Questions of one account: somebody who zooms, in some windows.
const PER_ACCOUNT: Rate = Rate { per_minute: 240, burst: 60 };
/// Answers on their way at once: each holds a frame of its stream.
const ASKED_MAX: usize = 256;
/// Of one customer.
const ASKED_BY_ONE_MAX: usize = 32;
/// Bytes of a range before its points: `u32 series | u64 from | u32 step | u32 points`.
const RANGE_HEAD: usize = 20;
/// Bytes of a point: smallest, mean, largest.
const POINT_BYTES: usize = 12;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The server is away or has no room, or the account asks too often.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// Too many answers are on their way.
    #[error("too many answers of servers are waited for")]
    Busy,
    /// The server said no.
    #[error("the server refused: {0}")]
    Refused(Refused),
    /// Its agent is older than the question.
    #[error("the server's agent does not know the question")]
    Older,
    /// Its answer may not be passed on.
    #[error("the answer was dropped: {why}", why = .0.id())]
    Dropped(Cut),
    /// It did not answer in time.
    #[error("the server did not answer in time")]
    Silent,
    /// It went away before it answered.
    #[error("the server went away before it answered")]
    Broke,
}

impl From<Broke> for AnswerError {
    fn from(error: Broke) -> Self {
        match error {
            Broke::Frame(_) => AnswerError::Dropped(Cut::Malformed),
            Broke::Read(_) | Broke::Ended => AnswerError::Broke,
        }
    }
}

/// Who asks how much.
#[derive(Debug)]
pub(super) struct Asks {
    tempo: Mutex<Buckets<String>>,
    asked: Arc<Mutex<BTreeMap<TenantRef, usize>>>,
}

impl Asks {
    pub(super) fn new(now: Instant) -> Self {
        Self { tempo: Mutex::new(Buckets::new(PER_ACCOUNT, now)), asked: Arc::default() }
    }

    fn take(&self, account: &str) -> bool {
        // The lock is for one look at a table.
        let mut tempo = self.tempo.lock().unwrap_or_else(PoisonError::into_inner);
        tempo.take(account.to_owned(), clock::instant())
    }
}

/// One answer's place, free again when dropped.
#[derive(Debug)]
struct Place {
    asked: Arc<Mutex<BTreeMap<TenantRef, usize>>>,
    tenant: TenantRef,
}

impl Place {
    fn take(asked: &Arc<Mutex<BTreeMap<TenantRef, usize>>>, tenant: TenantRef) -> Option<Self> {
        // The lock is for one look at a table.
        let mut table = asked.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, of_one) = (table.values().sum::<usize>(), table.get(&tenant).copied().unwrap_or(0));
        if all >= ASKED_MAX || of_one >= ASKED_BY_ONE_MAX {
            return None;
        }
        table.insert(tenant, of_one + 1);
        Some(Self { asked: asked.clone(), tenant })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = table.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                table.remove(&self.tenant);
            }
        }
    }
}

/// An answer on its way.
#[derive(Debug)]
struct Answer {
    watch: Arc<Watch>,
    frames: Frames,
    until: tokio::time::Instant,
    _place: Place,
}

impl Answer {
    async fn next(&mut self) -> Result<Option<Whole>, AnswerError> {
        match timeout_at(self.until, self.frames.next()).await {
            Ok(frame) => Ok(frame?),
            Err(_) => Err(AnswerError::Silent),
        }
    }

    fn dropped(&self, why: Cut) -> AnswerError {
        self.watch.metrics.watch_event(WatchEvent::Cut(why), 1);
        AnswerError::Dropped(why)
    }
}

/// A range's frames, as they came, one after the other.
#[derive(Debug)]
pub struct RangeAnswer {
    answer: Answer,
    first: Option<Whole>,
    bytes: usize,
    ended: bool,
}

impl RangeAnswer {
    /// The next frame; none: that was all. After an error there is nothing more.
    ///
    /// # Errors
    /// [`AnswerError`]: what came is not all.
    pub async fn next(&mut self) -> Result<Option<Bytes>, AnswerError> {
        if self.ended {
            return Ok(None);
        }
        let frame = self.step().await;
        self.ended = !matches!(frame, Ok(Some(_)));
        frame
    }

    async fn step(&mut self) -> Result<Option<Bytes>, AnswerError> {
        let frame = match self.first.take() {
            Some(first) => first,
            None => match self.answer.next().await? {
                Some(frame) => frame,
                None => return Ok(None),
            },
        };
        self.bytes += frame.bytes.len();
        if self.bytes > RANGE_BYTES_MAX {
            return Err(self.answer.dropped(Cut::TooLarge));
        }
        judge(&frame).map_err(|why| self.answer.dropped(why))?;
        Ok(Some(frame.bytes))
    }
}

/// Whether a frame may stand in a range.
fn judge(frame: &Whole) -> Result<(), Cut> {
    if frame.kind == Kind::MetricsSeries {
        return super::Catalogue::default().learn(referee::series(frame)?).map_err(|_| Cut::Series);
    }
    if frame.kind != Kind::MetricsRange {
        return Err(Cut::Kind);
    }
    let body = frame.body();
    let number = |at: usize| body.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
    let (Some(series), Some(points)) = (number(0), number(RANGE_HEAD - 4)) else { return Err(Cut::Malformed) };
    let len = usize::try_from(points).ok().and_then(|points| points.checked_mul(POINT_BYTES)?.checked_add(RANGE_HEAD));
    let known = usize::try_from(series).is_ok_and(|series| series < SERIES_MAX);
    if points <= POINTS_MAX && known && len == Some(body.len()) { Ok(()) } else { Err(Cut::Malformed) }
}

impl Watch {
    /// Asks for a part of a server's history; returns when it begins to come.
    ///
    /// # Errors
    /// [`AnswerError`].
    pub async fn range(
        self: &Arc<Self>,
        (tenant, agent): (TenantRef, &AgentId),
        who: &Who,
        wanted: RangeRequest,
    ) -> Result<RangeAnswer, AnswerError> {
        let mut answer = self.ask((tenant, agent), who, &MetricsRequest::Range(wanted), RANGE_WAIT).await?;
        let first = answer.next().await?;
        if let Some(frame) = first.as_ref().filter(|frame| frame.kind == Kind::Refused) {
            return Err(no(&answer, frame));
        }
        Ok(RangeAnswer { ended: first.is_none(), answer, first, bytes: 0 })
    }

    /// Asks for the processes that use most.
    ///
    /// # Errors
    /// [`AnswerError`].
    pub async fn processes(
        self: &Arc<Self>,
        (tenant, agent): (TenantRef, &AgentId),
        who: &Who,
        count: u32,
    ) -> Result<Processes, AnswerError> {
        let (place, wanted) = ((tenant, agent), MetricsRequest::Processes { count });
        let (_, processes): (_, Processes) = self.one(place, who, &wanted, PROCESSES_WAIT, Kind::Processes).await?;
        Ok(bounded(processes))
    }

    /// Asks what happened. Nothing of an answer that no honest agent sends is passed on.
    ///
    /// # Errors
    /// [`AnswerError`].
    pub async fn events(
        self: &Arc<Self>,
        (tenant, agent): (TenantRef, &AgentId),
        who: &Who,
        asked: EventsRequest,
    ) -> Result<Events, AnswerError> {
        let (place, wanted) = ((tenant, agent), MetricsRequest::Events(asked));
        // The question is well formed: an agent that cannot read it does not know it yet.
        let is_older = |no: &AnswerError| matches!(no, AnswerError::Refused(no) if no.code == Refusal::Malformed);
        let answered = self.one(place, who, &wanted, EVENTS_WAIT, Kind::Events).await;
        let (answer, events): (Answer, Events) =
            answered.map_err(|no| if is_older(&no) { AnswerError::Older } else { no })?;
        if events.is_bounded(&asked) { Ok(events) } else { Err(answer.dropped(Cut::Malformed)) }
    }

    /// Asks what is answered in one frame of a kind.
    async fn one<T: DeserializeOwned>(
        self: &Arc<Self>,
        place: (TenantRef, &AgentId),
        who: &Who,
        wanted: &MetricsRequest,
        wait: Duration,
        kind: Kind,
    ) -> Result<(Answer, T), AnswerError> {
        let mut answer = self.ask(place, who, wanted, wait).await?;
        let frame = answer.next().await?.ok_or(AnswerError::Broke)?;
        if frame.kind == Kind::Refused {
            return Err(no(&answer, &frame));
        }
        if frame.kind != kind {
            return Err(answer.dropped(Cut::Kind));
        }
        match pack::from_bytes(frame.body(), kind.bytes_max()) {
            Ok(read) => Ok((answer, read)),
            Err(_) => Err(answer.dropped(Cut::Malformed)),
        }
    }

    async fn ask(
        self: &Arc<Self>,
        (tenant, agent): (TenantRef, &AgentId),
        who: &Who,
        wanted: &MetricsRequest,
        wait: Duration,
    ) -> Result<Answer, AnswerError> {
        let allowed = self.asks.take(&who.account);
        if !allowed {
            return Err(BrokerError::TooMany.into());
        }
        let place = Place::take(&self.asks.asked, tenant).ok_or(AnswerError::Busy)?;
        let until = tokio::time::Instant::from_std(clock::instant()) + wait;
        let stream = self.open(agent, who, wanted).await?;
        Ok(Answer { watch: self.clone(), frames: Frames::new(stream), until, _place: place })
    }
}

fn no(answer: &Answer, frame: &Whole) -> AnswerError {
    match referee::refused(frame) {
        Ok(refused) => AnswerError::Refused(refused),
        Err(why) => answer.dropped(why),
    }
}

/// A stranger's texts, cut to one line of printable characters each; values that are no numbers are left out.
fn bounded(mut all: Processes) -> Processes {
    // What is written as an escape is longer than what it stands for.
    let text = |text: &mut String| *text = one_line(text, TEXT_CHARS_MAX).chars().take(TEXT_CHARS_MAX).collect();
    let number = |value: Option<f32>| value.filter(|value| value.is_finite());
    all.processes.truncate(PROCESSES_MAX);
    for process in &mut all.processes {
        let Process { name, user, unit, state, processors, read, written, .. } = process;
        [name, user, unit, state].into_iter().for_each(text);
        *processors = number(Some(*processors)).unwrap_or(0.0);
        (*read, *written) = (number(*read), number(*written));
    }
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cloud_doctor_proto::frame;
    use cloud_doctor_proto::metrics::Range;

    #[test]
    fn web_09_only_whole_frames_of_a_range_pass() {
        let range = Range { series: 7, from: 9, step: 10, min: vec![1.0], mean: vec![2.0], max: vec![3.0] };
        let whole = |kind: Kind, body: &[u8]| Whole { kind, bytes: frame::encode(kind, body).into() };
        let body = range.to_bytes();
        assert_eq!(judge(&whole(Kind::MetricsRange, &body)), Ok(()));
        for cut in 0..body.len() {
            assert_eq!(judge(&whole(Kind::MetricsRange, &body[..cut])), Err(Cut::Malformed));
        }
        let far = Range { series: 2_000, ..range }.to_bytes();
        assert_eq!(judge(&whole(Kind::MetricsRange, &far)), Err(Cut::Malformed));
        assert_eq!(judge(&whole(Kind::MetricsSample, &[0; 16])), Err(Cut::Kind));
        assert_eq!(judge(&whole(Kind::MetricsSeries, b"x")), Err(Cut::Malformed));
    }

    #[test]
    fn web_09_a_process_is_shown_in_one_line_and_in_numbers() {
        let hostile = Process {
            pid: 1,
            name: format!("a\u{1b}[2J\n\u{202e}{}", "x".repeat(500)),
            user: "r\0".into(),
            unit: String::new(),
            state: "R".into(),
            processors: f32::NAN,
            memory: u64::MAX,
            read: Some(f32::INFINITY),
            written: Some(1.0),
            descriptors: None,
            threads: 1,
        };
        let all = Processes { at: 1, elapsed: 1, total: 1, processes: vec![hostile; 300] };
        let all = bounded(all);
        let first = &all.processes[0];
        assert_eq!((all.processes.len(), first.processors, first.read, first.written), (200, 0.0, None, Some(1.0)));
        assert!(first.name.chars().count() <= TEXT_CHARS_MAX, "{:?}", first.name);
        assert!(!first.name.contains(['\u{1b}', '\n', '\u{202e}']) && !first.user.contains('\0'));
    }

    #[test]
    fn one_customers_waiting_takes_no_other_customers_place() {
        let asked = Arc::default();
        let take = |number| Place::take(&asked, TenantRef::of_test(number));
        let mut places: Vec<_> = (0..ASKED_BY_ONE_MAX).map(|_| take(1)).collect();
        assert!(places.iter().all(Option::is_some) && take(1).is_none() && take(2).is_some());
        places.pop();
        assert!(take(1).is_some());
        drop(places);
        assert!(asked.lock().is_ok_and(|table| table.is_empty()));
    }
}
