//! Certificate and key from PEM files, read again when they change.

use super::provider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// They cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The file system said no.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// No PEM, or not of the kind that should be there.
    #[error("{path} is not what it should be: {source}")]
    Pem {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: pem::Error,
    },
    /// There is no certificate in it.
    #[error("{0} has no certificate in it")]
    Empty(PathBuf),
    /// Everybody can read the key.
    #[error(
        "{path} can be read by everybody (mode {mode:o}): chmod o-rwx it, and replace the key if strangers have accounts here"
    )]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key does not belong to the certificate, or is of a kind that is not spoken.
    #[error("{certificate} and {key} do not go together: {source}")]
    Mismatch {
        /// The chain.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// What the TLS library said.
        source: rustls::Error,
    },
}

/// Tells one state of the files from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp([(u64, u64, i64, i64); 2]);

impl CertificateFiles {
    /// Reads both.
    ///
    /// # Errors
    /// [`FilesError`].
    pub fn load(&self) -> Result<CertifiedKey, FilesError> {
        let mode = metadata(&self.key)?.permissions().mode() & 0o777;
        if mode & 0o007 != 0 {
            return Err(FilesError::Exposed { path: self.key.clone(), mode });
        }
        let text = std::fs::read(&self.certificate).map_err(unreadable(&self.certificate))?;
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(&text).collect::<Result<_, _>>().map_err(not_pem(&self.certificate))?;
        if chain.is_empty() {
            return Err(FilesError::Empty(self.certificate.clone()));
        }
        let text = std::fs::read(&self.key).map_err(unreadable(&self.key))?;
        let key = PrivateKeyDer::from_pem_slice(&text).map_err(not_pem(&self.key))?;
        CertifiedKey::from_der(chain, key, &provider()).map_err(|source| FilesError::Mismatch {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            source,
        })
    }

    /// The files' state, to notice that somebody renewed them.
    ///
    /// # Errors
    /// [`FilesError::Read`].
    pub fn stamp(&self) -> Result<Stamp, FilesError> {
        let of = |metadata: Metadata| (metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec());
        Ok(Stamp([of(metadata(&self.certificate)?), of(metadata(&self.key)?)]))
    }
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> FilesError {
    move |source| FilesError::Read { path: path.to_owned(), source }
}

fn not_pem(path: &Path) -> impl FnOnce(pem::Error) -> FilesError {
    move |source| FilesError::Pem { path: path.to_owned(), source }
}

fn metadata(path: &Path) -> Result<Metadata, FilesError> {
    std::fs::metadata(path).map_err(unreadable(path))
}
