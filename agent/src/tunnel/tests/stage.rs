//! A relay that does what it is told, a guard that echoes, and a network that can be cut.

use crate::tunnel::Settings;
use crate::tunnel::wire::{self, FrameReader};
use cloud_doctor_proto::control::{
    BindTransport, Hello, HelloAck, StreamHead, StreamPurpose, TransportBinding, TrustHead, TrustUpdate,
};
use cloud_doctor_proto::events::{Event, EventKind, Events, EventsRequest};
use cloud_doctor_proto::frame::{self, Kind};
use cloud_doctor_proto::ids::{Hash, StreamId, TenantId, VerifyKey};
use cloud_doctor_proto::limits::{ALPN_ENROL, ALPN_TUNNEL, CONTROL_BYTES_MAX, GREETING_BYTES_MAX};
use cloud_doctor_proto::metrics::{MetricsLease, MetricsRequest, Processes};
use cloud_doctor_proto::pin::{self, Pin};
use cloud_doctor_proto::refusal::{Refusal, Refused};
use cloud_doctor_proto::time::UnixTime;
use ed25519_dalek::SigningKey;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Connection, Endpoint, RecvStream, SendStream, ServerConfig};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::sign::CertifiedKey;
use serde::Serialize;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UdpSocket, UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Patience of tests: what takes longer has failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(9);

/// Waits, but not for ever.
pub(super) async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("it did not happen in time")
}

/// A relay's end of QUIC.
pub(super) struct Relay {
    endpoint: Endpoint,
    pub(super) addr: SocketAddr,
    pub(super) pin: Pin,
}

impl Relay {
    pub(super) fn new(seed: u8) -> Self {
        Self::at(seed, "127.0.0.1:0".parse().unwrap())
    }

    pub(super) fn at(seed: u8, addr: SocketAddr) -> Self {
        const PKCS8_PREFIX: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
        let key = SigningKey::from_bytes(&[seed; 32]);
        let public = VerifyKey(key.verifying_key().to_bytes());
        let provider = Arc::new(aws_lc_rs::default_provider());
        let pkcs8 = [&PKCS8_PREFIX[..], key.as_bytes()].concat();
        let private = provider.key_provider.load_private_key(PrivatePkcs8KeyDer::from(pkcs8).into()).unwrap();
        let certified = CertifiedKey::new(vec![CertificateDer::from(pin::spki(&public).to_vec())], private);
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(Arc::new(Anybody))
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(Arc::new(certified))));
        tls.alpn_protocols = vec![ALPN_TUNNEL.to_vec(), ALPN_ENROL.to_vec()];
        let crypto = Arc::new(QuicServerConfig::try_from(tls).unwrap());
        let endpoint = Endpoint::server(ServerConfig::with_crypto(crypto), addr).unwrap();
        let addr = endpoint.local_addr().unwrap();
        Self { endpoint, addr, pin: Pin::of(&public) }
    }

    /// The next handshake, whatever becomes of it.
    pub(super) async fn endpoint_accept(&self) -> Result<Connection, quinn::ConnectionError> {
        soon(async { self.endpoint.accept().await.unwrap().accept().unwrap().await }).await
    }

    /// The next connection, handshaken.
    pub(super) async fn accept(&self) -> Connection {
        self.endpoint_accept().await.unwrap()
    }

    pub(super) fn close(&self) {
        self.endpoint.close(6u32.into(), b"");
    }

    /// The next tunnel, greeted.
    pub(super) async fn tunnel(&self) -> Tunnel {
        self.tunnel_of_version(1).await
    }

    /// The next tunnel, greeted with this version.
    pub(super) async fn tunnel_of_version(&self, proto: u16) -> Tunnel {
        let connection = self.accept().await;
        let mut control = Talk::accept(&connection).await;
        let hello: Hello = soon(control.frames.expect(Kind::Hello)).await.unwrap();
        let ack = HelloAck { proto, build: "test".into(), now: UnixTime(1) };
        control.say(Kind::HelloAck, &ack).await;
        Tunnel { connection, control, hello }
    }
}

impl Tunnel {
    /// Answers signs of life until the tunnel is gone.
    pub(super) async fn answer_pings(&mut self) {
        while let Ok(Some(frame)) = self.control.frames.next().await {
            if frame.kind == Kind::Ping && self.control.send.write_all(&frame::encode(Kind::Ping, &[])).await.is_err() {
                return;
            }
        }
    }
}

pub(super) struct Tunnel {
    pub(super) connection: Connection,
    pub(super) control: Talk,
    pub(super) hello: Hello,
}

impl Tunnel {
    /// Opens a client's stream.
    pub(super) async fn open(&self) -> (SendStream, RecvStream) {
        let (mut send, recv) = soon(self.connection.open_bi()).await.unwrap();
        send.write_all(&frame::message(Kind::StreamHead, &stream_head())).await.unwrap();
        (send, recv)
    }
}

