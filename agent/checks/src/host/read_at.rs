//! A large binary file, read in pieces where they are needed. Every piece is bounded and counts like what is read whole.

use super::Host;
use crate::found::Gap;
use std::cell::Cell;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// Of one piece.
const PIECE_BYTES_MAX: usize = 64 << 10;

/// A file that is open for reading at places.
#[derive(Debug)]
pub(super) struct Places {
    file: File,
    /// Bytes that it had when it was opened.
    pub(super) size: u64,
}

impl Host {
    /// Opens a regular file, of any size.
    ///
    /// # Errors
    /// As [`Host::read`], but that it may be larger.
    pub(super) fn open_places(&self, path: &str) -> Result<Places, Gap> {
        let (file, size) = self.open_file(path)?;
        Ok(Places { file, size })
    }

    /// What stands at `offset`: `length` bytes, or fewer at the end of the file. Nothing when it cannot be read, or when
    /// this run has read all that it may.
    pub(super) fn read_at(&self, places: &Places, offset: u64, length: usize) -> Option<Vec<u8>> {
        let length = length.min(PIECE_BYTES_MAX);
        let (mut bytes, mut filled) = (vec![0; length], 0);
        take_from(&self.bytes_left, length)?;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match places.file.read_at(rest, offset.checked_add(filled as u64)?) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
        bytes.truncate(filled);
        Some(bytes)
    }
}

fn take_from(left: &Cell<u64>, length: usize) -> Option<()> {
    left.set(left.get().checked_sub(length as u64)?);
    Some(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::host::fixture::Fixture;

    #[test]
    fn pieces_are_read_where_they_stand_and_are_counted() {
        let fixture = Fixture::image().file("/a", "0123456789");
        let host = fixture.host();
        let places = host.open_places("/a").unwrap();
        assert_eq!((places.size, host.read_at(&places, 4, 3).unwrap()), (10, b"456".to_vec()));
        assert_eq!(host.read_at(&places, 8, 9).unwrap(), b"89");
        assert!(host.read_at(&places, 99, 9).unwrap().is_empty());
        assert_eq!(host.read_at(&places, u64::MAX, 9), None);
        host.bytes_left.set(5);
        assert_eq!(host.read_at(&places, 0, 6), None);
        assert_eq!(host.read_at(&places, 0, 5).unwrap().len(), 5);
        assert!(host.open_places("/b").is_err());
    }
}
