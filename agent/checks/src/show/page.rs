//! A page as Markdown and HTML have it in common: blocks of text. Every text in it may be hostile, and each renderer makes
//! each text safe in the one place where it writes texts.

use super::human::label;
use super::{Results, safe};
use crate::words;
use cloud_doctor_proto::finding::{Finding, Status};
use cloud_doctor_proto::refusal::Language;
use std::collections::BTreeMap;

/// Findings of one check that are shown in full.
const ALIKE_MAX: usize = 20;
/// Pieces of evidence of one finding.
const EVIDENCE_SHOWN_MAX: usize = 6;
/// Findings of a page: whoever has more needs the JSON.
pub(crate) const CARDS_MAX: usize = 300;

/// A page in one language.
#[derive(Debug)]
pub struct Page {
    pub(crate) language: Language,
    pub(crate) title: String,
    pub(crate) blocks: Vec<Block>,
}

/// One block.
#[derive(Debug)]
pub(crate) enum Block {
    Heading(String),
    Paragraph(String),
    Verdict(Mark, String),
    List(Vec<String>),
    Table(Vec<String>, Vec<Vec<Cell>>),
    Card(Box<Card>),
}

/// One cell of a table.
#[derive(Debug)]
pub(crate) enum Cell {
    Text(String),
    /// A number, a date, a word: never broken over lines.
    Short(String),
    /// Something that was read, or is to be typed.
    Code(String),
    Mark(Mark),
}

/// A status, told without colour too.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    pub(crate) kind: MarkKind,
    pub(crate) label: String,
}

/// Which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MarkKind {
    Critical,
    Warning,
    Unknown,
    Advice,
    Ok,
}

impl MarkKind {
    pub(crate) fn sign(self) -> &'static str {
        match self {
            MarkKind::Critical => "\u{2716}",
            MarkKind::Warning => "\u{25b2}",
            MarkKind::Unknown => "?",
            MarkKind::Advice => "i",
            MarkKind::Ok => "\u{2714}",
        }
    }

    pub(crate) fn class(self) -> &'static str {
        match self {
            MarkKind::Critical => "critical",
            MarkKind::Warning => "warning",
            MarkKind::Unknown => "unknown",
            MarkKind::Advice => "advice",
            MarkKind::Ok => "ok",
        }
    }
}

/// One finding.
#[derive(Debug)]
pub(crate) struct Card {
    pub(crate) mark: Mark,
    pub(crate) check: String,
    pub(crate) subject: String,
    pub(crate) summary: String,
    /// Names and texts: what it costs, what to do.
    pub(crate) rows: Vec<(&'static str, String)>,
    /// The word for it, sources and texts.
    pub(crate) evidence: (&'static str, Vec<(String, String)>),
    pub(crate) more: Option<String>,
}

impl Mark {
    pub(crate) fn of(status: Status, note: bool, language: Language) -> Self {
        let kind = match status {
            Status::Critical => MarkKind::Critical,
            Status::Warning => MarkKind::Warning,
            Status::Unknown => MarkKind::Unknown,
            Status::Ok if note => MarkKind::Advice,
            Status::Ok => MarkKind::Ok,
        };
        Self { kind, label: label(status, note).get(language).to_owned() }
    }
}

/// A finding as a card; `more` others of its check are only counted.
pub(crate) fn card(finding: &Finding, more: usize, language: Language) -> Card {
    let hurts = finding.note || finding.status > Status::Unknown;
    let pick = |en: &'static str, zh: &'static str| match language {
        Language::En => en,
        Language::Zh => zh,
    };
    let rows = [(pick("Impact", "影响"), &finding.impact), (pick("Remedy", "处理"), &finding.remedy)];
    let rows = rows.into_iter().filter(|(_, text)| hurts && !text.get(language).is_empty());
    let evidence = finding.evidence.iter().take(EVIDENCE_SHOWN_MAX).map(|one| (one.source.clone(), one.text.clone()));
    let check = &finding.check;
    let told = words!("{more} more of {check}", "{check} 另有 {more} 项");
    Card {
        mark: Mark::of(finding.status, finding.note, language),
        check: finding.check.clone(),
        subject: finding.subject.clone(),
        summary: finding.summary.get(language).to_owned(),
        rows: rows.map(|(name, text)| (name, text.get(language).to_owned())).collect(),
        evidence: (pick("Evidence", "依据"), evidence.collect()),
        more: (more > 0).then(|| told.get(language).to_owned()),
    }
}

/// The page of `check`: its findings, and what they come to.
#[must_use]
pub fn findings_page(results: &Results<'_>, language: Language, all: bool) -> Page {
    let host = safe(results.host);
    let title = words!("Checks of {host}", "{host} 的检查结果");
    let count = |status| results.count(status);
    let notes = results.findings().into_iter().filter(|finding| finding.note).count();
    let (critical, warning, unknown) = (count(Status::Critical), count(Status::Warning), count(Status::Unknown));
    let (ok, checks) = (count(Status::Ok) - notes, results.checks());
    let counts = words!(
        "{critical} critical, {warning} warning, {unknown} unknown, {notes} advice, {ok} ok; {checks} checks",
        "严重 {critical}、警告 {warning}、未知 {unknown}、建议 {notes}、正常 {ok}；检查项 {checks} 个"
    );
    let at = crate::report::stamp::utc(results.at);
    let mut blocks = vec![
        Block::Paragraph(format!("{at} UTC")),
        Block::Verdict(Mark::of(results.status(), false, language), counts.get(language).to_owned()),
    ];
    let shown = results.findings().into_iter().filter(|one| all || one.note || one.status != Status::Ok);
    blocks.extend(cards(shown, language));
    if !results.open.is_empty() {
        let open = results.open.join("; ");
        let told = words!(
            "The checker's sandbox is not complete on this kernel: {open}.",
            "此内核上检查进程的沙箱不完整：{open}。"
        );
        blocks.push(Block::Paragraph(told.get(language).to_owned()));
    }
    Page { language, title: title.get(language).to_owned(), blocks }
}

/// Findings as cards, bounded in all and for each check; what is left out is said.
pub(crate) fn cards<'a>(findings: impl Iterator<Item = &'a Finding>, language: Language) -> Vec<Block> {
    let mut alike: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut blocks, mut left) = (Vec::new(), 0_usize);
    for finding in findings {
        let same = alike.entry(&finding.check).or_default();
        *same += 1;
        if *same > ALIKE_MAX || blocks.len() >= CARDS_MAX {
            left += 1;
        } else {
            blocks.push(Block::Card(Box::new(card(finding, 0, language))));
        }
    }
    if left > 0 {
        let told = words!(
            "{left} more findings of the same checks are left out here; the JSON has them all.",
            "此处省略同类结果 {left} 项；JSON 中包含全部。"
        );
        blocks.push(Block::Paragraph(told.get(language).to_owned()));
    }
    blocks
}
