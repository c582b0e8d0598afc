//! A certificate that the relay makes for itself once and keeps: clients pin its key.

use super::files::{CertificateFiles, FilesError};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::sign::CertifiedKey;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// It could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum SelfSignedError {
    /// What was made before is not readable. It is never made again: clients have pinned it.
    #[error(
        "the relay's own certificate cannot be used: {0}. Restore it from a backup; deleting it gives the relay another pin"
    )]
    Damaged(#[from] FilesError),
    /// The file system said no.
    #[error("cannot write {path}: {source}")]
    Write {
        /// Which file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The certificate library said no.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

/// Reads the relay's own certificate, making it the first time.
pub(super) fn load_or_create(dir: &Path, names: &[String]) -> Result<CertifiedKey, SelfSignedError> {
    let files = CertificateFiles { certificate: dir.join("self-signed.pem"), key: dir.join("self-signed.key") };
    if !files.certificate.exists() {
        let key = KeyPair::generate()?;
        let mut names = names.to_vec();
        names.push("localhost".to_owned());
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "cloud-doctor-relay");
        let certificate = params.self_signed(&key)?;
        write_pair(&files, &certificate.pem(), &key.serialize_pem())?;
    }
    Ok(files.load()?)
}

/// Writes key and certificate with their final mode; the certificate last, because it says that both are there.
pub(super) fn write_pair(files: &CertificateFiles, certificate: &str, key: &str) -> Result<(), SelfSignedError> {
    let wrong = |path: &Path| {
        let path = path.to_owned();
        move |source| SelfSignedError::Write { path, source }
    };
    for (path, text) in [(&files.key, key), (&files.certificate, certificate)] {
        write_private(path, text.as_bytes()).map_err(wrong(path))?;
    }
    Ok(())
}

/// Writes a file as a whole or not at all, with mode 0600 from its first moment.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let draft = path.with_extension("draft");
    match std::fs::remove_file(&draft) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    File::open(dir)?.sync_all()
}
