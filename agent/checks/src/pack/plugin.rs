//! What a monitoring plugin said, by the guidelines that thousands of them follow: the exit status is the state, the first
//! line the summary, and behind a bar stands performance data. Read in the checker: the output is hostile.
//!
//! <https://www.monitoring-plugins.org/doc/guidelines.html>, sections 2 and 3.

use crate::found::{Found, Gap, Outcome};
use crate::run::Wanted;
use crate::words;
use cloud_doctor_proto::finding::{Status, Words};
use cloud_doctor_proto::refusal::one_line;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How a plugin's run went.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// Its exit status; nothing when a signal or we ended it.
    pub exit: Option<i32>,
    /// What it wrote, 64 KiB at most.
    pub output: String,
    /// Why there is no answer, when there is none.
    pub trouble: Option<Words>,
}

/// A plugin that the host's owner has configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configured {
    /// `x.site.raid`.
    pub id: String,
    /// What it is, for people; its id when nothing is said.
    pub title: Option<String>,
    /// The program.
    pub exec: String,
    /// What to do when it complains.
    pub remedy: Option<String>,
}

/// Performance data of one plugin that are taken.
const PERF_MAX: usize = 100;
const LABEL_CHARS_MAX: usize = 64;

/// What a plugin's output means.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Said {
    pub(super) status: Status,
    pub(super) summary: Words,
    pub(super) perf: Vec<Perf>,
}

/// One number of the performance data, in seconds, bytes or percent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Perf {
    pub(super) label: String,
    pub(super) value: f64,
    pub(super) unit: &'static str,
    /// Thresholds as they stand there.
    pub(super) warn: Option<Range>,
    pub(super) crit: Option<Range>,
    min: Option<f64>,
    max: Option<f64>,
}

/// `[@]start:end`: what lies outside of it is worth an alert, with `@` what lies inside.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Range {
    start: f64,
    end: f64,
    inside: bool,
    written: String,
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let (inside, body) = text.strip_prefix('@').map_or((false, text), |body| (true, body));
        let (start, end) = match body.split_once(':') {
            Some(("~", end)) => (f64::NEG_INFINITY, end),
            Some(("", end)) => (0.0, end),
            Some((start, end)) => (number(start)?, end),
            None => (0.0, body),
        };
        let end = if end.is_empty() && body.contains(':') { f64::INFINITY } else { number(end)? };
        (start <= end).then(|| Self { start, end, inside, written: one_line(text, 60) })
    }

    /// Whether a value is worth an alert.
    pub(super) fn alerts(&self, value: f64) -> bool {
        (self.start..=self.end).contains(&value) == self.inside
    }
}

fn number(text: &str) -> Option<f64> {
    text.replace(',', ".").parse::<f64>().ok().filter(|number| number.is_finite())
}

/// Reads performance data: `'label'=value[UOM];[warn];[crit];[min];[max]`, as many as there are. What is none is left out.
fn perf(text: &str) -> Vec<Perf> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() && found.len() < PERF_MAX {
        let (label, after) = label(rest);
        let (value, next) = after.split_once(char::is_whitespace).unwrap_or((after, ""));
        found.extend(label.and_then(|label| one(label, value)));
        rest = next.trim_start();
    }
    found
}

/// The label, and what follows its `=`.
fn label(text: &str) -> (Option<String>, &str) {
    let Some(quoted) = text.strip_prefix('\'') else {
        // A word without `=` is no performance data.
        let word = text.split(char::is_whitespace).next().unwrap_or_default();
        return match word.find('=') {
            Some(at) => (Some(text[..at].to_owned()), &text[at + 1..]),
            None => (None, text),
        };
    };
    let mut label = String::new();
    let mut rest = quoted;
    loop {
        let Some(at) = rest.find('\'') else { return (None, "") };
        label.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        // Two of them are one.
        match rest.strip_prefix('\'') {
            Some(more) => {
                label.push('\'');
                rest = more;
            }
            None => break,
        }
    }
    match rest.strip_prefix('=') {
        Some(after) => (Some(label), after),
        None => (None, rest),
    }
}

