//! Whole frames of a stream, as they came: header and body in one piece of bytes, so that they can be passed on unread.

use crate::broker::AgentStream;
use axum::body::Bytes;
use bytes::{Buf as _, BytesMut};
use cloud_doctor_proto::frame::{FrameError, Header, Kind};
use cloud_doctor_proto::limits::FRAME_HEADER_BYTES;
use quinn::ReadError;

/// Read at once: a sample of a usual host.
const CHUNK_BYTES: usize = 16 << 10;
/// Frames of unknown kinds on one stream.
const SKIPPED_MAX: usize = 64;

/// A frame with its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// What its body is.
    pub kind: Kind,
    /// Header and body.
    pub bytes: Bytes,
}

impl Whole {
    /// Without its header.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.bytes.get(FRAME_HEADER_BYTES..).unwrap_or_default()
    }
}

/// A stream came to a bad end.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Broke {
    /// The stream or its connection is gone.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The agent broke the framing.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// It ended inside a frame.
    #[error("the stream ended inside a frame")]
    Ended,
}

/// Cuts a stream into frames. Every wait may be abandoned and taken up again; holds one incomplete frame at most.
#[derive(Debug)]
pub(super) struct Frames {
    /// Dropped as a whole: that ends the agent's side too, and frees its place.
    stream: AgentStream,
    buffer: BytesMut,
    /// Frames of unknown kinds so far.
    skipped: usize,
}

impl Frames {
    pub(super) fn new(stream: AgentStream) -> Self {
        Self { stream, buffer: BytesMut::new(), skipped: 0 }
    }

    /// The next frame of a known kind; none: the stream has ended. Unknown ones are skipped.
    pub(super) async fn next(&mut self) -> Result<Option<Whole>, Broke> {
        loop {
            if let Some(frame) = cut(&mut self.buffer, &mut self.skipped)? {
                return Ok(Some(frame));
            }
            match self.stream.recv.read_chunk(CHUNK_BYTES, true).await? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk.bytes),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(Broke::Ended),
            }
        }
    }
}

fn cut(buffer: &mut BytesMut, skipped: &mut usize) -> Result<Option<Whole>, FrameError> {
    loop {
        let Some(head) = buffer.first_chunk::<FRAME_HEADER_BYTES>() else { return Ok(None) };
        let header = Header::parse(*head)?;
        let kind = header.kind()?;
        let len = FRAME_HEADER_BYTES + header.len;
        if buffer.len() < len {
            return Ok(None);
        }
        match kind {
            Some(kind) => return Ok(Some(Whole { kind, bytes: buffer.split_to(len).freeze() })),
            // A newer agent may say more than this build knows; one that says nothing else is of no use.
            None => {
                buffer.advance(len);
                *skipped += 1;
                if *skipped > SKIPPED_MAX {
                    return Err(FrameError::Unknown { number: header.number });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cloud_doctor_proto::frame;

    #[test]
    fn frames_are_cut_whole_and_unknown_ones_skipped() {
        let sample = frame::encode(Kind::MetricsSample, &[7; 20]);
        let bytes = [&[0, 0, 0, 1, 0x7f, 0xff, 0, 9], &sample[..], &sample[..5]].concat();
        for at in 0..bytes.len() {
            let mut buffer = BytesMut::new();
            let mut seen = Vec::new();
            for part in [&bytes[..at], &bytes[at..]] {
                buffer.extend_from_slice(part);
                while let Some(frame) = cut(&mut buffer, &mut 0).unwrap() {
                    seen.push(frame);
                }
            }
            assert_eq!(seen, [Whole { kind: Kind::MetricsSample, bytes: sample.clone().into() }]);
            assert_eq!((seen[0].body(), buffer.len()), (&[7; 20][..], 5));
        }
        let mut long = BytesMut::from(&frame::header(Kind::MetricsSample, 1 << 20)[..]);
        assert!(cut(&mut long, &mut 0).is_err(), "before anything of it is held");
    }
}
