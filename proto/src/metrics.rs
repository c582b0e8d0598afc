//! Metrics: what a relay asks of a tunnel, and how series, samples and ranges of history travel.
//!
//! ```text
//!  relay ── StreamHead{purpose: Metrics}, MetricsRequest ──▶ tunnel ── the same two ──▶ guard
//!  relay ◀── MetricsSeries, MetricsSample … ── tunnel ◀── MetricsLease | Refused | Processes | Events ── guard
//! ```
//!
//! No grant is needed: the customer's ceiling says whether metrics may be seen, and guard alone decides. A tunnel serves
//! while the connection on which guard gave its lease stays open. Samples and ranges are bytes of one fixed form, so that
//! a relay passes them on without reading and a browser reads them in place. It must never hold a command line, a file's
//! content or an address of somebody who is connected.

use crate::events::EventsRequest;
use crate::limits::NAME_CHARS_MAX;
use serde::{Deserialize, Serialize};

/// Series of one host; a host with more drops the oldest and counts them (WEB-09).
pub const SERIES_MAX: usize = 2_000;
/// Series in one frame: a page of the longest stays below [`crate::limits::CONTROL_BYTES_MAX`].
pub const SERIES_PAGE: usize = 500;
/// Attributes of one series.
pub const ATTRIBUTES_MAX: usize = 4;
/// Characters of an attribute's key or value, of a name and of a unit.
pub const TEXT_CHARS_MAX: usize = NAME_CHARS_MAX;
/// Points of one series in an answer about history.
pub const POINTS_MAX: u32 = 4_096;
/// Metric names in one request.
pub const NAMES_MAX: usize = 200;
/// Processes in one answer.
pub const PROCESSES_MAX: usize = 200;
/// Between two samples that somebody looks at.
pub const LIVE_MILLIS: u32 = 1_000;
/// Between two summaries for the relay's flight recorder.
pub const SUMMARY_MILLIS: u32 = 5_000;
/// What a summary holds at most, so that a relay knows what it has to keep of each agent.
pub const SUMMARY_SERIES_MAX: usize = 32;

/// Bytes before a sample's values: `u64 at | u32 elapsed | u32 dropped`.
const SAMPLE_HEAD: usize = 16;
/// Bytes before a range's points: `u32 series | u64 from | u32 step | u32 points`.
const RANGE_HEAD: usize = 20;
const VALUE_BYTES: usize = 4;

/// What a relay wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MetricsRequest {
    /// All series each [`LIVE_MILLIS`], until the stream is closed.
    Live {},
    /// Those that are marked [`Series::summary`] each [`SUMMARY_MILLIS`]: gauges as their largest value since the last
    /// one, counters summed.
    Summary {},
    /// History.
    Range(RangeRequest),
    /// The processes that use most, measured over a second.
    Processes {
        /// How many: at most [`PROCESSES_MAX`].
        count: u32,
    },
    /// What happened on the host. A host that is older than this question answers that it cannot read it.
    Events(EventsRequest),
}

/// A part of a host's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeRequest {
    /// First millisecond, Unix time.
    pub from: u64,
    /// The first one after it.
    pub to: u64,
    /// Points wanted of each series: at most [`POINTS_MAX`]. There are fewer where the history is coarser.
    pub points: u32,
    /// Metric names; none: all.
    #[serde(default)]
    pub names: Vec<String>,
}

/// Guard to tunnel: metrics may be shown while this connection stays open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricsLease {}

/// How a series' values are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeriesKind {
    /// The value itself.
    Gauge,
    /// In samples the increase since the sample before, in ranges the increase per second.
    Counter,
}

/// One series. Names, units and attributes follow OpenTelemetry's host metrics where those have one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Series {
    /// For example `system.disk.io`.
    pub name: String,
    /// As UCUM writes it: `By`, `s`, `1`, `{packet}`.
    pub unit: String,
    /// See there.
    pub kind: SeriesKind,
    /// For example `device` = `sda`, sorted by key.
    pub attributes: Vec<(String, String)>,
    /// Whether summaries hold it.
    pub summary: bool,
}

impl Series {
    /// Whether it keeps the limits of this file.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        let fits = |text: &str| text.chars().take(TEXT_CHARS_MAX + 1).count() <= TEXT_CHARS_MAX;
        !self.name.is_empty()
            && fits(&self.name)
            && fits(&self.unit)
            && self.attributes.len() <= ATTRIBUTES_MAX
            && self.attributes.iter().all(|(key, value)| fits(key) && fits(value))
    }
}

/// Tunnel to relay: what the values that follow mean. A number that is said again means the new series from then on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricsSeries {
    /// Number of the first one here.
    pub first: u32,
    /// At most [`SERIES_PAGE`]; numbers stay below [`SERIES_MAX`].
    pub series: Vec<Series>,
}