fn one(label: String, text: &str) -> Option<Perf> {
    let mut parts = text.split(';');
    let value = parts.next()?;
    let digits = value.find(|one: char| !(one.is_ascii_digit() || "+-.,".contains(one))).unwrap_or(value.len());
    let (unit, factor) = unit(&value[digits..])?;
    let value = number(&value[..digits])? * factor;
    let (warn, crit) = (parts.next().and_then(Range::parse), parts.next().and_then(Range::parse));
    let mut bound = || parts.next().and_then(number).map(|bound| bound * factor);
    let (min, max) = (bound(), bound());
    // Thresholds have the value's unit.
    let scaled = |range: Range| Range { start: range.start * factor, end: range.end * factor, ..range };
    let label = one_line(label.trim(), LABEL_CHARS_MAX);
    Some(Perf { label, value, unit, warn: warn.map(scaled), crit: crit.map(scaled), min, max })
}

/// A unit of measurement as ours, and what to multiply with. `U` and what nobody knows is no number.
fn unit(text: &str) -> Option<(&'static str, f64)> {
    Some(match text {
        "" | "c" => ("", 1.0),
        "%" => ("%", 1.0),
        "s" => ("s", 1.0),
        "ms" => ("s", 1e-3),
        "us" => ("s", 1e-6),
        "ns" => ("s", 1e-9),
        "B" => ("B", 1.0),
        "KB" | "KiB" | "kB" => ("B", 1024.0),
        "MB" | "MiB" => ("B", 1024.0 * 1024.0),
        "GB" | "GiB" => ("B", 1024.0 * 1024.0 * 1024.0),
        "TB" | "TiB" => ("B", 1024.0 * 1024.0 * 1024.0 * 1024.0),
        _ => return None,
    })
}

impl Said {
    /// What it means.
    pub(super) fn of(heard: &Heard) -> Self {
        let (text, data) = split(&heard.output);
        let perf = perf(&data);
        if let Some(why) = &heard.trouble {
            return Self { status: Status::Unknown, summary: why.clone(), perf: Vec::new() };
        }
        let (status, why) = match heard.exit {
            Some(0) => (Status::Ok, None),
            Some(1) => (Status::Warning, None),
            Some(2) => (Status::Critical, None),
            Some(3) => (Status::Unknown, None),
            Some(127) => (Status::Unknown, Some(words!("exit status 127: no such program", "退出码 127：没有此程序"))),
            Some(126) => {
                (Status::Unknown, Some(words!("exit status 126: it cannot be started", "退出码 126：无法启动")))
            }
            Some(other) => (
                Status::Unknown,
                Some(words!(
                    "exit status {other}, which means nothing; 0 to 3 do",
                    "退出码 {other} 没有含义（应为 0 到 3）"
                )),
            ),
            None => (Status::Unknown, Some(words!("a signal ended it", "进程被信号终止"))),
        };
        let summary = match (why, text.is_empty()) {
            (None, false) => Words::same(&text),
            (None, true) => words!("the plugin says nothing", "插件没有输出"),
            (Some(why), true) => why,
            (Some(Words { en, zh }), false) => Words { en: format!("{en} ({text})"), zh: format!("{zh}（{text}）") },
        };
        Self { status, summary, perf }
    }
}

/// The first line's text, and all performance data: behind a bar in the first line, and behind one in the lines after it
/// to the end.
fn split(output: &str) -> (String, String) {
    let mut lines = output.lines();
    let first = lines.next().unwrap_or_default();
    let (text, data) = first.split_once('|').unwrap_or((first, ""));
    let mut data = data.to_owned();
    let mut behind = false;
    for line in lines.take(1000) {
        let part = if behind { Some(line) } else { line.split_once('|').map(|(_, part)| part) };
        if let Some(part) = part {
            behind = true;
            data.push(' ');
            data.push_str(part);
        }
    }
    (one_line(text.trim(), 500), data)
}

