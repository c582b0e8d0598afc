//! Pieces of the log for whoever reads it from afar: at most one page at a time, bytes as they stand on disk.
//!
//! It must never leave the log's own folder, and never give a line that is not whole on disk yet.

use super::{Audit, segments};
use crate::state::files::FileError;
use cloud_doctor_proto::limits::AUDIT_PAGE_BYTES;
use cloud_doctor_proto::look::{AuditFile, AuditPage};
use serde_bytes::ByteBuf;
use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

impl Audit {
    /// Bytes of the file that begins with line `file`, from `offset` on, and all files that there are.
    ///
    /// # Errors
    /// [`FileError`] when the log cannot be read.
    pub(crate) fn page(&self, file: u64, offset: u64) -> Result<AuditPage, FileError> {
        let mut files = Vec::new();
        let mut data = Vec::new();
        for path in segments(&self.dir)? {
            let Some(first) = number(&path) else { continue };
            let bytes = self.bytes_of(&path)?;
            files.push(AuditFile { first, bytes });
            if first == file {
                data = read(&path, offset, bytes)?;
            }
        }
        Ok(AuditPage { files, data: ByteBuf::from(data) })
    }

    /// Bytes that were written and synced.
    fn bytes_of(&self, path: &Path) -> Result<u64, FileError> {
        match &self.segment {
            Some(segment) if segment.path == path => Ok(segment.len),
            Some(_) | None => path.symlink_metadata().map(|meta| meta.len()).map_err(FileError::at(path)),
        }
    }
}

fn number(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.parse().ok()
}

fn read(path: &Path, offset: u64, end: u64) -> Result<Vec<u8>, FileError> {
    let wanted = end.saturating_sub(offset).min(AUDIT_PAGE_BYTES as u64);
    let mut data = vec![0; usize::try_from(wanted).unwrap_or(AUDIT_PAGE_BYTES)];
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path);
    file.and_then(|file| file.read_exact_at(&mut data, offset)).map_err(FileError::at(path))?;
    Ok(data)
}
