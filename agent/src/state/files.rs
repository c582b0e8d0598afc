//! Making and reading files so that no moment exists in which somebody else could have read or changed them.
//!
//! Files are created with their final mode and replaced by renaming a finished and synced copy. It must never follow a
//! symbolic link in the last place of a path, and never make anything that a group or others can write.

use rustix::fs::{FlockOperation, flock};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Owner only.
pub(crate) const PRIVATE: u32 = 0o600;
/// Owner writes, all read.
pub(crate) const PUBLIC: u32 = 0o644;

/// A file operation that failed, with the file's name: the person who can act needs it.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}", path = path.display())]
pub(crate) struct FileError {
    /// Which file.
    pub(crate) path: PathBuf,
    /// Why.
    pub(crate) source: io::Error,
}

impl FileError {
    /// For a path.
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |source| Self { path: path.to_owned(), source }
    }

    /// The file does not exist.
    pub(crate) fn is_missing(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

/// Makes a directory with this mode when there is none, and checks that it is a directory of ours and nobody else's to
/// write.
///
/// # Errors
/// [`FileError`] with what is wrong.
pub(crate) fn make_dir(path: &Path, mode: u32) -> Result<(), FileError> {
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(FileError::at(path)(error)),
    }
    let meta = std::fs::symlink_metadata(path).map_err(FileError::at(path))?;
    let ours = meta.uid() == rustix::process::geteuid().as_raw();
    if meta.is_dir() && ours && meta.mode() & 0o022 == 0 {
        Ok(())
    } else {
        let text = "must be a directory of the same user that nobody else can write to";
        Err(FileError::at(path)(io::Error::new(io::ErrorKind::PermissionDenied, text)))
    }
}

/// Makes a new file; an existing one is an error.
///
/// # Errors
/// [`FileError`].
pub(crate) fn create(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), FileError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        // The umask may have taken bits away; it never adds any.
        file.set_permissions(std::fs::Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(FileError::at(path))?;
    sync_parent(path)
}

/// Replaces a file, or makes it, in one step: after a crash it has the old bytes or the new ones.
///
/// # Errors
/// [`FileError`]; the old file is untouched then.
pub(crate) fn replace(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), FileError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let next = path.with_file_name(name);
    remove(&next)?;
    create(&next, mode, bytes)?;
    std::fs::rename(&next, path).map_err(FileError::at(path))?;
    sync_parent(path)
}

/// Removes a file; none is fine.
///
/// # Errors
/// [`FileError`].
pub(crate) fn remove(path: &Path) -> Result<(), FileError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileError::at(path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Reads a regular file of at most `max` bytes, without following a link.
///
/// # Errors
/// [`FileError`]; `InvalidData` when it is longer or no regular file.
pub(crate) fn read(path: &Path, max: usize) -> Result<Vec<u8>, FileError> {
    let read = || {
        let file = open_no_follow(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "is not a regular file"));
        }
        let mut bytes = Vec::new();
        file.take(max as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > max {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("is longer than {max} bytes")));
        }
        Ok(bytes)
    };
    read().map_err(FileError::at(path))
}

/// Opens for reading; a link in the last place is an error, a FIFO does not block.
///
/// # Errors
/// The kernel's.
pub(crate) fn open_no_follow(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)
}

/// Makes a rename or creation in this directory durable.
///
/// # Errors
/// [`FileError`].
pub(crate) fn sync_parent(path: &Path) -> Result<(), FileError> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    File::open(parent).and_then(|dir| dir.sync_all()).map_err(FileError::at(parent))
}

/// Holds a directory for one process; released by the kernel when that process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "held, not used: closing the file releases the lock")] File);

impl Lock {
    /// The file's name below the directory.
    pub(crate) const NAME: &str = "lock";

    /// Takes the lock.
    ///
    /// # Errors
    /// `WouldBlock` when another process has it.
    pub(crate) fn take(dir: &Path) -> Result<Self, FileError> {
        let path = dir.join(Self::NAME);
        let take = || {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(PRIVATE)
                .custom_flags(libc::O_NOFOLLOW)
                .open(&path)?;
            flock(&file, FlockOperation::NonBlockingLockExclusive)?;
            Ok(Self(file))
        };
        take().map_err(FileError::at(&path))
    }
}