pub(super) fn stream_head() -> StreamHead {
    StreamHead { purpose: StreamPurpose::Sealed, stream: StreamId([5; 16]), account: "ann".into(), client: "x".into() }
}

/// Frames on one stream.
pub(super) struct Talk {
    pub(super) send: SendStream,
    pub(super) frames: FrameReader<RecvStream>,
}

impl Talk {
    pub(super) async fn accept(connection: &Connection) -> Self {
        let (send, recv) = soon(connection.accept_bi()).await.unwrap();
        Self { send, frames: FrameReader::new(recv, CONTROL_BYTES_MAX) }
    }

    pub(super) async fn say<T: Serialize>(&mut self, kind: Kind, value: &T) {
        wire::send(&mut self.send, kind, value).await.unwrap();
    }
}

/// A guard: vouches, takes entries, echoes streams.
pub(super) struct Guard {
    pub(super) dir: tempfile::TempDir,
    pub(super) state: Arc<GuardState>,
    tasks: JoinSet<()>,
}

#[derive(Default)]
pub(super) struct GuardState {
    pub(super) entries: AtomicUsize,
    pub(super) heads: Mutex<Vec<Vec<u8>>>,
    /// The last piece of the last stream.
    pub(super) heard: Mutex<Vec<u8>>,
    /// Says no to metrics.
    pub(super) refuses: AtomicBool,
    /// Metrics that are seen.
    pub(super) leases: AtomicUsize,
    /// Ends all of them.
    pub(super) over: Notify,
    pub(super) reports: Mutex<Vec<cloud_doctor_proto::control::TunnelState>>,
}

impl Guard {
    pub(super) fn new() -> Self {
        let mut guard = Self { dir: tempfile::tempdir().unwrap(), state: Arc::default(), tasks: JoinSet::new() };
        guard.start();
        guard
    }

    pub(super) fn start(&mut self) {
        let listener = UnixListener::bind(socket(self.dir.path())).unwrap();
        let state = self.state.clone();
        self.tasks.spawn(async move {
            let mut talks = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                talks.spawn(talk(stream, state.clone()));
            }
        });
    }

    pub(super) async fn stop(&mut self) {
        self.tasks.shutdown().await;
        std::fs::remove_file(socket(self.dir.path())).unwrap();
    }

    pub(super) fn settings(&self, relays: &[(SocketAddr, Pin)]) -> Settings {
        Settings {
            state_dir: self.dir.path().to_owned(),
            guard_socket: socket(self.dir.path()),
            relays: relays.iter().map(|(addr, pin)| (addr.to_string(), vec![*pin])).collect(),
            guest: false,
        }
    }
}

fn socket(dir: &Path) -> PathBuf {
    dir.join("guard.sock")
}

async fn talk(mut stream: UnixStream, state: Arc<GuardState>) {
    let first = FrameReader::new(&mut stream, GREETING_BYTES_MAX).next().await.unwrap().unwrap();
    let tenant = TenantId([3; 32]);
    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever else comes fails the test")]
    match first.kind {
        Kind::BindTransport => {
            let asked: BindTransport = wire::parse(&first).unwrap();
            let binding = TransportBinding::sign(&SigningKey::from_bytes(&[1; 32]), asked.transport, tenant);
            wire::send(&mut stream, Kind::TransportBinding, &binding).await.unwrap();
        }
        Kind::TrustUpdate => {
            let update: TrustUpdate = wire::parse(&first).unwrap();
            let before = state.entries.fetch_add(update.entries.len(), Ordering::Relaxed);
            let head = TrustHead { seq: (before + update.entries.len()) as u64, hash: Hash([4; 32]) };
            wire::send(&mut stream, Kind::TrustHead, &head).await.unwrap();
        }
        Kind::TunnelState => state.reports.lock().unwrap().push(wire::parse(&first).unwrap()),
        Kind::StreamHead => {
            let head: StreamHead = wire::parse(&first).unwrap();
            state.heads.lock().unwrap().push(first.body);
            match head.purpose {
                StreamPurpose::Metrics => metrics(stream, &state).await,
                StreamPurpose::Sealed | StreamPurpose::Checks | StreamPurpose::Unknown => echo(stream, &state).await,
            }
        }
        other => panic!("{other:?}"),
    }
}

