//! The other end of a QUIC connection to the relay, able to do what the agent would not.

use crate::world::{PATIENCE, Server, World};
use cloud_doctor_proto::close::TunnelClose;
use cloud_doctor_proto::control::{Hello, HelloAck, HostFacts, TransportBinding, TrustHead};
use cloud_doctor_proto::frame::{self, Frame, Header, Kind};
use cloud_doctor_proto::ids::{Hash, VerifyKey};
use cloud_doctor_proto::limits::{ALPN_TUNNEL, FRAME_HEADER_BYTES};
use cloud_doctor_proto::pin::{self, Pin};
use ed25519_dalek::SigningKey;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint, RecvStream, SendStream, TransportConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::time::timeout;

/// What a peer shows as its identity.
pub(crate) enum Shows {
    /// Nothing.
    Nothing,
    /// A raw public key: SubjectPublicKeyInfo and PKCS #8.
    Raw(Vec<u8>, Vec<u8>),
    /// A certificate chain and PKCS #8.
    Chain(Vec<CertificateDer<'static>>, Vec<u8>),
}

impl Shows {
    pub(crate) fn key(key: &SigningKey) -> Self {
        const PREFIX: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
        let spki = pin::spki(&VerifyKey(key.verifying_key().to_bytes()));
        Self::Raw(spki.to_vec(), [&PREFIX[..], key.as_bytes()].concat())
    }
}

/// TLS settings of a peer that believes only the relay's pins.
pub(crate) fn tls(pins: [Pin; 2], shows: &Shows, alpn: &[&[u8]]) -> rustls::ClientConfig {
    tls_with(aws_lc_rs::default_provider(), pins, shows, alpn)
}

/// The same with other cryptography.
pub(crate) fn tls_with(
    provider: CryptoProvider,
    pins: [Pin; 2],
    shows: &Shows,
    alpn: &[&[u8]],
) -> rustls::ClientConfig {
    let provider = Arc::new(provider);
    let builder = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned(pins)));
    let private = |der: &[u8]| PrivateKeyDer::from(PrivatePkcs8KeyDer::from(der.to_vec()));
    let mut config = match shows {
        Shows::Nothing => builder.with_no_client_auth(),
        Shows::Raw(spki, key) => {
            let key = provider.key_provider.load_private_key(private(key)).unwrap();
            let certified = Arc::new(CertifiedKey::new(vec![CertificateDer::from(spki.clone())], key));
            builder.with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(certified)))
        }
        Shows::Chain(chain, key) => builder.with_client_auth_cert(chain.clone(), private(key)).unwrap(),
    };
    config.alpn_protocols = alpn.iter().map(|alpn| alpn.to_vec()).collect();
    config.resumption = Resumption::in_memory_sessions(8);
    config.enable_early_data = true;
    config
}

/// Connects with these settings.
pub(crate) async fn connect_with(
    tls: rustls::ClientConfig,
    transport: TransportConfig,
    relay: SocketAddr,
) -> Result<(Endpoint, Connection), ConnectionError> {
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    config.transport_config(Arc::new(transport));
    let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let connecting = endpoint.connect_with(config, relay, "relay.invalid").unwrap();
    let connection = timeout(PATIENCE, connecting).await.expect("neither accepted nor refused")?;
    Ok((endpoint, connection))
}

/// A finished handshake.
pub(crate) struct Peer {
    pub(crate) connection: Connection,
    pub(crate) endpoint: Endpoint,
}

impl Peer {
    pub(crate) async fn connect(world: &World, key: &SigningKey, alpn: &[u8]) -> Result<Self, ConnectionError> {
        Self::connect_with(world, key, alpn, TransportConfig::default()).await
    }

    pub(crate) async fn connect_with(
        world: &World,
        key: &SigningKey,
        alpn: &[u8],
        transport: TransportConfig,
    ) -> Result<Self, ConnectionError> {
        let tls = tls(world.pins, &Shows::key(key), &[alpn]);
        let (endpoint, connection) = connect_with(tls, transport, world.addr).await?;
        Ok(Self { connection, endpoint })
    }

