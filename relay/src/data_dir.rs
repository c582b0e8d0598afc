//! The data directory: private, and used by one relay at a time.

use rustix::fs::{FlockOperation, flock};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Held by whoever uses the directory. It stays when the relay ends; the lock on it does not.
pub const LOCK_FILE: &str = "relay.lock";

/// The directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// The file system said no.
    #[error("cannot use the data directory {path}: {source}")]
    Io {
        /// Which directory.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Others can look into it.
    #[error("the data directory {path} is open to others (mode {mode:o}): chmod 700 {path}")]
    Open {
        /// Which directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Another relay works in it.
    #[error("the data directory {0} is in use by another cloud-doctor-relay: stop that one first")]
    InUse(PathBuf),
}

/// The directory, locked until this is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory if need be (mode 0700) and locks it.
    ///
    /// # Errors
    /// [`DataDirError`].
    pub fn lock(path: &Path) -> Result<Self, DataDirError> {
        let wrong = |source| DataDirError::Io { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(wrong)?;
        let mode = std::fs::metadata(path).map_err(wrong)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(DataDirError::Open { path: path.to_owned(), mode });
        }
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path.join(LOCK_FILE));
        let lock = file.map_err(wrong)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(DataDirError::InUse(path.to_owned())),
            Err(error) => Err(wrong(error.into())),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_relay_per_directory_and_nobody_else_looks_in() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("relay");
        let held = DataDir::lock(&path).unwrap();
        assert!(matches!(DataDir::lock(&path), Err(DataDirError::InUse(_))));
        drop(held);
        drop(DataDir::lock(&path).unwrap());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o750)).unwrap();
        assert!(matches!(DataDir::lock(&path), Err(DataDirError::Open { mode: 0o750, .. })));
    }
}
