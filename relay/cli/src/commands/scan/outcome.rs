//! What a scan's results add up to, and the exit status that they make. Pure code.

use super::gather::{Fate, Fleet, Seen, Server};
use crate::args::FailOn;
use crate::fail::UNTOLD;
use cloud_doctor_proto::finding::{Finding, Status};

/// Servers that gave no report, where that is to fail.
const ABSENT: u8 = 4;

/// How much a server asks for attention, the most first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Worry {
    Critical,
    Unverified,
    Warning,
    Unknown,
    Without,
    Ok,
}

/// Servers by what is with them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) critical: usize,
    pub(super) warning: usize,
    /// It could not be told, for whatever reason.
    pub(super) unknown: usize,
    pub(super) ok: usize,
    /// Of those: no report that verifies, or left out.
    pub(super) unverified: usize,
    /// Of those: none was given.
    pub(super) without: usize,
    /// Findings, not servers: somebody answers for them.
    pub(super) waived: usize,
}

impl Seen {
    /// Whether somebody answers for a finding, by the relay's word.
    pub(super) fn is_waived(&self, finding: &Finding) -> bool {
        self.waived.contains(&(finding.check.clone(), finding.subject.clone()))
    }

    /// Findings, the worst first; those that are as they should be only if `all`.
    pub(super) fn findings(&self, all: bool) -> Vec<&Finding> {
        let shown = |finding: &&Finding| all || finding.status != Status::Ok;
        let mut found: Vec<_> = self.report.findings.iter().filter(shown).collect();
        found.sort_by(|a, b| (b.status, &a.check, &a.subject).cmp(&(a.status, &b.check, &b.subject)));
        found
    }

    /// The worst that nobody answers for.
    pub(super) fn worst(&self) -> Status {
        let counts = self.report.findings.iter().filter(|finding| !self.is_waived(finding));
        counts.map(|finding| finding.status).max().unwrap_or(Status::Ok)
    }
}

impl Server {
    pub(super) fn worry(&self) -> Worry {
        match &self.fate {
            Fate::Report(seen) => match seen.worst() {
                Status::Critical => Worry::Critical,
                Status::Warning => Worry::Warning,
                Status::Unknown => Worry::Unknown,
                Status::Ok => Worry::Ok,
            },
            Fate::Unverified(_) => Worry::Unverified,
            Fate::Without(..) => Worry::Without,
        }
    }
}

/// Adds it up.
pub(super) fn count(fleet: &Fleet) -> Count {
    let left_out = fleet.left_out.len();
    let mut count = Count { unverified: left_out, unknown: left_out, ..Count::default() };
    for server in &fleet.servers {
        match server.worry() {
            Worry::Critical => count.critical += 1,
            Worry::Warning => count.warning += 1,
            Worry::Ok => count.ok += 1,
            Worry::Unknown => count.unknown += 1,
            Worry::Unverified => {
                count.unknown += 1;
                count.unverified += 1;
            }
            Worry::Without => {
                count.unknown += 1;
                count.without += 1;
            }
        }
        if let Fate::Report(seen) = &server.fate {
            count.waived += seen.findings(false).iter().filter(|finding| seen.is_waived(finding)).count();
        }
    }
    count
}

