//! A scan for a person: servers that ask for attention with what was found, the worst first, then who gave no report, then
//! how many are well. What servers said is made safe for one line.

use super::gather::{Doubt, Fate, Fleet, Seen, Server, refusal};
use super::outcome::Worry;
use super::status_word;
use cloud_doctor::messages::{Id, Say};
use cloud_doctor_proto::refusal::{Language, one_line};
use std::fmt::Write as _;

/// Findings of one server that are shown unless all are wanted.
const FINDINGS_SHOWN_MAX: usize = 10;
/// Characters of a sentence.
const SENTENCE_CHARS_MAX: usize = 300;

/// The whole text.
pub(super) fn text(fleet: &Fleet, language: Language, all: bool) -> String {
    let mut out = String::new();
    for server in &fleet.servers {
        match (&server.fate, server.worry()) {
            (Fate::Report(_), Worry::Ok) if !all && !waives(server) => {}
            (Fate::Report(seen), _) => report(&mut out, server, seen, language, all),
            (Fate::Unverified(doubt), _) => {
                let why = Say::from(doubt_words(*doubt)).text(language);
                let not = Say::from(Id::ScanNotVerified).text(language);
                writeln!(out, "{}  {not}: {why}", server.name).ok();
            }
            (Fate::Without(state, reason, detail), _) => {
                writeln!(out, "{}  {}", server.name, without(state, reason, detail, language)).ok();
            }
        }
    }
    for name in &fleet.left_out {
        writeln!(out, "{name}  {}", Say::from(Id::ScanStateLeftOut).text(language)).ok();
    }
    out
}

fn waives(server: &Server) -> bool {
    match &server.fate {
        Fate::Report(seen) => !seen.findings(false).is_empty(),
        Fate::Unverified(_) | Fate::Without(..) => false,
    }
}

fn report(out: &mut String, server: &Server, seen: &Seen, language: Language, all: bool) {
    writeln!(out, "{}  {}", server.name, status_word(seen.worst(), language)).ok();
    let findings = seen.findings(all);
    let most = if all { usize::MAX } else { FINDINGS_SHOWN_MAX };
    for finding in findings.iter().take(most) {
        let safe = |text: &str| one_line(text, SENTENCE_CHARS_MAX);
        let subject = if finding.subject.is_empty() { String::new() } else { format!(" {}", safe(&finding.subject)) };
        let waived = if seen.is_waived(finding) { Say::from(Id::ScanWaivedMark).text(language) } else { String::new() };
        let (word, summary) = (status_word(finding.status, language), safe(finding.summary.get(language)));
        writeln!(out, "    {word}  {}{subject}{waived}  {summary}", safe(&finding.check)).ok();
    }
    if findings.len() > most {
        writeln!(out, "    {}", Id::ScanMore.with(&[&(findings.len() - most)]).text(language)).ok();
    }
}

/// Why a report is not believed.
pub(super) fn doubt_words(doubt: Doubt) -> Id {
    match doubt {
        Doubt::Stranger => Id::ScanDoubtStranger,
        Doubt::Missing => Id::ScanDoubtMissing,
        Doubt::Malformed => Id::ScanDoubtMalformed,
        Doubt::Signature => Id::ScanDoubtSignature,
        Doubt::OtherScan => Id::ScanDoubtOther,
        Doubt::OtherChecks => Id::ScanDoubtChecks,
    }
}

/// Why there is no report, by the relay's word.
pub(super) fn without(state: &str, reason: &str, detail: &str, language: Language) -> String {
    let id = match state {
        "pending" => Id::ScanStatePending,
        "asked" => Id::ScanStateAsked,
        "absent" => Id::ScanStateAbsent,
        "silent" => Id::ScanStateSilent,
        "broke" => Id::ScanStateBroke,
        "cancelled" => Id::ScanStateCancelledServer,
        "refused" => return Id::ScanStateRefused.with(&[&refusal(reason, detail, language)]).text(language),
        "dropped" => return Id::ScanStateDropped.with(&[&reason]).text(language),
        "failed" => return Id::ScanStateFailed.with(&[&reason, &detail]).text(language),
        other => return Id::ScanStateOther.with(&[&other]).text(language),
    };
    Say::from(id).text(language)
}

#[cfg(test)]
mod tests {
    use super::super::outcome::tests::{finding, fleet, seen};
    use super::*;

    #[test]
    fn cod_08_the_worst_comes_first_and_nothing_draws_on_the_screen() {
        let bad =
            seen(vec![finding("cpu.usage x ok", "fine"), finding("disk.space / critical", "full\x1b[2J\nnow")], &[]);
        let waived = seen(vec![finding("disk.space /var warning", "filling")], &[("disk.space", "/var")]);
        let absent = Fate::Without("absent".to_owned(), String::new(), String::new());
        let refused = Fate::Without("refused".to_owned(), "checks-not-allowed".to_owned(), String::new());
        let servers = vec![
            ("web-1", bad),
            ("web-2", Fate::Unverified(Doubt::Signature)),
            ("db-1", waived),
            ("db-2", absent),
            ("db-3", refused),
            ("db-4", seen(vec![finding("cpu.usage x ok", "fine")], &[])),
        ];
        let shown = text(&fleet(servers, &["lost-1"]), Language::En, false);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], "web-1  critical");
        assert!(lines[1].contains("disk.space /") && lines[1].contains("full\\u{1b}[2J\\u{a}now"), "{shown}");
        assert!(lines[2].starts_with("web-2  not verified: "), "{shown}");
        assert!(lines[3] == "db-1  ok" && lines[4].contains("waived"), "{shown}");
        assert!(lines[5].starts_with("db-2  absent") && lines[6].contains("ceiling allows none"), "{shown}");
        assert!(lines[7].starts_with("lost-1  ") && lines.len() == 8, "who is well is only counted: {shown}");
    }

    #[test]
    fn a_long_list_is_cut_and_says_so() {
        let many = (0..25).map(|at| finding(&format!("disk.space /{at} warning"), "filling")).collect();
        let fleet = fleet(vec![("web-1", seen(many, &[]))], &[]);
        let shown = text(&fleet, Language::Zh, false);
        assert_eq!(shown.lines().count(), 12);
        assert!(shown.contains("15"), "{shown}");
        assert_eq!(text(&fleet, Language::Zh, true).lines().count(), 26);
    }
}
