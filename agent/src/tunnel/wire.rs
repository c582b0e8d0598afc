//! Frames on QUIC streams and Unix sockets. Holds one incomplete frame, and of it only bytes that arrived.

use bytes::BufMut as _;
use cloud_doctor_proto::frame::{self, Frame, FrameError, Header, Kind};
use cloud_doctor_proto::limits::FRAME_HEADER_BYTES;
use cloud_doctor_proto::pack::{self, PackError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Bytes asked of the stream at once.
const PIECE_BYTES: usize = 16 << 10;

/// A conversation in frames came to a bad end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    /// Reading or writing failed: the other side is gone.
    #[error(transparent)]
    Io(#[from] io::Error),
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
    #[error("the other side ended the conversation too early")]
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

/// Reads frames, never a byte beyond the last one; every wait may be abandoned and taken up again.
#[derive(Debug)]
pub(super) struct FrameReader<R> {
    stream: R,
    bytes_max: usize,
    buffer: Vec<u8>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// A reader that refuses bodies above `bytes_max`, whatever their kind allows.
    pub(super) fn new(stream: R, bytes_max: usize) -> Self {
        Self { stream, bytes_max, buffer: Vec::new() }
    }

    /// The next frame of a known kind; `None` at the stream's end.
    pub(super) async fn next(&mut self) -> Result<Option<Frame>, WireError> {
        loop {
            if !self.fill(FRAME_HEADER_BYTES).await? {
                return if self.buffer.is_empty() { Ok(None) } else { Err(WireError::Ended) };
            }
            let head = self.buffer.first_chunk().expect("it was just filled");
            let header = Header::parse(*head)?;
            if header.len > self.bytes_max {
                return Err(FrameError::TooLong { number: header.number, len: header.len, max: self.bytes_max }.into());
            }
            let kind = header.kind()?;
            if !self.fill(FRAME_HEADER_BYTES + header.len).await? {
                return Err(WireError::Ended);
            }
            let body = self.buffer.split_off(FRAME_HEADER_BYTES);
            self.buffer = Vec::new();
            if let Some(kind) = kind {
                return Ok(Some(Frame { kind, body }));
            }
        }
    }

    /// The next frame, which must be `wanted`.
    pub(super) async fn expect<T: DeserializeOwned>(&mut self, wanted: Kind) -> Result<T, WireError> {
        let frame = self.next().await?.ok_or(WireError::Ended)?;
        if frame.kind == wanted { parse(&frame) } else { Err(WireError::Unexpected { got: frame.kind, wanted }) }
    }

    async fn fill(&mut self, want: usize) -> Result<bool, io::Error> {
        while self.buffer.len() < want {
            let missing = (want - self.buffer.len()).min(PIECE_BYTES);
            self.buffer.reserve(missing);
            if self.stream.read_buf(&mut (&mut self.buffer).limit(missing)).await? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The message in a frame.
pub(super) fn parse<T: DeserializeOwned>(frame: &Frame) -> Result<T, WireError> {
    pack::from_bytes(&frame.body, frame.kind.bytes_max()).map_err(|source| WireError::Body { kind: frame.kind, source })
}

/// Sends one message.
pub(super) async fn send<W, T>(stream: &mut W, kind: Kind, value: &T) -> Result<(), WireError>
where
    W: AsyncWrite + Unpin,
    T: Serialize,
{
    Ok(stream.write_all(&frame::message(kind, value)).await?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::task::Poll;

    #[tokio::test]
    async fn cod_05_frames_arrive_in_any_pieces_and_nothing_beyond_them_is_read() {
        let mut bytes = frame::encode(Kind::StreamHead, &[7; 300]);
        bytes.extend([0, 0, 0, 2, 0x7f, 0xff, 0, 1, 2]);
        bytes.extend(frame::encode(Kind::Ping, &[]));
        for cut in 0..bytes.len() {
            let stream = bytes.iter().chain(b"sealed").copied().collect();
            let mut stream = Pieces(stream, cut);
            let mut reader = FrameReader::new(&mut stream, 1000);
            assert_eq!(reader.next().await.unwrap().unwrap().body, vec![7; 300]);
            assert_eq!(reader.next().await.unwrap().unwrap().kind, Kind::Ping);
            let mut rest = String::new();
            stream.read_to_string(&mut rest).await.unwrap();
            assert_eq!(rest, "sealed");
        }
    }

    #[tokio::test]
    async fn cod_01_too_long_and_too_short_are_errors() {
        let long = frame::encode(Kind::Hello, &[0; 200]);
        assert!(matches!(FrameReader::new(&long[..], 100).next().await, Err(WireError::Frame(_))));
        for cut in 1..long.len() {
            assert!(matches!(FrameReader::new(&long[..cut], 1000).next().await, Err(WireError::Ended)));
        }
        assert!(FrameReader::new(&long[..0], 100).next().await.unwrap().is_none());
    }

    /// Hands out `self.1` bytes first, then byte by byte.
    struct Pieces(std::collections::VecDeque<u8>, usize);

    impl AsyncRead for Pieces {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _cx: &mut std::task::Context<'_>,
            buffer: &mut tokio::io::ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let count = std::mem::replace(&mut self.1, 1).max(1).min(buffer.remaining()).min(self.0.len());
            let piece: Vec<u8> = self.0.drain(..count).collect();
            buffer.put_slice(&piece);
            Poll::Ready(Ok(()))
        }
    }
}
