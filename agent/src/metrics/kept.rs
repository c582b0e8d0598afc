//! A small file of the kernel that stays open and is read again and again from its beginning.
//!
//! Opening costs more than reading. It must never read without a bound, nor wait for a file that is not there.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// Longest text that is read: `/proc/stat` of a machine with a thousand interrupt lines.
const BYTES_MAX: usize = 256 << 10;
/// What most files fit into.
const BYTES_FIRST: usize = 8 << 10;
/// Readings that pass before an absent file is looked for again: a module may have been loaded.
const AGAIN: u16 = 60;

/// Memory that all files are read into, one after another.
#[derive(Debug)]
pub(super) struct Buffer(Vec<u8>);

impl Default for Buffer {
    fn default() -> Self {
        Self(vec![0; BYTES_FIRST])
    }
}

/// How a file ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// One reading gives all of it, if there is room.
    AtOnce,
    /// It comes in pieces of whole lines, each at most a page long.
    InPieces,
}

#[derive(Debug)]
pub(super) struct Kept {
    path: PathBuf,
    file: Option<File>,
    ends: Ends,
    wait: u16,
}

impl Kept {
    /// A file that the kernel writes as one.
    pub(super) fn whole(root: &Path, path: &str) -> Self {
        Self { path: root.join(path), file: None, ends: Ends::AtOnce, wait: 0 }
    }

    /// A file that the kernel writes line by line.
    pub(super) fn by_lines(root: &Path, path: &str) -> Self {
        Self { ends: Ends::InPieces, ..Self::whole(root, path) }
    }

    /// Its text now; nothing while it is not there.
    pub(super) fn read<'a>(&mut self, buffer: &'a mut Buffer) -> Option<&'a [u8]> {
        if self.file.is_none() {
            self.open();
        }
        let file = self.file.as_ref()?;
        let Ok(len) = fill(file, self.ends, &mut buffer.0) else {
            // What it belonged to is gone.
            self.file = None;
            return None;
        };
        Some(&buffer.0[..len])
    }

    fn open(&mut self) {
        if self.wait > 0 {
            self.wait -= 1;
            return;
        }
        self.file = File::open(&self.path).ok();
        self.wait = AGAIN;
    }
}

fn fill(file: &File, ends: Ends, bytes: &mut Vec<u8>) -> std::io::Result<usize> {
    /// A line of these files is shorter: had there been another one, it would have come with the piece.
    const LINE: usize = 1 << 10;
    const PAGE: usize = 4 << 10;
    let mut len = 0;
    loop {
        let offset = u64::try_from(len).unwrap_or(u64::MAX);
        let count = match file.read_at(&mut bytes[len..], offset) {
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        len += count;
        if len == bytes.len() {
            if len >= BYTES_MAX {
                return Ok(len);
            }
            bytes.resize(2 * len, 0);
            continue;
        }
        let is_all = match ends {
            Ends::AtOnce => true,
            Ends::InPieces => count < PAGE - LINE,
        };
        if count == 0 || is_all {
            return Ok(len);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_is_read_anew_each_time_and_never_beyond_the_bound() {
        let folder = tempfile::tempdir().unwrap();
        let (mut buffer, path) = (Buffer::default(), folder.path().join("a"));
        let mut kept = Kept::by_lines(folder.path(), "a");
        assert_eq!(kept.read(&mut buffer), None);
        std::fs::write(&path, "first\n").unwrap();
        assert_eq!(kept.read(&mut buffer), None, "it is not looked for each second");
        let later = (0..AGAIN).find_map(|_| kept.read(&mut buffer).map(<[u8]>::to_vec));
        assert_eq!(later.as_deref(), Some(&b"first\n"[..]));
        std::fs::write(&path, vec![b'x'; BYTES_MAX + 5]).unwrap();
        assert_eq!(kept.read(&mut buffer).unwrap().len(), BYTES_MAX);
        std::fs::write(&path, "").unwrap();
        assert_eq!(kept.read(&mut buffer), Some(&b""[..]));
    }

    #[test]
    fn the_kernels_files_are_read_to_their_end() {
        let mut buffer = Buffer::default();
        for name in ["proc/vmstat", "proc/net/netstat", "proc/net/dev", "proc/diskstats"] {
            let all = std::fs::read(Path::new("/").join(name)).unwrap();
            let read = Kept::by_lines(Path::new("/"), name).read(&mut buffer).unwrap();
            assert_eq!(
                read.iter().filter(|byte| **byte == b'\n').count(),
                all.iter().filter(|byte| **byte == b'\n').count(),
                "{name}"
            );
        }
        let stat = Kept::whole(Path::new("/"), "proc/stat").read(&mut buffer).unwrap().to_vec();
        assert!(stat.starts_with(b"cpu ") && stat.windows(8).any(|word| word == b"softirq "));
    }
}
