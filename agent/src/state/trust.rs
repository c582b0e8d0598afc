//! The pinned trust log on disk: `trust.log`, and `trust.head`, which says how far it went.
//!
//! Entries are appended as `u32 length | bytes` and synced, then the head file is replaced. A log that is shorter than
//! its head, has other bytes, or begins with another customer is damaged and trusts nobody: a lost tail would bring
//! back a removed engineer. Bytes of an entry behind the head that a crash cut off were never acknowledged and go.

use super::files::{self, FileError};
use cloud_doctor_proto::control::TrustHead;
use cloud_doctor_proto::ids::TenantId;
use cloud_doctor_proto::limits::{ENTRIES_MAX, ENTRY_BYTES_MAX};
use cloud_doctor_proto::trust::{LogError, TrustLog};
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const LOG_BYTES_MAX: usize = ENTRIES_MAX * (ENTRY_BYTES_MAX + 4);
const HEAD_BYTES_MAX: usize = 128;

/// The log and its file.
#[derive(Debug)]
pub(crate) struct TrustStore {
    log: TrustLog,
    file: File,
    path: PathBuf,
    /// Bytes of the file that hold whole entries.
    len: u64,
}

/// The pinned log cannot be used: trust nobody.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustError {
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The entries do not verify.
    #[error("{}: {error}", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// Which entry, and why.
        error: LogError,
    },
    /// Shorter than, or another log than, the head that was reached.
    #[error("{}: does not reach the entry that was already trusted; entries were lost or changed", .0.display())]
    Behind(PathBuf),
    /// The head file is not what was written.
    #[error("{}: damaged", .0.display())]
    Head(PathBuf),
}

