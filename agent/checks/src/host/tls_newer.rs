//! Which certificates a service shows that speaks TLS 1.3 alone, where they come encrypted: a whole handshake, and a
//! goodbye.
//!
//! Whoever answers is looked at and trusted in nothing, so every certificate is taken here; no byte of content is sent or
//! read. Its own deadline and the bounds of rustls on messages hold.

use super::tls_hello::{Shown, Timed};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

/// Certificates of one chain.
const CHAIN_MAX: usize = 10;

/// Asks over a connection that was just made.
pub(super) fn ask(timed: &mut Timed, address: IpAddr, name: Option<&str>) -> io::Result<Shown> {
    let looking = Arc::new(Looking { provider: Arc::new(aws_lc_rs::default_provider()), seen: OnceLock::new() });
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&looking.provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::<Looking>::clone(&looking))
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    // RFC 6066: a name, never an address.
    let name = name.and_then(|name| ServerName::try_from(name.to_owned()).ok());
    let name = name.unwrap_or_else(|| ServerName::from(address));
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    let ended = shake_hands(&mut connection, timed);
    if ended.is_ok() {
        connection.send_close_notify();
    }
    while connection.wants_write() && connection.write_tls(&mut timed.stream).is_ok() {}
    timed.stream.flush().ok();
    match (looking.seen.get(), ended) {
        (Some(chain), _) => Ok(Shown::Chain(chain.clone())),
        (None, Err(Ended::Refused(alert))) => Ok(Shown::Refused(alert)),
        (None, Err(Ended::Broken(error))) => Err(error),
        (None, Ok(())) => Err(io::Error::other("it has no certificate")),
    }
}

/// Why there was no handshake.
enum Ended {
    Refused(u8),
    Broken(io::Error),
}

fn shake_hands(connection: &mut ClientConnection, timed: &mut Timed) -> Result<(), Ended> {
    while connection.is_handshaking() {
        while connection.wants_write() {
            connection.write_tls(&mut timed.stream).map_err(Ended::Broken)?;
        }
        if !connection.is_handshaking() {
            break;
        }
        if connection.read_tls(timed).map_err(Ended::Broken)? == 0 {
            return Err(Ended::Broken(io::ErrorKind::UnexpectedEof.into()));
        }
        connection.process_new_packets().map_err(|error| {
            if let Error::AlertReceived(alert) = error {
                return Ended::Refused(alert.into());
            }
            Ended::Broken(io::Error::other(error))
        })?;
    }
    Ok(())
}

/// Takes every certificate, and remembers it. That the service holds its key is verified.
#[derive(Debug)]
struct Looking {
    provider: Arc<CryptoProvider>,
    seen: OnceLock<Vec<Vec<u8>>>,
}

impl ServerCertVerifier for Looking {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let all = [end_entity].into_iter().chain(intermediates).take(CHAIN_MAX);
        self.seen.set(all.map(|one| one.to_vec()).collect()).ok();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::InvalidCertificate(CertificateError::BadSignature))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::Listening;
    use super::*;
    use crate::host::fixture::Fixture;
    use rustls::pki_types::PrivateKeyDer;
    use std::io::Read as _;
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    /// A server that speaks TLS 1.3 alone, to two who come: how each of them left.
    fn serve() -> (Listening, Vec<u8>, JoinHandle<Vec<io::Result<usize>>>) {
        let own = rcgen::generate_simple_self_signed(["shop.example.com".to_owned()]).unwrap();
        let der = own.cert.der().clone();
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![der.clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let config = Arc::new(config);
        let server = std::thread::spawn(move || {
            let visit = || {
                let (stream, _) = listener.accept().unwrap();
                let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                rustls::StreamOwned::new(connection, stream).read(&mut [0; 10])
            };
            vec![visit(), visit()]
        });
        (Listening { address, waiting: 0, backlog: 1 }, der.to_vec(), server)
    }

    #[test]
    fn tls_01_a_service_of_tls_1_3_alone_shows_its_chain_and_is_left_in_order() {
        let (service, der, server) = serve();
        let fixture = Fixture::live();
        let shown = fixture.host().shown_certificates(&service, Some("shop.example.com")).unwrap();
        assert_eq!(shown, Shown::Chain(vec![der]));
        let left = server.join().unwrap();
        assert!(left[0].is_err(), "TLS 1.2 was refused");
        assert_eq!(left[1].as_ref().unwrap(), &0, "close_notify");
    }

    #[test]
    fn hostile_answers_do_no_harm() {
        for answer in [
            &b""[..],
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            &[22, 3, 3, 0xff, 0xff],
            &[21, 3, 3, 0, 2, 2, 112],
            &[0; 70_000],
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let server = std::thread::spawn(move || listener.accept().unwrap().0.write_all(answer));
            let mut timed = Timed::connect(address).unwrap();
            let shown = ask(&mut timed, address.ip(), None);
            assert!(shown.is_err() || matches!(shown, Ok(Shown::Refused(112))), "{answer:?}");
            server.join().unwrap().ok();
        }
    }
}
