//! A check's own tests: what collectors would have said, and what must be found then. No check without one that fires and
//! one that is silent; a checker runs them before it believes the check.

use super::collect::Collector;
use super::fields::{Faults, Fields, shown};
use super::{OwnCheck, judge, plugin, read};
use crate::document::{Node, Value as Written};
use crate::found::Gap;
use crate::run::Before;
use crate::words;
use cloud_doctor_proto::finding::{Status, Words};
use serde_json::{Map, Value};

const TESTS_MAX: usize = 50;
const EXPECTED_MAX: usize = 100;
/// Lists and maps within each other.
const DEPTH_MAX: usize = 12;

/// One test.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Test {
    pub(crate) line: u32,
    name: String,
    given: Map<String, Value>,
    before: Vec<(String, Status)>,
    expect: Vec<Expected>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Expected {
    subject: String,
    state: Status,
    /// A part of the message.
    message: Option<String>,
}

/// Reads `tests`.
pub(super) fn read(check: Fields<'_>, collect: &[(String, Collector)], faults: &mut Faults) -> Vec<Test> {
    let nodes = check.list("tests", TESTS_MAX, faults);
    let tests: Vec<_> = nodes.iter().map(|node| test(node, collect, faults)).collect();
    let fires = tests.iter().any(|test| test.expect.iter().any(|one| one.state >= Status::Warning));
    let silent = tests.iter().any(|test| test.expect.is_empty());
    if !fires || !silent {
        faults.add(check.line("tests"), words!(
            "a check needs tests: one at least that fires (expect: [{{ state: warn }}]) and one that is silent (expect: [])",
            "检查需要 tests：至少一个触发的用例（expect: [{{ state: warn }}]）和一个静默的用例（expect: []）"
        ));
    }
    tests
}

fn test(node: &Node, collect: &[(String, Collector)], faults: &mut Faults) -> Test {
    let fields = Fields::of(node, "a test", &["name", "given", "before", "expect"], faults);
    let name = fields.text("name", faults).unwrap_or_default().to_owned();
    let given = fields.need("given", faults).map(|node| given(node, collect, faults)).unwrap_or_default();
    // An empty list is an answer, a missing one is none.
    if !node.entries().iter().any(|entry| entry.key == "expect") {
        faults.add(
            node.line,
            words!("expect is missing here; [] when nothing may be found", "此处缺少 expect；不应有发现时写 []"),
        );
    }
    let expect = fields.list("expect", EXPECTED_MAX, faults).iter().map(|node| expected(node, faults)).collect();
    let before = fields.list("before", EXPECTED_MAX, faults).iter().map(|node| {
        let one = expected(node, faults);
        (one.subject, one.state)
    });
    Test { line: node.line, name, given, before: before.collect(), expect }
}

fn expected(node: &Node, faults: &mut Faults) -> Expected {
    let fields = Fields::of(node, "what is expected", &["subject", "state", "message"], faults);
    let state = fields.need_text("state", faults).and_then(|text| {
        let state = read::state(text);
        if state.is_none() {
            faults.add(
                fields.line("state"),
                words!("state is warn, crit, unknown or ok", "state 可用：warn、crit、unknown、ok"),
            );
        }
        state
    });
    let message = fields.text("message", faults).map(str::to_owned);
    let subject = fields.text("subject", faults).unwrap_or_default().to_owned();
    Expected { subject, state: state.unwrap_or(Status::Unknown), message }
}

fn given(node: &Node, collect: &[(String, Collector)], faults: &mut Faults) -> Map<String, Value> {
    let mut given = Map::new();
    for entry in node.entries() {
        let Some((_, collector)) = collect.iter().find(|(name, _)| *name == entry.key) else {
            let (key, names) =
                (shown(&entry.key), collect.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", "));
            faults.add(
                entry.line,
                words!("{key} is collected nowhere; there are: {names}", "没有采集 {key}，可用：{names}"),
            );
            continue;
        };
        let value = match collector {
            Collector::Plugin { .. } => said(&entry.node, faults),
            Collector::Lb { .. }
            | Collector::FileText { .. }
            | Collector::FileKeyValue { .. }
            | Collector::Sysctl { .. }
            | Collector::Processes { .. }
            | Collector::Mounts
            | Collector::FsUsage => value(&entry.node, 0, faults),
        };
        given.insert(entry.key.clone(), value);
    }
    for (name, _) in collect.iter().filter(|(name, _)| !node.entries().iter().any(|entry| entry.key == *name)) {
        faults.add(
            node.line,
            words!("{name} is missing here: say what it would collect", "此处缺少 {name}：请写出其采集结果"),
        );
    }
    given
}

