//! The clients' listener with TLS: pins, versions, reload.

use crate::client::{PATIENCE, parse, request};
use crate::weak::{WEAK_GROUPS, provider};
use crate::world::World;
use cloud_doctor_proto::pin::Pin;
use rcgen::{CertificateParams, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme, SupportedProtocolVersion, version};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use x509_parser::prelude::{FromDer as _, X509Certificate};

pub(crate) const TLS: &str =
    "[agents]\nlisten = '127.0.0.1:0'\n[admin]\nlisten = ''\n[clients]\nlisten = '127.0.0.1:0'\n";

/// Remembers the pin of whatever it is shown.
#[derive(Debug, Default)]
struct Anybody(Mutex<Option<Pin>>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let (_, leaf) = X509Certificate::from_der(leaf).unwrap();
        *self.0.lock().unwrap() = Some(Pin::of_spki(leaf.public_key().raw));
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = aws_lc_rs::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// A client that trusts anybody.
pub(crate) fn client_config(alpn: &[&[u8]]) -> Arc<rustls::ClientConfig> {
    Arc::new(config(&Arc::default(), aws_lc_rs::default_provider(), &[&version::TLS13], alpn))
}

fn config(
    anybody: &Arc<Anybody>,
    provider: CryptoProvider,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&[u8]],
) -> rustls::ClientConfig {
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(anybody.clone())
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config
}

async fn handshake(
    world: &World,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&[u8]],
) -> std::io::Result<(Pin, u16)> {
    handshake_with(world, aws_lc_rs::default_provider(), versions, alpn).await
}

async fn handshake_with(
    world: &World,
    provider: CryptoProvider,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&[u8]],
) -> std::io::Result<(Pin, u16)> {
    let anybody = Arc::new(Anybody::default());
    let config = config(&anybody, provider, versions, alpn);
    let exchange = async {
        let stream = TcpStream::connect(world.running.bound().clients).await?;
        let name = ServerName::try_from("relay.test").unwrap();
        let mut stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        stream.write_all(request("GET", "/api/v1/me", &[], "").as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok((anybody.0.lock().unwrap().unwrap(), parse(&answer).status))
    };
    tokio::time::timeout(PATIENCE, exchange).await.unwrap()
}

#[tokio::test]
async fn tls_02_the_printed_pin_is_the_one_served_and_only_tls_1_3_is_spoken() {
    let world = World::fresh(TLS).await;
    let (pin, status) = handshake(&world, &[&version::TLS13], &[b"http/1.1"]).await.unwrap();
    assert_eq!((Some(pin), status), (world.running.bound().client_pin, 401));
    assert!(handshake(&world, &[&version::TLS12], &[b"http/1.1"]).await.is_err());
    world.stop().await;
}

#[tokio::test]
async fn tls_02_weak_groups_and_tls_1_2_alone_get_an_alert_and_nothing_else() {
    let world = World::fresh(TLS).await;
    for groups in WEAK_GROUPS {
        let error = handshake_with(&world, provider(groups), &[&version::TLS13], &[b"http/1.1"]).await.unwrap_err();
        assert!(error.to_string().contains("HandshakeFailure"), "{groups:?}: {error}");
    }
    let error = handshake(&world, &[&version::TLS12], &[b"http/1.1"]).await.unwrap_err();
    assert!(error.to_string().contains("ProtocolVersion"), "{error}");
    // It was the group: one good one among weak ones is taken.
    let groups = [WEAK_GROUPS[4], &[aws_lc_rs::kx_group::X25519]].concat();
    handshake_with(&world, provider(&groups), &[&version::TLS13], &[b"http/1.1"]).await.unwrap();
    world.stop().await;
}

#[tokio::test]
async fn tls_07_other_protocols_are_not_spoken_here() {
    let world = World::fresh(TLS).await;
    for alpn in [&b"cloud-doctor/1"[..], b"cloud-doctor-enrol/1", b"h2", b"acme-tls/1"] {
        assert!(handshake(&world, &[&version::TLS13], &[alpn]).await.is_err(), "{alpn:?}");
    }
    let plain = world.raw(request("GET", "/api/v1/me", &[], "").as_bytes()).await;
    assert_eq!(plain.status, 0, "no HTTP without TLS: {plain:?}");
    handshake(&world, &[&version::TLS13], &[b"http/1.1"]).await.unwrap();
    world.stop().await;
}

#[tokio::test]
async fn tls_08_who_does_not_finish_a_handshake_is_cut_and_holds_up_nobody() {
    let world = World::fresh(TLS).await;
    let mut silent = TcpStream::connect(world.running.bound().clients).await.unwrap();
    silent.write_all(&[0x16, 0x03, 0x01]).await.unwrap();
    handshake(&world, &[&version::TLS13], &[b"http/1.1"]).await.unwrap();
    let mut rest = Vec::new();
    let cut = tokio::time::timeout(PATIENCE, silent.read_to_end(&mut rest)).await;
    assert!(cut.is_ok(), "cut within the deadline");
    world.stop().await;
}

fn write_certificate(dir: &Path) -> Pin {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["relay.test".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(dir.join("cert.pem"), certificate.pem()).unwrap();
    drop(std::fs::remove_file(dir.join("key.pem")));
    let mut file = std::fs::OpenOptions::new();
    let file = file.create_new(true).write(true).mode(0o600).open(dir.join("key.pem")).unwrap();
    std::io::Write::write_all(&mut { file }, key.serialize_pem().as_bytes()).unwrap();
    let (_, leaf) = X509Certificate::from_der(certificate.der()).unwrap();
    Pin::of_spki(leaf.public_key().raw)
}

#[tokio::test]
async fn a_certificate_from_files_is_reloaded_and_a_bad_one_never_replaces_a_good_one() {
    let dir = tempfile::tempdir().unwrap();
    let first = write_certificate(dir.path());
    let path = dir.path().display();
    let files =
        format!("{TLS}certificate = 'files'\ncertificate_file = '{path}/cert.pem'\nkey_file = '{path}/key.pem'\n");
    let world = World::fresh(&files).await;
    let serves = || async { handshake(&world, &[&version::TLS13], &[b"http/1.1"]).await.unwrap().0 };
    assert_eq!(serves().await, first);
    let second = write_certificate(dir.path());
    world.running.reload().unwrap();
    assert_eq!(serves().await, second);
    std::fs::write(dir.path().join("cert.pem"), "junk").unwrap();
    assert!(world.running.reload().is_err());
    assert_eq!(serves().await, second);
    world.stop().await;
}
