//! What changed between two runs of a server's checks, as pure code.
//!
//! A thing is what one check says about one subject. It is bad while it is a warning or critical. What could not be told
//! (`unknown`) is neither good nor gone: it must never make something bad disappear, nor be taken for something new.

use cloud_doctor_proto::checks::Report;
use cloud_doctor_proto::finding::Status;
use std::collections::{BTreeMap, BTreeSet};

/// How something changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// It is bad, and was not.
    New,
    /// It is worse than it was.
    Worse,
    /// It is still bad, but less.
    Better,
    /// It was bad, and is good or not there any more.
    Gone,
}

impl ChangeKind {
    /// As shown.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            ChangeKind::New => "new",
            ChangeKind::Worse => "worse",
            ChangeKind::Better => "better",
            ChangeKind::Gone => "gone",
        }
    }
}

/// A change of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which check.
    pub check: String,
    /// About what.
    pub subject: String,
    /// How.
    pub kind: ChangeKind,
    /// How it was; `None`: it was not there.
    pub before: Option<Status>,
    /// How it is; `None`: it is not there.
    pub now: Option<Status>,
}

type Things<'a> = BTreeMap<(&'a str, &'a str), Status>;

/// What changed since `before`, by check and subject.
#[must_use]
pub fn changes(before: &Report, now: &Report) -> Vec<Change> {
    let (was, is) = (things(before), things(now));
    let silent = silent(now, &is);
    let keys: BTreeSet<_> = was.keys().chain(is.keys()).copied().collect();
    let change = |(check, subject): (&str, &str)| {
        let (before, now) = (was.get(&(check, subject)).copied(), is.get(&(check, subject)).copied());
        let kind = kind(before, now)?;
        // Nobody has looked, or nobody could tell.
        if now.is_none() && silent(check) {
            return None;
        }
        Some(Change { check: check.to_owned(), subject: subject.to_owned(), kind, before, now })
    };
    keys.into_iter().filter_map(change).collect()
}

/// The worst that is said about each thing.
fn things(report: &Report) -> Things<'_> {
    let mut all = Things::new();
    for finding in &report.findings {
        let worst = all.entry((&finding.check, &finding.subject)).or_insert(finding.status);
        *worst = (*worst).max(finding.status);
    }
    all
}

/// Of which checks a run says nothing about what it does not list: they were not run, or could not tell, or something may
/// have been left out.
fn silent<'a>(report: &'a Report, things: &Things<'a>) -> impl Fn(&str) -> bool + use<'a> {
    let told = things.keys().map(|(check, _)| *check).chain(report.absent.iter().map(|absent| absent.check.as_str()));
    let told: BTreeSet<&str> = told.collect();
    let unsure = things.iter().filter(|(_, status)| **status == Status::Unknown).map(|((check, _), _)| *check);
    let unsure: BTreeSet<&str> = unsure.collect();
    move |check| !told.contains(check) || unsure.contains(check)
}

fn kind(before: Option<Status>, now: Option<Status>) -> Option<ChangeKind> {
    let bad = |status: Status| matches!(status, Status::Warning | Status::Critical);
    match (before, now) {
        (None | Some(Status::Ok), Some(now)) if bad(now) => Some(ChangeKind::New),
        (Some(before), Some(now)) if bad(now) && now > before => Some(ChangeKind::Worse),
        (Some(before), Some(now)) if bad(before) && bad(now) && now < before => Some(ChangeKind::Better),
        (Some(before), None | Some(Status::Ok)) if bad(before) => Some(ChangeKind::Gone),
        (None | Some(_), None | Some(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloud_doctor_proto::checks::Absent;
    use cloud_doctor_proto::finding::{Finding, Words};
    use cloud_doctor_proto::time::UnixTime;

    /// A run from `check subject status`, and `check -` for a check that had nothing to look at.
    fn run(lines: &[&str]) -> Report {
        let mut report = Report::empty(String::new(), String::new(), UnixTime(0));
        for line in lines {
            let parts: Vec<&str> = line.split(' ').collect();
            let check = parts[0].to_owned();
            if parts[1] == "-" {
                report.absent.push(Absent { check, why: Words::default() });
                continue;
            }
            let status = match parts[2] {
                "ok" => Status::Ok,
                "unknown" => Status::Unknown,
                "warning" => Status::Warning,
                _ => Status::Critical,
            };
            report.findings.push(Finding {
                check,
                subject: parts[1].to_owned(),
                status,
                note: false,
                since: None,
                value: None,
                unit: String::new(),
                evidence: Vec::new(),
                summary: Words::default(),
                impact: Words::default(),
                remedy: Words::default(),
                details: BTreeMap::new(),
            });
        }
        report
    }

    #[test]
    fn what_changed_is_told_and_nothing_else() {
        let check = |before: &[&str], now: &[&str], expected: &[&str]| {
            let told = changes(&run(before), &run(now));
            let name = |status: Option<Status>| status.map_or("-", Status::name);
            let told: Vec<String> = told
                .iter()
                .map(|c| format!("{} {} {} {} {}", c.check, c.subject, c.kind.id(), name(c.before), name(c.now)))
                .collect();
            assert_eq!(told, expected, "{before:?} -> {now:?}");
        };
        // The four kinds.
        check(&["disk / ok"], &["disk / warning"], &["disk / new ok warning"]);
        check(&[], &["disk / critical"], &["disk / new - critical"]);
        check(&["disk / warning"], &["disk / critical"], &["disk / worse warning critical"]);
        check(&["disk / critical"], &["disk / warning"], &["disk / better critical warning"]);
        check(&["disk / critical"], &["disk / ok"], &["disk / gone critical ok"]);
        check(&["disk /a warning", "disk / ok"], &["disk / ok"], &["disk /a gone warning -"]);
        check(&["lb x critical"], &["lb -"], &["lb x gone critical -"]);
        // Nothing to tell.
        check(&["disk / warning"], &["disk / warning"], &[]);
        check(&["disk / ok"], &[], &[]);
        check(&[], &["disk / ok", "lb -"], &[]);
        // What could not be told is neither good nor gone, and no news.
        check(&["disk / critical"], &["disk / unknown"], &[]);
        check(&["disk /a critical"], &["disk /b unknown"], &[]);
        check(&["disk / ok"], &["disk / unknown"], &[]);
        check(&["disk / unknown"], &["disk / ok"], &[]);
        check(&["disk / unknown"], &["disk / warning"], &["disk / worse unknown warning"]);
        // A run of other checks says nothing about those that it has not run.
        check(&["disk / critical", "cpu x warning"], &["cpu x ok"], &["cpu x gone warning ok"]);
        // Of several findings about one thing, the worst counts.
        check(&["disk / ok", "disk / warning"], &["disk / critical", "disk / ok"], &["disk / worse warning critical"]);
        // In the order of checks and subjects.
        check(
            &["b / warning"],
            &["b / ok", "a y warning", "a x warning"],
            &["a x new - warning", "a y new - warning", "b / gone warning ok"],
        );
    }
}
