//! The one place of the relay that sets up quinn and rustls for agents.
//!
//! TLS 1.3 only, raw Ed25519 keys on both sides (RFC 7250), no certificates, no resumption, no 0-RTT. The handshake
//! proves that the peer holds its key; whether that key is known here is asked right after it, before any byte of
//! ours is sent. Never: a default of quinn or rustls that was not looked at.

use super::keys::ListenerKeys;
use super::runtime::Drivers;
use cloud_doctor_proto::ids::VerifyKey;
use cloud_doctor_proto::limits::{ALPN_ENROL, ALPN_TUNNEL, TUNNEL_IDLE_SECS};
use cloud_doctor_proto::pin;
use ed25519_dalek::SigningKey;
use quinn::crypto::rustls::{HandshakeData, QuicServerConfig};
use quinn::{Connection, EndpointConfig, IdleTimeout, MtuDiscoveryConfig, ServerConfig, TransportConfig, VarInt};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, SignatureScheme};
use sha2::{Digest as _, Sha256};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

/// Handshakes begun by anybody and not yet answered by us: what two cores work off within a second, twice.
const INCOMING_MAX: usize = 2_048;
/// Early packets kept for one of them: a ClientHello with a post-quantum key takes two packets.
const INCOMING_BYTES: u64 = 64 << 10;
/// Early packets kept for all of them.
const INCOMING_BYTES_TOTAL: u64 = 16 << 20;
/// How long an address token of ours is good: a slow round trip, not a pause.
const RETRY_TOKEN_LIFETIME: Duration = Duration::from_secs(15);
/// A thousand resets per second let ten thousand agents notice a restart within one keep-alive; each is smaller than
/// what it answers, and only connection ids that carry our mark are answered at all.
const RESET_INTERVAL: Duration = Duration::from_millis(1);
/// An agent opens one stream, for control; everything else is opened by the relay.
const AGENT_STREAMS: u32 = 1;
/// Terminal output in flight on one stream: 10 MB/s at 100 ms. Allocated only when it arrives.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// What one agent may make us hold when clients do not read.
const RECEIVE_WINDOW_BYTES: u32 = 2 << 20;
/// What we hold for an agent that does not read (QUI-07).
const SEND_WINDOW_BYTES: u64 = 2 << 20;
/// Handshake bytes out of order: a raw key's whole handshake has less than half of this.
const CRYPTO_BUFFER_BYTES: usize = 8 << 10;
/// Largest probe: Ethernet without the headers of IPv6 and UDP.
const MTU_MAX: u16 = 1_452;
/// Kernel buffers of the one socket that all agents share: bursts of a fleet coming back. The kernel may grant less.
const SOCKET_BUFFER_BYTES: usize = 4 << 20;

/// The listener could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address cannot be had.
    #[error("cannot listen for agents on udp {addr}: {source}")]
    Bind {
        /// As configured.
        addr: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The TLS library refuses our own settings or key.
    #[error("the TLS library does not accept the listener's settings: {0}")]
    Tls(#[from] rustls::Error),
}

/// What a peer wants, from the protocol that it negotiated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// A tunnel of an enrolled agent.
    Tunnel,
    /// A first contact.
    Enrol,
}

/// What a finished handshake proved.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    /// The key whose private half the peer holds.
    pub(super) key: VerifyKey,
    /// What it negotiated.
    pub(super) wish: Wish,
}

/// Reads what the handshake of `connection` proved.
pub(super) fn peer(connection: &Connection) -> Option<Peer> {
    let certificates = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    let [spki] = certificates.as_slice() else { return None };
    let data = connection.handshake_data()?.downcast::<HandshakeData>().ok()?;
    let wish = match data.protocol.as_deref()? {
        ALPN_TUNNEL => Wish::Tunnel,
        ALPN_ENROL => Wish::Enrol,
        _ => return None,
    };
    Some(Peer { key: pin::key_of_spki(spki)?, wish })
}

/// Binds `addr` and listens with the current key. IPv6 wildcard addresses take IPv4 as well.
pub(super) fn listen(addr: SocketAddr, keys: &ListenerKeys) -> Result<quinn::Endpoint, ListenError> {
    let server = server_config(keys)?;
    let bind = |source| ListenError::Bind { addr, source };
    let socket = bind_socket(addr).map_err(bind)?;
    let runtime = Arc::new(Drivers);
    quinn::Endpoint::new(endpoint_config(keys), Some(server), socket, runtime).map_err(bind)
}

fn bind_socket(addr: SocketAddr) -> io::Result<UdpSocket> {
    use rustix::net::{AddressFamily, SocketType, bind, socket, sockopt};
    let family = if addr.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let fd = socket(family, SocketType::DGRAM, None)?;
    rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)?;
    if addr.is_ipv6() {
        sockopt::set_ipv6_v6only(&fd, false)?;
    }
    sockopt::set_socket_recv_buffer_size(&fd, SOCKET_BUFFER_BYTES)?;
    sockopt::set_socket_send_buffer_size(&fd, SOCKET_BUFFER_BYTES)?;
    bind(&fd, &addr)?;
    Ok(fd.into())
}

