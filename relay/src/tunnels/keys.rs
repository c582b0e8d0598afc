//! The listener's secrets on disk: two Ed25519 keys (in use, and next) and what makes resets and tokens.
//!
//! A file is created with its final mode under another name and linked into place, so that nobody ever sees it half
//! written or readable. It carries a checksum: a damaged key file must stop the relay, not give it a new identity
//! that every agent would refuse. Never: a key that leaves this folder, or one made again because it looked odd.

use cloud_doctor_proto::ids::VerifyKey;
use cloud_doctor_proto::pin::Pin;
use ed25519_dalek::SigningKey;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The key that agents see now.
const LISTENER_FILE: &str = "agent-listener.key";
/// The key that agents pin as well, for the day when the first one must go.
const NEXT_FILE: &str = "agent-listener-next.key";
/// From this come stateless-reset tokens, connection ids and address tokens.
const RESET_FILE: &str = "reset.key";

/// Why the listener has no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file system said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Not what was written there.
    #[error("{} is damaged: restore it from a backup (a new one does not stand in for it: agents refuse it, and codes of apps count no more)", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
    },
    /// Others can read it.
    #[error("{} can be read by others (mode {mode:o}): chmod 600 it, or replace the key if strangers have accounts here", path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

/// Everything secret that the listener needs.
pub struct ListenerKeys {
    pub(super) listener: SigningKey,
    next: SigningKey,
    pub(super) reset: [u8; 32],
}

impl ListenerKeys {
    /// Reads the keys in `dir`, making those that are missing. Blocking: call it before serving.
    ///
    /// # Errors
    /// [`KeyFileError`] when a file cannot be read, written or believed.
    pub fn load_or_create(dir: &Path) -> Result<Self, KeyFileError> {
        Ok(Self {
            listener: SigningKey::from_bytes(&load_or_create(&dir.join(LISTENER_FILE))?),
            next: SigningKey::from_bytes(&load_or_create(&dir.join(NEXT_FILE))?),
            reset: load_or_create(&dir.join(RESET_FILE))?,
        })
    }

    /// What an agent may pin: the key in use, and the one that follows it.
    #[must_use]
    pub fn pins(&self) -> [Pin; 2] {
        [&self.listener, &self.next].map(|key| Pin::of(&VerifyKey(key.verifying_key().to_bytes())))
    }
}

impl std::fmt::Debug for ListenerKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListenerKeys").field("pins", &self.pins()).finish_non_exhaustive()
    }
}

/// Reads a secret from its file, making it when it is missing. Blocking: call it before serving.
///
/// # Errors
/// [`KeyFileError`] when the file cannot be read, written or believed.
pub fn load_or_create(path: &Path) -> Result<[u8; 32], KeyFileError> {
    match load(path) {
        Err(KeyFileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
        other => return other,
    }
    let io_error = |source| KeyFileError::Io { path: path.to_owned(), source };
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|e| io_error(io::Error::other(e)))?;
    create(path, &secret).map_err(io_error)?;
    // Another process may have been faster: what lies there now is the key.
    load(path)
}

fn load(path: &Path) -> Result<[u8; 32], KeyFileError> {
    let io_error = |source| KeyFileError::Io { path: path.to_owned(), source };
    let mode = fs::metadata(path).map_err(io_error)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Exposed { path: path.to_owned(), mode });
    }
    let text = fs::read(path).map_err(io_error)?;
    parse(&text).ok_or_else(|| KeyFileError::Damaged { path: path.to_owned() })
}

fn create(path: &Path, secret: &[u8; 32]) -> io::Result<()> {
    let mut nonce = [0; 8];
    getrandom::fill(&mut nonce).map_err(io::Error::other)?;
    let draft = path.with_extension(format!("draft-{}", data_encoding::HEXLOWER.encode(&nonce)));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let written = file.write_all(format(secret).as_bytes()).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| match fs::hard_link(&draft, path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    });
    fs::remove_file(&draft)?;
    linked?;
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

/// `<secret> <first 16 bytes of its SHA-256>`, both in hex.
fn format(secret: &[u8; 32]) -> String {
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    format!("{} {}\n", hex(secret), hex(&Sha256::digest(secret)[..16]))
}

fn parse(text: &[u8]) -> Option<[u8; 32]> {
    let secret = data_encoding::HEXLOWER.decode(text.get(..64)?).ok()?.try_into().ok()?;
    (text == format(&secret).as_bytes()).then_some(secret)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keys_stay_the_same_and_are_private() {
        let dir = tempfile::tempdir().unwrap();
        let first = ListenerKeys::load_or_create(dir.path()).unwrap();
        let again = ListenerKeys::load_or_create(dir.path()).unwrap();
        assert_eq!(first.pins(), again.pins());
        assert_eq!(first.reset, again.reset);
        assert_ne!(first.pins()[0], first.pins()[1]);
        let mut names = 0;
        for entry in fs::read_dir(dir.path()).unwrap() {
            assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
            names += 1;
        }
        assert_eq!(names, 3, "no drafts are left behind");
        assert!(!format!("{first:?}").contains(&data_encoding::HEXLOWER.encode(&first.reset)));
    }

    #[test]
    fn flt_24_every_damaged_key_file_stops_the_relay() {
        let dir = tempfile::tempdir().unwrap();
        ListenerKeys::load_or_create(dir.path()).unwrap();
        let path = dir.path().join(LISTENER_FILE);
        let good = fs::read(&path).unwrap();
        let mut mutations: Vec<Vec<u8>> = (0..good.len()).map(|len| good[..len].to_vec()).collect();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            mutations.push(bad);
        }
        for bad in mutations {
            fs::write(&path, &bad).unwrap();
            let error = ListenerKeys::load_or_create(dir.path()).unwrap_err();
            assert!(matches!(error, KeyFileError::Damaged { .. }), "{error}");
        }
        fs::write(&path, &good).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(ListenerKeys::load_or_create(dir.path()), Err(KeyFileError::Exposed { .. })));
    }
}
