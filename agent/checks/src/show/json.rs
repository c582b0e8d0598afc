//! For programs: `cloud-doctor/findings/v1`, one language, and its JSON Schema.

use super::{Results, Style};
use cloud_doctor_proto::finding::{Detail, Evidence, FINDINGS_SCHEMA, Finding, Status};
use cloud_doctor_proto::refusal::Language;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    host: &'a str,
    /// Seconds since 1970.
    at: u64,
    findings: Vec<One<'a>>,
    /// Checks that had nothing to look at, and why.
    absent: BTreeMap<&'a str, &'a str>,
    /// What could not be closed around the checker.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    sandbox_open: &'a [String],
}

/// A finding in one language.
#[derive(Debug, Serialize)]
pub struct One<'a> {
    check: &'a str,
    subject: &'a str,
    status: Status,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    note: bool,
    /// Seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    unit: &'a str,
    evidence: &'a [Evidence],
    summary: &'a str,
    impact: &'a str,
    remedy: &'a str,
    details: &'a BTreeMap<String, Detail>,
}

/// One document, on one line. Without `style.all` what is fine is left out.
///
/// # Errors
/// None are expected: every value has a JSON form.
pub fn json(results: &Results<'_>, style: Style) -> serde_json::Result<String> {
    let shown = |finding: &&Finding| style.all || finding.note || finding.status != Status::Ok;
    let absent = results.absent.iter().map(|absent| (absent.check.as_str(), absent.why.get(style.language)));
    serde_json::to_string(&Document {
        schema: FINDINGS_SCHEMA,
        host: results.host,
        at: results.at.0,
        findings: results.findings().into_iter().filter(shown).map(|finding| one(finding, style.language)).collect(),
        absent: if style.all { absent.collect() } else { BTreeMap::new() },
        sandbox_open: results.open,
    })
}

/// A finding in one language.
#[must_use]
pub fn one(finding: &Finding, language: Language) -> One<'_> {
    One {
        check: &finding.check,
        subject: &finding.subject,
        status: finding.status,
        note: finding.note,
        since: finding.since.map(|since| since.0),
        value: finding.value,
        unit: &finding.unit,
        evidence: &finding.evidence,
        summary: finding.summary.get(language),
        impact: finding.impact.get(language),
        remedy: finding.remedy.get(language),
        details: &finding.details,
    }
}

/// The JSON Schema of [`json`]'s documents.
#[must_use]
pub fn schema() -> &'static str {
    include_str!("findings.schema.json")
}
