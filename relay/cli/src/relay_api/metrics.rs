//! A server's metrics as the relay passes them on: the live stream, a part of its history, its last minutes, its processes.
//!
//! Nothing of it is signed: it is for looking at, and nothing is decided by it. Whatever comes is bounded, and what a server
//! calls itself or its processes is a stranger's text.

use super::http::{Answer, CALL_WAIT, Call, call, fetch};
use super::{Relay, RelayError, Socket};
use cloud_doctor_proto::close::StreamClose;
use cloud_doctor_proto::events::{EVENTS_MAX, EventKind, EventSource, Named};
use cloud_doctor_proto::frame::{Decoder, Frame, Kind};
use cloud_doctor_proto::ids::AgentId;
use cloud_doctor_proto::limits::GREETING_BYTES_MAX;
use cloud_doctor_proto::metrics::{MetricsSeries, Range, SERIES_MAX, Sample, Series};
use cloud_doctor_proto::pack;
use cloud_doctor_proto::refusal::Refused;
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::Method;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// A history of two weeks of a large host, at the server's and the relay's pace.
const HISTORY_WAIT: Duration = Duration::from_secs(40);
/// The relay waits for a server's events for 15 s.
const EVENTS_WAIT: Duration = Duration::from_secs(20);
/// The relay passes on 16 MiB at most.
const HISTORY_BYTES_MAX: usize = 17 << 20;

/// What the numbers of a stream mean.
#[derive(Debug, Clone, Default)]
pub struct SeriesTable(Vec<Option<Series>>);

impl SeriesTable {
    /// Takes a page.
    fn learn(&mut self, page: MetricsSeries) -> Result<(), RelayError> {
        let first = usize::try_from(page.first).map_err(odd)?;
        let end = first.saturating_add(page.series.len());
        if end > SERIES_MAX || !page.series.iter().all(Series::is_bounded) {
            return Err(odd("series beyond the limits"));
        }
        self.0.resize(self.0.len().max(end), None);
        for (place, series) in self.0[first..end].iter_mut().zip(page.series) {
            *place = Some(series);
        }
        Ok(())
    }

    /// The series of a number.
    #[must_use]
    pub fn get(&self, number: usize) -> Option<&Series> {
        self.0.get(number)?.as_ref()
    }

    /// All series with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Series)> {
        self.0.iter().enumerate().filter_map(|(number, series)| Some((number, series.as_ref()?)))
    }
}

/// How it stands with a server's stream.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeedState {
    /// It is being opened.
    Opening,
    /// Values come.
    Live,
    /// The server is not connected.
    Away,
    /// It has no room for the stream.
    Busy,
    /// It does not show its metrics.
    Refused,
    /// Its agent was cut by the relay.
    Cut,
    /// Something that a newer relay says.
    #[serde(other)]
    Unknown,
}

/// Something that came.
#[derive(Debug, Clone, PartialEq)]
pub enum Fed {
    /// The state changed.
    State(FeedState),
    /// So many samples were skipped: this client is slow.
    Skipped(u64),
    /// The table has changed.
    Series,
    /// Values.
    Sample(Sample),
    /// The server's no.
    Refused(Refused),
}

#[derive(Deserialize)]
struct Said {
    state: Option<FeedState>,
    skipped: Option<u64>,
}

/// A server's values as they come.
pub struct MetricsFeed {
    socket: WebSocketStream<Socket>,
    /// What the numbers of samples mean.
    pub table: SeriesTable,
}

impl std::fmt::Debug for MetricsFeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetricsFeed").finish_non_exhaustive()
    }
}

