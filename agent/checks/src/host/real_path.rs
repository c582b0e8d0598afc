//! Where a path leads in the end, and which files a run has read: a report must know both before it takes a file along.

use super::Host;
use crate::found::Gap;
use rustix::fs::OFlags;
use std::os::fd::AsRawFd as _;

/// Files that are remembered.
const REMEMBERED_MAX: usize = 5000;

impl Host {
    /// The path of what `path` names once every link is followed, below this host's root.
    ///
    /// # Errors
    /// As [`Host::stat`]; also when the kernel does not say.
    pub(crate) fn real_path(&self, path: &str) -> Result<String, Gap> {
        self.stat(path)?;
        let unknown =
            || Gap::Unknown(crate::words!("the kernel does not say where {path} leads", "内核未说明 {path} 指向何处"));
        let name = |fd: i32| rustix::fs::readlink(format!("/proc/self/fd/{fd}"), Vec::new()).ok();
        let fd = self.resolve(path, OFlags::PATH).map_err(|_| unknown())?;
        let (found, root) =
            (name(fd.as_raw_fd()).ok_or_else(unknown)?, name(self.root.as_raw_fd()).ok_or_else(unknown)?);
        let (found, root) = (found.to_string_lossy().into_owned(), root.to_string_lossy().into_owned());
        let below = found.strip_prefix(root.trim_end_matches('/')).filter(|below| below.starts_with('/'));
        below.map(str::to_owned).ok_or_else(unknown)
    }

    /// Remembers that a file was read.
    pub(super) fn remember(&self, path: &str) {
        if path.starts_with("/proc/") || path.starts_with("/sys/") {
            return;
        }
        let mut read = self.memo.files_read.borrow_mut();
        if read.len() < REMEMBERED_MAX && !read.contains(path) {
            read.insert(path.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::host::fixture::Fixture;

    #[test]
    fn links_are_followed_to_their_end_and_never_out_of_the_root() {
        let fixture = Fixture::image().file("/etc/shadow", "x").file("/etc/nginx/a", "x").file("/etc/passwd", "p");
        for (link, target) in [("/etc/nginx/b", "../shadow"), ("/etc/nginx/c", "/etc/shadow"), ("/etc/d", "nginx")] {
            std::os::unix::fs::symlink(target, fixture.path(link)).unwrap();
        }
        std::os::unix::fs::symlink("../../../../../../etc/passwd", fixture.path("/etc/e")).unwrap();
        let host = fixture.host();
        for (path, real) in [
            ("/etc/nginx/a", "/etc/nginx/a"),
            ("/etc/nginx/b", "/etc/shadow"),
            ("/etc/nginx/c", "/etc/shadow"),
            ("/etc/d/b", "/etc/shadow"),
            ("/etc/e", "/etc/passwd"),
            ("/etc//nginx/./a", "/etc/nginx/a"),
        ] {
            assert_eq!(host.real_path(path).as_deref(), Ok(real), "{path}");
        }
        assert!(host.real_path("/nothing").is_err());
        host.read("/etc/nginx/a").unwrap();
        assert_eq!(host.memo.files_read.borrow().iter().collect::<Vec<_>>(), ["/etc/nginx/a"]);
    }
}
