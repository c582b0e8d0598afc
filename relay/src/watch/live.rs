//! One upstream per server that somebody looks at, shared by all who do.
//!
//! ```text
//! first watcher ─▶ opening ─▶ live ─▶ away, busy, refused, cut ─▶ opening ... last watcher left, 3 s later: closed
//! ```
//!
//! Samples go to all watchers as the bytes that came. The queue holds [`QUEUE`] of them: a watcher that is slower skips the
//! oldest, is told how many, and holds up nobody. What series mean is state, not a queue, so nobody can miss it.

use super::catalogue::Catalogue;
use super::referee::{Cut, Heard, Referee};
use super::stream::{Broke, Frames};
use super::{Watch, Who, jittered};
use crate::broker::BrokerError;
use crate::clock;
use crate::metrics::WatchEvent;
use axum::body::Bytes;
use cloud_doctor_proto::ids::AgentId;
use cloud_doctor_proto::metrics::MetricsRequest;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::{broadcast, watch};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

/// Samples that wait for a watcher: a second each.
const QUEUE: usize = 8;
/// A stream on which nothing came for so long is given up: an honest one has a sample each second.
const SILENCE: Duration = Duration::from_secs(15);
/// A stream that lasted so long was a good one: the next is opened without a long pause.
const GOOD: Duration = Duration::from_secs(10);
/// The first pause after a stream that ended, doubled for each that did not last.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest.
const PAUSE_MAX: Duration = Duration::from_secs(30);

pub(super) type Servers = HashMap<AgentId, Arc<Server>>;

/// How it stands with a server's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// It is being opened.
    Opening,
    /// Values come.
    Live,
    /// The server's agent is not connected, or ended the stream; it is opened again when it is back.
    Away,
    /// The agent has no room for one more stream.
    Busy,
    /// The server said no, in this frame; it is asked again later.
    Refused(Bytes),
    /// The agent flooded or lied, and was cut; it is asked again later.
    Cut(Cut),
}

/// A server that somebody looks at.
#[derive(Debug)]
pub(super) struct Server {
    samples: broadcast::Sender<Said>,
    state: watch::Sender<State>,
    watchers: watch::Sender<usize>,
}

/// A sample, and the version of the catalogue that it is to be read by.
#[derive(Debug, Clone)]
struct Said {
    version: u64,
    frame: Bytes,
}

#[derive(Debug, Clone)]
struct State {
    phase: Phase,
    catalogue: Arc<Catalogue>,
}

/// Something to tell a watcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The stream's state changed.
    Phase(Phase),
    /// Whole frames, in order.
    Frames(Vec<Bytes>),
    /// So many samples were skipped: the watcher is slow.
    Skipped(u64),
}

/// One who looks. Whoever is the last to be dropped has the upstream closed.
#[derive(Debug)]
pub struct Watching {
    watch: Arc<Watch>,
    server: Arc<Server>,
    samples: broadcast::Receiver<Said>,
    state: watch::Receiver<State>,
    /// What was told last.
    told: Option<Phase>,
    version: u64,
}

impl Watch {
    /// Looks at a server; opens its stream when nobody does yet.
    #[must_use]
    pub fn watch(self: &Arc<Self>, agent: AgentId, who: &Who) -> Watching {
        // The lock is for one look at a table.
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let server = servers.entry(agent).or_insert_with(|| {
            let server = Arc::new(Server::new());
            self.tasks.spawn(serve(self.clone(), agent, who.clone(), server.clone()));
            server
        });
        server.watchers.send_modify(|count| *count += 1);
        Watching {
            watch: self.clone(),
            samples: server.samples.subscribe(),
            state: server.state.subscribe(),
            server: server.clone(),
            told: None,
            version: 0,
        }
    }

    /// How many servers are looked at, and by how many.
    #[must_use]
    pub fn watched(&self) -> (usize, usize) {
        let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        (servers.len(), servers.values().map(|server| *server.watchers.borrow()).sum())
    }

    /// Forgets a server at which nobody looks any more.
    fn forget(&self, agent: &AgentId, server: &Arc<Server>) -> bool {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let unwatched = *server.watchers.borrow() == 0;
        if unwatched && servers.get(agent).is_some_and(|known| Arc::ptr_eq(known, server)) {
            servers.remove(agent);
        }
        unwatched
    }
}

impl Server {
    fn new() -> Self {
        let state = State { phase: Phase::Opening, catalogue: Arc::default() };
        let (samples, _) = broadcast::channel(QUEUE);
        Self { samples, state: watch::Sender::new(state), watchers: watch::Sender::new(0) }
    }

    fn enter(&self, phase: Phase) {
        self.state.send_if_modified(|state| {
            let changed = state.phase != phase;
            state.phase = phase;
            changed
        });
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.server.watchers.send_modify(|count| *count -= 1);
    }
}