/// Lets metrics be seen until it is told otherwise; of processes it knows one, and to `refuse` it says no.
async fn metrics(mut stream: UnixStream, state: &GuardState) {
    let asked: MetricsRequest =
        FrameReader::new(&mut stream, GREETING_BYTES_MAX).expect(Kind::MetricsRequest).await.unwrap();
    if state.refuses.load(Ordering::Relaxed) {
        let refused = Refused { code: Refusal::Ceiling, detail: "metrics".into(), told: None };
        return wire::send(&mut stream, Kind::Refused, &refused).await.unwrap();
    }
    match asked {
        MetricsRequest::Processes { count } => {
            let answer = Processes { at: 1, elapsed: 1_000, total: count, processes: Vec::new() };
            wire::send(&mut stream, Kind::Processes, &answer).await.unwrap();
        }
        MetricsRequest::Events(EventsRequest { from, .. }) => {
            let event = |at| Event {
                at,
                kind: EventKind::Failed,
                count: 1,
                names: Vec::new(),
                unit: "\u{e9}".repeat(64),
                guessed: false,
            };
            let events = (0..500).map(|number| event(from + number)).collect();
            let answer = Events { since: from, events, left_out: 0, blind: Vec::new() };
            wire::send(&mut stream, Kind::Events, &answer).await.unwrap();
        }
        MetricsRequest::Live {} | MetricsRequest::Summary {} | MetricsRequest::Range(_) => {
            wire::send(&mut stream, Kind::MetricsLease, &MetricsLease {}).await.unwrap();
            state.leases.fetch_add(1, Ordering::Relaxed);
            let mut more = [0];
            tokio::select! {
                () = state.over.notified() => {}
                read = stream.read(&mut more) => assert_eq!(read.unwrap(), 0, "the tunnel has no more to say"),
            }
            state.leases.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Echoes, ends when the other side does, and obeys a few words.
async fn echo(mut stream: UnixStream, state: &GuardState) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let len = stream.read(&mut buffer).await.unwrap();
        match &buffer[..len] {
            b"" => break,
            b"hang up" => return,
            bytes => {
                *state.heard.lock().unwrap() = bytes.to_vec();
                // A client that left is no fault.
                drop(stream.write_all(bytes).await);
            }
        }
    }
    drop(stream.write_all(b"<end>").await);
}

/// A tunnel role that runs until it is dropped.
pub(super) struct Role {
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Role {
    pub(super) fn start(settings: Settings) -> Self {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let told = stop.clone();
        tasks.spawn(async move { crate::tunnel::run(settings, told).await.unwrap() });
        Self { stop, tasks }
    }

    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        soon(self.tasks.join_next()).await.unwrap().unwrap();
    }
}

/// A network between agent and relay that can be cut in either direction.
pub(super) struct Network {
    pub(super) addr: SocketAddr,
    pub(super) to_relay: Arc<AtomicBool>,
    pub(super) to_agent: Arc<AtomicBool>,
    _tasks: JoinSet<()>,
}

impl Network {
    pub(super) async fn new(relay: SocketAddr) -> Self {
        let front = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let addr = front.local_addr().unwrap();
        let (to_relay, to_agent) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(true)));
        let mut tasks = JoinSet::new();
        tasks.spawn(carry(front, relay, to_relay.clone(), to_agent.clone()));
        Self { addr, to_relay, to_agent, _tasks: tasks }
    }
}

async fn carry(front: Arc<UdpSocket>, relay: SocketAddr, to_relay: Arc<AtomicBool>, to_agent: Arc<AtomicBool>) {
    let mut backs: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut answers = JoinSet::new();
    let mut buffer = vec![0; 65_536];
    loop {
        let Ok((len, from)) = front.recv_from(&mut buffer).await else { continue };
        if let Entry::Vacant(place) = backs.entry(from) {
            let back = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
            back.connect(relay).await.unwrap();
            place.insert(back.clone());
            let (front, open) = (front.clone(), to_agent.clone());
            answers.spawn(async move {
                let mut buffer = vec![0; 65_536];
                loop {
                    let Ok(len) = back.recv(&mut buffer).await else { continue };
                    if open.load(Ordering::Relaxed) {
                        front.send_to(&buffer[..len], from).await.unwrap();
                    }
                }
            });
        }
        if to_relay.load(Ordering::Relaxed) {
            // Nobody listening there is part of the game.
            drop(backs[&from].send(&buffer[..len]).await);
        }
    }
}

/// Believes every key.
#[derive(Debug)]
struct Anybody;

impl rustls::server::danger::ClientCertVerifier for Anybody {
    fn root_hint_subjects(&self) -> &[rustls::DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: rustls::pki_types::UnixTime,
    ) -> Result<rustls::server::danger::ClientCertVerified, rustls::Error> {
        Ok(rustls::server::danger::ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        unreachable!("TLS 1.3 only")
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        let spki = SubjectPublicKeyInfoDer::from(cert.as_ref());
        rustls::crypto::verify_tls13_signature_with_raw_key(message, &spki, dss, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        vec![rustls::SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
