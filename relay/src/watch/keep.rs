//! The flight recorder: every agent's last fifteen minutes, so that a server that just died still tells what they were like.
//!
//! ```text
//!  tunnel up ─(jitter)─▶ summary stream ─▶ a sample each 5 s into its recording ─▶ tunnel down ─▶ disk, in batches
//! ```
//!
//! All recordings together have a bound; beyond it the oldest are dropped and counted. Times are counted by a clock that
//! nobody sets, so neither an agent's wrong clock nor a step of the relay's own bends a recording (COD-09, FLT-20). Never: a
//! stream to every agent in the same second (FLT-34), or an agent asked again at once that said no.

use super::recording::Recording;
use super::referee::{Heard, Referee};
use super::stream::Frames;
use super::{Catalogue, Watch, Who, jittered};
use crate::clock;
use crate::metrics::WatchEvent;
use crate::store::{RecordingRow, Store, StoreError};
use axum::body::Bytes;
use cloud_doctor_proto::ids::AgentId;
use cloud_doctor_proto::metrics::{MetricsRequest, Sample, Series};
use quinn::Connection;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// How often it is looked for new tunnels, and written what vanished.
const LOOK: Duration = Duration::from_secs(1);
const FLUSH: Duration = Duration::from_secs(5);
/// Recordings written in one transaction.
const ROWS_AT_ONCE: usize = 500;
/// A summary comes each five seconds: one that does not come for so long comes no more.
const SILENCE: Duration = Duration::from_secs(60);
/// A recording that nobody continues is dropped from memory after this time: it is on disk.
const KEPT_AFTER: u64 = 15 * 60 * 1000;
/// A host's clock that is further from ours than this is counted as wrong. Nothing else follows from it.
const CLOCK_OFF: u64 = 10 * 60 * 1000;

/// How long the recorder waits; tests wait less.
#[derive(Debug, Clone, Copy)]
pub struct RecorderPace {
    /// Agents that connect are asked at a moment of this time, so that a fleet that comes back is no herd.
    pub spread: Duration,
    /// An agent that refused or was cut is asked again after this time, or up to twice that.
    pub again: Duration,
    /// One whose stream ended otherwise.
    pub soon: Duration,
}

impl Default for RecorderPace {
    fn default() -> Self {
        let secs = Duration::from_secs;
        Self { spread: secs(30), again: secs(300), soon: secs(10) }
    }
}

/// Keeps the last minutes of every agent.
#[derive(Debug)]
pub struct Recorder {
    watch: Arc<Watch>,
    store: Store,
    bytes_max: usize,
    pace: RecorderPace,
    kept: Mutex<All>,
    began: (Instant, u64),
}

#[derive(Debug, Default)]
struct All {
    agents: HashMap<AgentId, Kept>,
    bytes: usize,
    /// Lists of series that recordings share.
    lists: HashSet<Arc<[Series]>>,
}

#[derive(Debug)]
struct Kept {
    recording: Recording,
    /// When its tunnel went; none: it stands.
    vanished_at: Option<u64>,
    /// There is something that is not on disk.
    unwritten: bool,
    /// What the host's clock is ahead of ours, in milliseconds.
    ahead: i64,
}

/// The last minutes of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastMinutes {
    /// Frames: what the values are, then each sample, at times by the relay's clock.
    pub frames: Vec<Bytes>,
    /// When its tunnel went, in milliseconds by the relay's clock; none: it stands.
    pub vanished_at: Option<u64>,
    /// What the host's clock was ahead of the relay's, in milliseconds; none: not known any more.
    pub ahead: Option<i64>,
}

/// Why a stream of summaries ended.
enum Ended {
    /// The server or we said no.
    No,
    /// Anything else.
    Over,
}

impl Recorder {
    /// A recorder whose recordings take at most `bytes_max`.
    #[must_use]
    pub fn new(watch: Arc<Watch>, store: Store, bytes_max: usize, pace: RecorderPace) -> Arc<Self> {
        let began = (clock::instant(), clock::now_millis());
        Arc::new(Self { watch, store, bytes_max, pace, kept: Mutex::default(), began })
    }

