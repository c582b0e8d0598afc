//! Copies between a client's WebSocket and an agent's QUIC stream, in one task, with back-pressure both ways.
//!
//! Nothing is read from one side before the other took what came before. Pieces wait for nothing: each is flushed.

use super::{AgentStream, Counters};
use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use cloud_doctor_proto::close::StreamClose;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use quinn::{ReadError, RecvStream, SendStream, WriteError};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// A sign of life is asked for after this time, and from then on.
const PING_EVERY: Duration = Duration::from_secs(15);
/// How often it is looked whether the client said anything.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// After so many looks in vain, 30 seconds, it is gone.
const LOOKS_IN_VAIN: u32 = 6;
/// Pings and pongs of a client between two looks; it owes one pong in 15 seconds, and each ping costs an answer (DOS-04).
const SIGNS_MAX: u64 = 100;
/// Packets of one QUIC stream taken at once: about 32 KiB, what one message to the client should hold.
const PACKETS_AT_ONCE: usize = 24;
/// How long a close may take: the frame out, the peer's answer in.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// How a piped stream went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Why it ended.
    pub why: StreamClose,
    /// Sealed bytes from the client.
    pub bytes_to_agent: u64,
    /// Sealed bytes to the client.
    pub bytes_to_client: u64,
}

/// Bytes of this stream and of all of them.
struct Meter<'a> {
    this: AtomicU64,
    all: &'a AtomicU64,
}

/// What a client said, whatever it was.
#[derive(Debug, Default)]
struct Heard {
    /// Messages since the beginning.
    messages: AtomicU64,
    /// Pings and pongs since the last look.
    signs: AtomicU64,
}

impl Heard {
    /// Counts a message; `false`: it is one sign of life too many.
    fn count(&self, message: &Result<Message, axum::Error>) -> bool {
        self.messages.fetch_add(1, Ordering::Relaxed);
        let sign = matches!(message, Ok(Message::Ping(_) | Message::Pong(_)));
        !sign || self.signs.fetch_add(1, Ordering::Relaxed) < SIGNS_MAX
    }

    /// Messages since the beginning; signs of life are counted anew.
    fn look(&self) -> u64 {
        self.signs.store(0, Ordering::Relaxed);
        self.messages.load(Ordering::Relaxed)
    }
}

impl<'a> Meter<'a> {
    fn new(all: &'a AtomicU64) -> Self {
        Self { this: AtomicU64::new(0), all }
    }

    fn add(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.this.fetch_add(bytes, Ordering::Relaxed);
        self.all.fetch_add(bytes, Ordering::Relaxed);
    }

    fn total(&self) -> u64 {
        self.this.load(Ordering::Relaxed)
    }
}

/// Copies until both directions are over, one of them breaks or somebody says so, then closes the WebSocket with the reason.
pub(super) async fn run(
    socket: WebSocket,
    stream: AgentStream,
    counters: &Counters,
    ended: &CancellationToken,
) -> Report {
    let AgentStream { mut send, mut recv, _slot, _own } = stream;
    let (mut to_client, mut from_client) = socket.split();
    let up = Meter::new(&counters.to_agent);
    let down = Meter::new(&counters.to_client);
    let heard = Heard::default();
    let (client_over, both_over) = oneshot::channel();
    let copied = tokio::select! {
        () = ended.cancelled() => StreamClose::Cut,
        why = upwards(&mut from_client, &mut send, &up, &heard, client_over) => why,
        why = downwards(&mut recv, &mut to_client, &down, both_over) => why.err().unwrap_or(StreamClose::Done),
        () = silence(&heard) => StreamClose::Silent,
    };
    // What the client sent before it left still arrives; nothing more is wanted from the agent.
    drop(send.finish());
    drop(recv.stop(u32::from(copied.number()).into()));
    close(to_client, from_client, copied).await;
    Report { why: copied, bytes_to_agent: up.total(), bytes_to_client: down.total() }
}