/// All values at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Milliseconds of Unix time, by the host's clock.
    pub at: u64,
    /// Milliseconds since the sample before, by a clock that nobody sets; 0 for the first one.
    pub elapsed: u32,
    /// Series that were dropped so far because there were too many.
    pub dropped: u32,
    /// By number; NaN where there is none.
    pub values: Vec<f32>,
}

/// Bytes that are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MetricsError {
    /// Cut off, or with something behind.
    #[error("a sample or range of {0} bytes")]
    Length(usize),
    /// More than the limits of this file.
    #[error("more series or points than a host may have")]
    TooMany,
}

impl Sample {
    /// `u64 at | u32 elapsed | u32 dropped | f32 value …`, big endian. What is not finite travels as NaN (COD-09).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SAMPLE_HEAD + self.values.len() * VALUE_BYTES);
        out.extend_from_slice(&self.at.to_be_bytes());
        out.extend_from_slice(&self.elapsed.to_be_bytes());
        out.extend_from_slice(&self.dropped.to_be_bytes());
        put(&mut out, &self.values);
        out
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`MetricsError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MetricsError> {
        let mut rest = bytes;
        let (Some(at), Some(elapsed), Some(dropped)) = (take(&mut rest), take(&mut rest), take(&mut rest)) else {
            return Err(MetricsError::Length(bytes.len()));
        };
        if rest.len() > SERIES_MAX * VALUE_BYTES {
            return Err(MetricsError::TooMany);
        }
        let values = values(rest).ok_or(MetricsError::Length(bytes.len()))?;
        let (elapsed, dropped) = (u32::from_be_bytes(elapsed), u32::from_be_bytes(dropped));
        Ok(Self { at: u64::from_be_bytes(at), elapsed, dropped, values })
    }
}

/// A series' history: equally long intervals, each with its smallest, mean and largest value, NaN where nothing is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Range {
    /// Its number in the [`MetricsSeries`] of the same stream.
    pub series: u32,
    /// Beginning of the first interval, milliseconds of Unix time.
    pub from: u64,
    /// Length of each, in milliseconds.
    pub step: u32,
    /// Smallest values.
    pub min: Vec<f32>,
    /// Means over the time for which something is known.
    pub mean: Vec<f32>,
    /// Largest values.
    pub max: Vec<f32>,
}

impl Range {
    /// `u32 series | u64 from | u32 step | u32 n | n × f32 min | n × f32 mean | n × f32 max`, big endian.
    ///
    /// # Panics
    /// When the three differ in length: one code makes them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        assert!(self.min.len() == self.mean.len() && self.mean.len() == self.max.len(), "three of each");
        let points = u32::try_from(self.mean.len()).unwrap_or(u32::MAX);
        let mut out = Vec::with_capacity(RANGE_HEAD + 3 * self.mean.len() * VALUE_BYTES);
        out.extend_from_slice(&self.series.to_be_bytes());
        out.extend_from_slice(&self.from.to_be_bytes());
        out.extend_from_slice(&self.step.to_be_bytes());
        out.extend_from_slice(&points.to_be_bytes());
        for column in [&self.min, &self.mean, &self.max] {
            put(&mut out, column);
        }
        out
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`MetricsError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MetricsError> {
        let wrong = MetricsError::Length(bytes.len());
        let mut rest = bytes;
        let (series, from) = (take(&mut rest).ok_or(wrong)?, take(&mut rest).ok_or(wrong)?);
        let (step, points) = (take(&mut rest).ok_or(wrong)?, take(&mut rest).ok_or(wrong)?);
        let (series, points) = (u32::from_be_bytes(series), u32::from_be_bytes(points));
        if points > POINTS_MAX || usize::try_from(series).is_ok_and(|series| series >= SERIES_MAX) {
            return Err(MetricsError::TooMany);
        }
        let all = values(rest).ok_or(wrong)?;
        let each = usize::try_from(points).map_err(|_| wrong)?;
        if all.len() != 3 * each {
            return Err(wrong);
        }
        let column = |number: usize| all[number * each..(number + 1) * each].to_vec();
        let (from, step) = (u64::from_be_bytes(from), u32::from_be_bytes(step));
        Ok(Self { series, from, step, min: column(0), mean: column(1), max: column(2) })
    }
}

fn put(out: &mut Vec<u8>, values: &[f32]) {
    for value in values {
        let value = if value.is_finite() { *value } else { f32::NAN };
        out.extend_from_slice(&value.to_be_bytes());
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, behind) = rest.split_first_chunk::<N>()?;
    *rest = behind;
    Some(*first)
}

