//! RTO and RPO against what was found: how long detection takes, how old the newest backup is.

use super::Report;
use crate::number::span;
use crate::run::RTO_SECS_DEFAULT;
use crate::words;
use cloud_doctor_proto::finding::{Finding, Status, Words};

/// One objective.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Objective {
    pub(super) name: &'static str,
    pub(super) secs: Option<f64>,
    /// Whether nobody has said it.
    pub(super) assumed: bool,
    /// What was found, where something was.
    pub(super) found_secs: Option<f64>,
    pub(super) told: Words,
    pub(super) status: Status,
}

pub(super) fn objectives(report: &Report) -> [Objective; 2] {
    [recovery_time(report), recovery_point(report)]
}

fn recovery_time(report: &Report) -> Objective {
    let secs = report.rto_secs.unwrap_or(RTO_SECS_DEFAULT);
    let slowest = greatest(report, |finding| finding.check == "lb.detection-time", seconds);
    let objective = span(secs);
    let (status, told) = match &slowest {
        Some((found, finding)) => {
            let (time, share, subject) = (span(*found), 100.0 * found / secs, &finding.subject);
            let status = if *found > secs { Status::Critical } else { finding.status };
            (
                status,
                words!(
                    "detection of a dead backend alone takes up to {time} ({subject}): {share:.0} % of the objective of {objective}",
                    "仅检测故障后端就最长需 {time}（{subject}）：占目标 {objective} 的 {share:.0}%"
                ),
            )
        }
        None => (
            Status::Unknown,
            words!(
                "no detection time is known on this host; objective {objective}",
                "此主机没有已知的故障检测时间；目标 {objective}"
            ),
        ),
    };
    Objective {
        name: "RTO",
        secs: Some(secs),
        assumed: report.rto_secs.is_none(),
        found_secs: slowest.map(|one| one.0),
        told,
        status,
    }
}

fn recovery_point(report: &Report) -> Objective {
    let oldest = greatest(report, |finding| finding.check == "backup.age", seconds);
    let found_secs = oldest.as_ref().map(|one| one.0);
    let (status, told) = match (&oldest, report.rpo_secs) {
        (Some((found, finding)), rpo) => {
            let (age, subject) = (span(*found), &finding.subject);
            match rpo {
                Some(rpo) => {
                    let objective = span(rpo);
                    let status = if *found > rpo { Status::Critical } else { Status::Ok };
                    (
                        status,
                        words!(
                            "the newest backup of {subject} is {age} old; objective {objective}",
                            "{subject} 的最新备份距今 {age}；目标 {objective}"
                        ),
                    )
                }
                None => (
                    finding.status,
                    words!(
                        "the newest backup of {subject} is {age} old; no objective was given (--rpo)",
                        "{subject} 的最新备份距今 {age}；未给出目标（--rpo）"
                    ),
                ),
            }
        }
        (None, Some(rpo)) => {
            let objective = span(rpo);
            (
                Status::Unknown,
                words!(
                    "no backup's age is known on this host; objective {objective}",
                    "此主机没有已知的备份时间；目标 {objective}"
                ),
            )
        }
        (None, None) => (
            Status::Unknown,
            words!(
                "no backup's age is known on this host, and no objective was given (--rpo)",
                "此主机没有已知的备份时间，也未给出目标（--rpo）"
            ),
        ),
    };
    Objective { name: "RPO", secs: report.rpo_secs, assumed: false, found_secs, told, status }
}

/// A finding's value in seconds, when it is a time.
fn seconds(finding: &Finding) -> Option<f64> {
    let factor = match finding.unit.as_str() {
        "s" => 1.0,
        "h" => 3600.0,
        _ => return None,
    };
    finding.value.map(|value| value * factor).filter(|secs| secs.is_finite() && *secs >= 0.0)
}

fn greatest(report: &Report, is: fn(&Finding) -> bool, value: fn(&Finding) -> Option<f64>) -> Option<(f64, &Finding)> {
    // Advice is about what has been given up.
    let all = report.findings().into_iter().filter(|finding| is(finding) && !finding.note);
    all.filter_map(|finding| Some((value(finding)?, finding))).max_by(|one, other| one.0.total_cmp(&other.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{finding, report};

    #[test]
    fn objectives_are_judged_against_what_was_found() {
        let with = |value: f64, unit: &str| {
            let mut found = finding("lb.detection-time", "haproxy backend web/web1", Status::Critical);
            (found.value, found.unit) = (Some(value), unit.to_owned());
            found
        };
        for (value, rto, status, part) in [
            (1800.0, Some(900.0), Status::Critical, "200 %"),
            (16.0, Some(900.0), Status::Critical, "2 %"),
            (300.0, None, Status::Critical, "33 %"),
        ] {
            let mut report = report(vec![with(value, "s"), with(1.0, "s")]);
            report.rto_secs = rto;
            let [time, point] = objectives(&report);
            assert_eq!((time.status, time.assumed, time.found_secs), (status, rto.is_none(), Some(value)));
            assert!(time.told.en.contains(part), "{}", time.told.en);
            assert_eq!(point.status, Status::Unknown, "a missing backup is not fine");
        }
        assert_eq!(objectives(&report(Vec::new()))[0].status, Status::Unknown);
        assert_eq!(seconds(&with(26.0, "h")), Some(93_600.0));
        assert_eq!(seconds(&with(f64::NAN, "h")), None);
        assert_eq!(seconds(&with(5.0, "%")), None);
    }
}
