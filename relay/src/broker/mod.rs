//! The way of a client's sealed stream through the relay: find the tunnel, open a stream, move bytes, count them.
//!
//! The relay parses none of these bytes and holds at most one piece of them per direction. A client's bytes travel
//! as binary WebSocket messages whose boundaries mean nothing; as a WebSocket has no half-close, an **empty binary
//! message** says "this direction is over", in either direction, once, and is mapped to the end of the QUIC
//! stream. When both directions are over the relay closes with 1000; every other close code is a
//! [`StreamClose`]. Clients keep reading (and so answering pings) whatever their terminal does: flow control of a
//! session is inside the sealed channel.
//!
//! Never: a decision by what is inside, a queue that can drop, or a byte in a log.

mod pipe;
pub mod ws;

use crate::tunnels::gate::{Buckets, Rate};
use crate::tunnels::registry::{OwnStream, Registry, Tunnel};
use cloud_doctor_proto::close::StreamClose;
use cloud_doctor_proto::control::{StreamHead, StreamPurpose};
use cloud_doctor_proto::frame::{self, Kind};
use cloud_doctor_proto::ids::AgentId;
use quinn::{RecvStream, SendStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::OwnedSemaphorePermit;

/// Streams that one engineer may open: a window full of tabs, and again after every network change.
pub const OPENS_PER_ENGINEER: Rate = Rate::per_minute(30);
/// The agent returns a finished stream's place a round trip later; longer means that it has no room.
const OPEN_WAIT: Duration = Duration::from_secs(2);

/// Why there is no stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    /// No live tunnel of that agent here: its fault or the network's; try again later.
    #[error("the server's agent is not connected to this relay")]
    Unreachable,
    /// All places at that agent are taken.
    #[error("the server's agent has no room for another stream")]
    Busy,
    /// The engineer opened too many lately; wait.
    #[error("too many streams opened in the last minute")]
    TooMany,
}

impl BrokerError {
    /// The close code that tells a client.
    #[must_use]
    pub fn close(self) -> StreamClose {
        match self {
            Self::Unreachable => StreamClose::Unreachable,
            Self::Busy => StreamClose::Busy,
            Self::TooMany => StreamClose::TooMany,
        }
    }
}

/// A stream to an agent's guard; its place at the agent is free again when this is dropped.
#[derive(Debug)]
pub struct AgentStream {
    /// Towards the agent.
    pub send: SendStream,
    /// From the agent.
    pub recv: RecvStream,
    _slot: OwnedSemaphorePermit,
    _own: Option<OwnStream>,
}

/// What went through since the start, for metrics.
#[derive(Debug, Default)]
pub struct Counters {
    opened: AtomicU64,
    refused: AtomicU64,
    to_agent: AtomicU64,
    to_client: AtomicU64,
}

/// [`Counters`] at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Streams opened.
    pub opened: u64,
    /// Opens refused, for whatever reason.
    pub refused: u64,
    /// Sealed bytes from clients to agents.
    pub bytes_to_agents: u64,
    /// Sealed bytes from agents to clients.
    pub bytes_to_clients: u64,
}

/// Opens streams for clients.
#[derive(Debug)]
pub struct Broker {
    registry: Arc<Registry>,
    opens: Mutex<Buckets<String>>,
    counters: Counters,
}

impl Broker {
    /// A broker over the live tunnels.
    #[must_use]
    pub fn new(registry: Arc<Registry>, opens: Rate, now: Instant) -> Self {
        Self { registry, opens: Mutex::new(Buckets::new(opens, now)), counters: Counters::default() }
    }

    /// What went through so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            opened: read(&self.counters.opened),
            refused: read(&self.counters.refused),
            bytes_to_agents: read(&self.counters.to_agent),
            bytes_to_clients: read(&self.counters.to_client),
        }
    }

    /// Whether the account may open one more stream now: asked before anything is written about it.
    #[must_use]
    pub fn may_open(&self, account: &str, now: Instant) -> bool {
        // The lock is for one look at a table.
        self.opens.lock().unwrap_or_else(PoisonError::into_inner).has(&account.to_owned(), now)
    }

    /// Opens a stream to `agent` for the account that `head` names.
    ///
    /// # Errors
    /// [`BrokerError`]; nothing reached the agent then.
    pub async fn open(&self, agent: &AgentId, head: &StreamHead, now: Instant) -> Result<AgentStream, BrokerError> {
        let opened = self.try_open(agent, head, now).await;
        let counter = if opened.is_ok() { &self.counters.opened } else { &self.counters.refused };
        counter.fetch_add(1, Ordering::Relaxed);
        opened
    }

    async fn try_open(&self, agent: &AgentId, head: &StreamHead, now: Instant) -> Result<AgentStream, BrokerError> {
        if !self.take(&head.account, now) {
            return Err(BrokerError::TooMany);
        }
        self.reach(agent, head).await
    }

    /// Counts one opening of the account; `false`: it has had too many lately.
    pub(crate) fn take(&self, account: &str, now: Instant) -> bool {
        // The lock is for one look at a table.
        self.opens.lock().unwrap_or_else(PoisonError::into_inner).take(account.to_owned(), now)
    }

    /// Opens a stream on which the relay itself speaks: no account's limit counts, and nothing sealed passes.
    ///
    /// # Errors
    /// [`BrokerError`]; nothing reached the agent then.
    pub(crate) async fn reach(&self, agent: &AgentId, head: &StreamHead) -> Result<AgentStream, BrokerError> {
        let Tunnel { connection, slots, own, .. } = self.registry.tunnel(agent).ok_or(BrokerError::Unreachable)?;
        let slot = slots.try_acquire_owned().map_err(|_| BrokerError::Busy)?;
        let opened = tokio::time::timeout(OPEN_WAIT, connection.open_bi()).await;
        let (mut send, recv) = opened.map_err(|_| BrokerError::Busy)?.map_err(|_| BrokerError::Unreachable)?;
        send.write_all(&frame::message(Kind::StreamHead, head)).await.map_err(|_| BrokerError::Unreachable)?;
        let own = (head.purpose != StreamPurpose::Sealed).then(|| own.enter());
        Ok(AgentStream { send, recv, _slot: slot, _own: own })
    }
}
