//! The minute that is not on disk yet: each sample as it was, packed when the minute is over.
//!
//! A sample's values are copied and nothing else: what they mean is looked at once a minute. It must never hold more than a
//! minute, whatever the host's clock does.

use super::codec::{self, Told};
use crate::metrics::clock::Moment;
use crate::metrics::table::{Layout, Table};
use cloud_doctor_proto::metrics::{Series, SeriesKind};
use std::sync::Arc;

const SECONDS: u64 = 60;
/// A clock that was moved by more than this was set: what follows is another minute.
const SET_MILLIS: u64 = 1_500;

/// A sample.
#[derive(Debug, Default, Clone)]
struct Row {
    /// Of Unix time.
    second: u64,
    /// Since the sample before.
    elapsed_micros: u64,
    /// As the table has them.
    values: Vec<f32>,
}

#[derive(Debug, Default, Clone)]
pub(super) struct Minute {
    /// Rows of this minute, and behind them rows of earlier ones, whose memory is used again.
    rows: Vec<Row>,
    len: usize,
    /// What the values mean from this row on.
    layouts: Vec<(usize, Arc<Layout>)>,
    versions: u32,
    began: Option<Moment>,
}

/// One series' values, a second each.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) series: Arc<Series>,
    pub(super) values: Vec<f32>,
}

impl Minute {
    /// Whether a sample of this moment does not belong to it any more.
    pub(super) fn is_over(&self, now: Moment) -> bool {
        let Some(began) = self.began else { return false };
        let by_boot = began.wall + now.boot.saturating_sub(began.boot) / 1_000;
        let was_set = now.wall.abs_diff(by_boot) > SET_MILLIS;
        was_set || now.wall / 1_000 / SECONDS != began.wall / 1_000 / SECONDS
    }

    /// Takes a sample.
    pub(super) fn push(&mut self, table: &mut Table, now: Moment, elapsed_micros: u64) {
        let second = now.wall / 1_000;
        if self.len > 0 && self.rows[self.len - 1].second >= second {
            // The clock was slowed down a little: the newer sample counts.
            self.len -= 1;
        }
        if self.len >= self.rows.len() {
            self.rows.push(Row::default());
        }
        self.began.get_or_insert(now);
        if self.layouts.is_empty() || self.versions != table.versions() {
            self.versions = table.versions();
            self.layouts.push((self.len, table.layout()));
        }
        let row = &mut self.rows[self.len];
        row.second = second;
        row.elapsed_micros = elapsed_micros;
        row.values.clear();
        row.values.extend_from_slice(&table.values);
        self.len += 1;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// When it began: milliseconds of Unix time at a full second, and since boot.
    pub(super) fn began(&self) -> (u64, u64) {
        let from = self.rows.first().map_or(0, |row| row.second * 1_000);
        (from, self.began.map_or(0, |began| began.boot / 1_000))
    }

    /// Seconds from its first sample to its last one.
    pub(super) fn seconds(&self) -> usize {
        let rows = &self.rows[..self.len];
        let span = rows.first().zip(rows.last()).map_or(0, |(first, last)| last.second - first.second + 1);
        usize::try_from(span).unwrap_or(0)
    }

    /// The series that have a value in it.
    pub(super) fn columns(&self) -> Vec<Column> {
        let width = self.layouts.iter().map(|(_, layout)| layout.len()).max().unwrap_or(0);
        let mut columns: Vec<Column> = Vec::new();
        for number in 0..width {
            let mut place = 0;
            while place < self.layouts.len() {
                let (begin, layout) = &self.layouts[place];
                let Some(named) = layout.get(number) else {
                    place += 1;
                    continue;
                };
                let same = |(_, other): &&(usize, Arc<Layout>)| {
                    other.get(number).is_some_and(|other| other.version == named.version)
                };
                place += self.layouts[place..].iter().take_while(same).count();
                let end = self.layouts.get(place).map_or(self.len, |(row, _)| *row);
                self.put(&named.series, number, *begin..end, &mut columns);
            }
        }
        columns
    }

    /// Puts one series' values of some rows into its column.
    fn put(&self, series: &Arc<Series>, number: usize, rows: std::ops::Range<usize>, columns: &mut Vec<Column>) {
        let Some(rows) = self.rows.get(rows) else { return };
        let value = |row: &Row| row.values.get(number).copied().unwrap_or(f32::NAN);
        if rows.iter().all(|row| value(row).is_nan()) {
            return;
        }
        // A device that went and came back within the minute has one column.
        let known =
            if self.layouts.len() > 1 { columns.iter().position(|known| known.series == *series) } else { None };
        let place = known.unwrap_or_else(|| {
            columns.push(Column { series: series.clone(), values: vec![f32::NAN; self.seconds()] });
            columns.len() - 1
        });
        let first = self.rows[0].second;
        for row in rows {
            let second = usize::try_from(row.second - first).unwrap_or(usize::MAX);
            if let Some(place) = columns[place].values.get_mut(second)
                && !value(row).is_nan()
            {
                *place = per_second(value(row), series.kind, row.elapsed_micros);
            }
        }
    }

    /// Begins the next one.
    pub(super) fn clear(&mut self) {
        self.len = 0;
        self.began = None;
        self.layouts.clear();
    }
}

/// As ranges have it: a counter's increase per second.
fn per_second(value: f32, kind: SeriesKind, elapsed_micros: u64) -> f32 {
    match kind {
        SeriesKind::Gauge => value,
        SeriesKind::Counter if elapsed_micros == 0 => f32::NAN,
        SeriesKind::Counter => {
            let seconds = crate::metrics::table::lossy(elapsed_micros) / 1e6;
            crate::metrics::table::finite(f64::from(value) / seconds)
        }
    }
}

/// Packs a column of seconds.
pub(super) fn pack(values: &[f32]) -> Vec<u8> {
    let mut out = Vec::new();
    codec::pack(Told::Difference, values.iter().map(|value| codec::key(*value)), &mut out);
    out
}
