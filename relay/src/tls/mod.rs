//! The certificate that clients see: made here, from files, or by ACME; replaced without a restart.
//!
//! The one place of the relay that sets up rustls for TCP. TLS 1.3 only (H-09), no tickets, no 0-RTT. A certificate
//! that cannot be read never replaces one that works. Never: a key file that others can read.

mod acme;
mod files;
mod self_signed;

pub use acme::{AcmeError, AcmeSettings, renew_regularly};
pub use files::{CertificateFiles, FilesError};
pub use self_signed::SelfSignedError;

use arc_swap::ArcSwap;
use cloud_doctor_proto::pin::Pin;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::path::Path;
use std::sync::Arc;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Marks the connections by which an ACME authority checks who answers for a name (RFC 8737).
const ALPN_ACME: &[u8] = b"acme-tls/1";
const ALPN_HTTP: &[u8] = b"http/1.1";

/// Where the certificate comes from.
#[derive(Debug, Clone)]
pub enum CertificateSource {
    /// Made by the relay itself; clients pin it.
    SelfSigned,
    /// From files that somebody else renews.
    Files(CertificateFiles),
    /// From an ACME authority.
    Acme(AcmeSettings),
}

/// The certificate in use. Cheap to clone; all clones change together.
#[derive(Debug, Clone)]
pub struct Certificates(Arc<Resolver>);

#[derive(Debug)]
struct Resolver {
    current: ArcSwap<CertifiedKey>,
    /// Answer to an authority's check, while one is going on.
    challenge: ArcSwap<Option<Arc<CertifiedKey>>>,
}

/// There is no certificate to begin with.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// See there.
    #[error(transparent)]
    SelfSigned(#[from] SelfSignedError),
    /// See there.
    #[error(transparent)]
    Files(#[from] FilesError),
}

impl Certificates {
    /// Loads what the source has now; for ACME that is the last one obtained, or a self-signed one until the first.
    /// Blocking: call it before serving.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn load(source: &CertificateSource, dir: &Path, names: &[String]) -> Result<Self, CertificateError> {
        let key = match source {
            CertificateSource::SelfSigned => self_signed::load_or_create(dir, names)?,
            CertificateSource::Files(files) => files.load()?,
            CertificateSource::Acme(_) => match acme::stored(dir).load() {
                Ok(key) => key,
                Err(_) => self_signed::load_or_create(dir, names)?,
            },
        };
        let resolver = Resolver { current: ArcSwap::from_pointee(key), challenge: ArcSwap::from_pointee(None) };
        Ok(Self(Arc::new(resolver)))
    }

    /// Puts another certificate in use, for connections from now on.
    pub fn replace(&self, key: CertifiedKey) {
        self.0.current.store(Arc::new(key));
    }

    /// SHA-256 of the certificate's public key. `None`: the certificate is not readable X.509.
    #[must_use]
    pub fn pin(&self) -> Option<Pin> {
        pin(self.0.current.load().end_entity_cert().ok()?)
    }

    /// What rustls needs to serve it.
    ///
    /// # Errors
    /// When the TLS library refuses its own provider.
    pub fn server_config(&self) -> Result<Arc<rustls::ServerConfig>, rustls::Error> {
        let mut config = rustls::ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_cert_resolver(self.0.clone());
        config.alpn_protocols = vec![ALPN_HTTP.to_vec(), ALPN_ACME.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }

    fn answer_challenge(&self, key: Option<CertifiedKey>) {
        self.0.challenge.store(Arc::new(key.map(Arc::new)));
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // RFC 8737: an authority's check offers exactly this one protocol.
        let mut offered = hello.alpn().into_iter().flatten();
        if offered.next() == Some(ALPN_ACME) && offered.next().is_none() {
            return Option::clone(&self.challenge.load());
        }
        Some(self.current.load_full())
    }
}

/// The provider, named wherever it is needed, never the process's default.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn pin(certificate: &CertificateDer<'_>) -> Option<Pin> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Some(Pin::of_spki(certificate.public_key().raw))
}
