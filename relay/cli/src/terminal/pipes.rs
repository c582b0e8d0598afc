//! Standard streams without blocking: a slow reader of our output must not stop keystrokes, nor a terminal that says
//! nothing our signs of life.
//!
//! `O_NONBLOCK` belongs to the open file, which other programs share; so terminals and pipes are opened again through
//! `/proc/self/fd`. Where that is not possible the flag is set and put back. Plain files never block for long.

use super::filter::Filter;
use rustix::fs::{FileType, Mode, OFlags, fcntl_getfl, fcntl_setfl, fstat, open};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A standard stream.
#[derive(Debug)]
pub(crate) struct Pipe {
    fd: OwnedFd,
    /// A duplicate that is watched for bytes to read; none for what never waits for long: a file, `/dev/null`. Room to
    /// write is watched for only after a write that found none: else the kernel wakes us for what a terminal takes.
    arrivals: Option<AsyncFd<OwnedFd>>,
    /// Flags of a shared open file, to be put back.
    before: Option<OFlags>,
}

impl Pipe {
    /// For reading.
    pub(crate) fn reading(fd: impl AsFd) -> io::Result<Self> {
        let mut pipe = Self::new(fd.as_fd(), OFlags::RDONLY)?;
        // What epoll does not take is always ready.
        pipe.arrivals = watched(pipe.fd.try_clone()?, Interest::READABLE).ok();
        Ok(pipe)
    }

    /// For writing.
    pub(crate) fn writing(fd: impl AsFd) -> io::Result<Self> {
        Self::new(fd.as_fd(), OFlags::WRONLY)
    }

    fn new(fd: BorrowedFd<'_>, access: OFlags) -> io::Result<Self> {
        let kind = FileType::from_raw_mode(fstat(fd)?.st_mode);
        let (fd, before) = if kind == FileType::RegularFile {
            (fd.try_clone_to_owned()?, None)
        } else {
            let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
            let flags = access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
            match open(path.as_str(), flags, Mode::empty()) {
                Ok(own) => (own, None),
                Err(_) => {
                    let before = fcntl_getfl(fd)?;
                    fcntl_setfl(fd, before | OFlags::NONBLOCK)?;
                    (fd.try_clone_to_owned()?, Some(before))
                }
            }
        };
        Ok(Self { fd, arrivals: None, before })
    }

    /// Reads what is there; 0 at the end. May be given up without losing anything.
    pub(crate) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(arrivals) = &self.arrivals else { return Ok(rustix::io::read(&self.fd, buffer)?) };
        loop {
            let mut guard = arrivals.readable().await?;
            match guard.try_io(|fd| Ok(rustix::io::read(fd, &mut *buffer)?)) {
                // A terminal that was hung up reads as an error.
                Ok(Err(error)) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
                    return Ok(0);
                }
                Ok(result) => return result,
                Err(_would_block) => {}
            }
        }
    }

    /// Writes what fits now; waits until something does. May be given up without losing anything.
    pub(crate) async fn write(&self, data: &[u8]) -> io::Result<usize> {
        loop {
            match rustix::io::write(&self.fd, data) {
                Err(rustix::io::Errno::AGAIN) => {
                    let room = watched(self.fd.try_clone()?, Interest::WRITABLE)?;
                    room.writable().await?.retain_ready();
                }
                result => return Ok(result?),
            }
        }
    }

    /// Somebody looks at it.
    fn is_terminal(&self) -> bool {
        rustix::termios::isatty(&self.fd)
    }

    /// Writes what fits without waiting.
    pub(crate) fn try_write(&self, data: &[u8]) -> io::Result<usize> {
        match rustix::io::write(&self.fd, data) {
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(0),
            result => Ok(result?),
        }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            // A file that is gone has no flags to put back.
            fcntl_setfl(&self.fd, before).ok();
        }
    }
}

#[expect(deprecated, reason = "the new name is unsafe for types that may change their descriptor; OwnedFd cannot")]
fn watched(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, interest)
}

/// Output that waits for a slow reader. Bounded by the server's window, because only what was written is acknowledged.
/// A terminal gets it filtered, a pipe or file as it is.
#[derive(Debug)]
pub(crate) struct Backlog {
    pipe: Pipe,
    filter: Option<Filter>,
    /// What the filter left, when that is not the output itself.
    shown: Vec<u8>,
    waiting: Vec<u8>,
    start: usize,
    /// Bytes of output that are not done with. The filter may have made more or less of them.
    owed: usize,
    /// Nobody reads any more: the rest is dropped, and counts as written.
    closed: bool,
}

impl Backlog {
    pub(crate) fn new(pipe: Pipe) -> Self {
        let filter = pipe.is_terminal().then(Filter::new);
        Self { pipe, filter, shown: Vec::new(), waiting: Vec::new(), start: 0, owed: 0, closed: false }
    }

    /// Writes at once what fits and keeps the rest; returns how much of the output is done with.
    pub(crate) fn push(&mut self, data: &[u8]) -> usize {
        self.owed += data.len();
        let mut shown = std::mem::take(&mut self.shown);
        let passed = match &mut self.filter {
            Some(filter) => filter.pass(data, &mut shown),
            None => data,
        };
        let done = if self.is_empty() { self.done(self.pipe.try_write(passed), passed.len()) } else { 0 };
        self.waiting.extend_from_slice(&passed[done..]);
        self.shown = shown;
        self.settle(done)
    }

    /// Bytes of output are lost; what comes next continues nothing.
    pub(crate) fn skipped(&mut self) {
        if let Some(filter) = &mut self.filter {
            filter.skipped();
        }
    }

    /// How much of the output is done with, now that so many bytes were written: all, when nothing waits.
    fn settle(&mut self, written: usize) -> usize {
        let done = if self.is_empty() { self.owed } else { written.min(self.owed) };
        self.owed -= done;
        done
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.waiting.len()
    }

    /// Nobody reads any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Writes some of what waits; returns how much of the output is done with. Never ready while nothing waits.
    pub(crate) async fn drain(&mut self) -> usize {
        if self.is_empty() {
            return std::future::pending().await;
        }
        let result = self.pipe.write(&self.waiting[self.start..]).await;
        let done = self.done(result, self.waiting.len() - self.start);
        self.start += done;
        // Also while something waits all the time: what was written must not grow for as long as output flows.
        if self.start > self.waiting.len() / 2 {
            self.waiting.drain(..self.start);
            self.start = 0;
        }
        self.settle(done)
    }

    fn done(&mut self, result: io::Result<usize>, all: usize) -> usize {
        if self.closed {
            return all;
        }
        match result {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(_) => {
                self.closed = true;
                all
            }
        }
    }
}
