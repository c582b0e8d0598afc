//! A client's stream: its head tells what it is for, then bytes are copied between relay and guard, unread.
//!
//! Half-close maps to half-close: the end of the QUIC stream shuts the socket down for writing, the socket's end
//! finishes the QUIC stream. Anything else that ends one side ends the other. Nothing is read from one side before
//! the other took what came before.

use super::guard::Guard;
use super::sessions::Sessions;
use super::wire::FrameReader;
use bytes::Bytes;
use cloud_doctor_proto::close::StreamClose;
use cloud_doctor_proto::control::{StreamHead, StreamPurpose};
use cloud_doctor_proto::frame::{self, Kind};
use cloud_doctor_proto::limits::GREETING_BYTES_MAX;
use quinn::{RecvStream, SendStream, VarInt, WriteError};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;
use tracing::{debug, warn};

/// For the relay to say what a stream is for.
const HEAD: Duration = Duration::from_secs(5);
/// Taken from the socket at once: two records of bulk output.
const PIECE_BYTES: usize = 32 << 10;
/// Packets of one QUIC stream taken at once: about as much.
const PACKETS_AT_ONCE: usize = 24;

/// Serves one stream that the relay opened.
pub(super) async fn serve(mut send: SendStream, mut recv: RecvStream, guard: &Guard, sessions: &Arc<Sessions>) {
    let why = match timeout(HEAD, head(&mut recv)).await {
        Ok(Some(head)) => match guard.connect().await {
            Ok(mut socket) => {
                let open = sessions.begin();
                if socket.write_all(&head).await.is_ok() {
                    copy(&mut send, &mut recv, socket).await;
                    return drop(open);
                }
                StreamClose::GuardAway
            }
            Err(error) => {
                warn!(%error, "a client's stream cannot be served");
                StreamClose::GuardAway
            }
        },
        Ok(None) | Err(_) => StreamClose::AgentReset,
    };
    end(&mut send, &mut recv, why);
}

/// The head frame's bytes, when it asks for what this build does.
async fn head(recv: &mut RecvStream) -> Option<Vec<u8>> {
    let frame = FrameReader::new(recv, GREETING_BYTES_MAX).next().await.ok()??;
    if frame.kind != Kind::StreamHead {
        return None;
    }
    let head: StreamHead = super::wire::parse(&frame).ok()?;
    match head.purpose {
        StreamPurpose::Sealed => Some(frame::encode(Kind::StreamHead, &frame.body)),
        StreamPurpose::Unknown => None,
    }
}

/// Copies until both directions are over or one of them breaks.
async fn copy(send: &mut SendStream, recv: &mut RecvStream, socket: UnixStream) {
    let (mut from_guard, mut to_guard) = socket.into_split();
    if let Err(error) = tokio::try_join!(inwards(recv, &mut to_guard), outwards(&mut from_guard, send)) {
        debug!(%error, "a client's stream broke");
        end(send, recv, StreamClose::AgentReset);
    }
}

/// Relay to guard.
async fn inwards(recv: &mut RecvStream, to_guard: &mut OwnedWriteHalf) -> io::Result<()> {
    let mut packets: [Bytes; PACKETS_AT_ONCE] = Default::default();
    while let Some(count) = recv.read_chunks(&mut packets).await? {
        let written = match &packets[..count] {
            [one] => to_guard.write_all(one).await,
            many => to_guard.write_all(&many.concat()).await,
        };
        packets.fill(Bytes::new());
        if written.is_err() {
            // Guard or a holder has read enough; what it still says is worth hearing.
            drop(recv.stop(VarInt::from_u32(StreamClose::Done.number().into())));
            return Ok(());
        }
    }
    // The other side may have closed already, which is as good.
    drop(to_guard.shutdown().await);
    Ok(())
}

/// Guard to relay. A client that left has no ears: then nothing more is read, but its last words still go inwards.
async fn outwards(from_guard: &mut OwnedReadHalf, send: &mut SendStream) -> io::Result<()> {
    let mut left = pin!(send.stopped());
    loop {
        tokio::select! {
            biased;
            _ = &mut left => return Ok(()),
            readable = from_guard.readable() => readable?,
        }
        match piece(from_guard) {
            Ok(piece) if piece.is_empty() => break,
            Ok(piece) => match send.write_chunk(piece).await {
                Err(WriteError::Stopped(_)) => return Ok(()),
                written => written?,
            },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // A holder that was killed resets its socket; for the client that is an end.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
            Err(error) => return Err(error),
        }
    }
    drop(send.finish());
    Ok(())
}

/// What can be read at once, in memory of its own size: an echoed key must not cost a buffer for bulk, which musl's
/// allocator takes from the kernel and gives back every time.
fn piece(from_guard: &OwnedReadHalf) -> io::Result<Bytes> {
    let mut buffer = [0; PIECE_BYTES];
    let count = from_guard.try_read(&mut buffer)?;
    Ok(Bytes::copy_from_slice(&buffer[..count]))
}

fn end(send: &mut SendStream, recv: &mut RecvStream, why: StreamClose) {
    let code = VarInt::from_u32(why.number().into());
    // Either may have ended by itself already.
    drop(send.reset(code));
    drop(recv.stop(code));
}
