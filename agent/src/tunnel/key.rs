//! The tunnel's own key: Ed25519, made here, replaceable, worth nothing without guard's word for it.
//!
//! The file holds the seed and the public key that belongs to it, so that a flipped bit is noticed. It appears whole
//! and with its final mode, and belongs to the owner of its directory also when root makes it at enrolment.

use crate::state::files::{self, FileError};
use cloud_doctor_proto::ids::VerifyKey;
use cloud_doctor_proto::pin::Pin;
use ed25519_dalek::SigningKey;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const NAME: &str = "transport.key";
const BYTES: usize = 64;

/// The key is not to be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// The file system said no.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not the bytes that were written.
    #[error("{} is damaged: remove it and enrol this server again", .0.display())]
    Damaged(PathBuf),
}

/// A tunnel's key pair.
pub(crate) struct TransportKey(SigningKey);

impl TransportKey {
    /// Reads the key in `dir`, making one when there is none.
    ///
    /// # Errors
    /// [`KeyError`].
    pub(crate) fn load_or_create(dir: &Path) -> Result<Self, KeyError> {
        let path = dir.join(NAME);
        match load(&path) {
            Err(KeyError::File(error)) if error.is_missing() => {}
            other => return other,
        }
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(|e| FileError::at(&path)(io::Error::other(e.to_string())))?;
        create(dir, &SigningKey::from_bytes(&seed))?;
        // Another process may have been faster: what lies there now is the key.
        load(&path)
    }

    /// Takes the key away: after leaving a relay the next enrolment begins with another one.
    ///
    /// # Errors
    /// [`FileError`].
    pub(crate) fn remove(dir: &Path) -> Result<(), FileError> {
        files::remove(&dir.join(NAME))
    }

    /// The public half.
    pub(crate) fn public(&self) -> VerifyKey {
        VerifyKey(self.0.verifying_key().to_bytes())
    }

    /// PKCS #8 version 1 around the seed, as the TLS library wants it.
    pub(super) fn pkcs8(&self) -> Vec<u8> {
        const PREFIX: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
        [&PREFIX[..], self.0.as_bytes()].concat()
    }
}

impl std::fmt::Debug for TransportKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TransportKey").field(&Pin::of(&self.public())).finish()
    }
}

fn load(path: &Path) -> Result<TransportKey, KeyError> {
    let bytes = Zeroizing::new(files::read(path, BYTES)?);
    let damaged = || KeyError::Damaged(path.to_owned());
    let (seed, public) = bytes.split_first_chunk::<32>().ok_or_else(damaged)?;
    let key = SigningKey::from_bytes(seed);
    if key.verifying_key().as_bytes().as_slice() == public { Ok(TransportKey(key)) } else { Err(damaged()) }
}

fn create(dir: &Path, key: &SigningKey) -> Result<(), FileError> {
    let path = dir.join(NAME);
    let mut nonce = [0; 8];
    getrandom::fill(&mut nonce).map_err(|e| FileError::at(&path)(io::Error::other(e.to_string())))?;
    let draft = dir.join(format!("{NAME}.{}", data_encoding::HEXLOWER.encode(&nonce)));
    let bytes = Zeroizing::new([key.to_bytes(), key.verifying_key().to_bytes()].concat());
    files::create(&draft, files::PRIVATE, &bytes)?;
    let linked = give_to_owner(dir, &draft).and_then(|()| match std::fs::hard_link(&draft, &path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    });
    files::remove(&draft)?;
    linked.map_err(FileError::at(&path))?;
    files::sync_parent(&path)
}

fn give_to_owner(dir: &Path, file: &Path) -> io::Result<()> {
    let owner = std::fs::metadata(dir)?;
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(file, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn keys_are_private_stay_the_same_and_can_be_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let first = TransportKey::load_or_create(dir.path()).unwrap();
        assert_eq!(TransportKey::load_or_create(dir.path()).unwrap().public(), first.public());
        let path = dir.path().join(NAME);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no drafts are left behind");
        TransportKey::remove(dir.path()).unwrap();
        assert_ne!(TransportKey::load_or_create(dir.path()).unwrap().public(), first.public());
    }

    #[test]
    fn flt_24_every_damaged_key_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        TransportKey::load_or_create(dir.path()).unwrap();
        let path = dir.path().join(NAME);
        let good = std::fs::read(&path).unwrap();
        let mut mutations: Vec<Vec<u8>> = (0..good.len()).map(|len| good[..len].to_vec()).collect();
        mutations.push([&good[..], b"x"].concat());
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            mutations.push(bad);
        }
        for bad in mutations {
            std::fs::write(&path, &bad).unwrap();
            assert!(TransportKey::load_or_create(dir.path()).is_err());
            assert_eq!(std::fs::read(&path).unwrap(), bad, "never replaced by itself");
        }
    }
}