    /// The code that the relay closes with.
    pub(crate) async fn closed(&self) -> TunnelClose {
        let error = timeout(PATIENCE, self.connection.closed()).await.expect("the connection was not closed");
        let ConnectionError::ApplicationClosed(close) = error else { panic!("closed by {error:?}") };
        TunnelClose::from_number(close.error_code.into_inner()).expect("a code of ours")
    }

    /// A stream of frames that we open.
    pub(crate) async fn open(&self) -> Frames {
        let (send, recv) = timeout(PATIENCE, self.connection.open_bi()).await.unwrap().unwrap();
        Frames { send, recv }
    }
}

/// Frames both ways.
pub(crate) struct Frames {
    pub(crate) send: SendStream,
    pub(crate) recv: RecvStream,
}

impl Frames {
    pub(crate) async fn say<T: Serialize>(&mut self, kind: Kind, value: &T) {
        self.send.write_all(&frame::message(kind, value)).await.unwrap();
    }

    pub(crate) async fn hear(&mut self) -> Option<Frame> {
        let reading = async {
            let mut head = [0; FRAME_HEADER_BYTES];
            self.recv.read_exact(&mut head).await.ok()?;
            let header = Header::parse(head).unwrap();
            let mut body = vec![0; header.len];
            self.recv.read_exact(&mut body).await.ok()?;
            Some(Frame { kind: header.kind().unwrap().unwrap(), body })
        };
        timeout(PATIENCE, reading).await.expect("no frame came")
    }

    pub(crate) async fn expect<T: DeserializeOwned>(&mut self, kind: Kind) -> T {
        let frame = self.hear().await.expect("the stream ended");
        assert_eq!(frame.kind, kind);
        cloud_doctor_proto::pack::from_bytes(&frame.body, kind.bytes_max()).unwrap()
    }
}

/// An agent's tunnel as far as the relay can tell.
pub(crate) struct Agent {
    pub(crate) peer: Peer,
    pub(crate) control: Frames,
    pub(crate) ack: HelloAck,
}

impl Agent {
    /// Connects, greets, and waits until the relay knows.
    pub(crate) async fn up(world: &World, server: &Server) -> Self {
        let head = world.log().await.head();
        Self::up_with(world, server, head, TransportConfig::default()).await
    }

    pub(crate) async fn up_with(world: &World, server: &Server, trust: TrustHead, quic: TransportConfig) -> Self {
        let peer = Peer::connect_with(world, &server.transport, ALPN_TUNNEL, quic).await.unwrap();
        let mut control = peer.open().await;
        control.say(Kind::Hello, &hello(server, trust)).await;
        let ack = control.expect(Kind::HelloAck).await;
        world.until_live(&server.agent(), true).await;
        Self { peer, control, ack }
    }

    /// The next stream that the relay opens.
    pub(crate) async fn accept(&self) -> Frames {
        let (send, recv) = timeout(PATIENCE, self.peer.connection.accept_bi()).await.unwrap().unwrap();
        Frames { send, recv }
    }
}

pub(crate) fn hello(server: &Server, trust: TrustHead) -> Hello {
    Hello {
        proto_min: 1,
        proto_max: 1,
        build: "test 1".into(),
        binding: TransportBinding::sign(&server.identity, server.transport_key(), server.tenant),
        host: HostFacts {
            hostname: "web-1".into(),
            cpus: Some(8),
            memory_bytes: Some(u64::MAX),
            booted_at: Some(cloud_doctor_proto::time::UnixTime(1_800_000_000)),
            ..HostFacts::default()
        },
        trust,
    }
}

/// A place in a log that nobody checks.
pub(crate) fn head(seq: u64) -> TrustHead {
    TrustHead { seq, hash: Hash([0; 32]) }
}

/// Believes only the relay.
#[derive(Debug)]
struct Pinned([Pin; 2]);

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.0.contains(&Pin::of_spki(end_entity)) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        unreachable!("TLS 1.3 only")
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        let spki = SubjectPublicKeyInfoDer::from(cert.as_ref());
        rustls::crypto::verify_tls13_signature_with_raw_key(message, &spki, dss, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