/// A plugin's check.
pub(super) fn judge(configured: &Configured, wanted: &Wanted) -> Outcome {
    let heard = heard(&configured.id, wanted)?;
    let said = Said::of(heard);
    let exit = heard.exit.map_or_else(|| "-".to_owned(), |exit| exit.to_string());
    let first = heard.output.lines().next().unwrap_or_default();
    let mut found =
        Found::new("", said.status, said.summary).evidence(&configured.exec, format!("exit {exit}: {first}"));
    if let Some(first) = said.perf.first() {
        found = found.value(first.value, first.unit);
    }
    for one in said.perf {
        let (label, unit) = (&one.label, one.unit);
        let name =
            |what: &str| format!("{label}{what}{}", if unit.is_empty() { String::new() } else { format!(" [{unit}]") });
        found = found.detail(name(""), one.value);
        for (what, range) in [(" warn", &one.warn), (" crit", &one.crit)] {
            if let Some(range) = range {
                found = found.detail(format!("{label}{what}"), range.written.as_str());
            }
        }
        for (what, bound) in [(" min", one.min), (" max", one.max)] {
            found = found.detail(name(what), bound);
        }
    }
    Ok(vec![found])
}

fn heard<'a>(id: &str, wanted: &'a Wanted) -> Result<&'a Heard, Gap> {
    wanted.plugins.get(id).ok_or_else(|| {
        Gap::Unknown(words!(
            "plugin {id} did not run: the ceiling does not declare it, or does not allow it to whoever asked, or this is not the running host",
            "插件 {id} 未运行：权限上限未声明它，或不允许请求方使用它，或这不是运行中的主机"
        ))
    })
}

/// What a pack's expressions see of it.
pub(super) fn collect(id: &str, wanted: &Wanted) -> Result<Value, Gap> {
    let heard = heard(id, wanted)?;
    if let Some(why) = &heard.trouble {
        return Err(Gap::Unknown(why.clone()));
    }
    Ok(seen(heard))
}

