//! Finding the end of the log after whatever happened to it.
//!
//! A last line without its line end was cut by a crash before anybody was told, and goes. A whole line that does not
//! verify stays where it is, as evidence: the chain goes on over it and the verifier will name it.

use super::segments;
use crate::state::files::{self, FileError};
use cloud_doctor_proto::audit::{self, Head};
use cloud_doctor_proto::ids::VerifyKey;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// More than a segment ever has.
const READ_MAX: usize = 5 << 20;

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    /// What the next line continues.
    pub(super) head: Head,
    /// The newest segment and its length.
    pub(super) last: Option<(PathBuf, u64)>,
    /// Bytes of an unfinished line that were cut.
    pub(super) cut_bytes: u64,
    /// Lines at the end of the log that do not verify.
    pub(super) damaged_lines: u64,
}

/// Reads the newest segment that has a line.
///
/// # Errors
/// [`FileError`].
pub(super) fn recover(dir: &Path, identity: &VerifyKey) -> Result<Found, FileError> {
    let mut cut_bytes = 0;
    for path in segments(dir)?.into_iter().rev() {
        let bytes = files::read(&path, READ_MAX)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if whole < bytes.len() {
            cut_bytes += (bytes.len() - whole) as u64;
            cut(&path, whole as u64)?;
        }
        if whole > 0 {
            let (head, damaged_lines) = end_of(&path, &bytes[..whole], identity);
            return Ok(Found { head, last: Some((path, whole as u64)), cut_bytes, damaged_lines });
        }
    }
    Ok(Found { head: Head::EMPTY, last: None, cut_bytes, damaged_lines: 0 })
}

/// The head after a segment's last line, and how many lines at its end do not verify.
fn end_of(path: &Path, bytes: &[u8], identity: &VerifyKey) -> (Head, u64) {
    let lines: Vec<String> =
        bytes.split(|b| *b == b'\n').map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    let lines = &lines[..lines.len() - 1];
    let mut damaged: Vec<&String> = Vec::new();
    let mut head = None;
    for line in lines.iter().rev() {
        if let Ok(payload) = audit::read(line, identity) {
            head = Some(audit::after(Head { next: payload.seq, ..Head::EMPTY }, line));
            break;
        }
        damaged.push(line);
    }
    let begin = head.unwrap_or_else(|| Head { next: first_number(path), ..Head::EMPTY });
    let head = damaged.iter().rev().fold(begin, |head, line| audit::after(head, line));
    (head, damaged.len() as u64)
}

fn first_number(path: &Path) -> u64 {
    path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok()).unwrap_or(0)
}

fn cut(path: &Path, len: u64) -> Result<(), FileError> {
    let cut = || {
        let file = OpenOptions::new().write(true).custom_flags(libc::O_NOFOLLOW).open(path)?;
        file.set_len(len)?;
        file.sync_all()
    };
    cut().map_err(FileError::at(path))
}
