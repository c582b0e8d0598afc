//! Samples, ranges and series: what is read of good bytes, and that damaged ones are refused or read alike.

use super::bytes::tolerant;
use super::hex;
use cloud_doctor_proto::metrics::{MetricsSeries, Range, Sample, Series, SeriesKind};
use serde_json::{Value, json};

/// A value as the console reads it: none where nothing is known.
fn read(values: &[f32]) -> Value {
    values.iter().map(|value| value.is_finite().then(|| f64::from(*value))).collect()
}

fn sample_row(bytes: &[u8]) -> Value {
    let row = Sample::from_bytes(bytes).ok().map(|sample| {
        json!({
            "at": sample.at.to_string(),
            "elapsed": sample.elapsed,
            "dropped": sample.dropped,
            "values": read(&sample.values),
        })
    });
    json!({ "bytes": hex(bytes), "sample": row })
}

fn range_row(bytes: &[u8]) -> Value {
    let row = Range::from_bytes(bytes).ok().map(|range| {
        json!({
            "series": range.series,
            "from": range.from.to_string(),
            "step": range.step,
            "min": read(&range.min),
            "mean": read(&range.mean),
            "max": read(&range.max),
        })
    });
    json!({ "bytes": hex(bytes), "range": row })
}

/// Cut anywhere, with something behind, and with each of the first bytes at its largest.
fn damaged(good: &[u8], head: usize) -> Vec<Vec<u8>> {
    let cuts = (0..good.len()).map(|at| good[..at].to_vec());
    let largest = (0..head).map(|at| {
        let mut bad = good.to_vec();
        bad[at] = 0xff;
        bad
    });
    cuts.chain(largest).chain([[good, &[0]].concat(), [good, &[0; 4]].concat()]).collect()
}

pub(crate) fn metrics() -> Value {
    let values = vec![1.5, -0.25, f32::NAN, f32::INFINITY, f32::MAX, 0.1];
    let sample = Sample { at: 1_800_000_000_123, elapsed: 1_004, dropped: 7, values }.to_bytes();
    let mut foreign = sample.clone();
    foreign[16..20].copy_from_slice(&f32::NEG_INFINITY.to_be_bytes());
    let (min, mean, max) = (vec![0.5, f32::NAN, -3.0], vec![0.75, f32::NAN, 0.1], vec![1e30, f32::NAN, 9.0]);
    let range = Range { series: 1_999, from: 1_800_000_000_000, step: 10_000, min, mean, max }.to_bytes();
    let none = Range { series: 0, from: 0, step: 0, min: vec![], mean: vec![], max: vec![] }.to_bytes();
    let samples = [sample.clone(), foreign].into_iter().chain(damaged(&sample, 16));
    let ranges = [range.clone(), none].into_iter().chain(damaged(&range, 20));
    json!({
        "samples": samples.map(|bytes| sample_row(&bytes)).collect::<Vec<_>>(),
        "ranges": ranges.map(|bytes| range_row(&bytes)).collect::<Vec<_>>(),
    })
}

/// A page of series, for the console's codec.
pub(crate) fn series() -> Value {
    let counter = Series {
        name: "system.disk.io".into(),
        unit: "By".into(),
        kind: SeriesKind::Counter,
        attributes: vec![("device".into(), "sda".into()), ("direction".into(), "re\u{e9}d".into())],
        summary: true,
    };
    let name = "system.memory.usage".into();
    let gauge = Series { name, unit: String::new(), kind: SeriesKind::Gauge, attributes: vec![], summary: false };
    tolerant("metricsSeries", &MetricsSeries { first: 500, series: vec![counter, gauge] })
}
