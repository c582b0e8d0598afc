//! A relay gone bad: it has the real relay's key, so every agent believes that it is the relay. What it then says is
//! up to the test.
//!
//! By itself it does what an honest relay does and nothing more. It is not the product's relay: it shares the wire
//! with it and no code.

use cloud_doctor_proto::control::{
    EnrolBegin, EnrolCommit, EnrolDone, EnrolLog, Hello, HelloAck, StreamHead, StreamPurpose, TransportClaim,
};
use cloud_doctor_proto::frame::{self, Kind};
use cloud_doctor_proto::ids::{StreamId, VerifyKey};
use cloud_doctor_proto::limits::{ALPN_ENROL, ALPN_TUNNEL, PROTO_VERSION};
use cloud_doctor_proto::pin::Pin;
use cloud_doctor_proto::trust::TrustLog;
use ed25519_dalek::SigningKey;
use quinn::crypto::rustls::{HandshakeData, QuicServerConfig};
use quinn::{Connection, Endpoint, IdleTimeout, ServerConfig, TransportConfig, VarInt};
use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Handle, Runtime};

use crate::eventually::SOON;
use crate::people::{now, random};
use crate::raw_keys;
use crate::road::{Next, Road};
use crate::visitor::ANSWER;

/// The attacker in the relay's place.
#[derive(Debug)]
pub struct EvilRelay {
    runtime: Runtime,
    endpoint: Endpoint,
    key: SigningKey,
}

/// An agent's tunnel in the attacker's hands.
#[derive(Debug)]
pub struct Tunnel {
    runtime: Handle,
    /// The connection itself.
    pub connection: Connection,
    /// The control stream.
    pub control: RefCell<Road>,
    /// What the agent said of itself.
    pub hello: Hello,
    /// Who it says to be, signed by guard.
    pub claim: TransportClaim,
}

/// Reads the key of a real relay from its data folder.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn stolen_key(data_dir: &Path) -> SigningKey {
    let text = std::fs::read_to_string(data_dir.join("agent-listener.key")).expect("the relay has a listener key");
    let secret = data_encoding::HEXLOWER.decode(&text.as_bytes()[..64]).expect("64 digits and a checksum");
    SigningKey::from_bytes(&secret.try_into().expect("64 digits are 32 bytes"))
}

