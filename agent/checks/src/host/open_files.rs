//! Files that are open and have no name any more: their space is free only when they are closed.

use super::Host;
use crate::found::Gap;
use rustix::fs::AtFlags;
use std::collections::BTreeMap;

/// Descriptors that are looked at, of all processes.
const DESCRIPTORS_MAX: usize = 100_000;

/// A file without a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    /// The name that it had.
    pub path: String,
    /// Bytes that it takes on disk.
    pub bytes: u64,
    /// Its device, `major:minor`.
    pub device: String,
    /// Who has it open; the first of several.
    pub pid: u32,
    /// As which descriptor.
    pub descriptor: u32,
}

/// What was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeletedFiles {
    /// Each file once, the largest first.
    pub files: Vec<Deleted>,
    /// Processes whose descriptors this user may not see.
    pub hidden: usize,
    /// Whether there were more descriptors than are looked at.
    pub cut: bool,
}

impl Host {
    /// Every file that is open without a name.
    ///
    /// # Errors
    /// [`Gap::Unknown`] on a root that is not running.
    pub fn deleted_files(&self) -> Result<DeletedFiles, Gap> {
        self.must_live()?;
        let (mut seen, mut by_file, mut left) = (DeletedFiles::default(), BTreeMap::new(), DESCRIPTORS_MAX);
        for process in self.processes() {
            let pid = process.pid;
            let descriptors = match self.list(&format!("/proc/{pid}/fd")) {
                Ok(descriptors) => descriptors,
                // It has ended.
                Err(Gap::NotHere(_)) => continue,
                Err(Gap::Unknown(_)) => {
                    seen.hidden += 1;
                    continue;
                }
            };
            for descriptor in descriptors.iter().filter_map(|entry| entry.name.parse().ok()) {
                seen.cut |= left == 0;
                if left == 0 {
                    break;
                }
                left -= 1;
                if let Some((inode, file)) = self.deleted_file(pid, descriptor) {
                    by_file.entry((file.device.clone(), inode)).or_insert(file);
                }
            }
        }
        seen.files = by_file.into_values().collect();
        seen.files.sort_by(|one, other| other.bytes.cmp(&one.bytes).then_with(|| one.path.cmp(&other.path)));
        Ok(seen)
    }

    /// Nothing when it has a name.
    fn deleted_file(&self, pid: u32, descriptor: u32) -> Option<(u64, Deleted)> {
        let link = format!("proc/{pid}/fd/{descriptor}");
        let target = rustix::fs::readlinkat(&self.root, &link, Vec::new()).ok()?;
        let path = target.to_str().ok()?.strip_suffix(" (deleted)")?.to_owned();
        // The kernel's own link to an open file: it opens nothing, and leads nowhere else.
        let stat = rustix::fs::statat(&self.root, &link, AtFlags::empty()).ok()?;
        let (major, minor) = (rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev));
        let bytes = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512);
        Some((stat.st_ino, Deleted { path, bytes, device: format!("{major}:{minor}"), pid, descriptor }))
    }
}
