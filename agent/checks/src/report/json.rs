//! For programs: `cloud-doctor/report/v1`, one language, and its JSON Schema.

use super::model::Report;
use super::objectives::{Objective, objectives};
use super::timeline::{Confidence, Row, RowKind};
use super::{FileSystem, LoadBalancer, System};
use crate::show::{One, one};
use cloud_doctor_proto::finding::{Finding, Status};
use cloud_doctor_proto::refusal::Language;
use serde::Serialize;

/// The name of the JSON form.
pub const REPORT_SCHEMA: &str = "cloud-doctor/report/v1";

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    version: &'a str,
    host: &'a str,
    at: u64,
    verdict: String,
    status: Status,
    score: ScoreOf,
    ticket: TicketOf,
    objectives: Vec<ObjectiveOf>,
    findings: Vec<One<'a>>,
    not_checked: Vec<NotChecked>,
    absent: Vec<NotChecked>,
    facts: Facts<'a>,
    timeline: Vec<RowOf<'a>>,
}

#[derive(Serialize)]
struct ScoreOf {
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<u32>,
    costs: Vec<Cost>,
    judged: usize,
    unknown: usize,
    absent: usize,
}

#[derive(Serialize)]
struct Cost {
    check: String,
    status: Status,
    points: u32,
}

#[derive(Serialize)]
struct TicketOf {
    r#type: String,
    impact: String,
    symptom: String,
    priority: &'static str,
    tag: String,
    /// Fields that come from the findings.
    suggested: Vec<&'static str>,
}

#[derive(Serialize)]
struct ObjectiveOf {
    name: &'static str,
    status: Status,
    assumed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    found_seconds: Option<f64>,
    summary: String,
}

#[derive(Serialize)]
struct NotChecked {
    why: String,
    what: Vec<String>,
}

#[derive(Serialize)]
struct Facts<'a> {
    #[serde(flatten)]
    system: &'a System,
    file_systems: &'a [FileSystem],
    load_balancers: &'a [LoadBalancer],
}

#[derive(Serialize)]
struct RowOf<'a> {
    at: u64,
    kind: RowKind,
    what: &'a str,
    evidence: &'a str,
    confidence: Confidence,
}

/// One document, on one line.
///
/// # Errors
/// None are expected: every value has a JSON form.
pub fn json(report: &Report, language: Language) -> serde_json::Result<String> {
    let shown = |finding: &&Finding| finding.note || finding.status != Status::Ok;
    let told = |all: Vec<super::model::NotChecked>| {
        all.into_iter().map(|one| NotChecked { why: one.why.get(language).to_owned(), what: one.what }).collect()
    };
    serde_json::to_string(&Document {
        schema: REPORT_SCHEMA,
        version: &report.version,
        host: &report.host,
        at: report.at.0,
        verdict: report.verdict().get(language).to_owned(),
        status: report.status(),
        score: score(report),
        ticket: ticket(report, language),
        objectives: objectives(report).iter().map(|one| objective(one, language)).collect(),
        findings: report.findings().into_iter().filter(shown).map(|finding| one(finding, language)).collect(),
        not_checked: told(report.not_checked()),
        absent: told(report.absent()),
        facts: Facts {
            system: &report.gathered.system,
            file_systems: &report.gathered.file_systems,
            load_balancers: &report.gathered.load_balancers,
        },
        timeline: rows(report, language),
    })
}

#[derive(Serialize)]
struct Timeline<'a> {
    schema: &'static str,
    host: &'a str,
    at: u64,
    rows: Vec<RowOf<'a>>,
}

/// The timeline alone, for a bundle.
pub(super) fn timeline_json(report: &Report, language: Language) -> serde_json::Result<String> {
    let rows = rows(report, language);
    serde_json::to_string(&Timeline { schema: "cloud-doctor/timeline/v1", host: &report.host, at: report.at.0, rows })
}

fn rows<'a>(report: &'a Report, language: Language) -> Vec<RowOf<'a>> {
    let row = |row: &'a Row| {
        let Row { at, kind, what, evidence, confidence } = row;
        RowOf { at: at.0, kind: *kind, what: what.get(language), evidence, confidence: *confidence }
    };
    report.gathered.rows.iter().map(row).collect()
}

fn score(report: &Report) -> ScoreOf {
    let score = report.score();
    let costs = score.costs.iter().map(|(check, status, points)| Cost {
        check: check.clone(),
        status: *status,
        points: *points,
    });
    ScoreOf {
        value: score.value,
        costs: costs.collect(),
        judged: score.judged,
        unknown: score.unknown,
        absent: score.absent,
    }
}

fn ticket(report: &Report, language: Language) -> TicketOf {
    let ticket = report.ticket();
    let fields = [
        ("type", ticket.kind.suggested),
        ("impact", ticket.impact.suggested),
        ("symptom", ticket.symptom.suggested),
        ("priority", ticket.priority_suggested),
        ("tag", ticket.tag.suggested),
    ];
    TicketOf {
        r#type: ticket.kind.text.get(language).to_owned(),
        impact: ticket.impact.text.get(language).to_owned(),
        symptom: ticket.symptom.text.get(language).to_owned(),
        priority: ticket.priority.name(),
        tag: ticket.tag.text.get(language).to_owned(),
        suggested: fields.into_iter().filter(|(_, suggested)| *suggested).map(|(name, _)| name).collect(),
    }
}

fn objective(one: &Objective, language: Language) -> ObjectiveOf {
    ObjectiveOf {
        name: one.name,
        status: one.status,
        assumed: one.assumed,
        seconds: one.secs,
        found_seconds: one.found_secs,
        summary: one.told.get(language).to_owned(),
    }
}

/// The JSON Schema of [`json`]'s documents.
#[must_use]
pub fn schema() -> &'static str {
    include_str!("report.schema.json")
}
