//! A pipe to a server through the relay: binary WebSocket messages turned into frames, and back.
//!
//! Boundaries of messages mean nothing. A WebSocket has no half-close, so an empty binary message says "this direction
//! is over". Reading and writing are driven together, so that neither can starve the other. Never: an unbounded buffer,
//! or a frame that is taken before its length was checked.

use crate::messages::{Id, Say, Sentence};
use crate::relay_api::{Relay, RelayError, Socket, StreamNote, Way};
use cloud_doctor_proto::close::StreamClose;
use cloud_doctor_proto::frame::{Decoder, Frame, FrameError};
use futures_util::{Sink, Stream as _};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Error as WsError, Message};

/// Largest message taken from the relay: it sends pieces of about 32 KiB.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// One read of the socket: a TLS record. tungstenite fills this much with zeroes before each read, also before one that
/// brings a key's echo or nothing; below it the socket reads ahead, so that bulk needs few system calls.
const READ_BYTES: usize = 16 << 10;
/// One message towards the relay, which takes at most 64 KiB in a frame.
const PIECE_BYTES: usize = 32 << 10;
/// Bytes that may wait to be written; callers ask [`FrameStream::has_room`] before they add bulk.
const WAITING_BYTES: usize = 128 << 10;

/// A stream of frames to a server's guard or holder.
pub struct FrameStream {
    socket: WebSocketStream<Socket>,
    decoder: Decoder,
    waiting: Vec<u8>,
    unflushed: bool,
}

impl std::fmt::Debug for FrameStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FrameStream").field("waiting", &self.waiting.len()).finish_non_exhaustive()
    }
}

/// Why there is no more stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The relay closed it and said why.
    #[error("{}", self.sentence())]
    Closed(StreamClose),
    /// The other side ended its direction, or the network broke.
    #[error("{}", self.sentence())]
    Lost(String),
    /// What came is no frame.
    #[error("{}", self.sentence())]
    Framing(FrameError),
}

impl Sentence for StreamError {
    fn sentence(&self) -> Say {
        match self {
            StreamError::Closed(code) => Id::StreamClosed.with(&[]).and(|language| code.text_in(language).to_owned()),
            StreamError::Lost(why) => Id::StreamLost.with(&[why]),
            StreamError::Framing(error) => Id::StreamFraming.with(&[error]),
        }
    }
}

impl From<WsError> for StreamError {
    fn from(error: WsError) -> Self {
        StreamError::Lost(error.to_string())
    }
}

/// The limits of tungstenite, all on purpose.
#[must_use]
pub fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(PIECE_BYTES * 4)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
}

impl FrameStream {
    /// Opens a stream to a server through its relay.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn open(relay: &Relay, way: &Way, note: &StreamNote) -> Result<Self, RelayError> {
        let socket = relay.upgrade(way, note).await?;
        Ok(Self { socket, decoder: Decoder::new(), waiting: Vec::with_capacity(4096), unflushed: false })
    }

    /// Where frames to be sent are appended.
    pub fn outgoing(&mut self) -> &mut Vec<u8> {
        &mut self.waiting
    }

    /// Whether bulk may be added to [`Self::outgoing`].
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.waiting.len() < WAITING_BYTES
    }

    /// Writes what the socket takes. Ready when nothing waits any more.
    ///
    /// # Errors
    /// [`StreamError`].
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        let mut socket = Pin::new(&mut self.socket);
        while !self.waiting.is_empty() {
            ready!(socket.as_mut().poll_ready(cx))?;
            let rest = self.waiting.split_off(self.waiting.len().min(PIECE_BYTES));
            let piece = std::mem::replace(&mut self.waiting, rest);
            socket.as_mut().start_send(Message::Binary(Bytes::from(piece)))?;
            self.unflushed = true;
        }
        if self.unflushed {
            ready!(socket.as_mut().poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// The next frame.
    ///
    /// # Errors
    /// [`StreamError`]; an end is one too, because a session ends inside the sealed channel.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame, StreamError>> {
        loop {
            if let Some(frame) = self.decoder.next_frame().map_err(StreamError::Framing)? {
                return Poll::Ready(Ok(frame));
            }
            let message = ready!(Pin::new(&mut self.socket).poll_next(cx));
            match message {
                Some(Ok(Message::Binary(piece))) if piece.is_empty() => {
                    return Poll::Ready(Err(StreamError::Closed(StreamClose::Done)));
                }
                Some(Ok(Message::Binary(piece))) => self.decoder.push(&piece),
                Some(Ok(Message::Close(frame))) => {
                    let code = frame.map_or(1005, |frame| u64::from(u16::from(frame.code)));
                    let lost = || StreamError::Lost(format!("closed by the relay with {code}"));
                    return Poll::Ready(Err(StreamClose::from_number(code).map_or_else(lost, StreamError::Closed)));
                }
                Some(Ok(Message::Text(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(error)) => return Poll::Ready(Err(error.into())),
                None => return Poll::Ready(Err(StreamError::Lost("the connection was closed".to_owned()))),
            }
        }
    }

    /// Writes what waits and returns the next frame. May be given up at any point without losing anything.
    ///
    /// # Errors
    /// [`StreamError`].
    pub async fn next(&mut self) -> Result<Frame, StreamError> {
        poll_fn(|cx| {
            if let Poll::Ready(Err(error)) = self.poll_flush(cx) {
                return Poll::Ready(Err(error));
            }
            self.poll_frame(cx)
        })
        .await
    }

    /// Sends what waits, says that nothing follows, and leaves.
    pub async fn leave(mut self) {
        let farewell = async {
            poll_fn(|cx| self.poll_flush(cx)).await.ok()?;
            poll_fn(|cx| Pin::new(&mut self.socket).poll_ready(cx)).await.ok()?;
            Pin::new(&mut self.socket).start_send(Message::Close(None)).ok()?;
            poll_fn(|cx| Pin::new(&mut self.socket).poll_flush(cx)).await.ok()
        };
        // Nobody waits for it: a peer that does not take it learns of the end by the closed connection.
        drop(tokio::time::timeout(std::time::Duration::from_millis(500), farewell).await);
    }
}
