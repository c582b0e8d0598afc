//! Agents' side of the relay: the QUIC listener, who is let in, one task per live tunnel, enrolment.
//!
//! ```text
//! first packet -> gate -> handshake (key proved) -> enrolled? -> Hello -> registered -> ... -> closed
//!                   |            |                     |           |
//!               retry/refuse   5 s                 NotEnrolled    5 s
//! ```
//!
//! Nothing of ours is sent to a peer before its key was found on the list (tunnel) or its token counted (enrolment).
//! Never: a byte of a sealed stream looked at, slow work in the accept loop, a task that nobody joins.

mod enrol;
pub mod gate;
mod guests;
mod heads;
mod keys;
mod link;
mod quic;
pub mod registry;
mod runtime;
mod seen;
pub(crate) mod trust;
mod wire;

pub(crate) use guests::secret_hash;
pub use heads::Heads;
pub use keys::{KeyFileError, ListenerKeys, load_or_create as secret_file};
pub use quic::ListenError;

use crate::clock;
use crate::store::{Store, TenantRef};
use cloud_doctor_proto::close::TunnelClose;
use cloud_doctor_proto::ids::VerifyKey;
use gate::{Buckets, Gate, GateLimits, Knock, Rate, Verdict};
use quic::{Peer, Wish};
use registry::Registry;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, debug, info, info_span};

/// A handshake that takes longer is given up.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long closing every tunnel may take when the relay stops.
const GOODBYE: Duration = Duration::from_secs(2);
/// Connections of one key: an agent with a session reconnects at most once per second (DOS-08).
const PER_KEY: Rate = Rate { per_minute: 60, burst: 10 };
/// Enrolments begun from one address.
const ENROL_PER_ADDRESS: Rate = Rate::per_second(20);
/// Refused enrolments that one customer's audit takes.
const REFUSALS_NOTED: Rate = Rate { per_minute: 6, burst: 60 };
/// This build, for the logs of the other side.
const BUILD: &str = concat!("cloud-doctor-relay ", env!("CARGO_PKG_VERSION"));

/// The listener for agents.
#[derive(Debug)]
pub struct Tunnels {
    endpoint: quinn::Endpoint,
    limits: GateLimits,
    shared: Arc<Shared>,
    tasks: TaskTracker,
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    store: Store,
    registry: Arc<Registry>,
    heads: Arc<Heads>,
    seen: seen::Seen,
    logs: trust::Logs,
    /// Handshakes in progress with addresses that were not proved.
    unvalidated: AtomicUsize,
    per_key: Mutex<Buckets<VerifyKey>>,
    enrol: Mutex<Buckets<[u8; 16]>>,
    refusals: Mutex<Buckets<TenantRef>>,
    /// Changes when a guest's tunnel comes.
    guests: watch::Sender<u64>,
}

impl Tunnels {
    /// Binds the listener; nobody is answered before [`Self::run`].
    ///
    /// # Errors
    /// [`ListenError`] when the address is taken or the keys are refused.
    pub fn listen(
        listen: SocketAddr,
        limits: GateLimits,
        keys: &ListenerKeys,
        store: Store,
        registry: Arc<Registry>,
        heads: Arc<Heads>,
    ) -> Result<Self, ListenError> {
        let now = clock::instant();
        let shared = Shared {
            store,
            registry,
            heads,
            seen: seen::Seen::default(),
            logs: trust::Logs::default(),
            unvalidated: AtomicUsize::new(0),
            per_key: Mutex::new(Buckets::new(PER_KEY, now)),
            enrol: Mutex::new(Buckets::new(ENROL_PER_ADDRESS, now)),
            refusals: Mutex::new(Buckets::new(REFUSALS_NOTED, now)),
            guests: watch::Sender::new(0),
        };
        let endpoint = quic::listen(listen, keys)?;
        Ok(Self { endpoint, limits, shared: Arc::new(shared), tasks: TaskTracker::new() })
    }

