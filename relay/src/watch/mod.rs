//! Metrics of servers on their way through the relay: to people who look now, into the flight recorder, out to other systems.
//!
//! ```text
//!  watchers ◀── live.rs ◀── one upstream per server that somebody looks at ◀──┐
//!  /metrics, remote-write, OTLP ◀── out/ ◀── (a watcher like any) ────────────┤ stream.rs ◀── broker ◀── tunnel
//!  the last 15 minutes ◀── keep.rs ◀── one summary stream per agent ◀─────────┤   judged by referee.rs
//!  a range, processes, events ◀── ask.rs ◀────────────────────────────────────┘
//! ```
//!
//! What a server shows is decided by its ceiling and guard. Never: a stream that nobody looks at (but the recorder's), an
//! agent whose flood or lies cost another server's watchers something (DOS-06, WEB-09), a slow watcher that holds up others,
//! or a value that something here is decided by.

mod ask;
mod catalogue;
mod keep;
mod live;
pub mod out;
mod recording;
mod referee;
mod stream;

pub use ask::{AnswerError, RANGE_BYTES_MAX, RangeAnswer};
pub use catalogue::{Catalogue, Lie};
pub use keep::{LastMinutes, Recorder, RecorderPace, keep_recording};
pub use live::{Event, Phase, Watching};
pub use recording::{Recording, SAMPLES_MAX};
pub use referee::{Cut, Heard, Referee};

use crate::broker::{AgentStream, Broker, BrokerError};
use crate::clock;
use crate::metrics::Metrics;
use crate::tunnels::registry::Registry;
use cloud_doctor_proto::control::{StreamHead, StreamPurpose};
use cloud_doctor_proto::frame::{self, Kind};
use cloud_doctor_proto::ids::{AgentId, StreamId};
use cloud_doctor_proto::metrics::MetricsRequest;
use live::Servers;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Who asks, as the host's audit will have it.
#[derive(Debug, Clone, Default)]
pub struct Who {
    /// The account's name; empty for the relay itself.
    pub account: String,
    /// From where.
    pub client: String,
}

/// How long things take; tests take less.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// An upstream without a watcher is closed after this time: somebody who reloads a page comes back sooner.
    pub linger: Duration,
    /// An agent that refused, flooded or lied is asked again after this time, or up to twice that.
    pub again: Duration,
    /// How often it is looked whether an agent that was away is back, while somebody waits for it.
    pub look: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { linger: Duration::from_secs(3), again: Duration::from_secs(60), look: Duration::from_millis(500) }
    }
}

/// Everything that is watched.
#[derive(Debug)]
pub struct Watch {
    broker: Arc<Broker>,
    registry: Arc<Registry>,
    metrics: Arc<Metrics>,
    tasks: TaskTracker,
    stop: CancellationToken,
    pace: Pace,
    servers: Mutex<Servers>,
    asks: ask::Asks,
}

impl Watch {
    /// Watches through `broker`; its tasks end with `stop`.
    #[must_use]
    pub fn new(
        broker: Arc<Broker>,
        registry: Arc<Registry>,
        metrics: Arc<Metrics>,
        (tasks, stop): (TaskTracker, CancellationToken),
        pace: Pace,
    ) -> Arc<Self> {
        let (servers, asks) = (Mutex::default(), ask::Asks::new(clock::instant()));
        Arc::new(Self { broker, registry, metrics, tasks, stop, pace, servers, asks })
    }

    /// Opens a stream of metrics and says what is wanted.
    async fn open(&self, agent: &AgentId, who: &Who, wanted: &MetricsRequest) -> Result<AgentStream, BrokerError> {
        let mut stream = [0; 16];
        getrandom::fill(&mut stream).map_err(|_| BrokerError::Busy)?;
        let Who { account, client } = who.clone();
        let head = StreamHead { purpose: StreamPurpose::Metrics, stream: StreamId(stream), account, client };
        let mut stream = self.broker.reach(agent, &head).await?;
        let wanted = frame::message(Kind::MetricsRequest, wanted);
        stream.send.write_all(&wanted).await.map_err(|_| BrokerError::Unreachable)?;
        Ok(stream)
    }
}

/// A duration between `least` and twice that. Without randomness it is the shortest: nothing here is a secret.
fn jittered(least: Duration) -> Duration {
    let mut bytes = [0; 2];
    let share =
        getrandom::fill(&mut bytes).map_or(0.0, |()| f64::from(u16::from_be_bytes(bytes)) / f64::from(u16::MAX));
    least + least.mul_f64(share)
}
