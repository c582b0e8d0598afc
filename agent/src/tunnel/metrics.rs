//! A stream of metrics: guard says whether, the sampler says what, this file moves it.
//!
//! Guard reads who asks and for what, and its connection stands for as long as metrics may be seen: when it closes,
//! nothing more is sent. Top processes and events come from guard itself. A relay that reads slowly misses samples; nothing is
//! queued for it. It must never send anything without guard's word, nor read a sample's values.

use super::guard::Guard;
use super::wire::{self, FrameReader};
use crate::metrics::{Answer, Metrics, Named, Settings, Tick};
use crate::state::files::FileError;
use cloud_doctor_proto::close::StreamClose;
use cloud_doctor_proto::frame::{self, Frame, Kind};
use cloud_doctor_proto::limits::{CONTROL_BYTES_MAX, GREETING_BYTES_MAX};
use cloud_doctor_proto::metrics::{MetricsRequest, MetricsSeries, NAMES_MAX, RangeRequest, SERIES_PAGE, Series};
use cloud_doctor_proto::pack;
use cloud_doctor_proto::refusal::{Refusal, Refused};
use quinn::{RecvStream, SendStream};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;
use tracing::{debug, warn};

/// For the relay to say what it wants.
const REQUEST: Duration = Duration::from_secs(5);
/// For guard's answer: it measures processes over a second, or reads logs, on a host that may be very busy.
const ANSWER: Duration = Duration::from_secs(20);
/// Streams at once, all relays together (DOS-06).
const STREAMS: usize = 16;
/// Questions about history at once; each is read alone.
const RANGES_WAITING: usize = 4;
/// Pieces of an answer that are read before the relay took the ones before.
const PIECES: usize = 4;
/// Keystrokes go before.
const PRIORITY: i32 = -1;

/// Where history lies below the tunnel's folder.
const HISTORY: &str = "history";

/// Forgets this server's history: the next customer's relay must not see it.
///
/// # Errors
/// [`FileError`] when it stays.
pub(crate) fn forget(state_dir: &Path) -> Result<(), FileError> {
    let folder = state_dir.join(HISTORY);
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileError::at(&folder)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// This server's metrics, for streams.
#[derive(Debug)]
pub(super) struct Source {
    metrics: Metrics,
    streams: Semaphore,
    /// Questions about history that wait or are read, and the one that is read.
    asking: Semaphore,
    reading: Semaphore,
}

impl Source {
    /// Starts sampling. Without a thread for it the tunnel does all the rest.
    pub(super) fn start(state_dir: &Path) -> Option<Self> {
        match Metrics::start(&Settings { root: PathBuf::from("/"), history: state_dir.join(HISTORY) }) {
            Ok(metrics) => {
                let (streams, asking) = (Semaphore::new(STREAMS), Semaphore::new(RANGES_WAITING));
                Some(Self { metrics, streams, asking, reading: Semaphore::new(1) })
            }
            Err(error) => {
                warn!(%error, "no metrics: the system starts no thread for them");
                None
            }
        }
    }
}

/// Serves one stream, whose head came already. Without a source there is nothing to see: a visit by a code has no metrics.
pub(super) async fn serve(
    send: &mut SendStream,
    recv: &mut RecvStream,
    head: &[u8],
    guard: &Guard,
    source: Option<&Source>,
) -> Result<(), StreamClose> {
    drop(send.set_priority(PRIORITY));
    let request = timeout(REQUEST, FrameReader::new(&mut *recv, GREETING_BYTES_MAX).next()).await;
    let Ok(Ok(Some(request))) = request else { return Err(StreamClose::AgentReset) };
    if request.kind != Kind::MetricsRequest {
        return Err(StreamClose::AgentReset);
    }
    let Ok(wanted) = wire::parse::<MetricsRequest>(&request) else { return refuse(send, Refusal::Malformed).await };
    let Some(source) = source else { return refuse(send, Refusal::MetricsNotAllowed).await };
    let Ok(_place) = source.streams.try_acquire() else { return refuse(send, Refusal::Busy).await };
    let asked = [head, &frame::encode(request.kind, &request.body)].concat();
    let (lease, answer) = ask(guard, &asked).await?;
    if answer.kind != Kind::MetricsLease {
        // What guard says instead is for whoever asked.
        return say(send, answer.kind, &answer.body).await;
    }
    let left = send.stopped();
    tokio::select! {
        biased;
        () = over(lease) => Ok(()),
        _ = left => Ok(()),
        () = ended(recv) => Ok(()),
        served = serve_leased(send, source, &wanted) => served,
    }
}

/// Puts the question to guard.
async fn ask(guard: &Guard, asked: &[u8]) -> Result<(UnixStream, Frame), StreamClose> {
    let talk = async {
        let mut socket = guard.connect().await.map_err(|error| error.to_string())?;
        socket.write_all(asked).await.map_err(|error| error.to_string())?;
        let answer = FrameReader::new(&mut socket, CONTROL_BYTES_MAX).next().await;
        let answer = answer.map_err(|error| error.to_string())?.ok_or("no answer")?;
        Ok::<_, String>((socket, answer))
    };
    match timeout(ANSWER, talk).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => {
            warn!(error, "metrics cannot be served: guard gives no answer");
            Err(StreamClose::GuardAway)
        }
        Err(_) => Err(StreamClose::GuardAway),
    }
}

