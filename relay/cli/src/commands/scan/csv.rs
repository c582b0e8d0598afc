//! A scan as CSV (RFC 4180): a row per finding, and one per server without any. What a server says must never become a
//! formula in somebody's spreadsheet.

use super::gather::{Fate, Fleet, Server};
use super::human::{doubt_words, without};
use super::json::doubt_id;
use cloud_doctor::messages::Say;
use cloud_doctor_proto::refusal::{Language, printable};
use std::fmt::Write as _;

/// Names of the columns; the same in every language, for programs.
const HEAD: &str = "server,id,state,check,subject,status,waived,value,unit,summary,impact,remedy";

/// The whole text, with a line break of its own at each end of line.
pub(super) fn document(fleet: &Fleet, language: Language, all: bool) -> String {
    let mut out = format!("{HEAD}\r\n");
    for server in &fleet.servers {
        rows(&mut out, server, language, all);
    }
    for name in &fleet.left_out {
        row(&mut out, &[name, "", "left-out", "", "", "unknown", "", "", "", "", "", ""]);
    }
    out
}

fn rows(out: &mut String, server: &Server, language: Language, all: bool) {
    let (name, id) = (server.name.as_str(), server.id.as_str());
    let bare = |out: &mut String, state: &str, status: &str, words: &str| {
        row(out, &[name, id, state, "", "", status, "", "", "", words, "", ""]);
    };
    match &server.fate {
        Fate::Report(seen) => {
            let findings = seen.findings(all);
            if findings.is_empty() {
                bare(out, "report", "ok", "");
            }
            for finding in findings {
                let value = finding.value.map(|value| value.to_string()).unwrap_or_default();
                let waived = if seen.is_waived(finding) { "true" } else { "false" };
                let words = [&finding.summary, &finding.impact, &finding.remedy].map(|words| words.get(language));
                let [summary, impact, remedy] = words;
                let (check, subject, status) = (&finding.check, &finding.subject, finding.status.name());
                row(
                    out,
                    &[
                        name,
                        id,
                        "report",
                        check,
                        subject,
                        status,
                        waived,
                        &value,
                        &finding.unit,
                        summary,
                        impact,
                        remedy,
                    ],
                );
            }
        }
        Fate::Unverified(doubt) => {
            let words = format!("{}: {}", doubt_id(*doubt), Say::from(doubt_words(*doubt)).text(language));
            bare(out, "unverified", "unknown", &words);
        }
        Fate::Without(state, reason, detail) => {
            bare(out, state, "unknown", &without(state, reason, detail, language));
        }
    }
}

fn row(out: &mut String, cells: &[&str]) {
    let cells: Vec<String> = cells.iter().map(|text| cell(text)).collect();
    write!(out, "{}\r\n", cells.join(",")).ok();
}

/// A cell that no spreadsheet takes for a formula, and that draws nothing.
fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) && text.parse::<f64>().is_err();
    let safe: String = text.chars().flat_map(printable).collect();
    let safe = if formula { format!("'{safe}") } else { safe };
    if safe.contains([',', '"', '\r', '\n']) { format!("\"{}\"", safe.replace('"', "\"\"")) } else { safe }
}

#[cfg(test)]
mod tests {
    use super::super::outcome::tests::{finding, fleet, seen};
    use super::*;

    #[test]
    fn what_begins_like_a_formula_is_text() {
        for (text, expected) in [
            ("=1+1", "'=1+1"),
            ("+49", "+49"),
            ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
            ("-2.5", "-2.5"),
            ("-x", "'-x"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\\u{9}=1"),
            ("\r=1", "'\\u{d}=1"),
            ("=\"a\",b", "\"'=\"\"a\"\",b\""),
            ("a,b", "\"a,b\""),
            ("plain", "plain"),
            ("\x1b[2J", "\\u{1b}[2J"),
        ] {
            assert_eq!(cell(text), expected, "{text:?}");
        }
    }

    #[test]
    fn every_server_has_a_row() {
        let bad = seen(vec![finding("disk.space / critical", "=HYPERLINK(\"x\")")], &[]);
        let absent = Fate::Without("absent".to_owned(), String::new(), String::new());
        let fine = seen(vec![finding("cpu.usage x ok", "fine")], &[]);
        let text = document(&fleet(vec![("a", bad), ("b", absent), ("c", fine)], &["d"]), Language::En, false);
        let lines: Vec<&str> = text.trim_end().split("\r\n").collect();
        assert_eq!((lines[0], lines.len()), (HEAD, 5));
        assert!(lines[1].contains(",critical,false,97.5,%,\"'=HYPERLINK(\"\"x\"\")\""), "{text}");
        let columns = HEAD.split(',').count();
        assert!(lines[2..].iter().all(|line| line.matches(',').count() >= columns - 1), "{text}");
    }
}
