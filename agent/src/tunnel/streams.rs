//! A client's stream: its head tells what it is for, then bytes are copied between relay and guard, unread.
//!
//! Half-close maps to half-close: the end of the QUIC stream shuts the socket down for writing, the socket's end
//! finishes the QUIC stream. Anything else that ends one side ends the other. Nothing is read from one side before
//! the other took what came before.

use super::link::Shared;
use super::metrics;
use super::wire::FrameReader;
use crate::flow::{self, Inlet, Outlet};
use bytes::Bytes;
use cloud_doctor_proto::close::StreamClose;
use cloud_doctor_proto::control::{StreamHead, StreamPurpose};
use cloud_doctor_proto::frame::{self, Kind};
use cloud_doctor_proto::limits::GREETING_BYTES_MAX;
use quinn::{RecvStream, SendStream, VarInt, WriteError};
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::time::timeout;
use tracing::{debug, warn};

/// For the relay to say what a stream is for.
const HEAD: Duration = Duration::from_secs(5);
/// Taken from the socket at once: two records of bulk output.
const PIECE_BYTES: usize = 32 << 10;
/// Packets of one QUIC stream taken at once: about as much.
const PACKETS_AT_ONCE: usize = 24;

/// Serves one stream that the relay opened.
pub(super) async fn serve(mut send: SendStream, mut recv: RecvStream, shared: &Shared) {
    let ended = match timeout(HEAD, head(&mut recv)).await {
        Ok(Some((StreamPurpose::Sealed | StreamPurpose::Checks, head))) => {
            pass(&mut send, &mut recv, &head, shared).await
        }
        Ok(Some((StreamPurpose::Metrics, head))) => {
            let served = metrics::serve(&mut send, &mut recv, &head, &shared.guard, shared.metrics.as_ref()).await;
            drop(send.finish());
            served
        }
        Ok(Some((StreamPurpose::Unknown, _)) | None) | Err(_) => Err(StreamClose::AgentReset),
    };
    if let Err(why) = ended {
        end(&mut send, &mut recv, why);
    }
}

/// The head frame: what it asks for, and its bytes.
async fn head(recv: &mut RecvStream) -> Option<(StreamPurpose, Vec<u8>)> {
    let frame = FrameReader::new(recv, GREETING_BYTES_MAX).next().await.ok()??;
    if frame.kind != Kind::StreamHead {
        return None;
    }
    let head: StreamHead = super::wire::parse(&frame).ok()?;
    Some((head.purpose, frame::encode(Kind::StreamHead, &frame.body)))
}

/// Has guard serve the stream.
async fn pass(send: &mut SendStream, recv: &mut RecvStream, head: &[u8], shared: &Shared) -> Result<(), StreamClose> {
    let mut socket = shared.guard.connect().await.map_err(|error| {
        warn!(%error, "a client's stream cannot be served");
        StreamClose::GuardAway
    })?;
    let _open = shared.sessions.begin();
    socket.write_all(head).await.map_err(|_| StreamClose::GuardAway)?;
    copy(send, recv, socket).await;
    Ok(())
}

/// Copies until both directions are over or one of them breaks.
async fn copy(send: &mut SendStream, recv: &mut RecvStream, socket: UnixStream) {
    let copied = async {
        let (from_guard, mut to_guard) = flow::both(socket.into_std()?.into())?;
        tokio::try_join!(inwards(recv, &mut to_guard), outwards(&from_guard, send))
    };
    if let Err(error) = copied.await {
        debug!(%error, "a client's stream broke");
        end(send, recv, StreamClose::AgentReset);
    }
}

/// Relay to guard.
async fn inwards(recv: &mut RecvStream, to_guard: &mut Outlet) -> io::Result<()> {
    let mut packets: [Bytes; PACKETS_AT_ONCE] = Default::default();
    while let Some(count) = recv.read_chunks(&mut packets).await? {
        let written = match &packets[..count] {
            [one] => write_all(to_guard, one).await,
            many => write_all(to_guard, &many.concat()).await,
        };
        packets.fill(Bytes::new());
        if written.is_err() {
            // Guard or a holder has read enough; what it still says is worth hearing.
            drop(recv.stop(VarInt::from_u32(StreamClose::Done.number().into())));
            return Ok(());
        }
    }
    // The other side may have closed already, which is as good.
    rustix::net::shutdown(to_guard, rustix::net::Shutdown::Write).ok();
    Ok(())
}

async fn write_all(to_guard: &mut Outlet, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = poll_fn(|cx| to_guard.poll_write(cx, bytes)).await?;
        bytes = &bytes[count..];
    }
    Ok(())
}

/// Guard to relay. A client that left has no ears: then nothing more is read, but its last words still go inwards.
async fn outwards(from_guard: &Inlet, send: &mut SendStream) -> io::Result<()> {
    let mut left = pin!(send.stopped());
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        let read = tokio::select! {
            biased;
            _ = &mut left => return Ok(()),
            read = poll_fn(|cx| from_guard.poll_read(cx, &mut buffer)) => read,
        };
        match read {
            Ok(0) => break,
            // In memory of its own size: an echoed key must not cost a buffer for bulk, which musl's allocator takes
            // from the kernel and gives back every time.
            Ok(count) => match send.write_chunk(Bytes::copy_from_slice(&buffer[..count])).await {
                Err(WriteError::Stopped(_)) => return Ok(()),
                written => written?,
            },
            // A holder that was killed resets its socket; for the client that is an end.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
            Err(error) => return Err(error),
        }
    }
    drop(send.finish());
    Ok(())
}

fn end(send: &mut SendStream, recv: &mut RecvStream, why: StreamClose) {
    let code = VarInt::from_u32(why.number().into());
    // Either may have ended by itself already.
    drop(send.reset(code));
    drop(recv.stop(code));
}
