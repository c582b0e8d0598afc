//! The one place of the agent that sets up quinn and rustls.
//!
//! TLS 1.3 only, raw Ed25519 keys on both sides (RFC 7250). The relay's key must be one of the pins, to the bit; no
//! certificate authority can help a stranger. No resumption, no 0-RTT, no listening socket.

use super::key::TransportKey;
use cloud_doctor_proto::limits::TUNNEL_IDLE_SECS;
use cloud_doctor_proto::pin::{self, Pin};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{AsyncUdpSocket, ClientConfig, IdleTimeout, MtuDiscoveryConfig, Runtime as _, TransportConfig, VarInt};
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Client streams that the relay may have open at once (its own limit is the same).
const STREAMS_MAX: u32 = 64;
/// Input in flight on one stream. Upload and paste are bounded by the session's own windows.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// What the relay may make us hold.
const RECEIVE_WINDOW_BYTES: u32 = 2 << 20;
/// Output in flight to the relay: 20 MB/s at 100 ms. The agent's memory is the customer's.
const SEND_WINDOW_BYTES: u64 = 2 << 20;
/// Handshake bytes out of order: a raw key's whole handshake has less than half of this.
const CRYPTO_BUFFER_BYTES: usize = 8 << 10;
/// Largest probe: Ethernet without the headers of IPv6 and UDP.
const MTU_MAX: u16 = 1_452;
/// Round trip assumed before one was measured: a lost first packet is repeated after 0.3, 0.9 and 2.1 s, so that a relay
/// that is just starting is met within its first second. A slower path costs a few packets more.
const INITIAL_RTT: Duration = Duration::from_millis(100);
/// Sent as the server's name, which TLS requires here and nobody reads: the pin decides.
const SERVER_NAME: &str = "relay.invalid";

/// The TLS library refuses our own settings or key.
#[derive(Debug, thiserror::Error)]
#[error("the TLS library does not accept the tunnel's settings: {0}")]
pub(crate) struct SetupError(#[from] rustls::Error);

/// What one relay must show, and what we show it.
#[derive(Debug, Clone)]
pub(super) struct Dialer {
    config: ClientConfig,
    shown: Arc<OnceLock<Pin>>,
}

impl Dialer {
    /// For a relay with one of these pins.
    pub(super) fn new(key: &TransportKey, pins: &[Pin], alpn: &[u8]) -> Result<Self, SetupError> {
        let shown = Arc::new(OnceLock::new());
        let tls = tls_config(key, pins, alpn, shown.clone())?;
        let crypto =
            QuicClientConfig::try_from(tls).map_err(|_| rustls::Error::General("no initial cipher suite".into()))?;
        let mut config = ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::new(transport_config()));
        Ok(Self { config, shown })
    }

    /// Begins a handshake from a fresh ephemeral port. The socket is connected: it hears of nobody else, and is told
    /// when nobody listens at the other end.
    pub(super) fn connect(&self, relay: SocketAddr) -> io::Result<(quinn::Endpoint, quinn::Connecting)> {
        let any: SocketAddr = match relay {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any)?;
        socket.connect(relay)?;
        let runtime = Arc::new(quinn::TokioRuntime);
        let socket = Arc::new(Deaf(runtime.wrap_udp_socket(socket)?));
        let endpoint = quinn::Endpoint::new_with_abstract_socket(Default::default(), None, socket, runtime)?;
        let connecting = endpoint.connect_with(self.config.clone(), relay, SERVER_NAME).map_err(io::Error::other)?;
        Ok((endpoint, connecting))
    }

    /// The key that the relay showed instead of a pinned one, when that is why a handshake failed.
    pub(super) fn stranger(&self) -> Option<Pin> {
        self.shown.get().copied()
    }
}

