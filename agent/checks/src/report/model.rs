//! The report itself: everything that was found and gathered, and what follows from it.

use super::bundle::part_of_name;
use super::gather::Gathered;
use super::score::Score;
use super::stamp::compact;
use super::ticket::{Field, Ticket, TicketWords};
use crate::redact::Redactor;
use crate::show::Results;
use crate::words;
use cloud_doctor_proto::checks::Absent;
use cloud_doctor_proto::finding::{Finding, Status, Words};
use cloud_doctor_proto::time::UnixTime;
use std::collections::{BTreeMap, BTreeSet};

/// Findings that stand first.
pub(super) const FIRST_MAX: usize = 5;

/// A report.
#[derive(Debug)]
pub struct Report {
    /// The agent's version.
    pub version: String,
    /// The host's name.
    pub host: String,
    /// When it was looked at.
    pub at: UnixTime,
    /// What became of each check.
    pub findings: Vec<Finding>,
    /// Checks that had nothing to look at.
    pub absent: Vec<Absent>,
    /// What could not be closed around the checkers.
    pub open: Vec<String>,
    /// Whether root asked.
    pub is_root: bool,
    /// Whether the host is a running one.
    pub is_live: bool,
    /// What was gathered besides.
    pub gathered: Gathered,
    /// What the engineer has said.
    pub said: TicketWords,
    /// Recovery time objective, where it was said.
    pub rto_secs: Option<f64>,
    /// Recovery point objective, where it was said.
    pub rpo_secs: Option<f64>,
}

/// Why something was not checked, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NotChecked {
    pub(super) why: Words,
    pub(super) what: Vec<String>,
}

impl Report {
    /// Every finding, the worst first; among equals those nearest to users' traffic, as the checks are listed.
    #[must_use]
    pub fn findings(&self) -> Vec<&Finding> {
        self.results().findings()
    }