impl MetricsFeed {
    /// The next thing that came. May be given up without losing anything.
    ///
    /// # Errors
    /// [`RelayError`]: there is no more.
    pub async fn next(&mut self) -> Result<Fed, RelayError> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Binary(bytes))) => {
                    if let Some(fed) = self.frame(&bytes)? {
                        return Ok(fed);
                    }
                }
                Some(Ok(Message::Text(text))) => {
                    let said: Said = serde_json::from_str(&text).map_err(odd)?;
                    if let Some(state) = said.state {
                        return Ok(Fed::State(state));
                    }
                    if let Some(skipped) = said.skipped {
                        return Ok(Fed::Skipped(skipped));
                    }
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(frame))) => {
                    let code = frame.map_or(1005, |frame| u64::from(u16::from(frame.code)));
                    let why = StreamClose::from_number(code).map_or("closed", StreamClose::text);
                    return Err(RelayError::Broke { why: why.to_owned() });
                }
                Some(Err(error)) => return Err(RelayError::Broke { why: error.to_string() }),
                None => return Err(RelayError::Broke { why: "the connection was closed".to_owned() }),
            }
        }
    }

    fn frame(&mut self, bytes: &[u8]) -> Result<Option<Fed>, RelayError> {
        let mut decoder = Decoder::new();
        decoder.push(bytes);
        let Some(Frame { kind, body }) = decoder.next_frame().map_err(odd)? else { return Ok(None) };
        if kind == Kind::MetricsSeries {
            self.table.learn(pack::from_bytes(&body, kind.bytes_max()).map_err(odd)?)?;
            return Ok(Some(Fed::Series));
        }
        if kind == Kind::MetricsSample {
            return Ok(Some(Fed::Sample(Sample::from_bytes(&body).map_err(odd)?)));
        }
        if kind == Kind::Refused {
            return Ok(Some(Fed::Refused(pack::from_bytes(&body, GREETING_BYTES_MAX).map_err(odd)?)));
        }
        Ok(None)
    }

    /// Says good-bye.
    pub async fn leave(mut self) {
        let farewell = self.socket.send(Message::Close(None));
        // Nobody waits for it: a relay that does not take it learns of the end by the closed connection.
        drop(tokio::time::timeout(Duration::from_millis(500), farewell).await);
    }
}

/// A part of a server's history.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// What the numbers of ranges mean.
    pub table: SeriesTable,
    /// One of each series that has any values then.
    pub ranges: Vec<Range>,
}

/// What a server's last minutes were like.
#[derive(Debug, Clone, Default)]
pub struct LastMinutes {
    /// What the numbers of samples mean.
    pub table: SeriesTable,
    /// Oldest first, at times by the relay's clock.
    pub samples: Vec<Sample>,
    /// Whether it is connected.
    pub connected: bool,
    /// When it vanished, in milliseconds by the relay's clock.
    pub vanished_at: Option<u64>,
}

/// The processes that use most.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ProcessList {
    /// Processes that there are.
    pub total: u32,
    /// Those that use most.
    pub processes: Vec<ProcessLine>,
}

/// One of them. Texts are a stranger's.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ProcessLine {
    /// Its number.
    pub pid: u32,
    /// The kernel's name for it.
    pub name: String,
    /// Its user.
    pub user: String,
    /// Its unit or container; empty when none can be told.
    pub unit: String,
    /// As `ps` writes it.
    pub state: String,
    /// Processors used.
    pub processors: f32,
    /// Resident bytes.
    pub memory: u64,
}

/// What happened on a server.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct HappenedList {
    /// The oldest first.
    pub events: Vec<HappenedLine>,
    /// Older ones that are not in here.
    #[serde(default)]
    pub left_out: u32,
    /// What the server could not read, or not all of it.
    #[serde(default)]
    pub blind: Vec<EventSource>,
}

/// One event. Texts are a stranger's.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HappenedLine {
    /// Milliseconds of Unix time, by the server's clock.
    pub at: u64,
    /// What it is.
    pub kind: EventKind,
    /// How many packages, or how often.
    pub count: u32,
    /// The packages, or the kernel's name of the process.
    pub names: Vec<Named>,
    /// The service; empty where there is none.
    pub unit: String,
    /// The moment was guessed.
    #[serde(default)]
    pub guessed: bool,
}

