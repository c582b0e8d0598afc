//! A file for whoever did not write this program: what is read is what the path led to in the end, and a rule decides
//! about that, not about the path.

use super::Host;
use super::files::text;
use crate::found::Gap;
use crate::words;
use cloud_doctor_proto::finding::Words;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};

impl Host {
    /// A text file of at most `bytes_max` bytes, if `rule` allows the place where it really is, links followed.
    ///
    /// # Errors
    /// As [`Host::read`]; also when `rule` says why not.
    pub(crate) fn read_within(
        &self,
        path: &str,
        bytes_max: u64,
        rule: impl Fn(&str) -> Result<(), Words>,
    ) -> Result<String, Gap> {
        rule(path).map_err(Gap::Unknown)?;
        let (file, size) = self.open_file(path)?;
        // Asked of what is open: a link that changes meanwhile changes nothing.
        let (root, real) = (real_path(self.root.as_fd()), real_path(file.as_fd()));
        let (Some(root), Some(real)) = (root, real) else {
            return Err(Gap::Unknown(words!(
                "{path} was not read: it cannot be told where it really is",
                "未读取 {path}：无法确定其真实位置"
            )));
        };
        let inside = real.strip_prefix(root.trim_end_matches('/')).unwrap_or(&real);
        rule(inside).map_err(Gap::Unknown)?;
        if size > bytes_max {
            return Err(Gap::Unknown(words!(
                "{path} is larger than {bytes_max} bytes; not read",
                "{path} 大于 {bytes_max} 字节，未读取"
            )));
        }
        let bytes = self.take(path, file, bytes_max + 1)?;
        if bytes.len() as u64 > bytes_max {
            return Err(Gap::Unknown(words!(
                "{path} is larger than {bytes_max} bytes; not read",
                "{path} 大于 {bytes_max} 字节，未读取"
            )));
        }
        text(path, bytes)
    }
}

fn real_path(fd: BorrowedFd<'_>) -> Option<String> {
    let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let target = rustix::fs::readlink(link, Vec::new()).ok()?;
    target.into_string().ok()
}
