//! What is in a bundle: each entry with where it comes from, and what was taken out of it.

use super::files::Collector;
use super::model::Report;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Debug, Serialize)]
pub(super) struct Manifest<'a> {
    schema: &'static str,
    version: &'a str,
    host: &'a str,
    clock: Clock<'a>,
    items: &'a [Item],
    /// What could not be taken along, or not whole.
    left_out: Vec<&'a str>,
}

#[derive(Debug, Serialize)]
struct Clock<'a> {
    /// Seconds since 1970, by the host's own clock, which may be wrong.
    unix_secs: u64,
    utc: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    east_secs: Option<i64>,
}

/// One entry.
#[derive(Debug, Serialize)]
pub(super) struct Item {
    pub(super) name: String,
    pub(super) collector: &'static str,
    pub(super) source: String,
    pub(super) bytes: usize,
    pub(super) truncated: bool,
    /// How many secrets were taken out, by kind.
    pub(super) redactions: BTreeMap<String, u64>,
    pub(super) sha256: String,
}

pub(super) fn manifest<'a>(report: &'a Report, items: &'a [Item]) -> Manifest<'a> {
    let system = &report.gathered.system;
    Manifest {
        schema: "cloud-doctor/bundle/v1",
        version: &report.version,
        host: &report.host,
        clock: Clock {
            unix_secs: report.at.0,
            utc: format!("{}Z", super::stamp::utc(report.at)),
            zone: system.zone.as_deref(),
            east_secs: system.east_secs,
        },
        items,
        left_out: report.gathered.gaps.iter().map(|gap| gap.en.as_str()).collect(),
    }
}

impl Collector {
    /// As the manifest has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Collector::Configuration => "configuration",
            Collector::KernelLog => "kernel-log",
            Collector::Log => "log",
        }
    }
}