fn transport_config() -> TransportConfig {
    let idle = IdleTimeout::from(VarInt::from_u32(u32::try_from(TUNNEL_IDLE_SECS * 1000).unwrap_or(30_000)));
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(MTU_MAX);
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(STREAMS_MAX.into())
        .max_concurrent_uni_streams(0u32.into())
        .stream_receive_window(STREAM_WINDOW_BYTES.into())
        .receive_window(RECEIVE_WINDOW_BYTES.into())
        .send_window(SEND_WINDOW_BYTES)
        .max_idle_timeout(Some(idle))
        .initial_rtt(INITIAL_RTT)
        // Signs of life are asked for by `liveness`, whose interval depends on open sessions; quinn's cannot change.
        .keep_alive_interval(None)
        .datagram_receive_buffer_size(None)
        .datagram_send_buffer_size(0)
        .crypto_buffer_size(CRYPTO_BUFFER_BYTES)
        .mtu_discovery_config(Some(mtu))
        .enable_segmentation_offload(true);
    config
}

/// Only what TLS 1.3 needs between our own programs.
fn provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.retain(|suite| suite.tls13().is_some());
    provider.kx_groups =
        vec![aws_lc_rs::kx_group::X25519MLKEM768, aws_lc_rs::kx_group::X25519, aws_lc_rs::kx_group::SECP256R1];
    provider
}

fn tls_config(
    key: &TransportKey,
    pins: &[Pin],
    alpn: &[u8],
    shown: Arc<OnceLock<Pin>>,
) -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = Arc::new(provider());
    let algorithms = provider.signature_verification_algorithms;
    let private = provider.key_provider.load_private_key(PrivatePkcs8KeyDer::from(key.pkcs8()).into())?;
    let spki = CertificateDer::from(pin::spki(&key.public()).to_vec());
    let certified = Arc::new(CertifiedKey::new(vec![spki], private));
    let verifier = Pinned { pins: pins.to_vec(), algorithms, shown };
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(certified)));
    config.alpn_protocols = vec![alpn.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    config.enable_early_data = false;
    config.enable_sni = false;
    Ok(config)
}

/// Accepts exactly the pinned keys.
#[derive(Debug)]
struct Pinned {
    pins: Vec<Pin>,
    algorithms: WebPkiSupportedAlgorithms,
    shown: Arc<OnceLock<Pin>>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let found = Pin::of_spki(end_entity);
        if intermediates.is_empty() && pin::key_of_spki(end_entity).is_some() && self.pins.contains(&found) {
            return Ok(ServerCertVerified::assertion());
        }
        self.shown.get_or_init(|| found);
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is not spoken".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let spki = SubjectPublicKeyInfoDer::from(cert.as_ref());
        rustls::crypto::verify_tls13_signature_with_raw_key(message, &spki, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// A connected UDP socket that does not hear ICMP errors: anybody can forge those, and quinn would take one for the
/// end of the socket.
#[derive(Debug)]
struct Deaf(Arc<dyn AsyncUdpSocket>);

impl AsyncUdpSocket for Deaf {
    fn create_io_poller(self: Arc<Self>) -> std::pin::Pin<Box<dyn quinn::UdpPoller>> {
        self.0.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &quinn::udp::Transmit<'_>) -> io::Result<()> {
        match self.0.try_send(transmit) {
            Err(error) if is_icmp(&error) => Ok(()),
            other => other,
        }
    }

    fn poll_recv(
        &self,
        cx: &mut std::task::Context<'_>,
        buffers: &mut [io::IoSliceMut<'_>],
        meta: &mut [quinn::udp::RecvMeta],
    ) -> std::task::Poll<io::Result<usize>> {
        loop {
            let received = self.0.poll_recv(cx, buffers, meta);
            if !matches!(&received, std::task::Poll::Ready(Err(error)) if is_icmp(error)) {
                return received;
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.0.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.0.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.0.may_fragment()
    }
}

fn is_icmp(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error.kind(), Kind::ConnectionRefused | Kind::HostUnreachable | Kind::NetworkUnreachable)
}
