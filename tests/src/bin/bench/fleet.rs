//! `relay.*`: what thousands of agents cost a relay. The relay is real; the agents are one process of connections that
//! shake hands, say hello and stay, each with keys of its own.
//!
//! The agents call from many loopback networks, because the relay rightly limits how many may come from one.

use anyhow::{Context as _, Result, bail};
use cloud_doctor_proto::control::{Hello, HelloAck, HostFacts, TransportBinding, TrustHead};
use cloud_doctor_proto::frame::{self, Decoder, Kind};
use cloud_doctor_proto::ids::{AgentId, TenantId, VerifyKey};
use cloud_doctor_proto::limits::{ALPN_TUNNEL, PROTO_VERSION, PROTO_VERSION_MIN, TUNNEL_KEEP_ALIVE_SECS};
use cloud_doctor_proto::pack;
use cloud_doctor_tests::raw_keys;
use ed25519_dalek::SigningKey;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, Endpoint, RecvStream, SendStream, TransportConfig};
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// Handshakes at once: below the number from which the relay has addresses proved first.
const AT_ONCE: usize = 64;
/// Connections from one /24: what the relay takes from it at once.
const PER_NETWORK: usize = 100;
/// Handshakes per second and core: the relay takes 500 and ignores what is beyond.
const PER_SECOND_AND_CORE: u32 = 450;
/// A handshake whose packets were dropped is repeated by QUIC until then.
const PATIENCE: Duration = Duration::from_secs(30);

/// Identity and tunnel key of a server that does not exist.
#[derive(Debug)]
pub(crate) struct Simulated {
    /// Its id.
    pub(crate) agent: AgentId,
    transport: SigningKey,
    binding: TransportBinding,
}

impl Simulated {
    /// Number `number` of a customer's fleet.
    pub(crate) fn new(number: usize, tenant: TenantId) -> Self {
        let seed = |purpose: u8| {
            let mut seed = [purpose; 32];
            seed[..8].copy_from_slice(&number.to_be_bytes());
            SigningKey::from_bytes(&seed)
        };
        let (identity, transport) = (seed(1), seed(2));
        let agent = AgentId::of(&VerifyKey(identity.verifying_key().to_bytes()));
        let binding = TransportBinding::sign(&identity, VerifyKey(transport.verifying_key().to_bytes()), tenant);
        Self { agent, transport, binding }
    }

    /// The key that its tunnel connects with.
    pub(crate) fn transport_key(&self) -> VerifyKey {
        VerifyKey(self.transport.verifying_key().to_bytes())
    }

    fn hello(&self, trust: TrustHead) -> Hello {
        Hello {
            proto_min: PROTO_VERSION_MIN,
            proto_max: PROTO_VERSION,
            build: "simulated".to_owned(),
            binding: self.binding.clone(),
            host: HostFacts::default(),
            trust,
        }
    }
}

/// A tunnel that stands; its control stream is open as long as it does.
#[derive(Debug)]
struct Tunnel {
    connection: Connection,
    _control: (SendStream, RecvStream),
}

/// Connected agents.
#[derive(Debug)]
pub(crate) struct Fleet {
    runtime: Runtime,
    relay: SocketAddr,
    trust: TrustHead,
    agents: Vec<Arc<Simulated>>,
    tunnels: HashMap<usize, Tunnel>,
    network: Option<Endpoint>,
    begun: usize,
}

impl Fleet {
    /// A fleet that is not connected yet.
    pub(crate) fn new(relay: SocketAddr, trust: TrustHead, agents: Vec<Simulated>) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let agents = agents.into_iter().map(Arc::new).collect();
        Ok(Self { runtime, relay, trust, agents, tunnels: HashMap::new(), network: None, begun: 0 })
    }

    /// Connects the agents with these numbers. Those that are connected leave first and come back.
    pub(crate) fn connect(&mut self, numbers: std::ops::Range<usize>) -> Result<()> {
        let runtime = self.runtime.handle().clone();
        let mut waiting = numbers.collect::<Vec<_>>().into_iter();
        let cores = u32::try_from(std::thread::available_parallelism()?.get())?;
        runtime.block_on(async {
            let mut pace = tokio::time::interval(Duration::from_secs(1) / (PER_SECOND_AND_CORE * cores));
            let mut handshakes = JoinSet::new();
            loop {
                while handshakes.len() < AT_ONCE
                    && let Some(number) = waiting.next()
                {
                    pace.tick().await;
                    handshakes.spawn(self.begin(number)?);
                }
                let Some(done) = handshakes.join_next().await else { return Ok(()) };
                let (number, tunnel) = done??;
                self.tunnels.insert(number, tunnel);
            }
        })
    }

    /// How many agents there are.
    pub(crate) fn len(&self) -> usize {
        self.agents.len()
    }

    /// The relay has closed none of the tunnels.
    pub(crate) fn check(&self) -> Result<()> {
        let closed = self.tunnels.values().find_map(|tunnel| tunnel.connection.close_reason());
        closed.map_or(Ok(()), |reason| bail!("the relay let an agent go: {reason}"))
    }

    fn begin(&mut self, number: usize) -> Result<impl Future<Output = Result<(usize, Tunnel)>> + use<>> {
        if let Some(older) = self.tunnels.remove(&number) {
            older.connection.close(0_u32.into(), b"reconnects");
        }
        let network = self.network()?;
        let (agent, relay, trust) = (self.agents[number].clone(), self.relay, self.trust);
        Ok(async move {
            let tunnel = tokio::time::timeout(PATIENCE, connect(network, relay, agent, trust)).await;
            Ok((number, tunnel.context("the relay did not answer a handshake")??))
        })
    }

    /// A socket in a loopback network from which the relay still takes connections.
    fn network(&mut self) -> Result<Endpoint> {
        if self.begun.is_multiple_of(PER_NETWORK) {
            let number = u16::try_from(self.begun / PER_NETWORK).context("all loopback networks are used up")?;
            let [high, low] = number.to_be_bytes();
            self.network = Some(Endpoint::client(SocketAddr::from((Ipv4Addr::new(127, high + 1, low, 1), 0)))?);
        }
        self.begun += 1;
        Ok(self.network.clone().expect("the first call makes one"))
    }
}

async fn connect(network: Endpoint, relay: SocketAddr, agent: Arc<Simulated>, trust: TrustHead) -> Result<Tunnel> {
    let tls = raw_keys::client(Some(&agent.transport), &[ALPN_TUNNEL]);
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    let mut transport = TransportConfig::default();
    transport.keep_alive_interval(Some(Duration::from_secs(TUNNEL_KEEP_ALIVE_SECS)));
    config.transport_config(Arc::new(transport));
    let connection = network.connect_with(config, relay, "relay")?.await?;
    let (mut send, mut recv) = connection.open_bi().await?;
    send.write_all(&frame::message(Kind::Hello, &agent.hello(trust))).await?;
    let mut decoder = Decoder::new();
    loop {
        if let Some(frame) = decoder.next_frame()? {
            anyhow::ensure!(frame.kind == Kind::HelloAck, "{:?} where an answer to Hello had to come", frame.kind);
            let _: HelloAck = pack::from_bytes(&frame.body, frame.kind.bytes_max())?;
            return Ok(Tunnel { connection, _control: (send, recv) });
        }
        let chunk = recv.read_chunk(4096, true).await?.context("the relay ended the control stream")?;
        decoder.push(&chunk.bytes);
    }
}
