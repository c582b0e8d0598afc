//! One tunnel to one relay: dial, greet, serve, and again.
//!
//! ```text
//! dial -> Hello -> HelloAck -> { streams | TrustUpdate -> guard -> TrustHead | signs of life } ... lost -> wait -> dial
//! ```

use super::dial::{DialError, Line, Route};
use super::guard::{Guard, GuardError};
use super::key::TransportKey;
use super::liveness::{Liveness, Step};
use super::metrics::Source;
use super::sessions::Sessions;
use super::status::Board;
use super::wire::{self, FrameReader, WireError};
use super::{backoff::Backoff, facts, instant, streams};
use cloud_doctor_proto::close::TunnelClose;
use cloud_doctor_proto::control::{Hello, HelloAck, TransportBinding, TrustHead, TrustUpdate};
use cloud_doctor_proto::frame::{self, Kind};
use cloud_doctor_proto::limits::{ALPN_TUNNEL, CONTROL_BYTES_MAX, PROTO_VERSION, PROTO_VERSION_MIN};
use quinn::{Connection, ConnectionError, RecvStream, SendStream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

/// For the relay to answer our Hello.
const GREETING: Duration = Duration::from_secs(5);
/// A tunnel that stood for so long was a success.
const SUCCESS: Duration = Duration::from_secs(10);
/// Between two attempts to give guard new trust-log entries.
const GUARD_RETRY: Duration = Duration::from_secs(1);
/// This build, for the relay's list of servers.
const BUILD: &str = concat!("cloud-doctor-agent ", env!("CARGO_PKG_VERSION"));
/// A control stream goes before all others.
const CONTROL_PRIORITY: i32 = 100;

/// What all tunnels of this process share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) key: TransportKey,
    pub(super) guard: Guard,
    pub(super) sessions: Arc<Sessions>,
    pub(super) board: Board,
    pub(super) tasks: TaskTracker,
    pub(super) guest: bool,
    /// None in a guest's tunnel, or where sampling cannot be.
    pub(super) metrics: Option<Source>,
}

/// Why there is no tunnel, or no longer.
#[derive(Debug, thiserror::Error)]
enum Lost {
    /// No connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// Guard does not vouch for us.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The relay closed with a reason.
    #[error("the relay closed the tunnel: {}", .0.text())]
    Closed(TunnelClose),
    /// The network, or the relay's end.
    #[error("connection lost: {0}")]
    Connection(ConnectionError),
    /// The conversation went wrong.
    #[error("control stream: {0}")]
    Wire(#[from] WireError),
    /// Nothing is acknowledged any more.
    #[error("the relay does not answer any more")]
    Silent,
    /// The relay chose a version that was not offered (R-11).
    #[error("the relay answers with wire version {0}, which this server did not offer")]
    Version(u16),
    /// The relay did not answer our greeting.
    #[error("the relay did not answer the greeting")]
    Greeting,
}

impl From<ConnectionError> for Lost {
    fn from(error: ConnectionError) -> Self {
        if let ConnectionError::ApplicationClosed(close) = &error
            && let Some(why) = TunnelClose::from_number(close.error_code.into_inner())
        {
            return Self::Closed(why);
        }
        Self::Connection(error)
    }
}

impl Lost {
    /// The relay answered, and will say the same again if asked at once.
    fn is_refusal(&self) -> bool {
        match self {
            Self::Closed(why) => match why {
                TunnelClose::NotEnrolled
                | TunnelClose::Version
                | TunnelClose::Replaced
                | TunnelClose::Removed
                | TunnelClose::TooOften => true,
                TunnelClose::Done
                | TunnelClose::Protocol
                | TunnelClose::Restarting
                | TunnelClose::Unavailable
                | TunnelClose::Silent => false,
            },
            Self::Dial(DialError::Pin { .. }) | Self::Version(_) => true,
            Self::Dial(_) | Self::Guard(_) | Self::Connection(_) | Self::Wire(_) | Self::Silent | Self::Greeting => {
                false
            }
        }
    }
}

impl Lost {
    /// The relay knows this tunnel no longer, or never did.
    fn is_good_bye(&self) -> bool {
        matches!(self, Self::Closed(TunnelClose::NotEnrolled | TunnelClose::Removed))
    }

