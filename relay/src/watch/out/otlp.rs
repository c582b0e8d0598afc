//! OTLP over HTTP in its JSON encoding: one resource per server, counters with delta temporality. Pure.

use super::Point;
use super::names::Instance;
use cloud_doctor_proto::metrics::SeriesKind;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// `AGGREGATION_TEMPORALITY_DELTA`.
const DELTA: u8 = 1;
const NANOS_PER_MILLI: u64 = 1_000_000;

/// The body of a request: one data point of each series, for the time from `since` to `now` in milliseconds.
pub(super) fn request(instance: &Instance, points: &[Point], (since, now): (u64, u64)) -> String {
    let nanos = |millis: u64| millis.saturating_mul(NANOS_PER_MILLI).to_string();
    let mut metrics: BTreeMap<(&str, &str, bool), Vec<Value>> = BTreeMap::new();
    for Point { series, value, increase } in points {
        let counter = series.kind == SeriesKind::Counter;
        let attributes: Vec<Value> = series.attributes.iter().map(|(key, value)| attribute(key, value)).collect();
        let value = if counter { increase } else { value };
        let mut point = json!({"attributes": attributes, "timeUnixNano": nanos(now), "asDouble": value});
        if let Some(fields) = point.as_object_mut().filter(|_| counter) {
            fields.insert("startTimeUnixNano".to_owned(), Value::from(nanos(since)));
        }
        metrics.entry((&series.name, &series.unit, counter)).or_default().push(point);
    }
    let metric = |((name, unit, counter), points): ((&str, &str, bool), Vec<Value>)| match counter {
        true => {
            let sum = json!({"dataPoints": points, "aggregationTemporality": DELTA, "isMonotonic": true});
            json!({"name": name, "unit": unit, "sum": sum})
        }
        false => json!({"name": name, "unit": unit, "gauge": {"dataPoints": points}}),
    };
    let resource = [
        attribute("host.name", &instance.name),
        attribute("host.id", &instance.id),
        attribute("cloud_doctor.customer", &instance.customer),
        attribute("service.name", "cloud-doctor-agent"),
    ];
    json!({"resourceMetrics": [{
        "resource": {"attributes": resource},
        "scopeMetrics": [{
            "scope": {"name": "cloud-doctor", "version": env!("CARGO_PKG_VERSION")},
            "metrics": metrics.into_iter().map(metric).collect::<Vec<_>>(),
        }],
    }]})
    .to_string()
}

fn attribute(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cloud_doctor_proto::metrics::Series;

    #[test]
    fn counters_are_deltas_of_the_interval_and_gauges_values() {
        let instance = Instance { name: "web-1".into(), customer: "ACME".into(), id: "0011".into() };
        let point = |name: &str, kind, device: &str| Point {
            series: Series {
                name: name.into(),
                unit: "By".into(),
                kind,
                attributes: vec![("device".into(), device.into())],
                summary: false,
            },
            value: 40.0,
            increase: 4.0,
        };
        let points = [
            point("a", SeriesKind::Counter, "sda"),
            point("a", SeriesKind::Counter, "sdb"),
            point("b", SeriesKind::Gauge, "sda"),
        ];
        let body: Value = serde_json::from_str(&request(&instance, &points, (1_000, 16_000))).unwrap();
        let metrics = &body["resourceMetrics"][0]["scopeMetrics"][0]["metrics"];
        assert_eq!(metrics.as_array().unwrap().len(), 2);
        let sum = &metrics[0]["sum"];
        assert_eq!((sum["aggregationTemporality"].as_u64(), sum["isMonotonic"].as_bool()), (Some(1), Some(true)));
        assert_eq!(sum["dataPoints"].as_array().unwrap().len(), 2);
        assert_eq!(
            sum["dataPoints"][1],
            json!({"attributes": [{"key": "device", "value": {"stringValue": "sdb"}}], "asDouble": 4.0,
                   "startTimeUnixNano": "1000000000", "timeUnixNano": "16000000000"})
        );
        assert_eq!(metrics[1]["gauge"]["dataPoints"][0]["asDouble"], json!(40.0));
    }
}
