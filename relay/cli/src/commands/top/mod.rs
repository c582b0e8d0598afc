//! `top`: how a server is right now, what is wrong with it first.
//!
//! On a terminal a screen that is drawn anew each second; elsewhere plain lines, once. A server that is away is shown as it
//! was in the last minutes before. Never: a value that is acted on, or a server's text that moves the cursor.

mod csv;
mod happened;
mod rows;
mod screen;

use super::App;
use super::servers::find;
use super::signals::Signals;
use crate::args::Top;
use crate::fail::{Fail, REFUSED, UNREACHABLE};
use crate::output::{self, ago};
use crate::terminal::pipes::Pipe;
use crate::terminal::{self, Raw};
use cloud_doctor::clock;
use cloud_doctor::messages::{Id, Sentence as _};
use cloud_doctor::relay_api::{
    Fed, FeedState, HappenedList, LastMinutes, MetricsFeed, ProcessList, Relay, RelayError, SeriesTable,
};
use cloud_doctor::visit::Target;
use cloud_doctor_proto::ceiling::Span;
use cloud_doctor_proto::metrics::{Sample, Series, SeriesKind};
use rows::Trail;
use screen::{Style, View};
use serde_json::{Map, Value, json};
use std::future::Future;
use std::io::{IsTerminal as _, Write as _};
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

/// For the first values: a server that shows them at all has a sample each second.
const FIRST_WAIT: Duration = Duration::from_secs(20);
/// Between two looks at the processes.
const PROCESSES_EVERY: Duration = Duration::from_secs(5);
/// Between two looks at what happened: the server reads its logs for each.
const HAPPENED_EVERY: Duration = Duration::from_secs(60);
/// How far back, and how far ahead of this clock: the server's may be wrong.
const HAPPENED_BACK_SECS: u64 = 86_400;
const HAPPENED_AHEAD_SECS: u64 = 3_600;
/// Processes that are asked for: more than a screen has room for.
const PROCESSES: u32 = 40;
/// Points of each series in a CSV.
const CSV_POINTS: u32 = 4_096;
/// Before the next try to reach the relay.
const AGAIN: Duration = Duration::from_secs(2);

pub(super) async fn run(app: &App, asked: Top) -> Result<u8, Fail> {
    let signed_in = app.signed_in()?;
    let trust = app.trust_now(&signed_in).await?;
    let target = find(trust.log(), &asked.server)?;
    let seen = Seen { app, relay: &signed_in.relay, target: &target };
    if asked.csv {
        return seen.csv(&asked.since).await;
    }
    if asked.json {
        return seen.json().await;
    }
    if asked.once || !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return seen.once().await;
    }
    seen.full_screen().await
}

/// The server that is looked at.
struct Seen<'a> {
    app: &'a App,
    relay: &'a Relay,
    target: &'a Target,
}

/// Values of one moment, now or as they were.
struct Moment {
    table: SeriesTable,
    sample: Sample,
    trail: Trail,
    /// What to say about a server that is away.
    away: Option<String>,
}