impl EvilRelay {
    /// Listens with this key on a port, 0 for any.
    ///
    /// # Panics
    /// When the port is taken.
    #[must_use]
    pub fn start(key: SigningKey, port: u16) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(1).enable_all().build().expect("a runtime can be started");
        let tls = raw_keys::server(&key, &[ALPN_TUNNEL, ALPN_ENROL]);
        let crypto = QuicServerConfig::try_from(tls).expect("TLS 1.3 has what QUIC needs");
        let mut config = ServerConfig::with_crypto(Arc::new(crypto));
        config.transport_config(Arc::new(transport()));
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let endpoint = {
            let _entered = runtime.enter();
            Endpoint::server(config, addr).unwrap_or_else(|e| panic!("{addr}: {e}"))
        };
        Self { runtime, endpoint, key }
    }

    /// What agents pin.
    #[must_use]
    pub fn pin(&self) -> Pin {
        Pin::of(&VerifyKey(self.key.verifying_key().to_bytes()))
    }

    /// Where it listens.
    ///
    /// # Panics
    /// Never: it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.endpoint.local_addr().expect("a listener has an address")
    }

    /// The runtime of its streams.
    #[must_use]
    pub fn runtime(&self) -> &Handle {
        self.runtime.handle()
    }

    /// The next connection with this ALPN; others are closed.
    ///
    /// # Panics
    /// When none comes.
    #[must_use]
    #[track_caller]
    pub fn accept(&self, alpn: &[u8]) -> Connection {
        let wanted = async {
            loop {
                let incoming = self.endpoint.accept().await.expect("the listener is open");
                let Ok(connection) = incoming.await else { continue };
                let data = connection.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
                if data.is_some_and(|data| data.protocol.as_deref() == Some(alpn)) {
                    return connection;
                }
                connection.close(VarInt::from_u32(1), b"not now");
            }
        };
        let accepted = self.runtime.block_on(async { tokio::time::timeout(SOON, wanted).await });
        accepted.expect("the agent connects")
    }

    /// The agent's next tunnel, greeted as an honest relay would.
    ///
    /// # Panics
    /// When none comes.
    #[must_use]
    #[track_caller]
    pub fn tunnel(&self) -> Tunnel {
        let connection = self.accept(ALPN_TUNNEL);
        let mut control = self.first_stream(&connection);
        let hello: Hello = control.next(ANSWER).message(Kind::Hello).expect("the agent says hello first");
        let claim = hello.binding.verify().expect("a tunnel's key is vouched for");
        control.say(Kind::HelloAck, &HelloAck { proto: PROTO_VERSION, build: "evil".to_owned(), now: now() });
        Tunnel { runtime: self.runtime.handle().clone(), connection, control: RefCell::new(control), hello, claim }
    }

    /// The same agent's tunnel over another connection, greeted by the test itself.
    #[must_use]
    pub fn adopt(&self, before: &Tunnel, connection: Connection, control: Road) -> Tunnel {
        let (hello, claim) = (before.hello.clone(), before.claim);
        Tunnel { runtime: self.runtime.handle().clone(), connection, control: RefCell::new(control), hello, claim }
    }

    /// Enrols the next host, as an honest relay would. Its answer may still be on its way: keep the connection.
    ///
    /// # Panics
    /// When the host does not do its part.
    #[must_use]
    #[track_caller]
    pub fn enrol(&self, log: &mut TrustLog, secret: &[u8; 32]) -> Connection {
        let connection = self.accept(ALPN_ENROL);
        let mut stream = self.first_stream(&connection);
        let begin: EnrolBegin = stream.next(ANSWER).message(Kind::EnrolBegin).expect("a host that enrols");
        assert_eq!(&begin.secret, secret);
        let page = EnrolLog { tenant: log.tenant(), from: 0, entries: log.entries_from(0, 100), more: false };
        stream.say(Kind::EnrolLog, &page);
        let commit: EnrolCommit = stream.next(SOON).message(Kind::EnrolCommit).expect("the host signs its entry");
        log.append(&commit.entry).expect("the host's entry continues the log");
        stream.say(Kind::EnrolDone, &EnrolDone { refused: None });
        stream.finish();
        connection
    }

    /// Waits until the agent has closed a connection.
    ///
    /// # Panics
    /// When it keeps it.
    #[track_caller]
    pub fn closed(&self, connection: &Connection) {
        let closed = self.runtime.block_on(async { tokio::time::timeout(SOON, connection.closed()).await });
        closed.expect("the agent closes the connection");
    }

    /// The stream that the agent opens.
    ///
    /// # Panics
    /// When it opens none.
    #[must_use]
    #[track_caller]
    pub fn first_stream(&self, connection: &Connection) -> Road {
        let accepted = self.runtime.block_on(async { tokio::time::timeout(ANSWER, connection.accept_bi()).await });
        let (write, read) = accepted.expect("the agent opens a stream").expect("the agent opens a stream");
        Road::new(self.runtime.handle().clone(), read, write)
    }
}

impl Tunnel {
    /// Answers the signs of life that the agent has asked for, as an honest relay does: a tunnel without them ends.
    pub fn keep_alive(&self) {
        let mut control = self.control.borrow_mut();
        while let Next::Frame(frame) = control.next(Duration::from_millis(1)) {
            if frame.kind == Kind::Ping {
                control.send(&frame::encode(Kind::Ping, &[]));
            }
        }
    }

    /// Opens a stream to guard.
    ///
    /// # Panics
    /// When the agent takes no more streams.
    #[must_use]
    #[track_caller]
    pub fn open(&self) -> Road {
        let mut road = self.open_bare();
        let head = StreamHead {
            purpose: StreamPurpose::Sealed,
            stream: StreamId(random()),
            account: "mallory".to_owned(),
            client: "192.0.2.66".to_owned(),
        };
        road.say(Kind::StreamHead, &head);
        road
    }

    /// Opens a stream and says nothing.
    ///
    /// # Panics
    /// When the agent takes no more streams.
    #[must_use]
    #[track_caller]
    pub fn open_bare(&self) -> Road {
        self.keep_alive();
        let opened = self.runtime.block_on(async { tokio::time::timeout(ANSWER, self.connection.open_bi()).await });
        let (write, read) = opened.expect("the agent takes a stream").expect("the agent takes a stream");
        Road::new(self.runtime.clone(), read, write)
    }
}

/// As generous as an attacker likes it.
fn transport() -> TransportConfig {
    let mut config = TransportConfig::default();
    config.max_idle_timeout(Some(IdleTimeout::try_from(Duration::from_secs(30)).expect("half a minute is valid")));
    config
}
