//! A certificate from an ACME authority, by the check `tls-alpn-01`: it needs nothing but the clients' port.
//!
//! Account, key and certificate stay in `tls/`; a restart asks for nothing that it has. When the authority cannot be
//! reached, the certificate in use stays in use and the next attempt comes later, never faster.

use super::files::{CertificateFiles, FilesError};
use super::self_signed::{SelfSignedError, write_pair, write_private};
use super::{Certificates, provider};
use crate::clock;
use crate::metrics::Metrics;
use cloud_doctor_proto::time::UnixTime;
use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Identifier, NewAccount, NewOrder, OrderStatus,
    RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::CertifiedKey;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// How often the certificate's age is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(3600);
/// Wait after the first failure; doubled after each further one.
const RETRY_FIRST: Duration = Duration::from_secs(60);
/// Longest wait between attempts: authorities allow five failures per hour.
const RETRY_MAX: Duration = Duration::from_secs(6 * 3600);

/// What to ask whom for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcmeSettings {
    /// The authority's directory.
    pub directory: String,
    /// Where it may write to, as `mailto:` URL.
    pub contact: Option<String>,
    /// Names that the certificate is for.
    pub names: Vec<String>,
}

/// No certificate was obtained.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    /// The authority or the way to it.
    #[error("the ACME authority: {0}")]
    Authority(#[from] instant_acme::Error),
    /// It does not offer the one check that we answer.
    #[error("the ACME authority offers no tls-alpn-01 check")]
    NoCheck,
    /// It looked and did not find us.
    #[error("the ACME authority did not reach this relay at the name on port 443")]
    Refused,
    /// The certificate library said no.
    #[error("cannot make a certificate request: {0}")]
    Make(#[from] rcgen::Error),
    /// The TLS library refuses what was made for the check.
    #[error("cannot answer the check: {0}")]
    Check(#[from] rustls::Error),
    /// What came cannot be stored.
    #[error(transparent)]
    Store(#[from] SelfSignedError),
    /// What came cannot be used.
    #[error(transparent)]
    Use(#[from] FilesError),
    /// The stored account is damaged.
    #[error("{path} is damaged: {source}; delete it to make another account")]
    Account {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// Where the last certificate lies.
pub(super) fn stored(dir: &Path) -> CertificateFiles {
    CertificateFiles { certificate: dir.join("acme.pem"), key: dir.join("acme.key") }
}

/// Obtains and renews until `stop`.
pub async fn renew_regularly(
    settings: AcmeSettings,
    dir: PathBuf,
    certificates: Certificates,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) {
    let mut failures = 0;
    loop {
        let wait = if !is_due(&dir, clock::now()) {
            LOOK_EVERY
        } else {
            match obtain(&settings, &dir, &certificates).await {
                Ok(key) => {
                    certificates.replace(key);
                    metrics.certificate();
                    info!(names = ?settings.names, "certificate obtained");
                    failures = 0;
                    LOOK_EVERY
                }
                Err(error) => {
                    let wait = backoff(failures);
                    failures = failures.saturating_add(1);
                    warn!(%error, next_attempt_secs = wait.as_secs(), "no certificate; the one in use stays");
                    wait
                }
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

fn is_due(dir: &Path, now: UnixTime) -> bool {
    let Ok(key) = stored(dir).load() else { return true };
    let Ok(leaf) = key.end_entity_cert() else { return true };
    let Ok((_, leaf)) = X509Certificate::from_der(leaf) else { return true };
    let seconds = |time: i64| UnixTime(u64::try_from(time).unwrap_or(0));
    let validity = leaf.validity();
    last_third(seconds(validity.not_before.timestamp()), seconds(validity.not_after.timestamp()), now)
}

/// Whether a certificate is in the last third of its time, or outside of it.
fn last_third(from: UnixTime, until: UnixTime, now: UnixTime) -> bool {
    let life = until.0.saturating_sub(from.0);
    now < from || now.0 >= until.0.saturating_sub(life / 3)
}

fn backoff(failures: u32) -> Duration {
    RETRY_FIRST.saturating_mul(1 << failures.min(16)).min(RETRY_MAX)
}

async fn obtain(settings: &AcmeSettings, dir: &Path, certificates: &Certificates) -> Result<CertifiedKey, AcmeError> {
    let account = account(settings, dir).await?;
    let names: Vec<Identifier> = settings.names.iter().cloned().map(Identifier::Dns).collect();
    let mut order = account.new_order(&NewOrder::new(&names)).await?;
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let mut challenge = authorization.challenge(ChallengeType::TlsAlpn01).ok_or(AcmeError::NoCheck)?;
        let name = challenge.identifier().to_string();
        let answer = answer(&name, challenge.key_authorization().digest().as_ref())?;
        certificates.answer_challenge(Some(answer));
        challenge.set_ready().await?;
    }
    let ready = order.poll_ready(&RetryPolicy::default()).await;
    certificates.answer_challenge(None);
    if ready? != OrderStatus::Ready {
        return Err(AcmeError::Refused);
    }
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(settings.names.clone())?;
    // The library's own common name is none of the names, and authorities refuse to sign it.
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key)?;
    order.finalize_csr(request.der()).await?;
    let chain = order.poll_certificate(&RetryPolicy::default()).await?;
    let files = stored(dir);
    write_pair(&files, &chain, &key.serialize_pem())?;
    Ok(files.load()?)
}

/// The certificate that only an authority's check gets to see (RFC 8737).
fn answer(name: &str, digest: &[u8]) -> Result<CertifiedKey, AcmeError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let certificate = params.self_signed(&key)?;
    let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    // Not `from_der`: it reads the certificate, and the mark is a critical extension that it does not know.
    let private = provider().key_provider.load_private_key(private)?;
    Ok(CertifiedKey::new(vec![certificate.der().clone()], private))
}

async fn account(settings: &AcmeSettings, dir: &Path) -> Result<Account, AcmeError> {
    let path = dir.join("acme-account.json");
    let builder = Account::builder()?;
    if let Ok(text) = std::fs::read(&path) {
        let stored: AccountCredentials =
            serde_json::from_slice(&text).map_err(|source| AcmeError::Account { path, source })?;
        return Ok(builder.from_credentials(stored).await?);
    }
    let contact: Vec<&str> = settings.contact.iter().map(String::as_str).collect();
    let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let (account, credentials) = builder.create(&new, settings.directory.clone(), None).await?;
    let text = serde_json::to_vec(&credentials).map_err(|source| AcmeError::Account { path: path.clone(), source })?;
    write_private(&path, &text).map_err(|source| SelfSignedError::Write { path, source })?;
    Ok(account)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_certificate_is_renewed_in_its_last_third() {
        let (from, until) = (UnixTime(1_000), UnixTime(1_900));
        for (now, due) in [(999, true), (1_000, false), (1_599, false), (1_600, true), (1_900, true), (5_000, true)] {
            assert_eq!(last_third(from, until, UnixTime(now)), due, "{now}");
        }
        assert!(last_third(until, from, UnixTime(1_500)), "a certificate that ends before it begins");
    }

    #[test]
    fn attempts_come_ever_later() {
        let waits: Vec<u64> = (0..12).map(|failures| backoff(failures).as_secs()).collect();
        assert_eq!(waits[..4], [60, 120, 240, 480]);
        assert!(waits.is_sorted() && waits[11] == 6 * 3600);
        assert_eq!(backoff(u32::MAX), RETRY_MAX);
    }

    #[test]
    fn the_check_is_answered_with_the_marked_certificate_only() {
        let answer = answer("relay.example", &[7; 32]).unwrap();
        let (_, leaf) = X509Certificate::from_der(answer.end_entity_cert().unwrap()).unwrap();
        let marked = leaf.extensions().iter().find(|e| e.oid.to_id_string() == "1.3.6.1.5.5.7.1.31").unwrap();
        assert!(marked.critical && marked.value.ends_with(&[7; 32]));
    }

    #[test]
    fn without_a_stored_certificate_one_is_due() {
        let dir = tempfile::tempdir().unwrap();
        assert!(is_due(dir.path(), UnixTime(0)));
        std::fs::write(dir.path().join("acme.pem"), "junk").unwrap();
        assert!(is_due(dir.path(), UnixTime(0)));
    }
}
