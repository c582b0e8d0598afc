//! One end of a holder's socket: whole messages in and out, descriptors beside them.
//!
//! Used by the holder for each guard that comes, and by guard through [`Guardian`]. It must never hold more than one
//! incomplete message and a few descriptors of a peer.

use super::door::{self, DoorError, Event, Open, Refusal, Reply, Request, Status};
use super::exhausted;
use cloud_doctor_proto::ids::{ChannelId, VisitId};
use cloud_doctor_proto::session::FinReason;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::Stdio;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::UnixStream;

/// Descriptors that may wait for their message.
const DESCRIPTORS_MAX: usize = 4;
/// Bytes that may wait for a guard that does not read; events are bounded, so this is never reached by an honest one.
const OUTGOING_MAX: usize = 1 << 20;

/// A connection with buffers.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: UnixStream,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    descriptors: VecDeque<OwnedFd>,
}

impl Wire {
    /// Takes a connection when the other side has our own user id.
    ///
    /// # Errors
    /// `PermissionDenied` for anybody else.
    pub(crate) fn new(stream: UnixStream) -> io::Result<Self> {
        if stream.peer_cred()?.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(Self { stream, incoming: Vec::new(), outgoing: Vec::new(), descriptors: VecDeque::new() })
    }

    /// The oldest descriptor that came.
    pub(crate) fn take_descriptor(&mut self) -> Option<OwnedFd> {
        self.descriptors.pop_front()
    }

    /// Queues a message; sent by [`Self::poll_flush`].
    pub(crate) fn queue<T: Serialize>(&mut self, message: &T) {
        self.outgoing.extend(door::encode(message));
    }