impl Watching {
    /// The next thing to tell; may be abandoned and asked again. None: the relay stops.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let State { phase, catalogue } = self.state.borrow_and_update().clone();
            if self.told.as_ref() != Some(&phase) {
                self.told = Some(phase.clone());
                return Some(Event::Phase(phase));
            }
            let series = self.series(&catalogue);
            if !series.is_empty() {
                return Some(Event::Frames(series));
            }
            tokio::select! {
                biased;
                changed = self.state.changed() => changed.ok()?,
                said = self.samples.recv() => match said {
                    Ok(said) => return Some(Event::Frames(self.with_series(said))),
                    Err(broadcast::error::RecvError::Lagged(skipped)) => {
                        self.watch.metrics.watch_event(WatchEvent::Skipped, skipped);
                        return Some(Event::Skipped(skipped));
                    }
                    Err(broadcast::error::RecvError::Closed) => return None,
                },
            }
        }
    }

    /// The catalogue by which the samples that were passed on are read.
    #[must_use]
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.state.borrow().catalogue.clone()
    }

    fn series(&mut self, catalogue: &Catalogue) -> Vec<Bytes> {
        if catalogue.version() == self.version {
            return Vec::new();
        }
        let frames = catalogue.frames_since(self.version);
        self.version = catalogue.version();
        frames
    }

    /// A sample behind the series that it is read by.
    fn with_series(&mut self, said: Said) -> Vec<Bytes> {
        let catalogue = self.catalogue();
        let mut frames = if said.version > self.version { self.series(&catalogue) } else { Vec::new() };
        // One of an older stream would be read by numbers that mean something else now.
        if said.version >= catalogue.began() {
            frames.push(said.frame);
        }
        frames
    }
}

async fn serve(watch: Arc<Watch>, agent: AgentId, who: Who, server: Arc<Server>) {
    tokio::select! {
        biased;
        () = watch.stop.cancelled() => {}
        () = unwatched(&watch, &agent, &server) => {}
        () = keep_open(&watch, &agent, &who, &server) => {}
    }
}

/// Ends when nobody has looked for a while.
async fn unwatched(watch: &Watch, agent: &AgentId, server: &Arc<Server>) {
    let mut watchers = server.watchers.subscribe();
    loop {
        drop(watchers.wait_for(|count| *count == 0).await);
        sleep(watch.pace.linger).await;
        if watch.forget(agent, server) {
            return;
        }
    }
}

/// Opens the upstream again and again.
async fn keep_open(watch: &Watch, agent: &AgentId, who: &Who, server: &Server) {
    let mut pause = PAUSE;
    loop {
        let began = clock::instant();
        let phase = match watch.open(agent, who, &MetricsRequest::Live {}).await {
            Ok(stream) => follow(watch, server, Frames::new(stream)).await,
            Err(BrokerError::Unreachable) => Phase::Away,
            Err(BrokerError::Busy | BrokerError::TooMany) => Phase::Busy,
        };
        let good = clock::instant().saturating_duration_since(began) >= GOOD;
        pause = if good { PAUSE } else { (pause * 2).min(PAUSE_MAX) };
        note(watch, agent, &phase);
        server.enter(phase.clone());
        match phase {
            Phase::Refused(_) | Phase::Cut(_) => sleep(jittered(watch.pace.again)).await,
            Phase::Away if watch.registry.live(agent).is_none() => {
                while watch.registry.live(agent).is_none() {
                    sleep(watch.pace.look).await;
                }
                pause = PAUSE;
            }
            Phase::Opening | Phase::Live | Phase::Away | Phase::Busy => sleep(jittered(pause)).await,
        }
        server.enter(Phase::Opening);
    }
}

fn note(watch: &Watch, agent: &AgentId, phase: &Phase) {
    match phase {
        Phase::Cut(why) => {
            watch.metrics.watch_event(WatchEvent::Cut(*why), 1);
            warn!(agent = %agent.short(), why = why.id(), "a server's stream of metrics was cut");
        }
        Phase::Refused(_) => info!(agent = %agent.short(), "a server does not show its metrics"),
        Phase::Opening | Phase::Live | Phase::Away | Phase::Busy => {}
    }
}

/// Passes on what comes until the stream ends; returns how it stands then.
async fn follow(watch: &Watch, server: &Server, mut frames: Frames) -> Phase {
    let mut referee = Referee::new(clock::instant());
    let mut catalogue = server.state.borrow().catalogue.as_ref().clone();
    catalogue.restart();
    loop {
        let frame = match timeout(SILENCE, frames.next()).await {
            Ok(Ok(Some(frame))) => frame,
            Ok(Err(Broke::Frame(_))) => return Phase::Cut(Cut::Malformed),
            Ok(Ok(None) | Err(Broke::Read(_) | Broke::Ended)) | Err(_) => return Phase::Away,
        };
        match referee.judge(&frame, &mut catalogue, clock::instant()) {
            Ok(Heard::Sample) => {
                watch.metrics.watch_event(WatchEvent::Sample, 1);
                server.enter(Phase::Live);
                // Nobody may be listening just now.
                drop(server.samples.send(Said { version: catalogue.version(), frame: frame.bytes }));
            }
            Ok(Heard::Series) => server.state.send_modify(|state| state.catalogue = Arc::new(catalogue.clone())),
            Ok(Heard::Refused(_)) => return Phase::Refused(frame.bytes),
            Err(cut) => return Phase::Cut(cut),
        }
    }
}