    pub(super) fn results(&self) -> Results<'_> {
        Results { host: &self.host, at: self.at, findings: &self.findings, absent: &self.absent, open: &self.open }
    }

    /// The worst finding of each check that hurts, the worst checks first, and how many more that check has.
    pub(super) fn first(&self) -> Vec<(&Finding, usize)> {
        let hurting: Vec<_> = self.findings().into_iter().filter(|one| one.status > Status::Unknown).collect();
        let mut seen = BTreeSet::new();
        let worst = hurting.iter().filter(|finding| seen.insert(finding.check.as_str()));
        let more = |finding: &Finding| hurting.iter().filter(|other| other.check == finding.check).count() - 1;
        worst.take(FIRST_MAX).map(|finding| (*finding, more(finding))).collect()
    }

    /// What hurts or is advised, and does not stand first.
    pub(super) fn others(&self) -> Vec<&Finding> {
        let first: Vec<_> = self.first().into_iter().map(|(finding, _)| finding).collect();
        let is_first = |finding: &Finding| first.iter().any(|other| std::ptr::eq(*other, finding));
        let all = self.findings().into_iter().filter(|one| one.status > Status::Unknown || one.note);
        all.filter(|finding| !is_first(finding)).collect()
    }

    /// The score.
    #[must_use]
    pub fn score(&self) -> Score {
        Score::of(&self.findings, &self.absent)
    }

    /// The ticket's fields.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        Ticket::new(&self.said, self.first().first().map(|(finding, _)| *finding))
    }

    /// The worst status of all, for the verdict: what nobody could tell is not fine.
    #[must_use]
    pub fn status(&self) -> Status {
        if self.score().judged == 0 { Status::Unknown } else { self.worst() }
    }

    fn worst(&self) -> Status {
        let told =
            self.findings().into_iter().map(|finding| finding.status).filter(|status| *status != Status::Unknown);
        told.max().unwrap_or(Status::Ok)
    }

    /// One sentence.
    #[must_use]
    pub fn verdict(&self) -> Words {
        let findings = self.findings();
        let count = |status| findings.iter().filter(|finding| finding.status == status).count();
        let (host, critical, warning) = (&self.host, count(Status::Critical), count(Status::Warning));
        let Score { judged, unknown, .. } = self.score();
        let worst = self.first().first().map(|(finding, _)| finding.summary.clone()).unwrap_or_default();
        let (en, zh) = (&worst.en, &worst.zh);
        match self.status() {
            Status::Critical => words!(
                "{host} needs action now: {critical} critical, {warning} warning; the worst: {en}.",
                "{host} 需要立即处理：严重 {critical} 项、警告 {warning} 项；最严重的是：{zh}。"
            ),
            Status::Warning => words!(
                "{host} works, but {warning} things are worth a look; the first: {en}.",
                "{host} 可以工作，但有 {warning} 项值得关注；首先是：{zh}。"
            ),
            Status::Ok if unknown > 0 => words!(
                "Nothing wrong was found on {host} by {judged} checks, but {unknown} could not tell all.",
                "{judged} 项检查未在 {host} 上发现问题，但有 {unknown} 项未能完全判断。"
            ),
            Status::Ok => words!(
                "Nothing wrong was found on {host} by {judged} checks.",
                "{judged} 项检查未在 {host} 上发现问题。"
            ),
            Status::Unknown => words!(
                "Nothing can be said about {host}: no check could judge anything.",
                "无法对 {host} 下结论：没有任何检查能够作出判断。"
            ),
        }
    }

    /// What was not checked, by reason: what concerns all first, then what could not be told, then what is missing besides.
    pub(super) fn not_checked(&self) -> Vec<NotChecked> {
        let general = |why: Words| NotChecked { why, what: Vec::new() };
        let mut all = Vec::new();
        if !self.is_root {
            all.push(general(words!(
                "The report was not made by root: files, sockets and processes of others may be missing.",
                "报告并非以 root 生成：可能缺少其他用户的文件、套接字和进程。"
            )));
        }
        if !self.is_live {
            all.push(general(words!(
                "This is a copied root, not a running host: nothing that only a running host can tell is in here.",
                "这是复制的根目录，并非运行中的主机：不包含只有运行中的主机才能得出的内容。"
            )));
        }
        if !self.open.is_empty() {
            let open = self.open.join("; ");
            all.push(general(words!(
                "The checker's sandbox is not complete on this kernel: {open}.",
                "此内核上检查进程的沙箱不完整：{open}。"
            )));
        }
        all.extend(by_reason(self.findings().into_iter().filter(|one| one.status == Status::Unknown).map(|one| {
            let space = if one.subject.is_empty() { "" } else { " " };
            (format!("{}{space}{}", one.check, one.subject), &one.summary)
        })));
        // What checks have said already is not said again.
        let told: BTreeSet<String> = all.iter().map(|one: &NotChecked| one.why.en.clone()).collect();
        all.extend(self.gathered.gaps.iter().filter(|gap| !told.contains(&gap.en)).cloned().map(general));
        all
    }

    /// What there is nothing of on this host, by reason.
    pub(super) fn absent(&self) -> Vec<NotChecked> {
        by_reason(self.absent.iter().map(|absent| (absent.check.clone(), &absent.why)))
    }

    /// What its file is called, without an ending: `cloud-doctor-report-web-1-20260101T061233Z`.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("cloud-doctor-report-{}-{}", part_of_name(&self.host), compact(self.at))
    }

    /// Takes secrets out of everything, once. What is rendered later has passed here.
    pub fn redact(&mut self, redactor: &mut Redactor) {
        let words = |words: &mut Words, redactor: &mut Redactor| {
            words.en = redactor.text(&words.en);
            words.zh = redactor.text(&words.zh);
        };
        self.host = redactor.text(&self.host);
        self.findings.iter_mut().for_each(|finding| redactor.finding(finding));
        self.absent.iter_mut().for_each(|absent| words(&mut absent.why, redactor));
        self.open.iter_mut().for_each(|text| *text = redactor.text(text));
        let TicketWords { kind, impact, symptom, priority: _, tag } = &mut self.said;
        [kind, impact, symptom, tag].into_iter().flatten().for_each(|text| *text = redactor.text(text));
        self.gathered.gaps.iter_mut().for_each(|gap| words(gap, redactor));
        for row in &mut self.gathered.rows {
            words(&mut row.what, redactor);
            row.evidence = redactor.text(&row.evidence);
        }
        let system = &mut self.gathered.system;
        let [os, kernel, zone] = [&mut system.os, &mut system.kernel, &mut system.zone];
        [os, kernel, zone].into_iter().flatten().for_each(|text| *text = redactor.text(text));
        self.gathered.file_systems.iter_mut().for_each(|one| one.mount = redactor.text(&one.mount));
        self.gathered.load_balancers.iter_mut().for_each(|one| one.pool = redactor.text(&one.pool));
        self.gathered.files.iter_mut().for_each(|file| file.source = redactor.text(&file.source));
    }
}

fn by_reason<'a>(all: impl Iterator<Item = (String, &'a Words)>) -> Vec<NotChecked> {
    let (mut order, mut reasons): (Vec<NotChecked>, BTreeMap<&str, usize>) = (Vec::new(), BTreeMap::new());
    for (what, why) in all {
        let at = *reasons.entry(&why.en).or_insert_with(|| {
            order.push(NotChecked { why: why.clone(), what: Vec::new() });
            order.len() - 1
        });
        if let Some(one) = order.get_mut(at) {
            one.what.push(what);
        }
    }
    order
}

impl Field {
    /// Its text, with a word for what was not said by the engineer.
    pub(super) fn told(&self) -> Words {
        let Words { en, zh } = &self.text;
        if self.suggested { words!("{en} (suggested)", "{zh}（建议）") } else { self.text.clone() }
    }
}