    /// What the relay is told.
    fn close(&self) -> TunnelClose {
        match self {
            Self::Silent => TunnelClose::Silent,
            Self::Version(_) => TunnelClose::Version,
            Self::Wire(_) | Self::Greeting => TunnelClose::Protocol,
            Self::Dial(_) | Self::Guard(_) | Self::Closed(_) | Self::Connection(_) => TunnelClose::Done,
        }
    }
}

/// Keeps a tunnel to one relay until `stop`.
pub(super) async fn keep(shared: Arc<Shared>, index: usize, route: Route, stop: CancellationToken) {
    let mut backoff = Backoff::default();
    let (mut known, mut told) = (None, String::new());
    loop {
        let began = instant();
        let Err(lost) = once(&shared, index, &route, &mut known, &stop).await else { return };
        if shared.guest && lost.is_good_bye() {
            return stop.cancel();
        }
        let now = instant();
        if now.saturating_duration_since(began) >= SUCCESS {
            backoff.reset();
            told.clear();
        }
        let random = random();
        let wait = if lost.is_refusal() {
            backoff.after_refusal(random)
        } else {
            backoff.after_failure(shared.sessions.lately(now), random)
        };
        let text = lost.to_string();
        // The same reason again and again, for days perhaps, is worth one line.
        if text == told {
            debug!(relay = %route.relay, error = text, retry_ms = wait.as_millis(), "still no tunnel");
        } else {
            warn!(relay = %route.relay, error = text, retry_ms = wait.as_millis(), "no tunnel");
            told.clone_from(&text);
        }
        shared.board.lost(index, text);
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = sleep(wait) => {}
        }
    }
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    // Without randomness the wait is the whole cap, which is safe.
    getrandom::fill(&mut bytes).map_or(u64::MAX, |()| u64::from_ne_bytes(bytes))
}

/// One connection from dialling to its end; `Ok` when we were told to stop.
async fn once(
    shared: &Arc<Shared>,
    index: usize,
    route: &Route,
    known: &mut Option<Word>,
    stop: &CancellationToken,
) -> Result<(), Lost> {
    let (line, hello) = tokio::select! {
        biased;
        () = stop.cancelled() => return Ok(()),
        dialled = dial(shared, route, known) => dialled?,
    };
    let connection = &line.connection;
    let ended = match timeout(GREETING, greet(connection, &hello)).await {
        Err(_) => Err(Lost::Greeting),
        Ok(Err(error)) => Err(error),
        Ok(Ok((send, frames))) => {
            let rtt = connection.rtt();
            info!(relay = %route.relay, address = %connection.remote_address(), rtt_ms = rtt.as_millis(), "tunnel up");
            shared.board.connected(index, rtt);
            let link = Link { shared, connection, send, frames, trust: hello.trust, heard: 0, updates: JoinSet::new() };
            link.run(stop).await
        }
    };
    line.close(ended.as_ref().err().map_or(TunnelClose::Done, Lost::close)).await;
    ended
}

/// Asks guard for its word, then connects.
async fn dial(shared: &Shared, route: &Route, known: &mut Option<Word>) -> Result<(Line, Hello), Lost> {
    match Word::of(shared).await {
        Ok(fresh) => *known = Some(fresh),
        Err(error) if known.is_none() => return Err(error.into()),
        // Guard may be restarting; what it said before still holds.
        Err(error) => debug!(%error, "guard does not answer; its last word is used"),
    }
    let Word { binding, trust } = known.clone().expect("it was just filled or there before");
    let hello = Hello {
        proto_min: PROTO_VERSION_MIN,
        proto_max: PROTO_VERSION,
        build: BUILD.into(),
        binding,
        host: facts::read(),
        trust,
    };
    Ok((route.dial(&shared.key, ALPN_TUNNEL).await?, hello))
}

/// What guard says about us.
#[derive(Debug, Clone)]
struct Word {
    binding: TransportBinding,
    trust: TrustHead,
}

impl Word {
    async fn of(shared: &Shared) -> Result<Self, GuardError> {
        let binding = shared.guard.binding(shared.key.public()).await?;
        let trust = shared.guard.trust(&TrustUpdate { entries: Vec::new() }).await?;
        Ok(Self { binding, trust })
    }
}

