//! Which agents have a tunnel here, and the way to one of them. One entry per agent: the newest connection counts.
//!
//! Never: a lock across an await, or a place that outlives its connection.

use cloud_doctor_proto::close::TunnelClose;
use cloud_doctor_proto::ids::{AgentId, TenantId};
use cloud_doctor_proto::time::UnixTime;
use quinn::Connection;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;

/// Streams that clients may have open to one agent at once. The agent's own limit is the same.
pub const STREAMS_PER_AGENT: usize = 64;

/// A tunnel that stands.
#[derive(Debug, Clone)]
pub(crate) struct Tunnel {
    pub(crate) connection: Connection,
    /// Room for client streams.
    pub(crate) slots: Arc<Semaphore>,
    /// Streams among them on which the relay itself speaks.
    pub(crate) own: Own,
    place: u64,
    tenant: TenantId,
    since: UnixTime,
}

/// Streams of one tunnel on which the relay itself speaks: people who look at a list mean clients'.
#[derive(Debug, Clone, Default)]
pub(crate) struct Own(Arc<AtomicUsize>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct OwnStream(Own);

impl Own {
    pub(crate) fn enter(&self) -> OwnStream {
        self.0.fetch_add(1, Ordering::Relaxed);
        OwnStream(self.clone())
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for OwnStream {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What can be said about a live tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Live {
    /// Whose agent.
    pub tenant: TenantId,
    /// Connected since.
    pub since: UnixTime,
    /// From where, as seen here now.
    pub address: SocketAddr,
    /// Smoothed round trip in milliseconds.
    pub rtt_ms: u32,
    /// Client streams that are open.
    pub streams: usize,
}

/// All live tunnels of this relay.
#[derive(Debug, Default)]
pub struct Registry {
    tunnels: Mutex<HashMap<AgentId, Tunnel>>,
    next_place: AtomicU64,
    changes: AtomicU64,
}

impl Registry {
    /// The live tunnel of an agent, if there is one.
    #[must_use]
    pub fn live(&self, agent: &AgentId) -> Option<Live> {
        self.lock().get(agent).map(Tunnel::live)
    }

    /// How many agents are connected.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// Closes the tunnel of an agent that was removed (TLS-04). Its streams end at once.
    pub fn remove(&self, agent: &AgentId) {
        if let Some(tunnel) = self.lock().remove(agent) {
            close(&tunnel.connection, TunnelClose::Removed);
        }
    }

    /// How often a tunnel came, so that nobody looks at all of them in vain.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// All connections, each with the number of its place: a connection that comes after another one has another.
    pub(crate) fn connections(&self) -> HashMap<AgentId, (u64, Connection)> {
        let each = |(agent, tunnel): (&AgentId, &Tunnel)| (*agent, (tunnel.place, tunnel.connection.clone()));
        self.lock().iter().map(each).collect()
    }

    /// The number of an agent's place, if it has one.
    pub(crate) fn place(&self, agent: &AgentId) -> Option<u64> {
        self.lock().get(agent).map(|tunnel| tunnel.place)
    }

    pub(crate) fn tunnel(&self, agent: &AgentId) -> Option<Tunnel> {
        self.lock().get(agent).cloned()
    }

    /// Enters a connection; an older one of the same agent is closed. The entry goes when the guard is dropped.
    pub(super) fn enter(
        self: &Arc<Self>,
        agent: AgentId,
        tenant: TenantId,
        connection: Connection,
        since: UnixTime,
    ) -> Place {
        let place = self.next_place.fetch_add(1, Ordering::Relaxed);
        let slots = Arc::new(Semaphore::new(STREAMS_PER_AGENT));
        let tunnel = Tunnel { connection, slots, own: Own::default(), place, tenant, since };
        self.changes.fetch_add(1, Ordering::Relaxed);
        if let Some(older) = self.lock().insert(agent, tunnel) {
            close(&older.connection, TunnelClose::Replaced);
        }
        Place { registry: self.clone(), agent, place }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AgentId, Tunnel>> {
        self.tunnels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tunnel {
    fn live(&self) -> Live {
        Live {
            tenant: self.tenant,
            since: self.since,
            address: address(&self.connection),
            rtt_ms: u32::try_from(self.connection.rtt().as_millis()).unwrap_or(u32::MAX),
            streams: (STREAMS_PER_AGENT - self.slots.available_permits()).saturating_sub(self.own.count()),
        }
    }
}

/// Keeps an agent's entry for as long as its connection is served.
#[derive(Debug)]
pub(super) struct Place {
    registry: Arc<Registry>,
    agent: AgentId,
    place: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut tunnels = self.registry.lock();
        // A newer connection of the same agent may stand in this entry by now.
        if tunnels.get(&self.agent).is_some_and(|tunnel| tunnel.place == self.place) {
            tunnels.remove(&self.agent);
        }
    }
}

/// Where the peer is now. A listener on IPv6 sees IPv4 addresses mapped; people should not.
pub(super) fn address(connection: &Connection) -> SocketAddr {
    let seen = connection.remote_address();
    SocketAddr::new(seen.ip().to_canonical(), seen.port())
}

/// Closes with a number for programs and a sentence for people.
pub(super) fn close(connection: &Connection, why: TunnelClose) {
    connection.close(u32::from(why.number()).into(), why.text().as_bytes());
}
