//! Which values make a screen: errors first, then saturation, then utilisation, each of one resource. Pure.

use cloud_doctor::messages::Id;
use cloud_doctor::relay_api::SeriesTable;
use cloud_doctor_proto::metrics::{Sample, SeriesKind};
use std::collections::VecDeque;
use std::time::Duration;

/// Points of a row that are kept: a minute.
const POINTS_MAX: usize = 60;

/// How a row's number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// A share: shown in percent, with a bar.
    Share,
    /// So many per second.
    PerSecond,
    /// Bytes per second.
    BytesPerSecond,
    /// A number.
    Count,
}

/// A line of the screen.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) about: Id,
    pub(super) what: Id,
    name: &'static str,
    attributes: &'static [(&'static str, &'static str)],
    pub(super) unit: Unit,
    /// From which value on it is worth a look, and from which on it hurts.
    levels: Option<(f32, f32)>,
}

/// How a row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Unknown,
    Fine,
    Look,
    Hurts,
}

impl Row {
    pub(super) fn level(&self, value: f32) -> Level {
        match self.levels {
            _ if !value.is_finite() => Level::Unknown,
            Some((_, hurts)) if value >= hurts => Level::Hurts,
            Some((look, _)) if value >= look => Level::Look,
            Some(_) | None => Level::Fine,
        }
    }
}

macro_rules! rows {
    ($($about:ident $what:ident: $name:literal [$($key:literal = $value:literal),*] $unit:ident $levels:expr;)*) => {
        &[$(Row {
            about: Id::$about, what: Id::$what, name: $name, attributes: &[$(($key, $value)),*], unit: Unit::$unit,
            levels: $levels,
        },)*]
    };
}

/// Parts of the screen, in the order in which a person should look.
pub(super) const PARTS: &[(Id, &[Row])] = &[
    (
        Id::TopErrors,
        rows! {
            TopMemory TopOom: "system.linux.oom_kills" [] PerSecond Some((0.001, 0.001));
            TopNetwork TopNetErrors: "system.linux.network.errors" [] PerSecond Some((0.001, 10.0));
            TopNetwork TopDropped: "system.linux.network.dropped" [] PerSecond Some((1.0, 100.0));
            TopTcp TopOverflows: "system.linux.tcp.listen_overflows" [] PerSecond Some((0.001, 1.0));
            TopDisk TopHung: "system.linux.filesystem.hung" [] Count Some((1.0, 1.0));
        },
    ),
    (
        Id::TopSaturation,
        rows! {
            TopCpu TopPressure: "system.linux.pressure" ["kind" = "some", "resource" = "cpu"] Share Some((0.3, 0.7));
            TopCpu TopLoad: "system.linux.cpu.load_per_cpu" [] Count Some((1.5, 4.0));
            TopMemory TopPressure: "system.linux.pressure" ["kind" = "full", "resource" = "memory"] Share Some((0.05, 0.2));
            TopMemory TopSwapping: "system.paging.operations" ["direction" = "out"] PerSecond Some((1.0, 1000.0));
            TopDisk TopPressure: "system.linux.pressure" ["kind" = "full", "resource" = "io"] Share Some((0.2, 0.5));
            TopDisk TopQueue: "system.linux.disk.longest_queue" [] Count Some((8.0, 32.0));
            TopTcp TopRetransmits: "system.linux.tcp.retransmits" [] PerSecond Some((10.0, 100.0));
        },
    ),
    (
        Id::TopUtilisation,
        rows! {
            TopCpu TopBusy: "system.cpu.utilization" [] Share Some((0.8, 0.95));
            TopCpu TopSteal: "system.cpu.utilization" ["mode" = "steal"] Share Some((0.05, 0.2));
            TopMemory TopUsed: "system.memory.utilization" [] Share Some((0.85, 0.95));
            TopMemory TopSwap: "system.paging.utilization" [] Share Some((0.5, 0.9));
            TopDisk TopBusiest: "system.linux.disk.busiest" [] Share Some((0.8, 0.95));
            TopDisk TopFullest: "system.linux.filesystem.fullest" [] Share Some((0.85, 0.95));
            TopDisk TopInodes: "system.linux.filesystem.fullest_inodes" [] Share Some((0.85, 0.95));
            TopNetwork TopReceived: "system.linux.network.io" ["direction" = "receive"] BytesPerSecond None;
            TopNetwork TopSent: "system.linux.network.io" ["direction" = "transmit"] BytesPerSecond None;
            TopTcp TopConntrack: "system.linux.conntrack.utilization" [] Share Some((0.7, 0.9));
        },
    ),
];

/// Values of each row, oldest first: NaN where nothing was known.
#[derive(Debug, Default)]
pub(super) struct Trail(Vec<VecDeque<f32>>);

impl Trail {
    /// Takes a sample.
    pub(super) fn push(&mut self, table: &SeriesTable, sample: &Sample) {
        let rows: Vec<&Row> = PARTS.iter().flat_map(|(_, rows)| rows.iter()).collect();
        self.0.resize(rows.len(), VecDeque::new());
        for (points, row) in self.0.iter_mut().zip(rows) {
            points.push_back(value(row, table, sample));
            if points.len() > POINTS_MAX {
                points.pop_front();
            }
        }
    }

    /// The points of the row with this number, counted over all parts.
    pub(super) fn points(&self, number: usize) -> impl Iterator<Item = f32> {
        self.0.get(number).into_iter().flatten().copied()
    }
}

/// The sum over all series of that name with these attributes; of a counter per second.
fn value(row: &Row, table: &SeriesTable, sample: &Sample) -> f32 {
    let mut sum = None;
    for (number, series) in table.iter().filter(|(_, series)| series.name == row.name) {
        let same = series.attributes.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let all = row.attributes.is_empty();
        // Without attributes the total is meant: a gauge of its own, or all parts of a counter.
        let total = all && (series.attributes.is_empty() || series.kind == SeriesKind::Counter);
        if !total && (all || !same.eq(row.attributes.iter().copied())) {
            continue;
        }
        let value = sample.values.get(number).copied().unwrap_or(f32::NAN);
        let value = match (series.kind, sample.elapsed) {
            (SeriesKind::Gauge, _) => value,
            (SeriesKind::Counter, 0) => f32::NAN,
            (SeriesKind::Counter, millis) => value / Duration::from_millis(u64::from(millis)).as_secs_f32(),
        };
        if value.is_finite() {
            sum = Some(sum.unwrap_or(0.0) + value);
        }
    }
    sum.unwrap_or(f32::NAN)
}
