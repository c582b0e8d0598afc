//! All files below a folder, with their sizes: bounded in depth and number, on one file system, following no link.

use super::Host;
use crate::found::Gap;
use crate::words;
use cloud_doctor_proto::finding::Words;
use cloud_doctor_proto::time::UnixTime;
use rustix::fs::{FileType, OFlags};

/// Folders in folders that are entered.
const DEPTH_MAX: usize = 8;
/// Entries that are looked at.
const WALKED_MAX: usize = 20_000;

/// A regular file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Walked {
    /// From the host's root.
    pub(crate) path: String,
    /// What it takes on the disk; a file with holes says a larger size.
    pub(crate) bytes: u64,
    /// When its content changed last.
    pub(crate) modified: UnixTime,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Walk {
    /// In the order of their paths within each folder.
    pub(crate) files: Vec<Walked>,
    /// What was not looked at, and why.
    pub(crate) left_out: Option<Words>,
}

impl Host {
    /// The files below `folder`.
    ///
    /// # Errors
    /// [`Gap::NotHere`] when there is no such folder; [`Gap::Unknown`] when it cannot be read.
    pub(crate) fn walk(&self, folder: &str) -> Result<Walk, Gap> {
        let device = self.stat(folder)?.device;
        let mut walk = Walk::default();
        let mut left = WALKED_MAX;
        let mut folders = vec![(folder.trim_end_matches('/').to_owned(), 1)];
        while let Some((path, depth)) = folders.pop() {
            let entries = match self.list(&path) {
                Ok(entries) => entries,
                Err(gap) if depth == 1 => return Err(gap),
                // It is gone meanwhile.
                Err(Gap::NotHere(_)) => continue,
                Err(Gap::Unknown(why)) => {
                    walk.left_out.get_or_insert(why);
                    continue;
                }
            };
            for entry in entries {
                if left == 0 {
                    walk.left_out = Some(words!(
                        "{folder} holds more than {WALKED_MAX} entries; the rest was not looked at",
                        "{folder} 中的条目超过 {WALKED_MAX} 个，其余未查看"
                    ));
                    return Ok(walk);
                }
                left -= 1;
                let path = format!("{path}/{}", entry.name);
                let Ok(fd) = self.resolve(&path, OFlags::PATH | OFlags::NOFOLLOW) else { continue };
                let Ok(stat) = rustix::fs::fstat(&fd) else { continue };
                let kind = FileType::from_raw_mode(stat.st_mode);
                if kind == FileType::Directory && stat.st_dev == device && depth < DEPTH_MAX {
                    folders.push((path, depth + 1));
                } else if kind == FileType::RegularFile {
                    let bytes = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512);
                    let modified = UnixTime(u64::try_from(stat.st_mtime).unwrap_or(0));
                    walk.files.push(Walked { path, bytes, modified });
                }
            }
        }
        Ok(walk)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn a_walk_is_bounded_and_follows_no_link() {
        let deep = format!("/var/log/{}x.log", "d/".repeat(DEPTH_MAX));
        let fixture = Fixture::image().file("/var/log/a.log", "a").file("/var/log/b/c.log", "c").file(&deep, "x");
        std::os::unix::fs::symlink("/var/log", fixture.path("/var/log/loop")).unwrap();
        let walk = fixture.host().walk("/var/log").unwrap();
        let paths: Vec<&str> = walk.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["/var/log/a.log", "/var/log/b/c.log"]);
        assert!(matches!(fixture.host().walk("/srv"), Err(Gap::NotHere(_))));

        for number in 0..WALKED_MAX - 20 {
            std::fs::write(fixture.path(&format!("/var/log/b/{number}")), "").unwrap();
        }
        let walk = fixture.host().walk("/var/log").unwrap();
        assert!(walk.files.len() < WALKED_MAX && walk.left_out.is_none());
        for number in 0..30 {
            std::fs::write(fixture.path(&format!("/var/log/{number}")), "").unwrap();
        }
        assert!(fixture.host().walk("/var/log").unwrap().left_out.is_some());
    }
}
