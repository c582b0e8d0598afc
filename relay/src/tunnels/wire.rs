//! Frames on QUIC streams. Holds one incomplete frame, and of it only bytes that arrived.

use bytes::Bytes;
use cloud_doctor_proto::frame::{Frame, FrameError, Header, Kind};
use cloud_doctor_proto::limits::FRAME_HEADER_BYTES;
use cloud_doctor_proto::pack::{self, PackError};
use quinn::{ReadError, RecvStream, SendStream, WriteError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A stream of frames came to a bad end.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    /// Reading failed: the connection or the stream is gone.
    #[error("read: {0}")]
    Read(#[from] ReadError),
    /// Writing failed: the connection or the stream is gone.
    #[error("write: {0}")]
    Write(#[from] WriteError),
    /// The peer broke the framing.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The peer's message is not what its kind promises.
    #[error("{kind:?}: {source}")]
    Body {
        /// Which message.
        kind: Kind,
        /// What is wrong.
        source: PackError,
    },
    /// The stream ended, inside a frame or where one had to follow.
    #[error("the stream ended too early")]
    Ended,
    /// Not the frame that had to come.
    #[error("{got:?} where {wanted:?} had to come")]
    Unexpected {
        /// What came.
        got: Kind,
        /// What had to come.
        wanted: Kind,
    },
}

/// Reads frames; every wait may be abandoned and taken up again.
#[derive(Debug)]
pub(super) struct FrameReader {
    stream: RecvStream,
    bytes_max: usize,
    head: [u8; FRAME_HEADER_BYTES],
    head_len: usize,
    header: Option<Header>,
    body: Vec<u8>,
    body_seen: usize,
}

impl FrameReader {
    /// A reader that refuses bodies above `bytes_max`, whatever their kind allows.
    pub(super) fn new(stream: RecvStream, bytes_max: usize) -> Self {
        Self {
            stream,
            bytes_max,
            head: [0; FRAME_HEADER_BYTES],
            head_len: 0,
            header: None,
            body: Vec::new(),
            body_seen: 0,
        }
    }

    /// The next frame of a known kind; `None` at the stream's end.
    pub(super) async fn next(&mut self) -> Result<Option<Frame>, WireError> {
        loop {
            let Some(header) = self.header else {
                let Some(chunk) = self.chunk(FRAME_HEADER_BYTES - self.head_len).await? else {
                    return if self.head_len == 0 { Ok(None) } else { Err(WireError::Ended) };
                };
                self.take_head(&chunk)?;
                continue;
            };
            if self.body_seen == header.len {
                self.header = None;
                let body = std::mem::take(&mut self.body);
                self.body_seen = 0;
                match header.kind()? {
                    Some(kind) => return Ok(Some(Frame { kind, body })),
                    None => continue,
                }
            }
            let chunk = self.chunk(header.len - self.body_seen).await?.ok_or(WireError::Ended)?;
            self.body_seen += chunk.len();
            if header.kind()?.is_some() {
                self.body.extend_from_slice(&chunk);
            }
        }
    }

    /// The next frame, which must be `wanted`.
    pub(super) async fn expect<T: DeserializeOwned>(&mut self, wanted: Kind) -> Result<T, WireError> {
        let frame = self.next().await?.ok_or(WireError::Ended)?;
        if frame.kind != wanted {
            return Err(WireError::Unexpected { got: frame.kind, wanted });
        }
        parse(&frame)
    }

    fn take_head(&mut self, chunk: &[u8]) -> Result<(), WireError> {
        self.head[self.head_len..][..chunk.len()].copy_from_slice(chunk);
        self.head_len += chunk.len();
        if self.head_len == FRAME_HEADER_BYTES {
            self.head_len = 0;
            let header = Header::parse(self.head)?;
            if header.len > self.bytes_max {
                return Err(FrameError::TooLong { number: header.number, len: header.len, max: self.bytes_max }.into());
            }
            header.kind()?;
            self.header = Some(header);
        }
        Ok(())
    }

    async fn chunk(&mut self, bytes_max: usize) -> Result<Option<Bytes>, WireError> {
        Ok(self.stream.read_chunk(bytes_max, true).await?.map(|chunk| chunk.bytes))
    }
}

/// The message in a frame.
pub(super) fn parse<T: DeserializeOwned>(frame: &Frame) -> Result<T, WireError> {
    pack::from_bytes(&frame.body, frame.kind.bytes_max()).map_err(|source| WireError::Body { kind: frame.kind, source })
}

/// Sends one message.
pub(super) async fn send<T: Serialize>(stream: &mut SendStream, kind: Kind, value: &T) -> Result<(), WireError> {
    Ok(stream.write_all(&cloud_doctor_proto::frame::message(kind, value)).await?)
}
