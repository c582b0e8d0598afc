//! A bad network between agent and relay: a UDP proxy in user space that loses packets on command.
//!
//! Faults are switches, not signals: no process is stopped, and both ends see what they would see behind a broken
//! router. This proxy never looks into packets. Its chances are always the same ones, so that a test can be repeated.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Largest UDP payload.
const PACKET_BYTES_MAX: usize = 65_536;
/// How soon a thread notices that the proxy is gone.
const TICK: Duration = Duration::from_millis(50);

/// A running proxy; ends when dropped.
#[derive(Debug)]
pub struct ChaosProxy {
    addr: SocketAddr,
    switches: Arc<Switches>,
}

#[derive(Debug, Default)]
struct Switches {
    over: AtomicBool,
    lose_to_relay: AtomicBool,
    lose_to_agent: AtomicBool,
    /// Of a thousand packets so many are lost.
    loss: AtomicU32,
    /// One packet of a hundred comes twice, late or damaged.
    disorder: AtomicBool,
    /// Longer packets are lost; 0 = none is too long.
    bytes_max: AtomicUsize,
    /// Counts re-bindings: a flow of an older generation gets a new source port.
    generation: AtomicU64,
    to_relay: AtomicU64,
    to_agent: AtomicU64,
}

impl ChaosProxy {
    /// Listens on a free port of the loopback and passes on to `relay`.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn start(relay: SocketAddr) -> Self {
        let listener = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free UDP port");
        listener.set_read_timeout(Some(TICK)).expect("a time-out can be set");
        let addr = listener.local_addr().expect("a bound socket has an address");
        let switches = Arc::new(Switches::default());
        let seen = Arc::clone(&switches);
        let run = move || pass_to_relay(&Arc::new(listener), relay, &seen);
        std::thread::Builder::new().name("chaosproxy".to_owned()).spawn(run).expect("a thread can be started");
        Self { addr, switches }
    }

    /// Where agents connect to instead of the relay.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Loses everything both ways, or nothing any more.
    pub fn blackout(&self, on: bool) {
        self.lose_to_relay(on);
        self.lose_to_agent(on);
    }

    /// Loses what the agent sends.
    pub fn lose_to_relay(&self, on: bool) {
        self.switches.lose_to_relay.store(on, Ordering::Release);
    }

    /// Loses what the relay sends.
    pub fn lose_to_agent(&self, on: bool) {
        self.switches.lose_to_agent.store(on, Ordering::Release);
    }

    /// Every flow reaches the relay from a new port, as after a NAT's restart.
    pub fn rebind(&self) {
        self.switches.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Loses so many packets of a thousand, each way.
    pub fn lose(&self, of_a_thousand: u32) {
        self.switches.loss.store(of_a_thousand, Ordering::Release);
    }

    /// Doubles, delays and damages one packet of a hundred, each way.
    pub fn disorder(&self, on: bool) {
        self.switches.disorder.store(on, Ordering::Release);
    }

    /// Loses packets with more bytes than this, and says so to nobody.
    pub fn narrow(&self, bytes_max: usize) {
        self.switches.bytes_max.store(bytes_max, Ordering::Release);
    }

    /// Packets passed on so far, to relay and to agent.
    #[must_use]
    pub fn passed(&self) -> (u64, u64) {
        (self.switches.to_relay.load(Ordering::Acquire), self.switches.to_agent.load(Ordering::Acquire))
    }
}

impl Drop for ChaosProxy {
    fn drop(&mut self) {
        self.switches.over.store(true, Ordering::Release);
    }
}

/// What happens to packets of one direction.
#[derive(Debug)]
struct Way {
    chance: u64,
    held: Option<Vec<u8>>,
}

impl Way {
    fn new() -> Self {
        Self { chance: 1, held: None }
    }

    fn pass(&mut self, switches: &Switches, packet: &mut [u8], send: impl Fn(&[u8])) {
        let bytes_max = switches.bytes_max.load(Ordering::Acquire);
        if (bytes_max > 0 && packet.len() > bytes_max) || self.draw(1000) < switches.loss.load(Ordering::Acquire) {
            return;
        }
        if switches.disorder.load(Ordering::Acquire) {
            match self.draw(300) {
                0 => send(packet),
                1 => {
                    let before = self.held.replace(packet.to_vec());
                    return before.iter().for_each(|late| send(late));
                }
                2 => packet[packet.len() / 2] ^= 4,
                _ => {}
            }
        }
        send(packet);
        self.held.take().iter().for_each(|late| send(late));
    }

    fn draw(&mut self, below: u32) -> u32 {
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(self.chance >> 33).unwrap_or(0) % below
    }
}

fn pass_to_relay(listener: &Arc<UdpSocket>, relay: SocketAddr, switches: &Arc<Switches>) {
    let mut flows: BTreeMap<SocketAddr, (u64, Arc<UdpSocket>)> = BTreeMap::new();
    let (mut packet, mut way) = (vec![0; PACKET_BYTES_MAX], Way::new());
    while !switches.over.load(Ordering::Acquire) {
        let Ok((len, agent)) = listener.recv_from(&mut packet) else { continue };
        let generation = switches.generation.load(Ordering::Acquire);
        let flow = flows.entry(agent).or_insert_with(|| (generation, open_flow(listener, agent, relay, switches)));
        if flow.0 != generation {
            *flow = (generation, open_flow(listener, agent, relay, switches));
        }
        if !switches.lose_to_relay.load(Ordering::Acquire) {
            switches.to_relay.fetch_add(1, Ordering::AcqRel);
            // A relay that is down refuses; to the agent that is silence.
            way.pass(switches, &mut packet[..len], |packet| drop(flow.1.send(packet)));
        }
    }
}

fn open_flow(
    listener: &Arc<UdpSocket>,
    agent: SocketAddr,
    relay: SocketAddr,
    switches: &Arc<Switches>,
) -> Arc<UdpSocket> {
    let socket = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free UDP port"));
    socket.connect(relay).expect("a UDP socket connects to anything");
    socket.set_read_timeout(Some(TICK)).expect("a time-out can be set");
    let (back, listener, switches) = (Arc::clone(&socket), Arc::clone(listener), Arc::clone(switches));
    let run = move || {
        let (mut packet, mut way) = (vec![0; PACKET_BYTES_MAX], Way::new());
        while !switches.over.load(Ordering::Acquire) {
            let Ok(len) = back.recv(&mut packet) else { continue };
            if !switches.lose_to_agent.load(Ordering::Acquire) {
                switches.to_agent.fetch_add(1, Ordering::AcqRel);
                way.pass(&switches, &mut packet[..len], |packet| drop(listener.send_to(packet, agent)));
            }
        }
    };
    std::thread::Builder::new().name("chaosproxy".to_owned()).spawn(run).expect("a thread can be started");
    socket
}
