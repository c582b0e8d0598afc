//! Asking what may never answer: a hung mount blocks whoever touches it, for hours, and no signal helps.
//!
//! The question is asked by a thread of its own. When it does not come back in time the thread stays behind, blocked in
//! the kernel: it holds one descriptor and no lock, and is gone with the process, which ends soon after. So nothing but
//! short-lived runs may ask this way, and each mount only once.

use super::Host;
use crate::found::Gap;
use crate::number::percent;
use crate::words;
use rustix::fs::{Mode, OFlags, StatVfs};
use rustix::io::Errno;
use std::os::fd::AsFd as _;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

/// What became of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked<T> {
    /// It was answered.
    Answer(T),
    /// It was not, in time.
    Hangs,
    /// What is behind it is gone, and the kernel knows: in the kernel's words.
    Gone(String),
}

/// Space and inodes of one file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes, all.
    pub bytes: u64,
    /// Bytes in no file.
    pub bytes_free: u64,
    /// Bytes that others than root may take.
    pub bytes_available: u64,
    /// Inodes, all; zero where the file system makes them as needed.
    pub inodes: u64,
    /// Inodes that others than root may take.
    pub inodes_available: u64,
}

impl Space {
    /// How much of what can be used is used, as df(1) says it.
    #[must_use]
    pub fn used_percent(&self) -> Option<f64> {
        let used = self.bytes.saturating_sub(self.bytes_free);
        percent(used, used.saturating_add(self.bytes_available))
    }

    /// How many of the inodes are taken.
    #[must_use]
    pub fn inodes_used_percent(&self) -> Option<f64> {
        percent(self.inodes.saturating_sub(self.inodes_available), self.inodes)
    }
}

impl From<StatVfs> for Space {
    fn from(stat: StatVfs) -> Self {
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Self {
            bytes: bytes(stat.f_blocks),
            bytes_free: bytes(stat.f_bfree),
            bytes_available: bytes(stat.f_bavail),
            inodes: stat.f_files,
            inodes_available: stat.f_favail,
        }
    }
}

impl Host {
    /// Space and inodes of the file system at `point`. For local ones: it does not come back from one that hangs.
    ///
    /// # Errors
    /// As [`Host::stat`].
    pub fn space(&self, point: &str) -> Result<Space, Gap> {
        #[cfg(test)]
        if let Ok(text) = self.read(&format!("{point}/{PRETENDED}")) {
            return Ok(pretended(&text));
        }
        self.statvfs(point).map(Space::from)
    }

    /// The same for a file system that may hang, within `wait`.
    ///
    /// # Errors
    /// [`Gap::Unknown`] when the kernel refuses to answer at all, or on a root that is not running.
    pub fn space_within(&self, point: &str, wait: Duration) -> Result<Asked<Space>, Gap> {
        self.must_live()?;
        let cannot = |why: &dyn std::fmt::Display| {
            let why = why.to_string();
            Gap::Unknown(words!("{point} cannot be asked: {why}", "无法查询 {point}：{why}"))
        };
        #[cfg(test)]
        if let Ok(text) = self.read(&format!("{point}/{PRETENDED}")) {
            return Ok(match text.trim() {
                "hangs" => Asked::Hangs,
                "gone" => Asked::Gone("Stale file handle (os error 116)".into()),
                _ => Asked::Answer(pretended(&text)),
            });
        }
        let root = self.root.as_fd().try_clone_to_owned().map_err(|error| cannot(&error))?;
        let below = point.trim_start_matches('/');
        let below = if below.is_empty() { ".".to_owned() } else { below.to_owned() };
        let asked = within(wait, move || {
            // Following links would be wrong: a mount point is none.
            let fd =
                rustix::fs::openat(&root, below, OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())?;
            rustix::fs::fstatvfs(&fd)
        });
        match asked.map_err(|error| cannot(&error))? {
            Asked::Hangs => Ok(Asked::Hangs),
            Asked::Gone(why) => Ok(Asked::Gone(why)),
            Asked::Answer(Ok(stat)) => Ok(Asked::Answer(Space::from(stat))),
            Asked::Answer(Err(errno)) => {
                let error = std::io::Error::from(errno);
                // A file handle that the server has forgotten, a FUSE process that ended, a server that is down.
                let gone = [Errno::STALE, Errno::NOTCONN, Errno::HOSTDOWN, Errno::TIMEDOUT, Errno::IO].contains(&errno);
                if gone { Ok(Asked::Gone(error.to_string())) } else { Err(cannot(&error)) }
            }
        }
    }
}

/// Runs `ask` on a thread and waits for it no longer than `wait`.
fn within<T: Send + 'static>(wait: Duration, ask: impl FnOnce() -> T + Send + 'static) -> std::io::Result<Asked<T>> {
    let (sender, receiver) = sync_channel(1);
    // Not joined: see above. Who does not wait any more has no use for the answer.
    std::thread::Builder::new().name("ask".into()).spawn(move || drop(sender.send(ask())))?;
    match receiver.recv_timeout(wait) {
        Ok(answer) => Ok(Asked::Answer(answer)),
        Err(RecvTimeoutError::Timeout) => Ok(Asked::Hangs),
        Err(RecvTimeoutError::Disconnected) => Err(std::io::Error::other("the asking thread ended")),
    }
}

/// In tests: the file in a mount point that says what statvfs answers.
#[cfg(test)]
pub(crate) const PRETENDED: &str = ".statvfs";

/// `bytes free available inodes inodes-available`, in MiB where bytes are meant.
#[cfg(test)]
fn pretended(text: &str) -> Space {
    let number = |index: usize| text.split_ascii_whitespace().nth(index).and_then(|one| one.parse().ok()).unwrap_or(0);
    Space {
        bytes: number(0) << 20,
        bytes_free: number(1) << 20,
        bytes_available: number(2) << 20,
        inodes: number(3),
        inodes_available: number(4),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn what_does_not_answer_is_left_behind() {
        let (hold, held) = sync_channel::<()>(1);
        let asked = within(Duration::from_millis(20), move || held.recv().is_ok()).unwrap();
        assert_eq!(asked, Asked::Hangs);
        drop(hold);
        assert_eq!(within(Duration::from_secs(20), || 7).unwrap(), Asked::Answer(7));
        assert!(within(Duration::from_secs(20), || -> u8 { panic!("a test of a broken thread") }).is_err());
    }

    #[test]
    fn a_real_file_system_answers() {
        let fixture = Fixture::live().file("/mnt/a/file", "x");
        let host = fixture.host();
        let Asked::Answer(space) = host.space_within("/mnt/a", Duration::from_secs(20)).unwrap() else { panic!() };
        assert!(space.bytes > 0 && space.used_percent().is_some());
        assert_eq!(host.space("/mnt/a").unwrap().bytes, space.bytes);
        assert!(host.space_within("/mnt/b", Duration::from_secs(20)).is_err());
    }

    #[test]
    fn shares_are_those_of_df() {
        // Reserved blocks count as used up: 90 of 95 that others may use.
        let space = Space { bytes: 100, bytes_free: 10, bytes_available: 5, inodes: 0, inodes_available: 0 };
        assert!((space.used_percent().unwrap() - 94.736).abs() < 0.001);
        assert_eq!(space.inodes_used_percent(), None);
    }
}
