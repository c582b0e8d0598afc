//! From which address an agent calls, and when: at the rates that a relay takes.
//!
//! A relay limits how many may come from one network. On loopback there are 65,000 of them, so a fleet on the relay's own
//! machine calls from many; elsewhere there is one, and its agents take their turns. Never: a limit of the relay got around.

use anyhow::Result;
use quinn::Endpoint;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// Handshakes at once: below the number from which the relay has addresses proved first.
const AT_ONCE: usize = 64;
/// Connections from one /24 before the next one is used: what the relay takes from it at once.
pub(super) const PER_NETWORK: u32 = 100;
/// Handshakes per second and core: the relay takes 500 and ignores what is beyond.
const PER_SECOND_AND_CORE: u32 = 450;
/// What a relay takes from one network over a long time, unless it is told otherwise.
const PER_SECOND_FROM_ONE: u32 = 20;
/// Loopback networks that are called from in turn: long before the first is used again its relay has forgotten it.
const NETWORKS: u32 = 30_000;
/// For the last packets to leave.
const FLUSH: Duration = Duration::from_secs(2);

/// What a relay with the default limits takes from this machine.
pub(super) fn per_second(relay: SocketAddr) -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1));
    if is_near(relay) { PER_SECOND_AND_CORE * cores } else { PER_SECOND_FROM_ONE }
}

fn is_near(relay: SocketAddr) -> bool {
    matches!(relay.ip(), IpAddr::V4(address) if address.is_loopback())
}

/// A place in the queue of handshakes, given back when dropped, and the socket to use.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    pub(super) endpoint: Endpoint,
    _place: SemaphorePermit<'a>,
}

#[derive(Debug)]
pub(super) struct Networks {
    relay: SocketAddr,
    places: Semaphore,
    begun: AtomicU32,
    now: Mutex<Now>,
}

/// The lock is held while one waits for its turn: that is the queue.
#[derive(Debug)]
struct Now {
    pace: Duration,
    ticks: Option<tokio::time::Interval>,
    endpoint: Option<Endpoint>,
}

impl Networks {
    pub(super) fn new(relay: SocketAddr, per_second: u32) -> Self {
        let now = Now { pace: Duration::from_secs(1) / per_second.max(1), ticks: None, endpoint: None };
        Self { relay, places: Semaphore::new(AT_ONCE), begun: AtomicU32::new(0), now: Mutex::new(now) }
    }

    /// Waits for a turn.
    pub(super) async fn turn(&self) -> Result<Turn<'_>> {
        let place = self.places.acquire().await?;
        let mut now = self.now.lock().await;
        let pace = now.pace;
        let ticks = now.ticks.get_or_insert_with(|| {
            let mut ticks = interval_at(Instant::now(), pace);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        ticks.tick().await;
        let begun = self.begun.fetch_add(1, Ordering::Relaxed);
        let due = begun.is_multiple_of(PER_NETWORK) && is_near(self.relay);
        if due || now.endpoint.is_none() {
            now.endpoint = Some(Endpoint::client(self.local(begun / PER_NETWORK))?);
        }
        let endpoint = now.endpoint.clone().expect("it was made just now");
        Ok(Turn { endpoint, _place: place })
    }

    /// Where to call from.
    fn local(&self, number: u32) -> SocketAddr {
        let [_, _, high, low] = (number % NETWORKS).to_be_bytes();
        match self.relay.ip() {
            IpAddr::V4(address) if address.is_loopback() => (Ipv4Addr::new(127, high + 1, low, 1), 0).into(),
            IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        }
    }

    /// Lets the newest socket send what it still has to.
    pub(super) async fn flush(&self) {
        let endpoint = self.now.lock().await.endpoint.clone();
        if let Some(endpoint) = endpoint {
            drop(tokio::time::timeout(FLUSH, endpoint.wait_idle()).await);
        }
    }
}