/// Keys that survive a restart: an agent whose packets reach the new process is told so at once.
fn endpoint_config(keys: &ListenerKeys) -> EndpointConfig {
    let reset = derive(keys, b"stateless reset");
    let mut mark = [0; 8];
    mark.copy_from_slice(&derive(keys, b"connection id")[..8]);
    let mark = u64::from_be_bytes(mark);
    let mut config = EndpointConfig::new(Arc::new(::aws_lc_rs::hmac::Key::new(::aws_lc_rs::hmac::HMAC_SHA256, &reset)));
    config.min_reset_interval(RESET_INTERVAL);
    // With a key of its own per process, quinn would take its former connections for noise and stay silent.
    config.cid_generator(move || Box::new(quinn_proto::HashedConnectionIdGenerator::from_key(mark)));
    config
}

fn server_config(keys: &ListenerKeys) -> Result<ServerConfig, ListenError> {
    let crypto = QuicServerConfig::try_from(tls_config(&keys.listener)?)
        .map_err(|_| rustls::Error::General("no initial cipher suite".into()))?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    let token_key = ::aws_lc_rs::hkdf::Salt::new(::aws_lc_rs::hkdf::HKDF_SHA256, b"cloud-doctor")
        .extract(&derive(keys, b"address token"));
    config
        .token_key(Arc::new(token_key))
        .retry_token_lifetime(RETRY_TOKEN_LIFETIME)
        .migration(true)
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size(INCOMING_BYTES)
        .incoming_buffer_size_total(INCOMING_BYTES_TOTAL)
        .transport_config(Arc::new(transport_config()));
    // Tokens for later connections would need a log of used ones; a Retry costs one round trip under attack only.
    config.validation_token.sent(0);
    Ok(config)
}

fn transport_config() -> TransportConfig {
    let idle = IdleTimeout::from(VarInt::from_u32(u32::try_from(TUNNEL_IDLE_SECS * 1000).unwrap_or(30_000)));
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(MTU_MAX);
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(AGENT_STREAMS.into())
        .max_concurrent_uni_streams(0u32.into())
        .stream_receive_window(STREAM_WINDOW_BYTES.into())
        .receive_window(RECEIVE_WINDOW_BYTES.into())
        .send_window(SEND_WINDOW_BYTES)
        .max_idle_timeout(Some(idle))
        // The agent keeps the path alive; one side is enough, and a million timers stay out of the relay.
        .keep_alive_interval(None)
        .datagram_receive_buffer_size(None)
        .datagram_send_buffer_size(0)
        .crypto_buffer_size(CRYPTO_BUFFER_BYTES)
        .mtu_discovery_config(Some(mtu))
        .enable_segmentation_offload(true);
    config
}

/// A secret of its own for each purpose.
fn derive(keys: &ListenerKeys, purpose: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(b"cloud-doctor listener v1\0")
        .chain_update(purpose)
        .chain_update(keys.reset)
        .finalize()
        .into()
}

/// Only what TLS 1.3 needs between our own programs.
fn provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.retain(|suite| suite.tls13().is_some());
    provider.kx_groups =
        vec![aws_lc_rs::kx_group::X25519MLKEM768, aws_lc_rs::kx_group::X25519, aws_lc_rs::kx_group::SECP256R1];
    provider
}

fn tls_config(key: &SigningKey) -> Result<rustls::ServerConfig, rustls::Error> {
    let provider = Arc::new(provider());
    let verifier = Arc::new(AnyEd25519(provider.signature_verification_algorithms));
    let certified = certified_key(&provider, key)?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(Arc::new(certified))));
    config.alpn_protocols = vec![ALPN_TUNNEL.to_vec(), ALPN_ENROL.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

fn certified_key(provider: &CryptoProvider, key: &SigningKey) -> Result<CertifiedKey, rustls::Error> {
    /// PKCS #8 version 1 around an Ed25519 seed.
    const PKCS8_PREFIX: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let pkcs8 = [&PKCS8_PREFIX[..], key.as_bytes()].concat();
    let private = provider.key_provider.load_private_key(PrivatePkcs8KeyDer::from(pkcs8).into())?;
    let spki = pin::spki(&VerifyKey(key.verifying_key().to_bytes())).to_vec();
    Ok(CertifiedKey::new(vec![CertificateDer::from(spki)], private))
}

/// Accepts every well-formed Ed25519 key whose holder signs the handshake; the accept task asks who it is.
#[derive(Debug)]
struct AnyEd25519(WebPkiSupportedAlgorithms);

impl ClientCertVerifier for AnyEd25519 {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        if intermediates.is_empty() && pin::key_of_spki(end_entity).is_some() {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(CertificateError::BadEncoding.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is not spoken".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let spki = SubjectPublicKeyInfoDer::from(cert.as_ref());
        rustls::crypto::verify_tls13_signature_with_raw_key(message, &spki, dss, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