impl Seen<'_> {
    async fn csv(&self, since: &str) -> Result<u8, Fail> {
        let span = since.parse::<Span>().map_err(|_| Fail::Say(Id::TopSince.with(&[&since]), 2))?;
        let to = clock::wall().0.saturating_mul(1_000);
        let from = to.saturating_sub(span.0.saturating_mul(1_000));
        let history = self.relay.metrics_history(&self.target.agent, (from, to.saturating_add(1)), CSV_POINTS).await?;
        output::shown(&csv::text(&history));
        Ok(0)
    }

    async fn json(&self) -> Result<u8, Fail> {
        let moment = self.moment().await?;
        let series = moment.table.iter().filter_map(|(number, series)| {
            let value = moment.sample.values.get(number).copied().filter(|value| value.is_finite())?;
            Some(described(series, value))
        });
        let sample = json!({
            "server": self.target.name,
            "at": moment.sample.at,
            "elapsed": moment.sample.elapsed,
            "dropped": moment.sample.dropped,
            "connected": moment.away.is_none(),
            "series": series.collect::<Vec<_>>(),
        });
        moment.away.iter().for_each(|text| output::tell(text));
        let mut sample = sample;
        if let Some(happened) = self.happened(&moment).await {
            sample["events"] = json!(happened.events);
            sample["events_left_out"] = json!(happened.left_out);
            sample["events_blind"] = json!(happened.blind);
        }
        output::json("sample", &sample);
        Ok(if moment.away.is_some() { UNREACHABLE } else { 0 })
    }

    async fn once(&self) -> Result<u8, Fail> {
        let moment = self.moment().await?;
        let processes = match moment.away {
            None => self.relay.processes(&self.target.agent, PROCESSES).await.unwrap_or_default(),
            Some(_) => ProcessList::default(),
        };
        let happened = self.happened(&moment).await.unwrap_or_default();
        let view = View {
            server: &self.target.name,
            remark: moment.away.as_deref().unwrap_or_default(),
            trail: &moment.trail,
            happened: &happened,
            now_millis: clock::wall().0.saturating_mul(1_000),
            processes: &processes,
        };
        let style = Style { language: self.app.language, colour: false, columns: 100, rows: None };
        output::shown(&screen::draw(&view, style).join("\n"));
        Ok(if moment.away.is_some() { UNREACHABLE } else { 0 })
    }

    /// What happened in the last day; nothing of a server that is away, or does not tell it: values come all the same.
    async fn happened(&self, moment: &Moment) -> Option<HappenedList> {
        if moment.away.is_some() {
            return None;
        }
        self.lately().await.ok()
    }

    async fn lately(&self) -> Result<HappenedList, RelayError> {
        let now = clock::wall().0;
        let (from, to) = (now.saturating_sub(HAPPENED_BACK_SECS), now.saturating_add(HAPPENED_AHEAD_SECS));
        self.relay.happened(&self.target.agent, (from.saturating_mul(1_000), to.saturating_mul(1_000))).await
    }

    /// The first sample that tells what happened since another one; of a server that is away, its last.
    async fn moment(&self) -> Result<Moment, Fail> {
        let mut feed = self.relay.metrics_feed(&self.target.agent).await?;
        let moment = timeout(FIRST_WAIT, self.first(&mut feed)).await;
        feed.leave().await;
        moment.map_err(|_| Fail::Say(Id::TopSilent.with(&[&self.target.name]), UNREACHABLE))?
    }

    async fn first(&self, feed: &mut MetricsFeed) -> Result<Moment, Fail> {
        let mut trail = Trail::default();
        loop {
            match feed.next().await? {
                Fed::Sample(sample) => {
                    let tells = sample.elapsed > 0;
                    trail.push(&feed.table, &sample);
                    if tells {
                        return Ok(Moment { table: feed.table.clone(), sample, trail, away: None });
                    }
                }
                Fed::State(FeedState::Away) => return self.last_minutes().await,
                Fed::Refused(refused) => {
                    let why = Id::ServerSaysNo.with(&[]).and(|language| refused.text(language));
                    return Err(Fail::Say(why, REFUSED));
                }
                Fed::State(FeedState::Cut) => {
                    return Err(Fail::Say(Id::TopCut.with(&[&self.target.name]), UNREACHABLE));
                }
                Fed::State(
                    FeedState::Opening | FeedState::Live | FeedState::Busy | FeedState::Refused | FeedState::Unknown,
                )
                | Fed::Series
                | Fed::Skipped(_) => {}
            }
        }
    }

    async fn last_minutes(&self) -> Result<Moment, Fail> {
        let last = self.relay.last_minutes(&self.target.agent).await?;
        let text = self.away(&last);
        let LastMinutes { table, samples, .. } = last;
        let mut trail = Trail::default();
        samples.iter().for_each(|sample| trail.push(&table, sample));
        match samples.into_iter().next_back() {
            Some(sample) => Ok(Moment { table, sample, trail, away: Some(text) }),
            None => Err(Fail::Say(Id::TopAwayUnknown.with(&[&self.target.name]), UNREACHABLE)),
        }
    }

    fn away(&self, last: &LastMinutes) -> String {
        let since = last.vanished_at.or(last.samples.last().map(|sample| sample.at)).unwrap_or(0) / 1_000;
        let since = ago(clock::wall().0.saturating_sub(since));
        Id::TopAway.with(&[&self.target.name, &since]).text(self.app.language)
    }

    async fn full_screen(&self) -> Result<u8, Fail> {
        let io = |error: std::io::Error| Fail::system("terminal", &error);
        let keys = Pipe::reading(std::io::stdin()).map_err(io)?;
        let _raw = Raw::new(std::io::stdin()).map_err(io)?;
        let mut signals = Signals::new().map_err(io)?;
        let resized = signal(SignalKind::window_change()).map_err(|error| Fail::system("signal", &error))?;
        let full = FullScreen::enter();
        let mut shown = Shown {
            full,
            resized,
            trail: Trail::default(),
            happened: HappenedList::default(),
            processes: ProcessList::default(),
            remark: String::new(),
        };
        self.draw(&shown);
        tokio::select! {
            biased;
            () = quit(&keys) => Ok(0),
            _ = signals.next() => Ok(0),
            failed = self.keep_showing(&mut shown) => failed,
        }
    }

    /// Shows what comes, again and again, until the server or the relay says no.
    async fn keep_showing(&self, shown: &mut Shown) -> Result<u8, Fail> {
        loop {
            let feed = self.relay.metrics_feed(&self.target.agent);
            match self.while_drawing(shown, feed).await {
                Ok(mut feed) => self.show(&mut feed, shown).await?,
                Err(error) if error.may_pass() => shown.remark = error.text(self.app.language),
                Err(error) => return Err(error.into()),
            }
            self.draw(shown);
            self.while_drawing(shown, sleep(AGAIN)).await;
        }
    }

    /// Waits for something; a terminal that changes its size meanwhile is drawn anew.
    async fn while_drawing<T>(&self, shown: &mut Shown, waited: impl Future<Output = T>) -> T {
        let mut waited = pin!(waited);
        loop {
            tokio::select! {
                biased;
                done = &mut waited => return done,
                _ = shown.resized.recv() => self.draw(shown),
            }
        }
    }

    async fn show(&self, feed: &mut MetricsFeed, shown: &mut Shown) -> Result<(), Fail> {
        let mut processes = interval(PROCESSES_EVERY);
        processes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut lately = interval(HAPPENED_EVERY);
        lately.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut asking, mut looking) = (pin!(None), pin!(None));
        let mut live = false;
        loop {
            tokio::select! {
                biased;
                fed = feed.next() => match fed {
                    Ok(fed) => live = self.fed(feed, fed, shown, live).await?,
                    Err(error) => {
                        shown.remark = error.text(self.app.language);
                        return Ok(());
                    }
                },
                _ = shown.resized.recv() => {}
                // The server looks twice, a second apart: values go on meanwhile.
                list = answer(asking.as_mut()), if asking.is_some() => {
                    asking.set(None);
                    // A list that does not come is an old one, and one of a server that went is none.
                    if let Ok(Ok(list)) = list && live {
                        shown.processes = list;
                    }
                }
                list = answer(looking.as_mut()), if looking.is_some() => {
                    looking.set(None);
                    if let Ok(Ok(list)) = list {
                        shown.happened = list;
                    }
                }
                _ = lately.tick(), if live && looking.is_none() => {
                    looking.set(Some(timeout(PROCESSES_EVERY, self.lately())));
                    continue;
                }
                _ = processes.tick(), if live && asking.is_none() => {
                    let list = self.relay.processes(&self.target.agent, PROCESSES);
                    asking.set(Some(timeout(PROCESSES_EVERY, list)));
                    continue;
                }
            }
            self.draw(shown);
        }
    }

    /// Takes what came; returns whether the server is live.
    async fn fed(&self, feed: &MetricsFeed, fed: Fed, shown: &mut Shown, live: bool) -> Result<bool, Fail> {
        match fed {
            Fed::Sample(sample) => {
                if !live {
                    shown.trail = Trail::default();
                }
                shown.trail.push(&feed.table, &sample);
                shown.remark.clear();
                Ok(true)
            }
            Fed::State(FeedState::Away) => {
                shown.processes = ProcessList::default();
                match self.last_minutes().await {
                    Ok(moment) => (shown.trail, shown.remark) = (moment.trail, moment.away.unwrap_or_default()),
                    Err(fail) => shown.remark = fail.text(self.app.language),
                }
                Ok(false)
            }
            Fed::Refused(refused) => {
                shown.remark = refused.text(self.app.language);
                Ok(false)
            }
            Fed::State(FeedState::Cut) => {
                shown.remark = Id::TopCut.with(&[&self.target.name]).text(self.app.language);
                Ok(false)
            }
            Fed::State(
                FeedState::Opening | FeedState::Live | FeedState::Busy | FeedState::Refused | FeedState::Unknown,
            )
            | Fed::Series
            | Fed::Skipped(_) => Ok(live),
        }
    }

    fn draw(&self, shown: &Shown) {
        let (columns, rows) = terminal::own_size();
        let style = Style {
            language: self.app.language,
            colour: crate::words::colours_wanted(),
            columns: usize::from(columns),
            rows: Some(usize::from(rows)),
        };
        let view = View {
            server: &self.target.name,
            remark: &shown.remark,
            trail: &shown.trail,
            happened: &shown.happened,
            now_millis: clock::wall().0.saturating_mul(1_000),
            processes: &shown.processes,
        };
        shown.full.paint(&screen::draw(&view, style), usize::from(rows));
    }
}

