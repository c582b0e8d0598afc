//! A key in a file, as `ssh-keygen` writes it, encrypted or not.
//!
//! Never: a passphrase in the environment or in argv, or a private key written readable for others.

use super::ssh_agent::is_hardware;
use super::{Candidate, Person, SignError};
use cloud_doctor_proto::signer::SshKey;
use ssh_key::private::Ed25519Keypair;
use ssh_key::{HashAlg, LineEnding, PrivateKey, SshSig};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Largest key file: real ones have a few kilobytes.
const KEY_FILE_BYTES_MAX: u64 = 64 << 10;

/// A private key with the file it came from.
pub(super) struct KeyFile {
    path: PathBuf,
    key: PrivateKey,
    public: SshKey,
}

impl std::fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyFile").field("path", &self.path).finish_non_exhaustive()
    }
}

/// What a file named by `--key` may hold.
pub(super) enum Read {
    Private(Box<KeyFile>),
    Public(SshKey),
}

impl KeyFile {
    pub(super) fn read(path: &Path) -> Result<Read, SignError> {
        let wrong = |why: String| SignError::File { path: path.to_owned(), why };
        let size = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?.len();
        if size > KEY_FILE_BYTES_MAX {
            return Err(wrong(format!("{size} bytes are no key")));
        }
        let text = Zeroizing::new(std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?);
        if !text.contains("-----BEGIN") {
            return SshKey::from_openssh(&text).map(Read::Public).map_err(|error| wrong(error.to_string()));
        }
        let key = PrivateKey::from_openssh(text.as_bytes()).map_err(|error| wrong(error.to_string()))?;
        let blob = key.public_key().to_bytes().map_err(|error| wrong(error.to_string()))?;
        let public = SshKey::from_blob(&blob).map_err(|error| wrong(error.to_string()))?;
        if is_hardware(&public) {
            return Err(SignError::HardwareFile(path.to_owned()));
        }
        Ok(Read::Private(Box::new(Self { path: path.to_owned(), key, public })))
    }

    pub(super) fn candidate(&self) -> Candidate {
        let comment = self.path.display().to_string();
        Candidate { key: self.public.clone(), comment, hardware: false }
    }

    pub(super) fn unlock(&mut self, person: &mut dyn Person) -> Result<(), SignError> {
        if !self.key.is_encrypted() {
            return Ok(());
        }
        let wrong = || SignError::Passphrase(self.path.clone());
        let passphrase = person.passphrase(&self.path).ok_or_else(wrong)?;
        self.key = self.key.decrypt(passphrase.as_bytes()).map_err(|_| wrong())?;
        Ok(())
    }

    pub(super) fn sign(&self, namespace: &str, message: &[u8]) -> Result<SshSig, SignError> {
        let wrong = |error: ssh_key::Error| SignError::File { path: self.path.clone(), why: error.to_string() };
        self.key.sign(namespace, HashAlg::Sha512, message).map_err(wrong)
    }
}

/// Makes an Ed25519 key from `seed` and writes it to a file that must not exist yet, readable for its owner only.
///
/// # Errors
/// What the file system says, as a [`SignError::File`].
pub fn write_new_key(path: &Path, seed: &Zeroizing<[u8; 32]>, comment: &str) -> Result<SshKey, SignError> {
    let wrong = |why: String| SignError::File { path: path.to_owned(), why };
    let mut key = PrivateKey::from(Ed25519Keypair::from_seed(seed));
    key.set_comment(comment);
    let text = key.to_openssh(LineEnding::LF).map_err(|error| wrong(error.to_string()))?;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| wrong(error.to_string()))?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.map_err(|error| wrong(error.to_string()))?;
    let blob = key.public_key().to_bytes().map_err(|error| wrong(error.to_string()))?;
    SshKey::from_blob(&blob).map_err(|error| wrong(error.to_string()))
}
