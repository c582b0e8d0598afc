//! Frames over a QUIC stream, as simulated agents read and write them.

use anyhow::{Context as _, Result, ensure};
use cloud_doctor_proto::frame::{self, Decoder, Frame, Kind};
use cloud_doctor_proto::pack;
use quinn::{RecvStream, SendStream};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Taken from a stream at once.
const CHUNK_BYTES: usize = 4 << 10;

/// Both halves of a stream.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) send: SendStream,
    recv: RecvStream,
    decoder: Decoder,
}

impl Wire {
    pub(super) fn new((send, recv): (SendStream, RecvStream)) -> Self {
        Self { send, recv, decoder: Decoder::new() }
    }

    pub(super) async fn say<T: Serialize>(&mut self, kind: Kind, value: &T) -> Result<()> {
        Ok(self.send.write_all(&frame::message(kind, value)).await?)
    }

    /// The next frame; none: the relay has ended the stream. May be abandoned and taken up again.
    pub(super) async fn next(&mut self) -> Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.decoder.next_frame()? {
                return Ok(Some(frame));
            }
            let Some(chunk) = self.recv.read_chunk(CHUNK_BYTES, true).await? else { return Ok(None) };
            self.decoder.push(&chunk.bytes);
        }
    }

    /// The next frame, which must be of this kind.
    pub(super) async fn expect<T: DeserializeOwned>(&mut self, kind: Kind) -> Result<T> {
        let frame = self.next().await?.with_context(|| format!("the relay ended a stream before {kind:?}"))?;
        ensure!(frame.kind == kind, "{:?} where {kind:?} had to come", frame.kind);
        parse(&frame)
    }
}

pub(super) fn parse<T: DeserializeOwned>(frame: &Frame) -> Result<T> {
    Ok(pack::from_bytes(&frame.body, frame.kind.bytes_max())?)
}
