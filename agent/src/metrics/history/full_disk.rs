//! A small file system of its own, for tests of what happens when it is full: root alone can mount one.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "../../../../tests/src/not_tested.rs"]
mod not_tested;

/// Unmounted when it is dropped, which a test that fails does too.
#[derive(Debug)]
pub(in crate::metrics) struct Disk(tempfile::TempDir);

impl Disk {
    /// With these options of `tmpfs`, beside its mode. Nothing, and said so, where none can be mounted.
    #[allow(clippy::disallowed_methods, reason = "mounts a file system, as nothing but a test may")]
    pub(in crate::metrics) fn of(options: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            not_tested::not_tested("mounting a small file system takes root");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("/bin/mount");
        mount.args(["-t", "tmpfs", "-o", &format!("mode=0700,{options}"), "cd-test"]).arg(folder.path());
        let mounted = mount.output().unwrap();
        if !mounted.status.success() {
            not_tested::not_tested("this machine does not let a file system be mounted");
            return None;
        }
        Some(Self(folder))
    }

    pub(in crate::metrics) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file until so many pages are left.
    pub(in crate::metrics) fn fill_but(&self, pages: u64) -> PathBuf {
        let told = rustix::fs::statvfs(self.path()).unwrap();
        let count = usize::try_from((told.f_bavail - pages) * told.f_bsize).unwrap();
        let path = self.path().join("filler");
        std::fs::File::create(&path).unwrap().write_all(&vec![b'x'; count]).unwrap();
        assert_eq!(rustix::fs::statvfs(self.path()).unwrap().f_bavail, pages);
        path
    }
}

impl Drop for Disk {
    #[allow(clippy::disallowed_methods, reason = "unmounts what it mounted")]
    fn drop(&mut self) {
        Command::new("/bin/umount").arg("-l").arg(self.path()).status().ok();
    }
}