/// Why entries were not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppendError {
    /// They do not continue the log, or nobody may say so.
    #[error(transparent)]
    Log(#[from] LogError),
    /// They could not be written, so they do not count.
    #[error(transparent)]
    File(#[from] FileError),
}

fn log_path(guard: &Path) -> PathBuf {
    guard.join("trust.log")
}

fn head_path(guard: &Path) -> PathBuf {
    guard.join("trust.head")
}

impl TrustStore {
    /// Reads, verifies and, where a crash cut an entry off, mends the log.
    ///
    /// # Errors
    /// [`TrustError`].
    pub(crate) fn load(guard: &Path, tenant: TenantId) -> Result<Self, TrustError> {
        let (log, len, head) = verified(guard, tenant)?;
        let path = log_path(guard);
        let open = || {
            let file = OpenOptions::new().write(true).custom_flags(libc::O_NOFOLLOW).open(&path)?;
            file.set_len(len)?;
            Ok(file)
        };
        let file = open().map_err(FileError::at(&path))?;
        let store = Self { log, file, path, len };
        if store.log.head() != head {
            store.write_head()?;
        }
        Ok(store)
    }

    /// Reads and verifies the log, for looking at it.
    ///
    /// # Errors
    /// [`TrustError`].
    pub(crate) fn read(guard: &Path, tenant: TenantId) -> Result<TrustLog, TrustError> {
        verified(guard, tenant).map(|(log, _, _)| log)
    }

    /// Writes a log that was verified at enrolment.
    ///
    /// # Errors
    /// [`FileError`].
    pub(crate) fn create(guard: &Path, log: &TrustLog) -> Result<(), FileError> {
        let entries = log.entries_from(0, ENTRIES_MAX);
        let bytes: Vec<u8> = entries.iter().flat_map(|entry| framed(entry)).collect();
        files::create(&log_path(guard), files::PRIVATE, &bytes)?;
        files::create(&head_path(guard), files::PRIVATE, head_line(log.head()).as_bytes())
    }

    /// Removes the files.
    ///
    /// # Errors
    /// [`FileError`].
    pub(crate) fn remove(guard: &Path) -> Result<(), FileError> {
        files::remove(&log_path(guard))?;
        files::remove(&head_path(guard))
    }

    /// The verified log.
    pub(crate) fn log(&self) -> &TrustLog {
        &self.log
    }

    /// Takes entries that continue the log; those that it has already are skipped. Returns how many were new. They are
    /// on disk before they count.
    ///
    /// # Errors
    /// [`AppendError`]; entries before the wrong one are kept, for they are genuine.
    pub(crate) fn append<B: AsRef<[u8]>>(&mut self, entries: &[B]) -> Result<usize, AppendError> {
        let unknown: Vec<&[u8]> = entries.iter().map(AsRef::as_ref).filter(|entry| !knows(&self.log, entry)).collect();
        if unknown.is_empty() {
            return Ok(0);
        }
        let mut next = self.log.clone();
        let mut bytes = Vec::new();
        let mut added = 0;
        let mut wrong = None;
        for entry in unknown {
            if let Err(error) = next.append(entry) {
                wrong = Some(error);
                break;
            }
            bytes.extend(framed(entry));
            added += 1;
        }
        if added > 0 {
            self.write(&bytes).map_err(FileError::at(&self.path.clone()))?;
            self.log = next;
            self.write_head()?;
        }
        match wrong {
            Some(error) => Err(error.into()),
            None => Ok(added),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        // Whatever a failed attempt left behind is overwritten: `len` only grows after a sync.
        self.file.set_len(self.len)?;
        self.file.seek(SeekFrom::Start(self.len))?;
        self.file.write_all(bytes)?;
        self.file.sync_all()?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn write_head(&self) -> Result<(), FileError> {
        let path = head_path(self.path.parent().unwrap_or(Path::new("/")));
        files::replace(&path, files::PRIVATE, head_line(self.log.head()).as_bytes())
    }
}

/// The log, the bytes of its file that hold whole entries, and the head that was reached.
fn verified(guard: &Path, tenant: TenantId) -> Result<(TrustLog, u64, TrustHead), TrustError> {
    let path = log_path(guard);
    let head = read_head(&head_path(guard))?;
    let bytes = files::read(&path, LOG_BYTES_MAX)?;
    let (entries, len) = split(&bytes);
    let log = TrustLog::replay(&entries, Some(tenant));
    let log = log.map_err(|error| TrustError::Log { path: path.clone(), error })?;
    if log.hash_at(head.seq) == Some(head.hash) { Ok((log, len, head)) } else { Err(TrustError::Behind(path)) }
}

/// Whether the log has this very entry already.
fn knows(log: &TrustLog, entry: &[u8]) -> bool {
    cloud_doctor_proto::trust::decode(entry, 0)
        .is_ok_and(|(signed, decoded)| log.hash_at(decoded.seq) == Some(signed.hash()))
}

fn framed(entry: &[u8]) -> Vec<u8> {
    let len = u32::try_from(entry.len()).expect("entries are at most ENTRY_BYTES_MAX long");
    [&len.to_be_bytes(), entry].concat()
}

/// Whole entries, and how many bytes they take.
fn split(bytes: &[u8]) -> (Vec<&[u8]>, u64) {
    let (mut entries, mut at) = (Vec::new(), 0);
    while let Some(head) = bytes[at..].first_chunk::<4>() {
        let len = usize::try_from(u32::from_be_bytes(*head)).unwrap_or(usize::MAX);
        let Some(entry) = bytes[at + 4..].get(..len) else { break };
        entries.push(entry);
        at += 4 + len;
    }
    (entries, at as u64)
}

fn head_line(head: TrustHead) -> String {
    format!("{} {}\n", head.seq, head.hash)
}

fn read_head(path: &Path) -> Result<TrustHead, TrustError> {
    let bytes = files::read(path, HEAD_BYTES_MAX)?;
    let parse = || {
        let (seq, hash) = std::str::from_utf8(&bytes).ok()?.strip_suffix('\n')?.split_once(' ')?;
        Some(TrustHead { seq: seq.parse().ok()?, hash: hash.parse().ok()? })
    };
    parse().ok_or_else(|| TrustError::Head(path.to_owned()))
}