/// The same of what a fixture says that was heard.
pub(super) fn seen(heard: &Heard) -> Value {
    let said = Said::of(heard);
    let perf = said.perf.iter().map(|one| {
        json!({"name": one.label, "value": one.value, "unit": one.unit,
            "warns": one.warn.as_ref().is_some_and(|range| range.alerts(one.value)),
            "crits": one.crit.as_ref().is_some_and(|range| range.alerts(one.value))})
    });
    json!({"state": said.status.exit_code(), "text": said.summary.en, "perf": perf.collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cloud_doctor_proto::finding::Detail;

    fn said(exit: i32, output: &str) -> Said {
        Said::of(&Heard { exit: Some(exit), output: output.to_owned(), trouble: None })
    }

    #[test]
    fn the_exit_status_is_the_state_and_the_first_line_the_summary() {
        for (exit, output, status, summary) in [
            (0, "RAID OK | bad=0;1;2", Status::Ok, "RAID OK"),
            (1, "WARN\nlong text", Status::Warning, "WARN"),
            (2, "RAID CRITICAL - 2 disks | bad=2;1;2\n", Status::Critical, "RAID CRITICAL - 2 disks"),
            (3, "what?", Status::Unknown, "what?"),
            (4, "x", Status::Unknown, "exit status 4"),
            (127, "", Status::Unknown, "exit status 127: no such program"),
            (0, "", Status::Ok, "says nothing"),
            (0, "\u{1b}[31mred", Status::Ok, "red"),
        ] {
            let said = said(exit, output);
            assert_eq!(said.status, status, "{exit} {output}");
            assert!(said.summary.en.contains(summary), "{exit} {output}: {}", said.summary.en);
            assert!(!said.summary.en.contains('\u{1b}'));
        }
        let killed = Said::of(&Heard::default());
        assert_eq!((killed.status, killed.summary.en.as_str()), (Status::Unknown, "a signal ended it"));
    }

    #[test]
    fn performance_data_are_read_as_the_guidelines_write_them() {
        let said = said(
            0,
            "OK | load1=0.010;5.000;9.000;0; '/ a''b'=2643MB;5948;5958;0;5968 time=12ms;;;0 x=U y=3parsec z\nmore | p=97.5%;@10:20;~:90\nq=1c",
        );
        let one = |label: &str| said.perf.iter().find(|one| one.label == label).unwrap();
        assert_eq!(
            said.perf.iter().map(|one| one.label.as_str()).collect::<Vec<_>>(),
            ["load1", "/ a'b", "time", "p", "q"]
        );
        assert_eq!((one("/ a'b").value, one("/ a'b").unit), (2643.0 * 1048576.0, "B"));
        assert_eq!((one("time").value, one("time").unit, one("time").warn.clone()), (0.012, "s", None));
        assert!(!one("/ a'b").crit.as_ref().unwrap().alerts(one("/ a'b").value));
        assert!(one("p").crit.as_ref().unwrap().alerts(97.5) && !one("p").warn.as_ref().unwrap().alerts(97.5));
        assert_eq!(one("load1").min, Some(0.0));
    }

    #[test]
    fn ranges_alert_outside_or_with_an_at_sign_inside() {
        for (text, alerts, silent) in [
            ("10", &[-1.0, 10.1][..], &[0.0, 10.0][..]),
            ("10:", &[9.9], &[10.0, 1e9]),
            ("~:10", &[10.1], &[-1e9, 10.0]),
            ("10:20", &[9.0, 21.0], &[10.0, 20.0]),
            ("@10:20", &[10.0, 20.0], &[9.0, 21.0]),
            (":5", &[-1.0, 6.0], &[0.0, 5.0]),
        ] {
            let range = Range::parse(text).unwrap();
            assert!(alerts.iter().all(|value| range.alerts(*value)), "{text}");
            assert!(!silent.iter().any(|value| range.alerts(*value)), "{text}");
        }
        for text in ["", "a", "20:10", "1:b", "@"] {
            assert_eq!(Range::parse(text), None, "{text}");
        }
    }

    #[test]
    fn chk_08_no_output_of_a_plugin_ends_the_program() {
        for output in [
            "|",
            "a|'",
            "a|''=1",
            "a|=",
            "a|'x'y=1",
            "|é=é;é;é",
            "a | b",
            "\0|\0=1",
            "|'a=1 b=2",
            "||||",
            "|a=1;;;;;;;;;;",
        ] {
            said(0, output);
        }
        let many = (0..5000).map(|at| format!("a{at}=1 ")).collect::<String>();
        assert_eq!(said(0, &format!("x|{many}")).perf.len(), PERF_MAX);
    }

    #[test]
    fn a_finding_holds_what_was_measured() {
        let configured = Configured { id: "x.site.load".into(), title: None, exec: "/p".into(), remedy: None };
        let mut wanted = Wanted::default();
        assert!(matches!(judge(&configured, &wanted), Err(Gap::Unknown(_))));
        let heard = Heard { exit: Some(1), output: "LOAD | load1=6;5;9;0".into(), trouble: None };
        wanted.plugins.insert("x.site.load".into(), heard);
        let found = judge(&configured, &wanted).unwrap().remove(0);
        assert_eq!((found.status, found.value), (Status::Warning, Some((6.0, ""))));
        assert_eq!(found.details[1], ("load1 warn".into(), Detail::Text("5".into())));
        assert_eq!(found.evidence[0].text, "exit 1: LOAD | load1=6;5;9;0");
    }
}