impl Relay {
    /// Looks at a server's values as they come.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn metrics_feed(&self, agent: &AgentId) -> Result<MetricsFeed, RelayError> {
        let socket = self.upgrade_to(&format!("/api/v1/servers/{agent}/metrics/live")).await?;
        Ok(MetricsFeed { socket, table: SeriesTable::default() })
    }

    /// A part of a server's history; times in milliseconds.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn metrics_history(
        &self,
        agent: &AgentId,
        (from, to): (u64, u64),
        points: u32,
    ) -> Result<History, RelayError> {
        let path = format!("/api/v1/servers/{agent}/metrics/range?from={from}&to={to}&points={points}");
        let answer = fetch(self, &path, HISTORY_WAIT, HISTORY_BYTES_MAX).await?;
        let mut history = History::default();
        for Frame { kind, body } in frames(&answer)? {
            if kind == Kind::MetricsSeries {
                history.table.learn(pack::from_bytes(&body, kind.bytes_max()).map_err(odd)?)?;
            } else if kind == Kind::MetricsRange {
                history.ranges.push(Range::from_bytes(&body).map_err(odd)?);
            }
        }
        Ok(history)
    }

    /// A server's last minutes as the relay kept them.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn last_minutes(&self, agent: &AgentId) -> Result<LastMinutes, RelayError> {
        let path = format!("/api/v1/servers/{agent}/metrics/recorder");
        let answer = fetch(self, &path, CALL_WAIT, HISTORY_BYTES_MAX).await?;
        let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok());
        let connected = header("x-cloud-doctor-connected") == Some("yes");
        let vanished_at = header("x-cloud-doctor-vanished-at").and_then(|at| at.parse().ok());
        let mut last = LastMinutes { connected, vanished_at, ..LastMinutes::default() };
        for Frame { kind, body } in frames(&answer)? {
            if kind == Kind::MetricsSeries {
                last.table.learn(pack::from_bytes(&body, kind.bytes_max()).map_err(odd)?)?;
            } else if kind == Kind::MetricsSample {
                last.samples.push(Sample::from_bytes(&body).map_err(odd)?);
            }
        }
        Ok(last)
    }

    /// The processes of a server that use most.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn processes(&self, agent: &AgentId, count: u32) -> Result<ProcessList, RelayError> {
        let path = &format!("/api/v1/servers/{agent}/metrics/processes?count={count}");
        let nothing: Option<&()> = None;
        call(self, Call { method: Method::GET, path, body: nothing, wait: CALL_WAIT }).await
    }
}

impl Relay {
    /// What happened on a server between two moments, in milliseconds. The server reads its logs for it.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn happened(&self, agent: &AgentId, (from, to): (u64, u64)) -> Result<HappenedList, RelayError> {
        let path = &format!("/api/v1/servers/{agent}/metrics/events?from={from}&to={to}");
        let nothing: Option<&()> = None;
        let list = call(self, Call { method: Method::GET, path, body: nothing, wait: EVENTS_WAIT }).await?;
        let HappenedList { mut events, left_out, blind } = list;
        events.truncate(EVENTS_MAX);
        Ok(HappenedList { events, left_out, blind })
    }
}

/// Whole frames; a last one that is cut off is an error, not an end.
fn frames(answer: &Answer) -> Result<Vec<Frame>, RelayError> {
    let mut decoder = Decoder::new();
    decoder.push(&answer.body);
    let mut frames = Vec::new();
    while let Some(frame) = decoder.next_frame().map_err(odd)? {
        frames.push(frame);
    }
    if decoder.pending() == 0 { Ok(frames) } else { Err(odd("the last frame is cut off")) }
}

fn odd(why: impl std::fmt::Display) -> RelayError {
    RelayError::Odd { why: why.to_string() }
}