/// What is not finite is read as NaN, whoever sent it.
fn values(bytes: &[u8]) -> Option<Vec<f32>> {
    let (values, behind) = bytes.as_chunks::<VALUE_BYTES>();
    let read = |bytes: &[u8; VALUE_BYTES]| Some(f32::from_be_bytes(*bytes)).filter(|value| value.is_finite());
    behind.is_empty().then(|| values.iter().map(|bytes| read(bytes).unwrap_or(f32::NAN)).collect())
}

/// Guard to relay, through the tunnel: the processes that use most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Processes {
    /// Milliseconds of Unix time, by the host's clock.
    pub at: u64,
    /// Milliseconds over which use was measured.
    pub elapsed: u32,
    /// Processes that there are.
    pub total: u32,
    /// Those that use most processor time, memory or disk; at most [`PROCESSES_MAX`].
    pub processes: Vec<Process>,
}

/// One process. Its command line stays on the host: passwords stand in command lines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// The kernel's name for it, without control characters.
    pub name: String,
    /// Its user's name, or number.
    pub user: String,
    /// The systemd unit or container that it belongs to, if one can be told.
    #[serde(default)]
    pub unit: String,
    /// As `ps` writes it: `R`, `S`, `D`, `Z`, `T`, `I`.
    pub state: String,
    /// Processors used: 1 is one of them for the whole time.
    pub processors: f32,
    /// Resident bytes.
    pub memory: u64,
    /// Bytes read from disks per second; none: the kernel does not tell.
    #[serde(default)]
    pub read: Option<f32>,
    /// Bytes written to disks per second.
    #[serde(default)]
    pub written: Option<f32>,
    /// Open descriptors.
    #[serde(default)]
    pub descriptors: Option<u32>,
    /// Threads.
    pub threads: u32,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn cod_09_what_is_no_number_travels_as_none_and_lengths_are_honest() {
        let values = vec![1.5, f32::INFINITY, f32::NAN, f32::NEG_INFINITY, -0.0];
        let sample = Sample { at: u64::MAX, elapsed: 1_000, dropped: 3, values };
        let bytes = sample.to_bytes();
        let read = Sample::from_bytes(&bytes).unwrap();
        assert_eq!((read.at, read.elapsed, read.dropped), (u64::MAX, 1_000, 3));
        assert_eq!(
            read.values.iter().map(|value| value.is_finite()).collect::<Vec<_>>(),
            [true, false, false, false, true]
        );
        assert_eq!(read.to_bytes(), bytes);
        let mut foreign = bytes.clone();
        foreign[20..24].copy_from_slice(&f32::INFINITY.to_be_bytes());
        assert!(Sample::from_bytes(&foreign).unwrap().values[1].is_nan());
        for cut in (0..bytes.len()).filter(|cut| *cut < SAMPLE_HEAD || cut % VALUE_BYTES != 0) {
            assert_eq!(Sample::from_bytes(&bytes[..cut]), Err(MetricsError::Length(cut)));
        }
        let many = Sample { values: vec![0.0; SERIES_MAX + 1], ..sample };
        assert_eq!(Sample::from_bytes(&many.to_bytes()), Err(MetricsError::TooMany));
    }

    #[test]
    fn a_range_is_read_as_it_was_written_and_no_other() {
        let range = Range { series: 7, from: 9, step: 10_000, min: vec![1.0], mean: vec![2.0], max: vec![3.0] };
        let bytes = range.to_bytes();
        assert_eq!(Range::from_bytes(&bytes).unwrap(), range);
        for cut in 0..bytes.len() {
            assert!(Range::from_bytes(&bytes[..cut]).is_err(), "{cut}");
        }
        assert!(Range::from_bytes(&[&bytes[..], &[0; 12]].concat()).is_err());
        let mut many = bytes;
        many[16..20].copy_from_slice(&(POINTS_MAX + 1).to_be_bytes());
        assert_eq!(Range::from_bytes(&many), Err(MetricsError::TooMany));
    }

    #[test]
    fn web_09_a_series_that_is_too_long_is_known_as_one() {
        let series = |name: &str, attributes| Series {
            name: name.into(),
            unit: "By".into(),
            kind: SeriesKind::Gauge,
            attributes,
            summary: false,
        };
        assert!(series("system.memory.usage", vec![("state".into(), "used".into())]).is_bounded());
        assert!(!series("", vec![]).is_bounded() && !series(&"x".repeat(64 << 10), vec![]).is_bounded());
        assert!(!series("x", vec![("key".into(), "é".repeat(TEXT_CHARS_MAX + 1))]).is_bounded());
        assert!(!series("x", vec![(String::new(), String::new()); ATTRIBUTES_MAX + 1]).is_bounded());
    }
}