    /// Where agents reach this relay, with the real port.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// Changes when a guest's tunnel comes: whoever waits for one looks then.
    #[must_use]
    pub fn guests(&self) -> watch::Sender<u64> {
        self.shared.guests.clone()
    }

    /// Serves agents until `stop`, then tells them and waits for their tasks for a moment.
    pub async fn run(self, stop: CancellationToken) {
        let mut gate = Gate::new(self.limits, clock::instant());
        let flush = self.tasks.spawn(seen::flush_regularly(self.shared.clone(), stop.clone()));
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                incoming = self.endpoint.accept() => match incoming {
                    Some(incoming) => self.knock(&mut gate, incoming),
                    None => break,
                },
            }
        }
        let why = TunnelClose::Restarting;
        self.endpoint.close(u32::from(why.number()).into(), why.text().as_bytes());
        self.tasks.close();
        if tokio::time::timeout(GOODBYE, self.tasks.wait()).await.is_err() {
            info!(tasks = self.tasks.len(), "some tunnels did not end in time");
        }
        drop(tokio::time::timeout(GOODBYE, self.endpoint.wait_idle()).await);
        drop(flush.await);
    }

    fn knock(&self, gate: &mut Gate, incoming: quinn::Incoming) {
        let knock = Knock {
            address: incoming.remote_address().ip(),
            validated: incoming.remote_address_validated(),
            may_retry: incoming.may_retry(),
            unvalidated: self.shared.unvalidated.load(Ordering::Relaxed),
        };
        match gate.decide(knock, clock::instant()) {
            Verdict::Accept => {
                let counted = (!knock.validated).then(|| Counted::new(self.shared.clone()));
                let shared = self.shared.clone();
                let span = info_span!("agent", address = %incoming.remote_address());
                self.tasks.spawn(serve(shared, incoming, counted).instrument(span));
            }
            Verdict::Retry => drop(incoming.retry()),
            Verdict::Refuse => incoming.refuse(),
            Verdict::Ignore => incoming.ignore(),
        }
    }
}

/// One handshake in progress with an address that was not proved.
struct Counted(Arc<Shared>);

impl Counted {
    fn new(shared: Arc<Shared>) -> Self {
        shared.unvalidated.fetch_add(1, Ordering::Relaxed);
        Self(shared)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.unvalidated.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn serve(shared: Arc<Shared>, incoming: quinn::Incoming, counted: Option<Counted>) {
    let connecting = match incoming.accept() {
        Ok(connecting) => connecting,
        Err(error) => return debug!(%error, "no handshake"),
    };
    let connection = match tokio::time::timeout(HANDSHAKE, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return debug!(%error, "handshake failed"),
        Err(_) => return debug!("handshake took too long"),
    };
    drop(counted);
    let Some(peer) = quic::peer(&connection) else {
        return registry::close(&connection, TunnelClose::Protocol);
    };
    let why = match peer.wish {
        Wish::Tunnel if shared.too_often(&peer) => TunnelClose::TooOften,
        Wish::Tunnel => link::serve(&shared, &connection, peer).await,
        Wish::Enrol => enrol::serve(&shared, &connection, peer).await,
    };
    // Closing twice keeps the first reason.
    registry::close(&connection, why);
}

impl Shared {
    fn too_often(&self, peer: &Peer) -> bool {
        // The lock is for one look at a table.
        !self.per_key.lock().unwrap_or_else(PoisonError::into_inner).take(peer.key, clock::instant())
    }

    fn may_note(&self, tenant: TenantRef) -> bool {
        // The lock is for one look at a table.
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).take(tenant, clock::instant())
    }

    fn may_enrol(&self, address: IpAddr) -> bool {
        let key = match address.to_canonical() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            // One customer has all addresses of a /64.
            IpAddr::V6(v6) => (u128::from(v6) >> 64 << 64).to_be_bytes(),
        };
        // The lock is for one look at a table.
        self.enrol.lock().unwrap_or_else(PoisonError::into_inner).take(key, clock::instant())
    }
}
