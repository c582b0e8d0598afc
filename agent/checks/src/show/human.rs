//! For a person at a terminal: what hurts first, with cost, remedy and evidence; what is fine only as a number.

use super::wrap::{width, wrap};
use super::{Results, Style, safe};
use crate::words;
use cloud_doctor_proto::audit::rfc3339;
use cloud_doctor_proto::finding::{Finding, Status, Words};
use cloud_doctor_proto::time::UnixTime;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Findings of one check and status that are shown in full; the rest only by name.
const ALIKE_MAX: usize = 3;
/// Pieces of evidence shown.
const EVIDENCE_SHOWN_MAX: usize = 4;
/// Column at which a finding's text begins.
const INDENT: usize = 10;

/// The whole text.
#[must_use]
pub fn human(results: &Results<'_>, style: Style) -> String {
    let mut out = String::new();
    let mut alike: BTreeMap<(&str, Status, bool), Vec<&Finding>> = BTreeMap::new();
    for finding in results.findings() {
        if finding.status == Status::Ok && !finding.note && !style.all {
            continue;
        }
        let same = alike.entry((&finding.check, finding.status, finding.note)).or_default();
        if same.len() < ALIKE_MAX || style.all {
            one(&mut out, finding, results.at, style);
        }
        same.push(finding);
    }
    for ((check, _, _), same) in alike.iter().filter(|(_, same)| same.len() > ALIKE_MAX && !style.all) {
        let (rest, names) = (same.len() - ALIKE_MAX, same[ALIKE_MAX..].iter().map(|one| safe(&one.subject)));
        let names = names.take(10).collect::<Vec<_>>().join(", ");
        let check = safe(check);
        let more = words!("{check}: {rest} more ({names})", "{check}：另有 {rest} 项（{names}）");
        paragraph(&mut out, "", more.get(style.language), style);
        out.push('\n');
    }
    if style.all {
        not_here(&mut out, results, style);
    }
    footer(&mut out, results, style);
    out
}

fn one(out: &mut String, finding: &Finding, at: UnixTime, style: Style) {
    let label = label(finding.status, finding.note);
    let label = label.get(style.language);
    let pad = " ".repeat(INDENT.saturating_sub(width(label)));
    let subject = safe(&finding.subject);
    let (on, off) = colour(finding, style);
    let check = safe(&finding.check);
    writeln!(out, "{on}{label}{off}{pad}{check}{}{subject}", if subject.is_empty() { "" } else { "  " }).ok();
    paragraph(out, "", finding.summary.get(style.language), style);
    let hurts = finding.note || matches!(finding.status, Status::Warning | Status::Critical);
    if hurts {
        paragraph(out, words!("cost", "影响").get(style.language), finding.impact.get(style.language), style);
        paragraph(out, words!("do", "处理").get(style.language), finding.remedy.get(style.language), style);
    }
    // An earlier run has found the same.
    if let Some(since) = finding.since.filter(|since| hurts && *since < at) {
        paragraph(out, words!("since", "始于").get(style.language), &rfc3339(since), style);
    }
    if hurts || style.all {
        for evidence in finding.evidence.iter().take(EVIDENCE_SHOWN_MAX) {
            let text = format!("{}  {}", safe(&evidence.source), safe(&evidence.text));
            paragraph(out, words!("seen", "依据").get(style.language), &text, style);
        }
    }
    out.push('\n');
}

/// `name` in front of the first line, the others below it.
fn paragraph(out: &mut String, name: &str, text: &str, style: Style) {
    if text.is_empty() {
        return;
    }
    let indent = if name.is_empty() { INDENT } else { INDENT + 6 };
    for (at, line) in wrap(&safe(text), style.width.saturating_sub(indent).max(20)).into_iter().enumerate() {
        if at == 0 && !name.is_empty() {
            let pad = " ".repeat(6_usize.saturating_sub(width(name)));
            writeln!(out, "{:INDENT$}{name}{pad}{line}", "").ok();
        } else {
            writeln!(out, "{:indent$}{line}", "").ok();
        }
    }
}

pub(super) fn label(status: Status, note: bool) -> Words {
    match status {
        Status::Critical => words!("CRITICAL", "严重"),
        Status::Warning => words!("WARNING", "警告"),
        Status::Unknown => words!("UNKNOWN", "未知"),
        Status::Ok if note => words!("ADVICE", "建议"),
        Status::Ok => words!("OK", "正常"),
    }
}

fn colour(finding: &Finding, style: Style) -> (&'static str, &'static str) {
    let on = match finding.status {
        Status::Critical => "\x1b[1;31m",
        Status::Warning => "\x1b[1;33m",
        Status::Unknown => "\x1b[1;35m",
        Status::Ok if finding.note => "\x1b[1;36m",
        Status::Ok => "\x1b[32m",
    };
    if style.colour { (on, "\x1b[0m") } else { ("", "") }
}

fn not_here(out: &mut String, results: &Results<'_>, style: Style) {
    for absent in results.absent {
        let (id, why) = (safe(&absent.check), safe(absent.why.get(style.language)));
        writeln!(out, "{:INDENT$}{id}  {why}", "-").ok();
    }
    out.push('\n');
}

fn footer(out: &mut String, results: &Results<'_>, style: Style) {
    let [critical, warning, unknown, ok] =
        [Status::Critical, Status::Warning, Status::Unknown, Status::Ok].map(|status| results.count(status));
    let notes = results.findings.iter().filter(|finding| finding.note).count();
    let ok = ok - notes;
    let (host, checks, absent) = (safe(results.host), results.checks(), results.absent.len());
    let told = words!(
        "{host}: {critical} critical, {warning} warning, {unknown} unknown, {notes} advice, {ok} ok. Checks: {checks}, {absent} of them with nothing to look at here.",
        "{host}：严重 {critical}、警告 {warning}、未知 {unknown}、建议 {notes}、正常 {ok}。检查项 {checks} 个，其中 {absent} 个在此主机上没有对象。"
    );
    writeln!(out, "{}", told.get(style.language)).ok();
    if !results.open.is_empty() {
        let open = safe(&results.open.join("; "));
        let told = words!(
            "The checker's sandbox is not complete on this kernel: {open}.",
            "此内核上检查进程的沙箱不完整：{open}。"
        );
        writeln!(out, "{}", told.get(style.language)).ok();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::report::tests::finding;
    use cloud_doctor_proto::refusal::Language;

    #[test]
    fn since_when_it_hurts_is_told_once_an_earlier_run_has_found_it() {
        let at = UnixTime(1_800_000_000);
        let told = |since: Option<u64>, status, language| {
            let findings = [Finding { since: since.map(UnixTime), ..finding("cpu.load", "", status) }];
            let results = Results { host: "web", at, findings: &findings, absent: &[], open: &[] };
            human(&results, Style { language, all: true, colour: false, width: 80 })
        };
        let earlier = Some(at.0 - 3600);
        assert!(told(earlier, Status::Warning, Language::En).contains("since 2027-01-15T07:00:00Z"));
        assert!(told(earlier, Status::Warning, Language::Zh).contains("\u{59cb}\u{4e8e}  2027-01-15T07:00:00Z"));
        for (since, status) in [(None, Status::Warning), (Some(at.0), Status::Warning), (earlier, Status::Ok)] {
            assert!(!told(since, status, Language::En).contains("2027-"), "{since:?} {status:?}");
        }
    }
}