/// Guard's connection stands as long as its word; it says nothing more on it.
async fn over(mut lease: UnixStream) {
    drop(lease.read(&mut [0]).await);
}

/// The relay lets go of the stream. Its half-close is none: it has asked all that it wants.
async fn ended(recv: &mut RecvStream) {
    let mut byte = [0];
    if matches!(recv.read(&mut byte).await, Ok(None)) {
        std::future::pending().await
    }
}

async fn serve_leased(send: &mut SendStream, source: &Source, wanted: &MetricsRequest) -> Result<(), StreamClose> {
    match wanted {
        MetricsRequest::Live {} => follow(send, source.metrics.follow()).await,
        MetricsRequest::Summary {} => follow(send, source.metrics.follow_summaries()).await,
        MetricsRequest::Range(range) if range.names.len() > NAMES_MAX => refuse(send, Refusal::Malformed).await,
        MetricsRequest::Range(range) => history(send, source, range).await,
        // Guard alone answers this, and not with a lease.
        MetricsRequest::Processes { .. } | MetricsRequest::Events(_) => Err(StreamClose::AgentReset),
    }
}

/// Sends a part of history. Reading it is work for a thread: a terminal must not wait for a disk.
async fn history(send: &mut SendStream, source: &Source, asked: &RangeRequest) -> Result<(), StreamClose> {
    let Ok(_asking) = source.asking.try_acquire() else { return refuse(send, Refusal::Busy).await };
    let Ok(_reading) = source.reading.acquire().await else { return Err(StreamClose::AgentReset) };
    let (pieces, mut read) = mpsc::channel(PIECES);
    let (range, asked) = (source.metrics.range(), asked.clone());
    // It ends when nobody takes the next piece.
    let reading = tokio::task::spawn_blocking(move || {
        range(&asked, &mut |piece| pieces.blocking_send(piece).is_ok());
    });
    while let Some(piece) = read.recv().await {
        match piece {
            Answer::Series(all) => {
                let series = (0u32..).zip(all).map(|(version, series)| Named { version, series });
                for page in news(&mut Vec::new(), &series.collect::<Vec<_>>()) {
                    say(send, Kind::MetricsSeries, &pack::to_bytes(&page)).await?;
                }
            }
            Answer::Range(range) => say(send, Kind::MetricsRange, &range.to_bytes()).await?,
        }
    }
    crate::tasks::resume(reading.await);
    Ok(())
}

/// Sends each new sample, and before it what its numbers mean where that is not known yet.
async fn follow(send: &mut SendStream, mut ticks: watch::Receiver<Option<Arc<Tick>>>) -> Result<(), StreamClose> {
    let mut known = Vec::new();
    loop {
        ticks.changed().await.map_err(|_| StreamClose::AgentReset)?;
        let tick = ticks.borrow_and_update().clone();
        let Some(tick) = tick else { continue };
        for page in news(&mut known, &tick.layout) {
            say(send, Kind::MetricsSeries, &pack::to_bytes(&page)).await?;
        }
        say(send, Kind::MetricsSample, &tick.sample).await?;
    }
}

/// What is new of a layout, in pages.
fn news(known: &mut Vec<u32>, layout: &[Named]) -> Vec<MetricsSeries> {
    let mut pages: Vec<MetricsSeries> = Vec::new();
    for (number, named) in layout.iter().enumerate() {
        if known.get(number) == Some(&named.version) {
            continue;
        }
        match known.get_mut(number) {
            Some(version) => *version = named.version,
            None => known.push(named.version),
        }
        let series = Series::clone(&named.series);
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        match pages.last_mut() {
            Some(page) if page.series.len() < SERIES_PAGE && follows(page, number) => page.series.push(series),
            Some(_) | None => pages.push(MetricsSeries { first: number, series: vec![series] }),
        }
    }
    pages
}

fn follows(page: &MetricsSeries, number: u32) -> bool {
    u32::try_from(page.series.len()).is_ok_and(|len| page.first.checked_add(len) == Some(number))
}

async fn refuse(send: &mut SendStream, code: Refusal) -> Result<(), StreamClose> {
    let refused = Refused { code, detail: String::new(), told: None };
    say(send, Kind::Refused, &pack::to_bytes(&refused)).await
}

async fn say(send: &mut SendStream, kind: Kind, body: &[u8]) -> Result<(), StreamClose> {
    send.write_all(&frame::encode(kind, body)).await.map_err(|error| {
        debug!(%error, "a stream of metrics broke");
        StreamClose::AgentReset
    })
}
