//! Series of a host that does not exist, and values that a chart can be drawn of: the same for the same agent and time.

use super::wire::Wire;
use super::{Counters, Member, Nature, Shared};
use crate::people::random;
use anyhow::Result;
use cloud_doctor_proto::events::{Event, EventKind, Events, EventsRequest};
use cloud_doctor_proto::frame::{self, Kind};
use cloud_doctor_proto::metrics::{
    LIVE_MILLIS, MetricsRequest, MetricsSeries, POINTS_MAX, Process, Processes, Range, RangeRequest, SERIES_MAX,
    SERIES_PAGE, SUMMARY_MILLIS, SUMMARY_SERIES_MAX, Sample, Series, SeriesKind,
};
use cloud_doctor_proto::refusal::Refusal;
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// Samples that a flooding agent writes before it lets others run.
const FLOOD_AT_ONCE: usize = 64;
/// Names, with what differs between the series of one name.
const NAMES: &[(&str, &str, SeriesKind, &str)] = &[
    ("system.cpu.utilization", "1", SeriesKind::Gauge, "cpu"),
    ("system.memory.usage", "By", SeriesKind::Gauge, "state"),
    ("system.disk.io", "By", SeriesKind::Counter, "device"),
    ("system.disk.operation_time", "s", SeriesKind::Counter, "device"),
    ("system.filesystem.utilization", "1", SeriesKind::Gauge, "mountpoint"),
    ("system.network.io", "By", SeriesKind::Counter, "interface"),
    ("system.network.dropped", "{packet}", SeriesKind::Counter, "interface"),
    ("system.processes.count", "{process}", SeriesKind::Gauge, "state"),
];

/// What all agents measure.
#[derive(Debug)]
pub(super) struct Values {
    series: Vec<Series>,
    /// Frames that say so.
    pages: Vec<u8>,
    summary_pages: Vec<u8>,
}

impl Values {
    /// So many series; of those, as many as may be are in summaries.
    pub(super) fn new(count: usize) -> Self {
        let made = (0..count.min(SERIES_MAX)).map(|number| {
            let (name, unit, kind, key) = NAMES[number % NAMES.len()];
            let attributes = vec![(key.to_owned(), format!("{}", number / NAMES.len()))];
            let summary = number < SUMMARY_SERIES_MAX;
            Series { name: name.to_owned(), unit: unit.to_owned(), kind, attributes, summary }
        });
        let series: Vec<_> = made.collect();
        let summaries: Vec<_> = series.iter().filter(|one| one.summary).cloned().collect();
        Self { pages: pages(&series), summary_pages: pages(&summaries), series }
    }

    fn sample(&self, number: usize, at: u64, elapsed: u32, count: usize) -> Vec<u8> {
        let values = (0..count.min(self.series.len())).map(|series| value(number, series, at)).collect();
        frame::encode(Kind::MetricsSample, &Sample { at, elapsed, dropped: 0, values }.to_bytes())
    }

    fn range(&self, number: usize, series: usize, wanted: &RangeRequest) -> Option<Range> {
        let span = wanted.to.checked_sub(wanted.from).filter(|span| *span > 0)?;
        let most = u64::from(wanted.points.clamp(1, POINTS_MAX));
        let step = span.div_ceil(most).max(u64::from(LIVE_MILLIS));
        let points = span.div_ceil(step);
        let mean: Vec<f32> = (0..points).map(|point| value(number, series, wanted.from + point * step)).collect();
        let (min, max) = (mean.iter().map(|one| one * 0.9).collect(), mean.iter().map(|one| one * 1.1).collect());
        let (series, step) = (u32::try_from(series).ok()?, u32::try_from(step).ok()?);
        Some(Range { series, from: wanted.from, step, min, mean, max })
    }
}

fn pages(series: &[Series]) -> Vec<u8> {
    let mut out = Vec::new();
    for (page, series) in series.chunks(SERIES_PAGE).enumerate() {
        let first = u32::try_from(page * SERIES_PAGE).unwrap_or(u32::MAX);
        out.extend(frame::message(Kind::MetricsSeries, &MetricsSeries { first, series: series.to_vec() }));
    }
    out
}

/// A wave of some minutes, with a height and a phase of its own.
fn value(number: usize, series: usize, at: u64) -> f32 {
    let own = u16::try_from((number.wrapping_mul(31).wrapping_add(series.wrapping_mul(977))) % 1_000).unwrap_or(0);
    let period = 60 + u64::from(own % 240);
    let place = u16::try_from(at / 1_000 % period).unwrap_or(0);
    let turn = f32::from(place) / f32::from(60 + own % 240) * std::f32::consts::TAU;
    f32::from(own) * (1.0 + 0.5 * (turn + f32::from(own)).sin())
}

