//! The two directions of a descriptor that bytes flow through, each waited for only when somebody has to wait.
//!
//! tokio's own sockets always watch for room to write. The kernel then wakes the writer each time that the reader takes
//! something: for a key and its echo, one more sleeping process at every hop, paid by whoever reads. Here room is
//! watched for only after a write that found none. It must never lose a wake-up: what is watched anew is reported when
//! it is ready already.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A read that brings less than this has emptied the descriptor. After more, bulk is probably still on its way, and
/// asking again costs less than waiting.
const FEW_BYTES: usize = 1024;

/// Where bytes come from.
#[derive(Debug)]
pub(crate) struct Inlet(AsyncFd<OwnedFd>);

/// Where bytes go.
#[derive(Debug)]
pub(crate) struct Outlet {
    fd: OwnedFd,
    /// While there is no room: a duplicate that is watched.
    room: Option<AsyncFd<OwnedFd>>,
}

/// Both directions of a non-blocking descriptor.
///
/// # Errors
/// The kernel's, when no more descriptors can be had or watched.
pub(crate) fn both(fd: OwnedFd) -> io::Result<(Inlet, Outlet)> {
    let outlet = Outlet::new(fd.try_clone()?);
    Ok((Inlet::new(fd)?, outlet))
}

impl Inlet {
    /// Of a non-blocking descriptor.
    ///
    /// # Errors
    /// The kernel's, when no more descriptors can be watched.
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        watched(fd, Interest::READABLE).map(Self)
    }

    /// Reads what is there; zero bytes are the end.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.0.poll_read_ready(cx))?;
            match guard.try_io(|fd| Ok(rustix::io::read(fd, &mut *buffer)?)) {
                Ok(Ok(count)) if (1..FEW_BYTES.min(buffer.len())).contains(&count) => {
                    // The edge that the next byte makes is not missed: only the readiness seen above is taken back.
                    guard.clear_ready();
                    return Poll::Ready(Ok(count));
                }
                Ok(read) => return Poll::Ready(read),
                Err(_would_block) => {}
            }
        }
    }
}

impl Outlet {
    /// Of a non-blocking descriptor.
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self { fd, room: None }
    }

    /// Writes what there is room for.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let Some(room) = &self.room else {
                match self.try_write(bytes) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.room = Some(watched(self.fd.try_clone()?, Interest::WRITABLE)?);
                        continue;
                    }
                    written => return Poll::Ready(written),
                }
            };
            let mut guard = ready!(room.poll_write_ready(cx))?;
            let Ok(written) = guard.try_io(|fd| Ok(rustix::io::write(fd, bytes)?)) else { continue };
            if written.as_ref().is_ok_and(|count| *count == bytes.len()) {
                self.room = None;
            }
            return Poll::Ready(written);
        }
    }

    /// Writes what there is room for at this moment.
    ///
    /// # Errors
    /// The kernel's; `WouldBlock` when there is none.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(&self.fd, bytes)?)
    }
}

impl AsFd for Inlet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }
}

impl AsFd for Outlet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[expect(deprecated, reason = "the new name is unsafe for types that may change their descriptor; OwnedFd cannot")]
fn watched(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, interest)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::future::poll_fn;
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    fn pair() -> (Inlet, Outlet, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let (inlet, outlet) = both(ours.into()).unwrap();
        (inlet, outlet, theirs)
    }

    #[tokio::test]
    async fn few_and_many_bytes_are_read_to_the_end() {
        let (inlet, outlet, mut theirs) = pair();
        let mut buffer = [0; 4 * FEW_BYTES];
        for len in [1, FEW_BYTES - 1, FEW_BYTES, 3 * FEW_BYTES, 1] {
            // Twice: the second comes after the readiness of the first was used up.
            for _ in 0..2 {
                theirs.write_all(&vec![b'x'; len]).unwrap();
                let mut got = 0;
                while got < len {
                    got += poll_fn(|cx| inlet.poll_read(cx, &mut buffer)).await.unwrap();
                }
                assert_eq!(got, len);
            }
        }
        drop(theirs);
        assert_eq!(poll_fn(|cx| inlet.poll_read(cx, &mut buffer)).await.unwrap(), 0);
        drop(outlet);
    }

    #[tokio::test]
    async fn a_writer_without_room_is_woken_by_a_reader() {
        const TOTAL: usize = 3 << 20;
        let (_inlet, mut outlet, mut theirs) = pair();
        let reading = tokio::task::spawn_blocking(move || {
            let mut got = vec![0; TOTAL];
            theirs.read_exact(&mut got).unwrap();
            got
        });
        let bytes: Vec<u8> = (0..TOTAL).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let mut sent = 0;
        while sent < TOTAL {
            sent += poll_fn(|cx| outlet.poll_write(cx, &bytes[sent..])).await.unwrap();
        }
        assert_eq!(reading.await.unwrap(), bytes);
        assert!(outlet.room.is_none(), "room is not watched any more");
    }
}