/// The exit status: the worst first, then what cannot be believed, then warnings, then who gave no report.
pub(super) fn exit(fleet: &Fleet, fail_on: FailOn, fail_on_absent: bool) -> u8 {
    let count = count(fleet);
    let (critical, warning) = match fail_on {
        FailOn::Warning => (count.critical > 0, count.warning > 0),
        FailOn::Critical => (count.critical > 0, false),
        FailOn::None => (false, false),
    };
    if critical {
        Status::Critical.exit_code()
    } else if count.unverified > 0 {
        UNTOLD
    } else if warning {
        Status::Warning.exit_code()
    } else if fail_on_absent && count.without > 0 {
        ABSENT
    } else {
        0
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::commands::scan::gather::Doubt;
    use cloud_doctor::relay_api::{ScanGlance, ScanLine};
    use cloud_doctor_proto::checks::{Absent, Report};
    use cloud_doctor_proto::finding::Words;
    use cloud_doctor_proto::ids::{Nonce, VerifyKey};
    use cloud_doctor_proto::time::UnixTime;
    use std::collections::{BTreeMap, BTreeSet};

    /// A finding from `check subject status`, and a sentence.
    pub(in super::super) fn finding(line: &str, words: &str) -> Finding {
        let parts: Vec<&str> = line.split(' ').collect();
        let status = match parts[2] {
            "ok" => Status::Ok,
            "unknown" => Status::Unknown,
            "warning" => Status::Warning,
            _ => Status::Critical,
        };
        Finding {
            check: parts[0].to_owned(),
            subject: parts[1].to_owned(),
            status,
            note: false,
            since: None,
            value: Some(97.5),
            unit: "%".to_owned(),
            evidence: Vec::new(),
            summary: Words::same(words),
            impact: Words::same("impact"),
            remedy: Words::same("remedy"),
            details: BTreeMap::new(),
        }
    }

    pub(in super::super) fn seen(findings: Vec<Finding>, waived: &[(&str, &str)]) -> Fate {
        let report = Report {
            identity: VerifyKey([0; 32]),
            nonce: Nonce([0; 16]),
            asked: Vec::new(),
            at: UnixTime(1_800_000_000),
            millis: 5,
            version: "0.1.0".to_owned(),
            host: "host".to_owned(),
            findings,
            absent: vec![Absent { check: "lb.detection-time".to_owned(), why: Words::same("no balancer") }],
            refused: Vec::new(),
            left_out: 0,
            sandbox_open: Vec::new(),
        };
        let waived: BTreeSet<_> = waived.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        Fate::Report(Box::new(Seen { report, waived }))
    }

    pub(in super::super) fn fleet(servers: Vec<(&str, Fate)>, left_out: &[&str]) -> Fleet {
        let line = ScanLine {
            scan: "0".repeat(32),
            seed: "1".repeat(32),
            plan: String::new(),
            by: "ann".to_owned(),
            started_at: 1_800_000_000,
            ended_at: Some(1_800_000_060),
            cancelled: false,
            labels: Vec::new(),
            checks: Vec::new(),
            servers: 3,
            states: BTreeMap::new(),
            worst: BTreeMap::new(),
        };
        let glance = ScanGlance { line, before: None, found: Vec::new() };
        let server = |(name, fate): (&str, Fate)| Server {
            id: "a".repeat(64),
            name: name.to_owned(),
            fate,
            took_ms: Some(1_500),
        };
        let left_out = left_out.iter().map(|name| (*name).to_owned()).collect();
        Fleet { glance, servers: servers.into_iter().map(server).collect(), left_out }
    }

    fn absent() -> Fate {
        Fate::Without("absent".to_owned(), String::new(), String::new())
    }

    #[test]
    fn the_exit_status_is_the_worst_by_chosen_severity() {
        let check = |fleet: &Fleet, expected: [u8; 4]| {
            let found = [
                exit(fleet, FailOn::Warning, false),
                exit(fleet, FailOn::Critical, false),
                exit(fleet, FailOn::None, false),
                exit(fleet, FailOn::Warning, true),
            ];
            assert_eq!(found, expected, "{fleet:?}");
        };
        let one = |status: &str| seen(vec![finding(&format!("disk.space / {status}"), "x")], &[]);
        check(&fleet(vec![("a", one("ok"))], &[]), [0, 0, 0, 0]);
        check(&fleet(vec![("a", one("warning"))], &[]), [1, 0, 0, 1]);
        check(&fleet(vec![("a", one("warning")), ("b", one("critical"))], &[]), [2, 2, 0, 2]);
        check(&fleet(vec![("a", one("unknown"))], &[]), [0, 0, 0, 0]);
        check(&fleet(vec![("a", absent())], &[]), [0, 0, 0, 4]);
        check(&fleet(vec![("a", one("warning")), ("b", absent())], &[]), [1, 0, 0, 1]);
        check(&fleet(vec![("a", Fate::Unverified(Doubt::Signature)), ("b", one("warning"))], &[]), [3, 3, 3, 3]);
        check(&fleet(vec![("a", one("ok"))], &["b"]), [3, 3, 3, 3]);
        let waived = seen(vec![finding("disk.space / critical", "x")], &[("disk.space", "/")]);
        check(&fleet(vec![("a", waived)], &[]), [0, 0, 0, 0]);
    }

    #[test]
    fn every_server_is_counted_once() {
        let one = |status: &str| seen(vec![finding(&format!("disk.space / {status}"), "x")], &[]);
        let waived = seen(vec![finding("disk.space / critical", "x")], &[("disk.space", "/")]);
        let servers = vec![
            ("a", one("critical")),
            ("b", one("warning")),
            ("c", one("unknown")),
            ("d", one("ok")),
            ("e", absent()),
            ("f", Fate::Unverified(Doubt::OtherScan)),
            ("g", waived),
        ];
        let found = count(&fleet(servers, &["h"]));
        let expected = Count { critical: 1, warning: 1, unknown: 4, ok: 2, unverified: 2, without: 1, waived: 1 };
        assert_eq!(found, expected);
    }
}