    /// Milliseconds that nobody sets; at the start they were those of the wall clock.
    fn now(&self) -> u64 {
        let since = clock::instant().saturating_duration_since(self.began.0).as_millis();
        self.began.1.saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
    }

    /// What the wall clock is ahead of [`Self::now`].
    fn shift(&self) -> i64 {
        difference(clock::now_millis(), self.now())
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        // For one look at a table, or one sample.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many recordings there are in memory, and what they take.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        let all = self.lock();
        (all.agents.len(), all.bytes)
    }

    /// What there is of a server; `stored` is what the disk has of it.
    #[must_use]
    pub fn last_minutes(&self, agent: &AgentId, stored: Option<RecordingRow>) -> LastMinutes {
        let shift = self.shift();
        let all = self.lock();
        if let Some(kept) = all.agents.get(agent).filter(|kept| !kept.recording.is_empty()) {
            let vanished_at = kept.vanished_at.map(|at| at.saturating_add_signed(shift));
            return LastMinutes { frames: kept.recording.frames(shift), vanished_at, ahead: Some(kept.ahead) };
        }
        drop(all);
        let here = self.watch.registry.live(agent).is_some();
        let recording = stored.as_ref().and_then(|row| Recording::from_bytes(&row.samples, Into::into));
        let vanished_at = stored.map(|row| row.vanished_at).filter(|_| !here);
        LastMinutes { frames: recording.map(|one| one.frames(0)).unwrap_or_default(), vanished_at, ahead: None }
    }

    /// Writes all that is not on disk, when the relay stops.
    ///
    /// # Errors
    /// [`StoreError`]: some of it is lost.
    pub async fn write_all(&self) -> Result<(), StoreError> {
        self.write(true).await
    }

    /// Writes recordings of those who vanished; of all, when the relay stops.
    async fn write(&self, all: bool) -> Result<(), StoreError> {
        loop {
            let shift = self.shift();
            let rows = self.lock().unwritten(all, self.now(), shift);
            if rows.is_empty() {
                return Ok(());
            }
            self.store.keep_recordings(&rows).await?;
            debug!(servers = rows.len(), "last minutes written");
            self.lock().written(&rows, shift);
        }
    }

    /// Goes on with what the disk has of an agent.
    async fn take_up(&self, agent: &AgentId) {
        if self.lock().agents.contains_key(agent) {
            return;
        }
        match self.store.recording_of(agent).await {
            Ok(Some(row)) => {
                let now = self.now();
                let mut all = self.lock();
                let recording = Recording::from_bytes(&row.samples, |list| all.share(list));
                // One from the future would stand still until that comes.
                if let Some(recording) = recording.filter(|recording| recording.last_at() <= now) {
                    all.enter(*agent, recording);
                }
            }
            Ok(None) => {}
            Err(error) => warn!(%error, agent = %agent.short(), "cannot read a recording"),
        }
    }

    /// Takes a sample; `places` says where each of its values belongs.
    fn take(&self, agent: &AgentId, sample: &Sample, places: &[(usize, usize)]) {
        let ahead = difference(sample.at, clock::now_millis());
        if ahead.unsigned_abs() > CLOCK_OFF {
            self.watch.metrics.watch_event(WatchEvent::Clock, 1);
        }
        let mut values = Vec::new();
        for (number, place) in places {
            let value = sample.values.get(*number).copied().unwrap_or(f32::NAN);
            values.resize(values.len().max(place + 1), f32::NAN);
            if let Some(of) = values.get_mut(*place) {
                *of = value;
            }
        }
        let now = self.now();
        let mut all = self.lock();
        all.change(agent, now, |kept| {
            kept.recording.push(now, &values);
            (kept.vanished_at, kept.unwritten, kept.ahead) = (None, true, ahead);
        });
        let dropped = all.fit(self.bytes_max);
        drop(all);
        if dropped > 0 {
            self.watch.metrics.watch_event(WatchEvent::Forgotten, dropped);
        }
    }

