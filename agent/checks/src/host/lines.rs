//! Files that are too large to hold: read line by line, bounded in bytes, nothing kept.

use super::Host;
use crate::found::Gap;
use crate::words;
use rustix::fs::OFlags;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};

/// Most that is read in this way of all files of one run, besides what [`Host::read`] may read: Ubuntu's lists of security
/// updates have 40 MiB, and must not leave the checks after them without files.
const ALL_BYTES_MAX: u64 = 96 << 20;
/// Longest line; what is longer is cut there.
const LINE_BYTES_MAX: u64 = 16 << 10;

impl Host {
    /// Gives every line of a text file to `take`.
    ///
    /// # Errors
    /// As [`Host::read`], but that the file may have `bytes_max`. What was given before the error was given.
    pub fn each_line(&self, path: &str, bytes_max: u64, mut take: impl FnMut(&str)) -> Result<(), Gap> {
        // The refusals of `tail` are those that are meant here.
        self.tail(path, 0)?;
        let broken = |why: &str| Gap::Unknown(words!("{path} cannot be read: {why}", "无法读取 {path}：{why}"));
        let fd = self.resolve(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY);
        let mut reader = BufReader::new(File::from(fd.map_err(|errno| broken(&errno.to_string()))?));
        let kernel = path.starts_with("/proc/") || path.starts_with("/sys/");
        let before = self.memo.bytes_by_line.get();
        let bytes_max = if kernel { bytes_max } else { bytes_max.min(ALL_BYTES_MAX.saturating_sub(before)) };
        let (mut line, mut bytes) = (Vec::new(), 0_u64);
        loop {
            line.clear();
            let count = reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
            let count = count.map_err(|error| broken(&error.to_string()))? as u64;
            if count == 0 {
                break;
            }
            bytes += count;
            if bytes > bytes_max {
                return Err(broken("it has more bytes than one run may read"));
            }
            take(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']));
        }
        if !kernel {
            self.memo.bytes_by_line.set(before.saturating_add(bytes));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::found::Gap;
    use crate::host::fixture::Fixture;

    #[test]
    fn lines_are_given_one_by_one_and_within_a_bound() {
        let fixture = Fixture::live().file("/a", "one\r\ntwo\n\nlast");
        let host = fixture.host();
        let mut lines = Vec::new();
        host.each_line("/a", 100, |line| lines.push(line.to_owned())).unwrap();
        assert_eq!(lines, ["one", "two", "", "last"]);
        assert!(matches!(host.each_line("/a", 5, |_| {}), Err(Gap::Unknown(_))));
        assert!(matches!(host.each_line("/b", 5, |_| {}), Err(Gap::NotHere(_))));
    }
}
