//! Open files of processes: how many, and what they are. A process may hold a million, so they are counted in a stream.

use super::Host;
use crate::found::Gap;
use rustix::fs::{OFlags, RawDir};
use rustix::io::Errno;
use std::mem::MaybeUninit;

/// Open files of one process that are counted: the default of `fs.nr_open`.
const COUNTED_MAX: usize = 1 << 20;

impl Host {
    /// How many files process `pid` has open. Nothing when this user may not see it.
    ///
    /// # Errors
    /// [`Gap::NotHere`] when the process has ended.
    pub(crate) fn open_files(&self, pid: u32) -> Result<Option<usize>, Gap> {
        let path = format!("/proc/{pid}/fd");
        let gone = || Gap::NotHere(crate::words!("{path} is not there", "没有 {path}"));
        let fd = match self.resolve(&path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::SRCH) => return Err(gone()),
            Err(_) => return Ok(None),
        };
        let mut buffer = [MaybeUninit::uninit(); 32 << 10];
        let mut folder = RawDir::new(fd, &mut buffer);
        let mut count = 0;
        while let Some(entry) = folder.next() {
            let Ok(entry) = entry else { return Ok(None) };
            let is_number = entry.file_name().to_bytes().first().is_some_and(u8::is_ascii_digit);
            count += usize::from(is_number);
            if count == COUNTED_MAX {
                break;
            }
        }
        Ok(Some(count))
    }

    /// What the open files of process `pid` are, `links_max` at most: paths, and names in brackets.
    ///
    /// # Errors
    /// As [`Host::list`].
    pub(crate) fn open_paths(&self, pid: u32, links_max: usize) -> Result<Vec<String>, Gap> {
        let folder = format!("/proc/{pid}/fd");
        let entries = self.list(&folder)?;
        Ok(entries
            .iter()
            .take(links_max)
            .filter_map(|entry| self.link(&format!("{folder}/{}", entry.name)).ok())
            .collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::found::Gap;
    use crate::host::Host;

    #[test]
    fn a_process_sees_its_own_open_files() {
        let host = Host::live().unwrap();
        let pid = std::process::id();
        let file = tempfile::NamedTempFile::new().unwrap();
        let (kept, path) = file.keep().unwrap();
        assert!(host.open_files(pid).unwrap().unwrap() >= 4);
        let path_text = path.to_str().unwrap();
        assert!(host.open_paths(pid, 1000).unwrap().iter().any(|link| link == path_text));
        std::fs::remove_file(&path).unwrap();
        let deleted = format!("{path_text} (deleted)");
        assert!(host.open_paths(pid, 1000).unwrap().contains(&deleted));
        assert_eq!(host.open_paths(pid, 1).unwrap().len(), 1);
        drop(kept);
        assert!(matches!(host.open_files(u32::MAX), Err(Gap::NotHere(_))));
    }
}
