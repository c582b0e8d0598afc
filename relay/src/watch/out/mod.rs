//! Out to other systems: servers with the operator's label, each as one more watcher, folded to the interval.
//!
//! ```text
//!  labelled servers ─▶ Watching ─▶ fold.rs ─(each 15 s)─▶ /metrics/servers on the admin listener (names.rs)
//!                                            ├──────────▶ remote-write 1.0 (remote.rs) ─▶ queue.rs ─▶ Prometheus
//!                                            └──────────▶ OTLP/HTTP (otlp.rs) ──────────▶ queue.rs ─▶ a collector
//! ```
//!
//! Long-term storage is somebody else's job. Never: a server without the label, a queue that grows while a target is down, or
//! a server's text that ends a line or a label.

mod fold;
mod names;
mod otlp;
mod queue;
mod remote;

pub use fold::{Fold, Point};
pub use names::{Instance, text};
pub use queue::{Queue, Target, TargetError};

use super::{Event, Watch, Who, jittered};
use crate::clock;
use crate::metrics::WatchEvent;
use crate::store::{Label, LabelledAgent, Store};
use crate::turns::in_turn;
use cloud_doctor_proto::frame::Kind;
use cloud_doctor_proto::ids::AgentId;
use cloud_doctor_proto::limits::FRAME_HEADER_BYTES;
use cloud_doctor_proto::metrics::Sample;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// How often it is looked which servers have the label.
const LOOK: Duration = Duration::from_secs(15);
/// Servers that are exported: each costs a stream of a second's values. More are counted.
pub const EXPORTED_MAX: usize = 2_000;

/// Hex digits of a server's id: two servers of a relay have none in common.
const ID_CHARS: usize = 16;

/// What goes out, and where to.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Servers with this label.
    pub label: Label,
    /// Between two points of a series.
    pub every: Duration,
}

/// Exports labelled servers.
#[derive(Debug)]
pub struct Exports {
    watch: Arc<Watch>,
    store: Store,
    plan: Plan,
    remote: Option<Arc<Target>>,
    otlp: Option<Arc<Target>>,
    latest: Mutex<BTreeMap<AgentId, Latest>>,
}

/// The newest points of one server.
type Latest = (Instance, Arc<Vec<Point>>);

impl Exports {
    /// Exports to these targets, and to whoever asks for [`Self::text`].
    #[must_use]
    pub fn new(
        watch: Arc<Watch>,
        store: Store,
        plan: Plan,
        (remote, otlp): (Option<Target>, Option<Target>),
    ) -> Arc<Self> {
        let (remote, otlp) = (remote.map(Arc::new), otlp.map(Arc::new));
        Arc::new(Self { watch, store, plan, remote, otlp, latest: Mutex::default() })
    }

    /// The newest point of every series, as Prometheus reads them.
    #[must_use]
    pub fn text(&self) -> String {
        // The lock is for a copy of references.
        let latest: Vec<_> = self.latest.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        text(latest.iter().map(|(instance, points)| (instance, points.as_slice())))
    }

    fn put(&self, agent: &AgentId, instance: &Instance, points: Vec<Point>, (since, now): (u64, u64)) {
        if let Some(target) = self.remote.as_ref().filter(|_| !points.is_empty()) {
            self.count(target.push(remote::request(instance, &points, now)));
        }
        if let Some(target) = self.otlp.as_ref().filter(|_| !points.is_empty()) {
            self.count(target.push(otlp::request(instance, &points, (since, now)).into_bytes()));
        }
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.insert(*agent, (instance.clone(), Arc::new(points)));
    }

    fn count(&self, dropped: u64) {
        if dropped > 0 {
            self.watch.metrics.watch_event(WatchEvent::Unsent, dropped);
        }
    }

    fn forget(&self, agent: &AgentId) {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).remove(agent);
    }
}

/// Exports until `stop`.
pub async fn keep_exporting(exports: Arc<Exports>, stop: CancellationToken) {
    for target in [&exports.remote, &exports.otlp].into_iter().flatten() {
        let (target, metrics) = (target.clone(), exports.watch.metrics.clone());
        exports.watch.tasks.spawn(queue::keep_sending(target, metrics, stop.clone()));
    }
    let mut running: HashMap<AgentId, (LabelledAgent, CancellationToken)> = HashMap::new();
    loop {
        match exports.store.labelled(&exports.plan.label).await {
            Ok(wanted) => start_and_end(&exports, wanted, &mut running, &stop),
            Err(error) => warn!(%error, "cannot read which servers are exported"),
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = sleep(LOOK.min(exports.plan.every)) => {}
        }
    }
}

fn start_and_end(
    exports: &Arc<Exports>,
    wanted: Vec<LabelledAgent>,
    running: &mut HashMap<AgentId, (LabelledAgent, CancellationToken)>,
    stop: &CancellationToken,
) {
    let more = wanted.len().saturating_sub(EXPORTED_MAX);
    if more > 0 {
        warn!(more, "too many servers have the label: these are not exported");
    }
    let wanted: HashMap<AgentId, LabelledAgent> =
        in_turn(wanted, |one| one.tenant).into_iter().take(EXPORTED_MAX).map(|one| (one.agent, one)).collect();
    running.retain(|agent, (known, end)| {
        let stays = wanted.get(agent) == Some(known);
        if !stays {
            end.cancel();
            exports.forget(agent);
        }
        stays
    });
    for (agent, one) in wanted {
        running.entry(agent).or_insert_with(|| {
            let end = stop.child_token();
            exports.watch.tasks.spawn(export(exports.clone(), one.clone(), end.clone()));
            (one, end)
        });
    }
}

/// Folds one server's values.
async fn export(exports: Arc<Exports>, one: LabelledAgent, end: CancellationToken) {
    let instance = Instance {
        name: one.name.clone(),
        customer: one.customer.clone(),
        id: one.agent.to_string().chars().take(ID_CHARS).collect(),
    };
    // A fleet that is labelled at once is not watched at once.
    let spread = jittered(exports.plan.every).saturating_sub(exports.plan.every);
    tokio::select! {
        biased;
        () = end.cancelled() => return,
        () = sleep(spread) => {}
    }
    let mut watching = exports.watch.watch(one.agent, &Who::default());
    let mut cuts = interval(exports.plan.every);
    cuts.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut fold, mut since) = (Fold::default(), clock::now_millis());
    loop {
        tokio::select! {
            biased;
            () = end.cancelled() => return,
            _ = cuts.tick() => {
                let now = clock::now_millis();
                exports.put(&one.agent, &instance, fold.cut(), (since, now));
                since = now;
            }
            event = watching.next() => match event {
                None => return,
                Some(Event::Frames(frames)) => {
                    let catalogue = watching.catalogue();
                    let samples = frames.iter().filter_map(|frame| sample(frame));
                    samples.for_each(|sample| fold.take(&catalogue, &sample));
                }
                Some(Event::Phase(_) | Event::Skipped(_)) => {}
            },
        }
    }
}

fn sample(frame: &[u8]) -> Option<Sample> {
    let (head, body) = frame.split_first_chunk::<FRAME_HEADER_BYTES>()?;
    let kind = u16::from_be_bytes([head[4], head[5]]);
    (Kind::from_number(kind) == Some(Kind::MetricsSample)).then(|| Sample::from_bytes(body).ok()).flatten()
}