/// The reason that the relay gave, where it gave one, says more than the stream that broke.
fn closed(connection: &Connection, error: WireError) -> Lost {
    connection.close_reason().map_or(Lost::Wire(error), Lost::from)
}

async fn greet(connection: &Connection, hello: &Hello) -> Result<(SendStream, FrameReader<RecvStream>), Lost> {
    let (mut send, recv) = connection.open_bi().await?;
    drop(send.set_priority(CONTROL_PRIORITY));
    let mut frames = FrameReader::new(recv, CONTROL_BYTES_MAX);
    let ack: Result<HelloAck, WireError> = async {
        wire::send(&mut send, Kind::Hello, hello).await?;
        frames.expect(Kind::HelloAck).await
    }
    .await;
    let ack = ack.map_err(|error| closed(connection, error))?;
    // Whoever answers with what was never offered does not get to choose it.
    if !(PROTO_VERSION_MIN..=PROTO_VERSION).contains(&ack.proto) {
        return Err(Lost::Version(ack.proto));
    }
    debug!(relay = ack.build, proto = ack.proto, "greeted");
    Ok((send, frames))
}

/// A tunnel that stands.
struct Link<'a> {
    shared: &'a Arc<Shared>,
    connection: &'a Connection,
    send: SendStream,
    frames: FrameReader<RecvStream>,
    trust: TrustHead,
    /// Frames that the relay sent on the control stream, answers to our signs of life among them.
    heard: u64,
    /// At most one: the relay waits for our answer.
    updates: JoinSet<TrustHead>,
}

impl Link<'_> {
    async fn run(mut self, stop: &CancellationToken) -> Result<(), Lost> {
        let mut open = self.shared.sessions.follow();
        let mut liveness = Liveness::new(instant(), self.heard);
        loop {
            let busy = *open.borrow_and_update() > 0;
            let look = self.look(&mut liveness, busy).await?;
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                error = self.connection.closed() => return Err(error.into()),
                stream = self.connection.accept_bi() => self.serve(stream?),
                frame = self.frames.next() => {
                    let frame = frame.map_err(|error| closed(self.connection, error))?;
                    self.hear(&frame.ok_or(WireError::Ended)?)?;
                }
                Some(head) = self.updates.join_next() => self.answer(head).await?,
                _ = open.changed() => {}
                () = sleep_until(look.into()) => {}
            }
        }
    }

    async fn look(&mut self, liveness: &mut Liveness, busy: bool) -> Result<Instant, Lost> {
        match liveness.step(instant(), self.heard, busy) {
            Step::Dead => Err(Lost::Silent),
            Step::Wait(next) => Ok(next),
            Step::Ping(next) => {
                let ping = frame::encode(Kind::Ping, &[]);
                self.send.write_all(&ping).await.map_err(|error| WireError::Io(error.into()))?;
                Ok(next)
            }
        }
    }

    fn serve(&self, (send, recv): (SendStream, RecvStream)) {
        let shared = self.shared.clone();
        self.shared.tasks.spawn(async move { streams::serve(send, recv, &shared).await });
    }

    fn hear(&mut self, frame: &frame::Frame) -> Result<(), Lost> {
        self.heard += 1;
        if frame.kind == Kind::TrustUpdate && self.updates.is_empty() {
            let update: TrustUpdate = wire::parse(frame)?;
            let (shared, before) = (self.shared.clone(), self.trust);
            self.updates.spawn(async move { hand_over(&shared.guard, &update, before).await });
        }
        Ok(())
    }

    async fn answer(&mut self, head: Result<TrustHead, tokio::task::JoinError>) -> Result<(), Lost> {
        self.trust = head.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        wire::send(&mut self.send, Kind::TrustHead, &self.trust).await?;
        Ok(())
    }
}

/// Gives entries to guard until it takes them or says no: a revocation must not get lost in its restart.
async fn hand_over(guard: &Guard, update: &TrustUpdate, before: TrustHead) -> TrustHead {
    loop {
        match guard.trust(update).await {
            Ok(head) => return head,
            Err(error @ GuardError::Refused(..)) => {
                warn!(%error, "guard refuses trust-log entries of the relay");
                return before;
            }
            Err(error) => {
                debug!(%error, "guard does not take trust-log entries now");
                sleep(GUARD_RETRY).await;
            }
        }
    }
}
