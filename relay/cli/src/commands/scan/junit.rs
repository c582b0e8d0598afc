//! A scan as JUnit XML, as build servers read it: a suite per server, a case per check. What a server says is text and
//! nothing else.

use super::gather::{Fate, Fleet, Seen, Server};
use super::human::{doubt_words, without};
use crate::args::FailOn;
use cloud_doctor::messages::{Id, Say};
use cloud_doctor_proto::finding::{Finding, Status};
use cloud_doctor_proto::refusal::Language;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What became of a case.
enum Went {
    Well,
    Failed(String),
    /// It could not be told, or there was nothing to look at.
    Skipped(String),
    /// What was given cannot be believed.
    Error(String),
}

/// The whole document.
pub(super) fn document(fleet: &Fleet, language: Language, fail_on: FailOn) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"cloud-doctor scan\">\n");
    for server in &fleet.servers {
        suite(&mut out, &server.name, server.took_ms, &cases(server, language, fail_on));
    }
    for name in &fleet.left_out {
        let why = Say::from(Id::ScanStateLeftOut).text(language);
        suite(&mut out, name, None, &[("report".to_owned(), Went::Error(why))]);
    }
    out.push_str("</testsuites>\n");
    out
}

fn cases(server: &Server, language: Language, fail_on: FailOn) -> Vec<(String, Went)> {
    let only = |went| vec![("report".to_owned(), went)];
    match &server.fate {
        Fate::Report(seen) => of_report(seen, language, fail_on),
        Fate::Unverified(doubt) => only(Went::Error(Say::from(doubt_words(*doubt)).text(language))),
        Fate::Without(state, reason, detail) => only(Went::Skipped(without(state, reason, detail, language))),
    }
}

fn of_report(seen: &Seen, language: Language, fail_on: FailOn) -> Vec<(String, Went)> {
    let mut by_check = BTreeMap::<&str, Vec<&Finding>>::new();
    for finding in seen.findings(true) {
        by_check.entry(&finding.check).or_default().push(finding);
    }
    let mut cases: BTreeMap<String, Went> = by_check
        .into_iter()
        .map(|(check, findings)| (check.to_owned(), of_check(seen, &findings, language, fail_on)))
        .collect();
    for absent in &seen.report.absent {
        cases.entry(absent.check.clone()).or_insert_with(|| Went::Skipped(absent.why.get(language).to_owned()));
    }
    cases.into_iter().collect()
}

fn of_check(seen: &Seen, findings: &[&Finding], language: Language, fail_on: FailOn) -> Went {
    let fails = |finding: &Finding| match fail_on {
        FailOn::Warning => matches!(finding.status, Status::Warning | Status::Critical),
        FailOn::Critical => finding.status == Status::Critical,
        FailOn::None => false,
    };
    let line = |finding: &&Finding| {
        let (status, summary) = (finding.status.name(), finding.summary.get(language));
        format!("{status} {}: {summary}", finding.subject).replace(" :", ":")
    };
    let lines = |meant: &dyn Fn(&Finding) -> bool| -> Vec<String> {
        findings.iter().filter(|finding| meant(finding)).map(line).collect()
    };
    let bad = lines(&|finding| fails(finding) && !seen.is_waived(finding));
    let untold = lines(&|finding| finding.status == Status::Unknown);
    if !bad.is_empty() {
        Went::Failed(bad.join("\n"))
    } else if !untold.is_empty() {
        Went::Skipped(untold.join("\n"))
    } else {
        Went::Well
    }
}

fn suite(out: &mut String, name: &str, took_ms: Option<u64>, cases: &[(String, Went)]) {
    let count = |is: fn(&Went) -> bool| cases.iter().filter(|(_, went)| is(went)).count();
    let failures = count(|went| matches!(went, Went::Failed(_)));
    let errors = count(|went| matches!(went, Went::Error(_)));
    let skipped = count(|went| matches!(went, Went::Skipped(_)));
    let took = took_ms.unwrap_or(0);
    let (name, tests) = (escaped(name), cases.len());
    writeln!(
        out,
        "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\" \
         time=\"{}.{:03}\">",
        took / 1_000,
        took % 1_000
    )
    .ok();
    for (check, went) in cases {
        case(out, &name, check, went);
    }
    out.push_str("  </testsuite>\n");
}

fn case(out: &mut String, server: &str, check: &str, went: &Went) {
    let head = format!("    <testcase classname=\"{server}\" name=\"{}\"", escaped(check));
    let first = |text: &str| escaped(text.lines().next().unwrap_or_default());
    match went {
        Went::Well => writeln!(out, "{head}/>"),
        Went::Failed(text) => {
            let (first, all) = (first(text), escaped(text));
            writeln!(out, "{head}>\n      <failure message=\"{first}\">{all}</failure>\n    </testcase>")
        }
        Went::Error(text) => {
            let (first, all) = (first(text), escaped(text));
            writeln!(out, "{head}>\n      <error message=\"{first}\">{all}</error>\n    </testcase>")
        }
        Went::Skipped(text) => {
            writeln!(out, "{head}>\n      <skipped message=\"{}\"/>\n    </testcase>", first(text))
        }
    }
    .ok();
}

/// Text for XML 1.0: what it has no form for is left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            '\u{fffe}' | '\u{ffff}' => {}
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::gather::Doubt;
    use super::super::outcome::tests::{finding, fleet, seen};
    use super::*;

    #[test]
    fn what_a_server_says_is_text() {
        assert_eq!(escaped("a<b>&\"'\x1b[2J\0\u{85}\n\u{fffe}x"), "a&lt;b&gt;&amp;&quot;&apos;[2J&#10;x");
    }

    #[test]
    fn each_check_of_each_server_is_a_case() {
        let found = vec![
            finding("disk.space / warning", "filling"),
            finding("disk.space /var critical", "full"),
            finding("cpu.usage x ok", "fine"),
            finding("net.drops eth0 unknown", "no counters"),
        ];
        let absent = Fate::Without("absent".to_owned(), String::new(), String::new());
        let servers =
            vec![("web-1", seen(found, &[])), ("web-2", absent), ("web-3", Fate::Unverified(Doubt::Signature))];
        let fleet = fleet(servers, &["lost"]);
        let text = document(&fleet, Language::En, FailOn::Warning);
        let web = "<testsuite name=\"web-1\" tests=\"4\" failures=\"1\" errors=\"0\" skipped=\"2\" time=\"1.500\">";
        assert!(text.contains(web), "{text}");
        assert!(text.contains("critical /var: full&#10;warning /: filling"), "{text}");
        assert_eq!(text.matches("<testcase ").count(), 7);
        assert_eq!(text.matches("<error ").count(), 2);
        let lenient = document(&fleet, Language::En, FailOn::Critical);
        assert!(lenient.contains("critical /var: full</failure>"), "{lenient}");
        assert!(!document(&fleet, Language::En, FailOn::None).contains("<failure"));
    }

    #[test]
    fn a_waived_finding_fails_no_case() {
        let waived = seen(vec![finding("disk.space / critical", "full")], &[("disk.space", "/")]);
        let text = document(&fleet(vec![("web-1", waived)], &[]), Language::En, FailOn::Warning);
        assert!(!text.contains("<failure"), "{text}");
    }
}