fn millis() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Answers one request for metrics.
pub(super) async fn serve(member: &Member, shared: &Shared, wire: &mut Wire, wanted: &MetricsRequest) -> Result<()> {
    let values = &shared.values;
    if values.series.is_empty() {
        return wire.say(Kind::Refused, &Refusal::MetricsNotAllowed.with("")).await;
    }
    match wanted {
        MetricsRequest::Live {} => {
            Counters::add(&shared.counters.live);
            let ended = live(member, shared, wire).await;
            Counters::take(&shared.counters.live);
            ended
        }
        MetricsRequest::Summary {} => {
            wire.send.write_all(&values.summary_pages).await?;
            let mut beat = Beat::new(SUMMARY_MILLIS);
            while let Some(elapsed) = beat.next(wire).await? {
                let sample = values.sample(member.number, millis(), elapsed, SUMMARY_SERIES_MAX);
                Counters::add(&shared.counters.summaries);
                wire.send.write_all(&sample).await?;
            }
            Ok(())
        }
        MetricsRequest::Range(range) => {
            Counters::add(&shared.counters.answers);
            wire.send.write_all(&values.pages).await?;
            for (series, one) in values.series.iter().enumerate() {
                let asked = range.names.is_empty() || range.names.contains(&one.name);
                if let Some(points) = values.range(member.number, series, range).filter(|_| asked) {
                    wire.send.write_all(&frame::encode(Kind::MetricsRange, &points.to_bytes())).await?;
                }
            }
            Ok(())
        }
        MetricsRequest::Processes { count } => {
            Counters::add(&shared.counters.answers);
            wire.say(Kind::Processes, &processes(*count)).await
        }
        MetricsRequest::Events(asked) => {
            Counters::add(&shared.counters.answers);
            wire.say(Kind::Events, &events(asked, millis())).await
        }
    }
}

async fn live(member: &Member, shared: &Shared, wire: &mut Wire) -> Result<()> {
    let (values, counters) = (&shared.values, &shared.counters);
    match member.nature {
        Nature::Garbage(_) => Ok(wire.send.write_all(&random::<900>()).await?),
        Nature::Flooding => {
            wire.send.write_all(&values.pages).await?;
            let sample = values.sample(member.number, millis(), LIVE_MILLIS, values.series.len());
            loop {
                for _ in 0..FLOOD_AT_ONCE {
                    wire.send.write_all(&sample).await?;
                    Counters::add(&counters.samples);
                }
                tokio::task::yield_now().await;
            }
        }
        Nature::Well | Nature::Absent | Nature::Hanging | Nature::Churning(_) => {
            wire.send.write_all(&values.pages).await?;
            let mut beat = Beat::new(LIVE_MILLIS);
            while let Some(elapsed) = beat.next(wire).await? {
                let sample = values.sample(member.number, millis(), elapsed, values.series.len());
                Counters::add(&counters.samples);
                wire.send.write_all(&sample).await?;
            }
            Ok(())
        }
    }
}

/// A moment each time after so long, the first one by chance.
struct Beat {
    ticks: Interval,
    every: u32,
    elapsed: u32,
}

impl Beat {
    fn new(every: u32) -> Self {
        let period = Duration::from_millis(every.into());
        let first = period.mul_f64(f64::from(u16::from_be_bytes(random())) / f64::from(u16::MAX));
        let mut ticks = interval_at(Instant::now() + first, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { ticks, every, elapsed: 0 }
    }

    /// Waits for the next one; returns the time since the one before. None: the relay wants no more, which it says by
    /// closing its half.
    async fn next(&mut self, wire: &mut Wire) -> Result<Option<u32>> {
        loop {
            tokio::select! {
                biased;
                said = wire.next() => if said?.is_none() {
                    return Ok(None);
                },
                _ = self.ticks.tick() => return Ok(Some(std::mem::replace(&mut self.elapsed, self.every))),
            }
        }
    }
}

fn processes(count: u32) -> Processes {
    let one = |number: u32| Process {
        pid: 1_000 + number,
        name: format!("simulated-{number}"),
        user: "nobody".to_owned(),
        unit: String::new(),
        state: "S".to_owned(),
        processors: 0.1,
        memory: 32 << 20,
        read: None,
        written: None,
        descriptors: Some(12),
        threads: 4,
    };
    let processes: Vec<_> = (0..count.min(20)).map(one).collect();
    Processes { at: millis(), elapsed: LIVE_MILLIS, total: 120, processes }
}

/// One failure of a service, an hour ago.
fn events(asked: &EventsRequest, now: u64) -> Events {
    let event = Event {
        at: now.saturating_sub(3_600_000),
        kind: EventKind::Failed,
        count: 1,
        names: Vec::new(),
        unit: "simulated.service".to_owned(),
        guessed: false,
    };
    Events { since: asked.since(now), events: vec![event], left_out: 0, blind: Vec::new() }.bounded(asked)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn samples_and_ranges_are_what_a_relay_accepts() {
        let values = Values::new(250);
        assert!(values.series.iter().all(Series::is_bounded));
        let sample = values.sample(3, 1_800_000_000_000, 1_000, 250);
        let read = Sample::from_bytes(&sample[cloud_doctor_proto::limits::FRAME_HEADER_BYTES..]).unwrap();
        assert_eq!(read.values.len(), 250);
        assert!(read.values.iter().all(|one| one.is_finite()));
        let later = values.sample(3, 1_800_000_020_000, 1_000, 250);
        assert_ne!(sample[30..], later[30..], "values change");
        for (from, to, points, expected) in [(0, 60_000, 500, 60), (0, 3_600_000, 100, 100), (5, 6, 10, 1)] {
            let wanted = RangeRequest { from, to, points, names: Vec::new() };
            let range = values.range(1, 2, &wanted).unwrap();
            assert_eq!(range.mean.len(), expected, "{from} to {to}");
            assert_eq!(Range::from_bytes(&range.to_bytes()).unwrap().series, 2);
        }
        let nothing = RangeRequest { from: 6, to: 6, points: 9, names: Vec::new() };
        assert!(values.range(1, 2, &nothing).is_none());
    }
}