    /// The next message. Ready with an error when the peer is gone or broke the protocol.
    pub(crate) fn poll_message<T: serde::de::DeserializeOwned>(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, DoorError>> {
        loop {
            if let Some(message) = door::decode(&mut self.incoming)? {
                return Poll::Ready(Ok(message));
            }
            ready!(self.stream.poll_read_ready(cx))?;
            let (stream, incoming, descriptors) = (&self.stream, &mut self.incoming, &mut self.descriptors);
            match stream.try_io(Interest::READABLE, || receive(stream, incoming, descriptors)) {
                Ok(0) => return Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    /// Sends what is queued; ready when the queue is empty.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outgoing.is_empty() {
            if self.outgoing.len() > OUTGOING_MAX {
                return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
            }
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_write(&self.outgoing) {
                Ok(count) => drop(self.outgoing.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Sends a descriptor with the first bytes of the queue, which must be a message that expects it.
    async fn send_with_descriptor(&mut self, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        loop {
            self.stream.writable().await?;
            let (stream, outgoing) = (&self.stream, &self.outgoing);
            match stream.try_io(Interest::WRITABLE, || send(stream, outgoing, descriptor)) {
                Ok(count) => {
                    self.outgoing.drain(..count);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn receive(stream: &UnixStream, incoming: &mut Vec<u8>, descriptors: &mut VecDeque<OwnedFd>) -> io::Result<usize> {
    let mut buffer = [0; 4096];
    let (count, arrived) = receive_with_descriptors(stream.as_fd(), &mut buffer)?;
    incoming.extend_from_slice(&buffer[..count]);
    for descriptor in arrived {
        if descriptors.len() < DESCRIPTORS_MAX {
            descriptors.push_back(descriptor);
        }
    }
    Ok(count)
}

/// One `recvmsg`: bytes into `buffer`, and the descriptors that came with them.
///
/// # Errors
/// The kernel's; `InvalidData` when more descriptors came than this protocol ever sends.
pub(crate) fn receive_with_descriptors(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut descriptors = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(arrived) = part {
            descriptors.extend(arrived);
        }
    }
    if message.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok((message.bytes, descriptors))
}

fn send(stream: &UnixStream, bytes: &[u8], descriptor: BorrowedFd<'_>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor];
    if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(sendmsg(stream, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?)
}

/// Guard's end of a holder's socket.
///
/// Requests are answered in order; events that arrive meanwhile wait for [`Self::next_event`].
#[derive(Debug)]
pub(crate) struct Guardian {
    wire: Wire,
    events: VecDeque<Event>,
}

impl Guardian {
    /// Starts a holder as a child of the caller and waits until it can be connected to.
    ///
    /// It leaves the caller's session and process group at once and outlives the caller. `program` is this agent.
    ///
    /// # Errors
    /// The kernel's; [`DoorError::NotBegun`] when the holder could not begin, its reason being on standard error.
    #[expect(clippy::disallowed_methods, reason = "our own binary with an empty environment")]
    pub(crate) async fn launch(program: &Path, run: &Path, channel: ChannelId) -> Result<Self, DoorError> {
        let folder = door::folder(run);
        if let Err(error) = std::fs::DirBuilder::new().mode(0o700).create(&folder)
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(error.into());
        }
        let mut command = tokio::process::Command::new(program);
        command.arg("holder").arg(run).arg(channel.to_string()).env_clear().stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| DoorError::Spawn(exhausted::named(error)))?;
        let mut stdout = child.stdout.take().expect("stdout was asked to be a pipe");
        // One line when its socket listens. The runtime reaps it when it ends.
        if stdout.read_u8().await.is_err() {
            child.wait().await?;
            return Err(DoorError::NotBegun);
        }
        Self::connect(&door::socket_path(run, channel)).await
    }

    /// Connects to a living holder and subscribes to its events.
    ///
    /// # Errors
    /// The socket's; `PermissionDenied` when something of another user listens there.
    pub(crate) async fn connect(socket: &Path) -> Result<Self, DoorError> {
        let mut wire = Wire::new(UnixStream::connect(socket).await?)?;
        wire.queue(&Request::Subscribe);
        let mut guardian = Self { wire, events: VecDeque::new() };
        guardian.flush().await?;
        Ok(guardian)
    }

    /// Passes a client on. After `Ok(Ok(()))` the stream is the holder's; after a refusal it is still the caller's.
    ///
    /// # Errors
    /// [`DoorError`] when the holder is gone.
    pub(crate) async fn open(
        &mut self,
        open: Box<Open>,
        client: BorrowedFd<'_>,
    ) -> Result<Result<(), Refusal>, DoorError> {
        self.flush().await?;
        self.wire.queue(&Request::Open(open));
        self.wire.send_with_descriptor(client).await?;
        match self.answer().await? {
            Reply::Opened => Ok(Ok(())),
            Reply::Refused(refusal) => Ok(Err(refusal)),
            Reply::Status(_) | Reply::Ending | Reply::Event(_) => Err(DoorError::OutOfTurn),
        }
    }

    /// Asks for the holder's state.
    ///
    /// # Errors
    /// [`DoorError`] when the holder is gone.
    pub(crate) async fn status(&mut self) -> Result<Status, DoorError> {
        self.wire.queue(&Request::Status);
        match self.answer().await? {
            Reply::Status(status) => Ok(*status),
            Reply::Opened | Reply::Refused(_) | Reply::Ending | Reply::Event(_) => Err(DoorError::OutOfTurn),
        }
    }

    /// Ends the channel; returns when the end has begun.
    ///
    /// # Errors
    /// [`DoorError`] when the holder is gone.
    pub(crate) async fn end(&mut self, reason: FinReason, grace_secs: u64) -> Result<(), DoorError> {
        self.wire.queue(&Request::End { reason, grace_secs });
        match self.answer().await? {
            Reply::Ending => Ok(()),
            Reply::Opened | Reply::Refused(_) | Reply::Status(_) | Reply::Event(_) => Err(DoorError::OutOfTurn),
        }
    }

    /// Tells the holder that a watcher's visit is over.
    ///
    /// # Errors
    /// [`DoorError`] when the holder is gone.
    pub(crate) async fn unwatch(&mut self, visit: VisitId, reason: FinReason) -> Result<(), DoorError> {
        self.wire.queue(&Request::Unwatch { visit, reason });
        self.flush().await
    }

    /// Waits for the next event. Safe to cancel.
    ///
    /// # Errors
    /// [`DoorError`] when the holder is gone: after [`door::What::Ended`] that is how it should be.
    pub(crate) async fn next_event(&mut self) -> Result<Event, DoorError> {
        if let Some(event) = self.events.pop_front() {
            return Ok(event);
        }
        match std::future::poll_fn(|cx| self.wire.poll_message(cx)).await? {
            Reply::Event(event) => Ok(event),
            Reply::Opened | Reply::Refused(_) | Reply::Status(_) | Reply::Ending => Err(DoorError::OutOfTurn),
        }
    }

    /// Tells the holder that events up to `seq` are on disk.
    ///
    /// # Errors
    /// [`DoorError`] when the holder is gone.
    pub(crate) async fn events_written(&mut self, seq: u64) -> Result<(), DoorError> {
        self.wire.queue(&Request::EventsWritten(seq));
        self.flush().await
    }

    async fn answer(&mut self) -> Result<Reply, DoorError> {
        self.flush().await?;
        loop {
            match std::future::poll_fn(|cx| self.wire.poll_message(cx)).await? {
                Reply::Event(event) => self.events.push_back(event),
                reply @ (Reply::Opened | Reply::Refused(_) | Reply::Status(_) | Reply::Ending) => return Ok(reply),
            }
        }
    }

    async fn flush(&mut self) -> Result<(), DoorError> {
        Ok(std::future::poll_fn(|cx| self.wire.poll_flush(cx)).await?)
    }
}