/// What a screen holds.
struct Shown {
    full: FullScreen,
    /// The terminal has another size.
    resized: Signal,
    trail: Trail,
    happened: HappenedList,
    processes: ProcessList,
    remark: String,
}

/// What a question is answered; without one, never.
async fn answer<T>(asked: Pin<&mut Option<impl Future<Output = T>>>) -> T {
    match asked.as_pin_mut() {
        Some(asked) => asked.await,
        None => std::future::pending().await,
    }
}

/// Ends when somebody wants to leave, or the terminal is gone.
async fn quit(keys: &Pipe) {
    let mut buffer = [0; 64];
    loop {
        match keys.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(count) => {
                if buffer[..count].iter().any(|key| matches!(key, b'q' | b'Q' | 3)) {
                    return;
                }
            }
        }
    }
}

/// The terminal's other screen, without a cursor, until this is dropped.
struct FullScreen;

impl FullScreen {
    fn enter() -> Self {
        write("\x1b[?1049h\x1b[?25l\x1b[2J");
        Self
    }

    /// All rows, each cleared before it is written: behind the last column of a full one its last character would go.
    fn paint(&self, lines: &[String], rows: usize) {
        let line = |row: usize| format!("\x1b[K{}", lines.get(row).map_or("", String::as_str));
        write(&format!("\x1b[H{}", (0..rows).map(line).collect::<Vec<_>>().join("\r\n")));
    }
}

impl Drop for FullScreen {
    fn drop(&mut self) {
        write("\x1b[?25h\x1b[?1049l");
    }
}

/// A terminal that is gone shows nothing.
fn write(text: &str) {
    let mut out = std::io::stdout().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

fn described(series: &Series, value: f32) -> Value {
    let kind = match series.kind {
        SeriesKind::Gauge => "gauge",
        SeriesKind::Counter => "counter",
    };
    let attributes: Map<String, Value> =
        series.attributes.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect();
    json!({"name": series.name, "unit": series.unit, "kind": kind, "attributes": attributes, "value": value})
}