    /// Where the values of a catalogue's numbers belong in an agent's recording.
    fn places(&self, agent: &AgentId, catalogue: &Catalogue) -> Vec<(usize, usize)> {
        let known: Vec<(usize, &Series)> =
            catalogue.iter().take(cloud_doctor_proto::metrics::SUMMARY_SERIES_MAX).collect();
        let said: Vec<&Series> = known.iter().map(|(_, series)| *series).collect();
        let now = self.now();
        let mut all = self.lock();
        let mut lists = std::mem::take(&mut all.lists);
        let mut places = Vec::new();
        all.change(agent, now, |kept| places = kept.recording.adopt(&said, |list| shared(&mut lists, list)));
        all.lists = lists;
        known.iter().zip(places).filter_map(|((number, _), place)| Some((*number, place?))).collect()
    }

    /// Whether these places are still an agent's: its recording may have been dropped to make room.
    fn knows(&self, agent: &AgentId, places: &[(usize, usize)]) -> bool {
        let needed = places.iter().map(|(_, place)| place + 1).max().unwrap_or(0);
        self.lock().agents.get(agent).is_some_and(|kept| kept.recording.series().len() >= needed)
    }

    fn vanished(&self, agent: &AgentId) {
        let now = self.now();
        if let Some(kept) = self.lock().agents.get_mut(agent) {
            kept.vanished_at = Some(now);
        }
    }
}

impl All {
    fn enter(&mut self, agent: AgentId, recording: Recording) {
        self.bytes += recording.bytes();
        let kept = Kept { recording, vanished_at: None, unwritten: false, ahead: 0 };
        if let Some(old) = self.agents.insert(agent, kept) {
            self.bytes -= old.recording.bytes();
        }
    }

    fn change(&mut self, agent: &AgentId, now: u64, change: impl FnOnce(&mut Kept)) {
        if !self.agents.contains_key(agent) {
            self.enter(*agent, Recording::new(now));
        }
        if let Some(kept) = self.agents.get_mut(agent) {
            let before = kept.recording.bytes();
            change(kept);
            self.bytes = self.bytes + kept.recording.bytes() - before;
        }
    }

    fn remove(&mut self, agent: &AgentId) {
        if let Some(kept) = self.agents.remove(agent) {
            self.bytes -= kept.recording.bytes();
        }
    }

    fn share(&mut self, list: Vec<Series>) -> Arc<[Series]> {
        shared(&mut self.lists, list)
    }

    /// Drops the oldest until a tenth of the room is free, if there is none; returns how many.
    fn fit(&mut self, bytes_max: usize) -> u64 {
        if self.bytes <= bytes_max {
            return 0;
        }
        let age = |kept: &Kept| (kept.vanished_at.is_none(), kept.recording.last_at());
        let mut oldest: Vec<_> = self.agents.iter().map(|(agent, kept)| (age(kept), *agent)).collect();
        oldest.sort_unstable();
        let mut dropped = 0;
        for (_, agent) in oldest {
            if self.bytes <= bytes_max - bytes_max / 10 {
                break;
            }
            self.remove(&agent);
            dropped += 1;
        }
        dropped
    }

    fn unwritten(&self, all: bool, now: u64, shift: i64) -> Vec<RecordingRow> {
        let wanted = self
            .agents
            .iter()
            .filter(|(_, kept)| kept.unwritten && !kept.recording.is_empty() && (all || kept.vanished_at.is_some()));
        let row = |(agent, kept): (&AgentId, &Kept)| RecordingRow {
            agent: *agent,
            vanished_at: kept.vanished_at.unwrap_or(now).saturating_add_signed(shift),
            samples: kept.recording.to_bytes(shift),
        };
        wanted.take(ROWS_AT_ONCE).map(row).collect()
    }

    fn written(&mut self, rows: &[RecordingRow], shift: i64) {
        for row in rows {
            if let Some(kept) = self.agents.get_mut(&row.agent) {
                // One that came back meanwhile is written when it vanishes again.
                let same = kept.vanished_at.is_none_or(|at| at.saturating_add_signed(shift) == row.vanished_at);
                kept.unwritten &= !same;
            }
        }
    }

    fn forget_old(&mut self, now: u64) {
        let old = |kept: &Kept| !kept.unwritten && kept.vanished_at.is_some_and(|at| at + KEPT_AFTER < now);
        let gone: Vec<AgentId> = self.agents.iter().filter(|(_, kept)| old(kept)).map(|(agent, _)| *agent).collect();
        gone.iter().for_each(|agent| self.remove(agent));
        // Those that only this table still holds.
        self.lists.retain(|list| Arc::strong_count(list) > 1);
    }
}