/// What a plugin would have said: `{ exit: 2, stdout: "…" }`.
fn said(node: &Node, faults: &mut Faults) -> Value {
    let fields = Fields::of(node, "a plugin's answer", &["exit", "stdout"], faults);
    let exit = fields.need_text("exit", faults).and_then(|text| text.parse().ok());
    let output = fields.need_text("stdout", faults).unwrap_or_default().to_owned();
    plugin::seen(&plugin::Heard { exit, output, trouble: None })
}

/// A node as the values that expressions know: what stands in quotes is text.
fn value(node: &Node, depth: usize, faults: &mut Faults) -> Value {
    if depth > DEPTH_MAX {
        faults.add(node.line, words!("more than {DEPTH_MAX} levels", "嵌套超过 {DEPTH_MAX} 层"));
        return Value::Null;
    }
    match &*node.value {
        Written::Map(entries) => {
            entries.iter().map(|entry| (entry.key.clone(), value(&entry.node, depth + 1, faults))).collect()
        }
        Written::List(items) => items.iter().map(|item| value(item, depth + 1, faults)).collect(),
        Written::Scalar { text, quoted: true } => text.as_str().into(),
        Written::Scalar { .. } if node.is_null() => Value::Null,
        Written::Scalar { text, .. } => match (text.as_str(), text.parse::<i64>(), text.parse::<f64>()) {
            ("true", _, _) => true.into(),
            ("false", _, _) => false.into(),
            (_, Ok(whole), _) => whole.into(),
            (_, _, Ok(number)) if number.is_finite() && text.contains(|one: char| one.is_ascii_digit()) => {
                number.into()
            }
            (_, _, _) => text.as_str().into(),
        },
    }
}

/// How one test went.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Tried {
    /// The check's id.
    pub check: String,
    /// The test's line.
    pub line: u32,
    /// Its name.
    pub name: String,
    /// What was found in place of what was expected; nothing when it is well.
    pub wrong: Option<Words>,
}

/// Runs all tests of a check.
pub(super) fn run(own: &OwnCheck) -> Vec<Tried> {
    let tried = own.tests.iter().map(|test| Tried {
        check: own.id.clone(),
        line: test.line,
        name: test.name.clone(),
        wrong: wrong(own, test),
    });
    tried.collect()
}

fn wrong(own: &OwnCheck, test: &Test) -> Option<Words> {
    let before: Before =
        test.before.iter().map(|(subject, status)| ((own.id.clone(), subject.clone()), *status)).collect();
    let params = own.parameters(|param| param.value);
    let found = match judge::judge(own, test.given.clone(), &params, judge::Memory { before: &before, pending: None }) {
        Ok(found) => found,
        Err(Gap::Unknown(why) | Gap::NotHere(why)) => {
            let expected = test.expect.iter().any(|one| one.subject.is_empty() && one.state == Status::Unknown);
            return (!expected).then(|| {
                let Words { en, zh } = why;
                Words { en: format!("it cannot be told: {en}"), zh: format!("无法判断：{zh}") }
            });
        }
    };
    let mut left: Vec<_> = test.expect.iter().filter(|one| one.state != Status::Ok).collect();
    for one in found.iter().filter(|one| one.status != Status::Ok) {
        let fits = |expected: &&Expected| {
            expected.subject == one.subject
                && expected.state == one.status
                && expected.message.as_ref().is_none_or(|part| one.summary.en.contains(part.as_str()))
        };
        match left.iter().position(fits) {
            Some(at) => drop(left.remove(at)),
            None => {
                let (subject, state, summary) = (shown(&one.subject), one.status.name(), shown(&one.summary.en));
                return Some(words!(
                    "found and not expected: {subject} {state}: {summary}",
                    "出现了未预期的结果：{subject} {state}：{summary}"
                ));
            }
        }
    }
    left.first().map(|one| {
        let (subject, state) = (shown(&one.subject), one.state.name());
        words!("expected and not found: {subject} {state}", "预期的结果没有出现：{subject} {state}")
    })
}
