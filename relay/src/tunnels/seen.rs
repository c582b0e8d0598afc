//! When agents were last here, written in batches: a fleet coming back must not be a write per agent.

use super::Shared;
use crate::store::AgentSeen;
use cloud_doctor_proto::ids::AgentId;
use cloud_doctor_proto::time::UnixTime;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// How often the batch is written.
const FLUSH_EVERY: Duration = Duration::from_secs(5);
/// Agents in one batch; beyond that the oldest news are as good as none, since agents still connected are known.
const BATCH_MAX: usize = 50_000;

/// Agents that came or went since the last batch.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<HashMap<AgentId, UnixTime>>);

impl Seen {
    /// Notes that a tunnel stood at `at`.
    pub(super) fn note(&self, agent: AgentId, at: UnixTime) {
        // The lock is for one insert.
        let mut batch = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if batch.len() < BATCH_MAX || batch.contains_key(&agent) {
            batch.insert(agent, at);
        }
    }

    fn take(&self) -> Vec<AgentSeen> {
        let batch = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        batch.into_iter().map(|(agent, at)| AgentSeen { agent, at }).collect()
    }
}

/// Writes batches until `stop`, and the last one after it.
pub(super) async fn flush_regularly(shared: Arc<Shared>, stop: CancellationToken) {
    let mut stopped = false;
    while !stopped {
        tokio::select! {
            () = stop.cancelled() => stopped = true,
            () = tokio::time::sleep(FLUSH_EVERY) => {}
        }
        let batch = shared.seen.take();
        if batch.is_empty() {
            continue;
        }
        if let Err(error) = shared.store.touch_agents(&batch).await {
            warn!(%error, agents = batch.len(), "could not note when agents were last seen");
        }
    }
}