/// Tells the client why there is no stream, or no more.
pub(crate) async fn close(
    mut to_client: SplitSink<WebSocket, Message>,
    mut from_client: SplitStream<WebSocket>,
    why: StreamClose,
) {
    let frame = CloseFrame { code: why.number(), reason: Utf8Bytes::from_static(why.text()) };
    let farewell = async {
        to_client.send(Message::Close(Some(frame))).await?;
        // Closing with unread bytes would reset the connection, and the reason would be lost on the way.
        while let Some(Ok(_)) = from_client.next().await {}
        Ok::<(), axum::Error>(())
    };
    drop(timeout(CLOSE_WAIT, farewell).await);
}

/// Copies until the client leaves; says on `over` when its direction has ended.
async fn upwards(
    from_client: &mut SplitStream<WebSocket>,
    send: &mut SendStream,
    meter: &Meter<'_>,
    heard: &Heard,
    over: oneshot::Sender<()>,
) -> StreamClose {
    let mut over = Some(over);
    let mut wanted = true;
    while let Some(message) = from_client.next().await {
        if !heard.count(&message) {
            return StreamClose::Protocol;
        }
        match message {
            Ok(Message::Binary(bytes)) if bytes.is_empty() => {
                drop(send.finish());
                over.take().map(|over| over.send(()));
            }
            Ok(Message::Binary(_)) if over.is_none() => return StreamClose::Protocol,
            Ok(Message::Binary(bytes)) if wanted => {
                meter.add(bytes.len());
                match send.write_chunk(bytes).await {
                    Ok(()) => {}
                    // The agent has read enough; what it still says is worth hearing.
                    Err(WriteError::Stopped(code)) if code == u32::from(StreamClose::Done.number()).into() => {
                        wanted = false;
                    }
                    Err(error) => return write_failed(error),
                }
            }
            Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_)) => {}
            Ok(Message::Text(_)) => return StreamClose::Protocol,
            Ok(Message::Close(_)) | Err(_) => break,
        }
    }
    // The client left: there is nobody to copy for.
    StreamClose::Done
}

/// Copies until the agent's direction is over, then waits for the client's.
async fn downwards(
    recv: &mut RecvStream,
    to_client: &mut SplitSink<WebSocket, Message>,
    meter: &Meter<'_>,
    client_over: oneshot::Receiver<()>,
) -> Result<(), StreamClose> {
    let mut pings = interval(PING_EVERY);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings.reset();
    loop {
        let mut packets: [Bytes; PACKETS_AT_ONCE] = Default::default();
        let message = tokio::select! {
            biased;
            read = recv.read_chunks(&mut packets) => match read.map_err(read_failed)? {
                Some(count) => {
                    let bytes = join(&packets[..count]);
                    meter.add(bytes.len());
                    Message::Binary(bytes)
                }
                None => break,
            },
            _ = pings.tick() => Message::Ping(Bytes::new()),
        };
        to_client.send(message).await.map_err(|_| StreamClose::Done)?;
    }
    to_client.send(Message::Binary(Bytes::new())).await.map_err(|_| StreamClose::Done)?;
    client_over.await.map_err(|_| StreamClose::Done)
}

/// Ends when the client was silent for too long.
async fn silence(heard: &Heard) {
    let (mut known, mut in_vain) = (0, 0);
    while in_vain < LOOKS_IN_VAIN {
        sleep(LOOK_EVERY).await;
        let now = heard.look();
        in_vain = if now == known { in_vain + 1 } else { 0 };
        known = now;
    }
}

/// One message of many packets: a message each would cost a system call each.
fn join(packets: &[Bytes]) -> Bytes {
    match packets {
        [one] => one.clone(),
        many => many.concat().into(),
    }
}

fn read_failed(error: ReadError) -> StreamClose {
    match error {
        ReadError::Reset(code) => StreamClose::from_number(code.into_inner()).unwrap_or(StreamClose::AgentReset),
        ReadError::ConnectionLost(_) => StreamClose::AgentGone,
        ReadError::ClosedStream | ReadError::IllegalOrderedRead | ReadError::ZeroRttRejected => StreamClose::AgentReset,
    }
}

fn write_failed(error: WriteError) -> StreamClose {
    match error {
        WriteError::Stopped(code) => StreamClose::from_number(code.into_inner()).unwrap_or(StreamClose::AgentReset),
        WriteError::ConnectionLost(_) => StreamClose::AgentGone,
        WriteError::ClosedStream | WriteError::ZeroRttRejected => StreamClose::AgentReset,
    }
}
