//! OpenTelemetry's names as Prometheus has them, and the text that it scrapes. Pure.

use super::Point;
use cloud_doctor_proto::metrics::{Series, SeriesKind};
use std::collections::BTreeMap;

/// The server that a series is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// As the trust log names it.
    pub name: String,
    /// Whose.
    pub customer: String,
    /// The beginning of its id: two customers may give one name.
    pub id: String,
}

/// A series' name: dots become underscores, the unit is written out, counters end in `_total`.
pub(super) fn name(series: &Series) -> String {
    let mut name = plain(&series.name);
    let suffix = match series.unit.as_str() {
        "s" => "seconds",
        "ms" => "milliseconds",
        "By" => "bytes",
        "By/s" => "bytes_per_second",
        "Cel" => "celsius",
        "%" => "percent",
        "1" if series.kind == SeriesKind::Gauge => "ratio",
        _ => "",
    };
    if !suffix.is_empty() && !name.ends_with(&format!("_{suffix}")) {
        name = format!("{name}_{suffix}");
    }
    if series.kind == SeriesKind::Counter && !name.ends_with("_total") { name + "_total" } else { name }
}

/// Labels, sorted by name, each once.
pub(super) fn labels(instance: &Instance, series: &Series) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    labels.insert("instance".to_owned(), instance.name.clone());
    labels.insert("customer".to_owned(), instance.customer.clone());
    labels.insert("server_id".to_owned(), instance.id.clone());
    for (key, value) in series.attributes.iter().filter(|(_, value)| !value.is_empty()) {
        let mut key = plain(key);
        // What begins so is Prometheus' own.
        if labels.contains_key(&key) || key.starts_with("__") || key == "job" {
            key = format!("attribute_{}", key.trim_start_matches('_'));
        }
        labels.entry(key).or_insert_with(|| value.clone());
    }
    labels
}

fn plain(text: &str) -> String {
    let mut name: String = text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if name.chars().next().is_none_or(|first| first.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

/// The text format, version 0.0.4: each name once with its type, each series once.
#[must_use]
pub fn text<'a>(all: impl Iterator<Item = (&'a Instance, &'a [Point])>) -> String {
    let mut names: BTreeMap<String, (SeriesKind, BTreeMap<String, f64>)> = BTreeMap::new();
    for (instance, points) in all {
        for point in points {
            let of = names.entry(name(&point.series)).or_insert_with(|| (point.series.kind, BTreeMap::new()));
            of.1.entry(written(&labels(instance, &point.series))).or_insert(point.value);
        }
    }
    let mut out = String::new();
    for (name, (kind, series)) in names {
        let kind = match kind {
            SeriesKind::Gauge => "gauge",
            SeriesKind::Counter => "counter",
        };
        out.push_str(&format!("# TYPE {name} {kind}\n"));
        for (labels, value) in series {
            out.push_str(&format!("{name}{{{labels}}} {value}\n"));
        }
    }
    out
}

fn written(labels: &BTreeMap<String, String>) -> String {
    let one = |(key, value): (&String, &String)| {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        format!("{key}=\"{value}\"")
    };
    labels.iter().map(one).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, unit: &str, kind: SeriesKind, attributes: &[(&str, &str)]) -> Series {
        let attributes = attributes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Series { name: name.into(), unit: unit.into(), kind, attributes, summary: false }
    }

    #[test]
    fn names_follow_the_convention() {
        for (found, unit, kind, expected) in [
            ("system.cpu.time", "s", SeriesKind::Counter, "system_cpu_time_seconds_total"),
            ("system.disk.io", "By", SeriesKind::Counter, "system_disk_io_bytes_total"),
            ("system.cpu.utilization", "1", SeriesKind::Gauge, "system_cpu_utilization_ratio"),
            ("system.memory.usage", "By", SeriesKind::Gauge, "system_memory_usage_bytes"),
            ("system.network.packet.dropped", "{packet}", SeriesKind::Counter, "system_network_packet_dropped_total"),
            ("hw.temperature", "Cel", SeriesKind::Gauge, "hw_temperature_celsius"),
            ("1m load", "{thread}", SeriesKind::Gauge, "_1m_load"),
            ("", "", SeriesKind::Gauge, "_"),
        ] {
            assert_eq!(name(&series(found, unit, kind, &[])), expected);
        }
    }

    #[test]
    fn web_09_no_server_writes_a_line_of_its_own() {
        let instance = Instance { name: "a\"b\\c\nd".into(), customer: "ACME".into(), id: "0011".into() };
        let hostile =
            series("x\ny", "1", SeriesKind::Gauge, &[("instance", "evil"), ("__name__", "x"), ("a b", "c\"} 1\nup 0")]);
        let point = |value| Point { series: hostile.clone(), value, increase: 0.0 };
        let text = text([(&instance, &[point(1.5), point(2.5)][..])].into_iter());
        let expected = "# TYPE x_y_ratio gauge\nx_y_ratio{a_b=\"c\\\"} 1\\nup 0\",attribute_instance=\"evil\",\
                        attribute_name__=\"x\",customer=\"ACME\",instance=\"a\\\"b\\\\c\\nd\",server_id=\"0011\"} 1.5\n";
        assert_eq!(text, expected, "each series once");
    }
}