/// An equal list that others hold, or this one from now on.
fn shared(lists: &mut HashSet<Arc<[Series]>>, list: Vec<Series>) -> Arc<[Series]> {
    if let Some(known) = lists.get(&list[..]) {
        return known.clone();
    }
    let list: Arc<[Series]> = list.into();
    lists.insert(list.clone());
    list
}

fn difference(a: u64, b: u64) -> i64 {
    let magnitude = i64::try_from(a.abs_diff(b)).unwrap_or(i64::MAX);
    if a >= b { magnitude } else { -magnitude }
}

/// Records every agent until `stop`.
pub async fn keep_recording(recorder: Arc<Recorder>, stop: CancellationToken) {
    let mut known = HashMap::new();
    let (mut changes, mut flushed) = (None, clock::instant());
    loop {
        let registry = &recorder.watch.registry;
        if changes != Some(registry.changes()) {
            changes = Some(registry.changes());
            let all = registry.connections();
            let fresh = all.iter().filter(|(agent, (place, _))| known.get(*agent) != Some(place));
            for (agent, (place, connection)) in fresh {
                let one = One { agent: *agent, place: *place, connection: connection.clone() };
                recorder.watch.tasks.spawn(record(recorder.clone(), one, stop.clone()));
            }
            known = all.into_iter().map(|(agent, (place, _))| (agent, place)).collect();
        }
        let now = clock::instant();
        if now.saturating_duration_since(flushed) >= FLUSH.min(recorder.pace.soon) {
            flushed = now;
            if let Err(error) = recorder.write(false).await {
                warn!(%error, "cannot write last minutes; they are tried again");
            }
            recorder.lock().forget_old(recorder.now());
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = sleep(LOOK.min(recorder.pace.soon)) => {}
        }
    }
}

/// One tunnel.
struct One {
    agent: AgentId,
    place: u64,
    connection: Connection,
}

/// Records one agent while its tunnel stands.
async fn record(recorder: Arc<Recorder>, one: One, stop: CancellationToken) {
    let One { agent, place, connection } = one;
    // Somewhere within the spread.
    let mut pause = jittered(recorder.pace.spread) - recorder.pace.spread;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = connection.closed() => break,
            () = sleep(pause) => {}
        }
        recorder.take_up(&agent).await;
        let ended = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            ended = follow(&recorder, &agent) => ended,
        };
        pause = match ended {
            Ended::No => jittered(recorder.pace.again),
            Ended::Over => jittered(recorder.pace.soon),
        };
    }
    if recorder.watch.registry.place(&agent).is_none_or(|newest| newest == place) {
        recorder.vanished(&agent);
    }
}

/// Takes summaries until their stream ends.
async fn follow(recorder: &Recorder, agent: &AgentId) -> Ended {
    let watch = &recorder.watch;
    let Ok(stream) = watch.open(agent, &Who::default(), &MetricsRequest::Summary {}).await else {
        return Ended::Over;
    };
    let mut frames = Frames::new(stream);
    let (mut referee, mut catalogue) = (Referee::of_summaries(clock::instant()), Catalogue::default());
    let mut places = Vec::new();
    loop {
        let Ok(Ok(Some(frame))) = timeout(SILENCE, frames.next()).await else { return Ended::Over };
        match referee.judge(&frame, &mut catalogue, clock::instant()) {
            Ok(Heard::Series) => places = recorder.places(agent, &catalogue),
            Ok(Heard::Sample) => {
                let Ok(sample) = Sample::from_bytes(frame.body()) else { return Ended::No };
                if !recorder.knows(agent, &places) {
                    places = recorder.places(agent, &catalogue);
                }
                recorder.take(agent, &sample, &places);
            }
            Ok(Heard::Refused(refused)) => {
                debug!(agent = %agent.short(), why = refused.code.id(), "a server does not show its summaries");
                return Ended::No;
            }
            Err(why) => {
                watch.metrics.watch_event(WatchEvent::Cut(why), 1);
                info!(agent = %agent.short(), why = why.id(), "a server's summaries were cut");
                return Ended::No;
            }
        }
    }
}
