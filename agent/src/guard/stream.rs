//! Frames over one unix connection, each read and write with a deadline.
//!
//! It must never hold more than one incomplete frame of a peer, and never wait without an end.

use cloud_doctor_proto::frame::{self, Decoder, Frame, FrameError, Kind};
use cloud_doctor_proto::limits::GREETING_BYTES_MAX;
use cloud_doctor_proto::refusal::Refused;
use serde::Serialize;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// A client that does not read our small answers for this long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// After a refusal the peer gets this long to read it before the connection is closed under it.
const LINGER: Duration = Duration::from_secs(2);

/// The peer is of no further use.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    /// It closed, or the socket failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// It broke the framing.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// It said nothing in time.
    #[error("nothing was heard in time")]
    Silent,
    /// It closed between two frames.
    #[error("the peer closed the connection")]
    Closed,
}

/// A frame that has begun must be whole after this time.
const BEGUN: Duration = Duration::from_secs(20);

/// A connection with its decoder.
///
/// A peer that has proved nothing may make us hold [`GREETING_BYTES_MAX`]; for more it needs one of a few permits, so
/// that all strangers together stay far below what guard may use.
#[derive(Debug)]
pub(super) struct FrameStream {
    stream: UnixStream,
    decoder: Decoder,
    refused: bool,
    large: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
}

impl FrameStream {
    /// Takes a connection.
    pub(super) fn new(stream: UnixStream, large: Arc<Semaphore>) -> Self {
        Self { stream, decoder: Decoder::new(), refused: false, large, permit: None }
    }

    /// The next frame. Safe to cancel.
    ///
    /// # Errors
    /// [`StreamError`].
    pub(super) async fn next(&mut self, within: Duration) -> Result<Frame, StreamError> {
        if let Some(frame) = self.take()? {
            return Ok(frame);
        }
        if self.decoder.pending() == 0 {
            timeout(within, self.read()).await.map_err(|_| StreamError::Silent)??;
        }
        timeout(within.min(BEGUN), self.rest()).await.map_err(|_| StreamError::Silent)?
    }

    /// The rest of a frame that has begun.
    async fn rest(&mut self) -> Result<Frame, StreamError> {
        loop {
            if let Some(frame) = self.take()? {
                return Ok(frame);
            }
            self.read().await?;
        }
    }

    fn take(&mut self) -> Result<Option<Frame>, StreamError> {
        let frame = self.decoder.next_frame()?;
        if frame.is_some() {
            self.permit = None;
        }
        Ok(frame)
    }

    async fn read(&mut self) -> Result<(), StreamError> {
        if self.decoder.pending() > GREETING_BYTES_MAX && self.permit.is_none() {
            let permit = self.large.clone().acquire_owned().await;
            self.permit = Some(permit.expect("nobody closes this semaphore"));
        }
        let mut buffer = [0; 8192];
        match self.stream.read(&mut buffer).await? {
            0 => Err(StreamError::Closed),
            count => {
                self.decoder.push(&buffer[..count]);
                Ok(())
            }
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// [`StreamError`].
    pub(super) async fn send<T: Serialize>(&mut self, kind: Kind, message: &T) -> Result<(), StreamError> {
        self.refused = kind == Kind::Refused;
        let bytes = frame::message(kind, message);
        timeout(WRITE_TIMEOUT, self.stream.write_all(&bytes)).await.map_err(|_| StreamError::Silent)??;
        Ok(())
    }

    /// The last thing that was said here was a refusal.
    pub(super) fn refused_last(&self) -> bool {
        self.refused
    }

    /// Sends a refusal.
    ///
    /// # Errors
    /// [`StreamError`].
    pub(super) async fn refuse(&mut self, refused: &Refused) -> Result<(), StreamError> {
        self.send(Kind::Refused, refused).await
    }

    /// Closes so that the last words arrive: a socket closed with unread bytes would take them back.
    pub(super) async fn close(mut self) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let mut buffer = [0; 512];
        let drain = async { while self.stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {} };
        // Whoever still talks after this time is cut off.
        timeout(LINGER, drain).await.ok();
    }

    /// Takes the connection apart: the stream, and bytes that were read beyond the last frame.
    pub(super) fn into_parts(self) -> (UnixStream, Vec<u8>, Arc<Semaphore>) {
        (self.stream, self.decoder.into_rest(), self.large)
    }

    /// Puts it together again after a holder refused it.
    pub(super) fn from_parts(stream: UnixStream, rest: &[u8], large: Arc<Semaphore>) -> Self {
        let mut same = Self::new(stream, large);
        same.decoder.push(rest);
        same
    }
}
