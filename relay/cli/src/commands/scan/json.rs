//! A scan for programs: `cloud-doctor/scan/v1`. Names and values stay; new ones may come beside them.

use super::gather::{Doubt, Fate, Fleet, Server};
use super::outcome;
use crate::fail::Fail;
use cloud_doctor_checks::show;
use cloud_doctor_proto::finding::Status;
use cloud_doctor_proto::refusal::Language;
use serde::Serialize;
use std::collections::BTreeMap;

/// The name of the form.
const SCHEMA: &str = "cloud-doctor/scan/v1";

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    scan: &'a str,
    started_at: u64,
    /// Absent: it still runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<u64>,
    cancelled: bool,
    labels: &'a [String],
    checks: &'a [String],
    counts: Counts,
    servers: Vec<One<'a>>,
    /// Servers of the trust log that the relay left out.
    left_out: &'a [String],
}

#[derive(Serialize)]
struct Counts {
    critical: usize,
    warning: usize,
    unknown: usize,
    ok: usize,
    unverified: usize,
    without_report: usize,
    waived_findings: usize,
}

#[derive(Serialize)]
struct One<'a> {
    server: &'a str,
    id: &'a str,
    /// `report`, `unverified`, or what the relay says: `absent`, `silent`, `refused`, `dropped`, `broke`, `failed`,
    /// `cancelled`, `pending`, `asked`.
    state: &'a str,
    /// Why, by an id.
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    detail: &'a str,
    /// The worst that nobody answers for; `unknown` without a report that verifies.
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    took_ms: Option<u64>,
    /// By the server's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<u64>,
    findings: Vec<Found<'a>>,
    /// Checks that had nothing to look at, and why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    absent: BTreeMap<&'a str, &'a str>,
    /// Checks that the ceiling does not allow, or the agent does not have.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    refused: &'a [String],
}

/// A finding as `check` writes it, and whether somebody answers for it.
#[derive(Serialize)]
struct Found<'a> {
    #[serde(flatten)]
    finding: show::One<'a>,
    waived: bool,
}

/// One document, on one line.
pub(super) fn document(fleet: &Fleet, language: Language, all: bool) -> Result<String, Fail> {
    let (line, count) = (&fleet.glance.line, outcome::count(fleet));
    let document = Document {
        schema: SCHEMA,
        scan: &line.scan,
        started_at: line.started_at,
        ended_at: line.ended_at,
        cancelled: line.cancelled,
        labels: &line.labels,
        checks: &line.checks,
        counts: Counts {
            critical: count.critical,
            warning: count.warning,
            unknown: count.unknown,
            ok: count.ok,
            unverified: count.unverified,
            without_report: count.without,
            waived_findings: count.waived,
        },
        servers: fleet.servers.iter().map(|server| one(server, language, all)).collect(),
        left_out: &fleet.left_out,
    };
    let text = serde_json::to_string(&document).map_err(|error| Fail::system("json", &error))?;
    Ok(crate::output::hidden_escaped(&text))
}

fn one(server: &Server, language: Language, all: bool) -> One<'_> {
    let bare = One {
        server: &server.name,
        id: &server.id,
        state: "unverified",
        reason: "",
        detail: "",
        status: Status::Unknown,
        took_ms: server.took_ms,
        at: None,
        findings: Vec::new(),
        absent: BTreeMap::new(),
        refused: &[],
    };
    match &server.fate {
        Fate::Report(seen) => One {
            state: "report",
            status: seen.worst(),
            at: Some(seen.report.at.0),
            findings: seen
                .findings(all)
                .into_iter()
                .map(|finding| Found { finding: show::one(finding, language), waived: seen.is_waived(finding) })
                .collect(),
            absent: seen.report.absent.iter().map(|one| (one.check.as_str(), one.why.get(language))).collect(),
            refused: &seen.report.refused,
            ..bare
        },
        Fate::Unverified(doubt) => One { reason: doubt_id(*doubt), ..bare },
        Fate::Without(state, reason, detail) => One { state, reason, detail, ..bare },
    }
}

/// Why a report is not believed, for programs.
pub(super) fn doubt_id(doubt: Doubt) -> &'static str {
    match doubt {
        Doubt::Stranger => "stranger",
        Doubt::Missing => "missing",
        Doubt::Malformed => "malformed",
        Doubt::Signature => "signature",
        Doubt::OtherScan => "other-scan",
        Doubt::OtherChecks => "other-checks",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::outcome::tests::{finding, fleet, seen};
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn the_form_is_stable() {
        let bad = seen(
            vec![finding("disk.space / critical", "full"), finding("cpu.usage x ok", "fine")],
            &[("disk.space", "/")],
        );
        let absent = Fate::Without("absent".to_owned(), String::new(), String::new());
        let servers = vec![("web-1", bad), ("web-2", absent), ("web-3", Fate::Unverified(Doubt::OtherScan))];
        let text = document(&fleet(servers, &["lost"]), Language::En, false).unwrap();
        assert_eq!(text.lines().count(), 1);
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&read["schema"], &read["left_out"]), (&json!("cloud-doctor/scan/v1"), &json!(["lost"])));
        let web = &read["servers"][0];
        assert_eq!(
            (&web["state"], &web["status"], &web["at"]),
            (&json!("report"), &json!("ok"), &json!(1_800_000_000))
        );
        let found = web["findings"].as_array().unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((&found[0]["status"], &found[0]["waived"]), (&json!("critical"), &json!(true)));
        assert_eq!(read["servers"][1]["state"], "absent");
        assert_eq!(read["servers"][1]["status"], "unknown");
        assert_eq!(read["servers"][2]["reason"], "other-scan");
        assert_eq!(read["counts"]["unverified"], 2);
        let all =
            document(&fleet(vec![("a", seen(vec![finding("cpu.usage x ok", "fine")], &[]))], &[]), Language::Zh, true);
        let all: Value = serde_json::from_str(&all.unwrap()).unwrap();
        assert_eq!(all["servers"][0]["findings"][0]["status"], "ok");
    }
}
