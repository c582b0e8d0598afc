//! Reads a pack: YAML in, checks out, or every fault of the file with its line and what to do.
//!
//! Every expression is compiled here once, so that a pack that is taken can be evaluated. Nothing is evaluated: whoever
//! loads packs may be root, and only a checker evaluates.

use super::collect::Collector;
use super::fields::{Fault, Faults, Fields, shown, told};
use super::message::Message;
use super::rule::Rule;
use super::{Level, OwnCheck, Parameter, fixtures};
use crate::document::{self, Node};
use crate::words;
use cloud_doctor_proto::finding::{Status, Words};
use std::collections::BTreeSet;

/// Bytes of one file.
pub const PACK_BYTES_MAX: usize = 256 << 10;
const CHECKS_MAX: usize = 100;
const COLLECTORS_MAX: usize = 10;
const LETS_MAX: usize = 20;
const PARAMS_MAX: usize = 20;
const EVIDENCE_MAX: usize = 10;
/// The form of packs that this agent reads.
const SCHEMA: &str = "1";
/// Names that expressions have already.
const TAKEN: &[&str] = &[
    "item", "param", "true", "false", "null", "in", "has", "size", "all", "exists", "filter", "int", "double", "string",
];

/// Three numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u32, u32, u32);

impl Version {
    /// Reads `1.4.0`; what is missing is 0.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| part.parse::<u32>().ok());
        let (major, minor, patch) =
            (parts.next()??, parts.next().unwrap_or(Some(0))?, parts.next().unwrap_or(Some(0))?);
        parts.next().is_none().then_some(Self(major, minor, patch))
    }
}

/// A pack that was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) checks: Vec<OwnCheck>,
}

/// Reads `text`, the content of `file`.
pub(super) fn read(file: &str, text: &str) -> Result<Read, Vec<Fault>> {
    let mut faults = Faults::default();
    if text.len() > PACK_BYTES_MAX {
        let bytes = text.len();
        faults.add(
            1,
            words!(
                "the pack has {bytes} bytes, {PACK_BYTES_MAX} at most are read; split it",
                "检查包有 {bytes} 字节，上限 {PACK_BYTES_MAX}，请拆分"
            ),
        );
        return Err(faults.end().err().unwrap_or_default());
    }
    let documents = document::read("pack.yaml", text);
    if let Some(broken) = documents.broken {
        // What follows was not read: to complain of what is missing would be wrong.
        faults.add(broken.line, broken.why);
        return Err(faults.end().err().unwrap_or_default());
    }
    if documents.all.len() > 1 {
        faults.add(
            documents.all[1].line,
            words!(
                "a file holds one pack; take out what follows ---",
                "一个文件只能有一个检查包，请删除 --- 之后的内容"
            ),
        );
    }
    let Some(root) = documents.all.first() else {
        faults.add(1, words!("there is no pack here", "此处没有检查包"));
        return Err(faults.end().err().unwrap_or_default());
    };
    let read = pack(file, root, &mut faults);
    faults.end()?;
    Ok(read)
}

fn pack(file: &str, root: &Node, faults: &mut Faults) -> Read {
    let fields = Fields::of(root, "a pack", &["pack", "version", "requires", "checks"], faults);
    let name = fields.need_text("pack", faults).unwrap_or_default().to_owned();
    if !is_name(&name) && !name.is_empty() {
        faults.add(
            fields.line("pack"),
            words!(
                "a pack's name is made of a-z, 0-9 and -, 40 at most",
                "检查包名称只能由 a-z、0-9、- 组成，最多 40 个字符"
            ),
        );
    }
    let version = fields.need_text("version", faults).unwrap_or_default().to_owned();
    if Version::parse(&version).is_none() && !version.is_empty() {
        faults.add(
            fields.line("version"),
            words!("a version is three numbers, like 1.4.0", "版本号为三个数字，例如 1.4.0"),
        );
    }
    if let Some(node) = fields.need("requires", faults) {
        requires(node, faults);
    }
    let nodes = fields.list("checks", CHECKS_MAX, faults);
    if nodes.is_empty() {
        faults.add(
            fields.line("checks"),
            words!("a pack needs checks: a list of one at least", "检查包需要 checks：至少一项的列表"),
        );
    }
    let mut ids = BTreeSet::new();
    let mut checks = Vec::new();
    for node in nodes {
        let own = check(file, &name, node, faults);
        if !ids.insert(own.id.clone()) {
            let id = shown(&own.id);
            faults.add(node.line, words!("{id} stands here twice; give it another name", "{id} 重复，请改名"));
        }
        checks.push(own);
    }
    Read { name, version, checks }
}

fn requires(node: &Node, faults: &mut Faults) {
    let fields = Fields::of(node, "requires", &["agent", "schema"], faults);
    let ours = env!("CARGO_PKG_VERSION");
    if let Some(schema) = fields.need_text("schema", faults)
        && schema != SCHEMA
    {
        let schema = shown(schema);
        faults.add(
            fields.line("schema"),
            words!(
                "this pack has schema {schema}; this agent reads {SCHEMA}. Update the agent",
                "此检查包为 schema {schema}，此 Agent 支持 {SCHEMA}，请升级 Agent"
            ),
        );
    }
    let Some(agent) = fields.text("agent", faults) else { return };
    match agent.strip_prefix(">=").and_then(|least| Version::parse(least.trim())) {
        None => faults.add(fields.line("agent"), words!("agent is written like \">=0.1\"", "agent 写作 \">=0.1\"")),
        Some(least) if Version::parse(ours) < Some(least) => {
            let agent = shown(agent);
            faults.add(
                fields.line("agent"),
                words!(
                    "this pack needs an agent {agent}; this one is {ours}. Update the agent",
                    "此检查包需要 Agent {agent}，当前为 {ours}，请升级 Agent"
                ),
            );
        }
        Some(_) => {}
    }
}

fn is_name(text: &str) -> bool {
    let fits = |one: char| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '-';
    !text.is_empty() && text.len() <= 40 && text.chars().all(fits) && !text.starts_with('-')
}

pub(super) const FIELDS: &[&str] = &[
    "id", "title", "collect", "for_each", "subject", "let", "params", "crit", "warn", "value", "unit", "message",
    "evidence", "impact", "remedy", "tests",
];

fn check(file: &str, pack: &str, node: &Node, faults: &mut Faults) -> OwnCheck {
    let fields = Fields::of(node, "a check", FIELDS, faults);
    let id = id(fields, pack, faults);
    let text = |key: &str, faults: &mut Faults| fields.get(key).map(|node| told(node, key, faults));
    let title = fields.need("title", faults).map(|node| told(node, "title", faults)).unwrap_or_default();
    let message = fields.need("message", faults).map(|node| told(node, "message", faults)).unwrap_or_default();
    for text in [&message.en, &message.zh] {
        sentence(text, fields.line("message"), faults);
    }
    let collect = collect(fields, faults);
    let (lets, params) = (lets(fields, faults), params(fields, faults));
    let [crit, warn] = ["crit", "warn"].map(|key| fields.get(key).map(|node| level(node, key, faults)));
    if crit.is_none() && warn.is_none() {
        faults.add(node.line, words!("crit or warn is needed here, with when", "此处需要 crit 或 warn（含 when）"));
    }
    let expression = |key: &str, faults: &mut Faults| {
        let source = fields.text(key, faults)?;
        rule(source, fields.line(key), faults);
        Some(source.to_owned())
    };
    let (each, value) = (expression("for_each", faults), expression("value", faults));
    let subject =
        fields.text("subject", faults).map(str::to_owned).or_else(|| each.is_some().then(|| "{item.name}".to_owned()));
    if let Some(subject) = &subject {
        sentence(subject, fields.line("subject"), faults);
    }
    let evidence = evidence(fields, faults);
    let (unit, remedy) = (unit(fields, faults), text("remedy", faults).unwrap_or_default());
    if remedy.en.is_empty() {
        faults.add(node.line, words!("remedy is missing here: say what to do", "此处缺少 remedy：请说明如何处理"));
    }
    let impact = text("impact", faults).unwrap_or_default();
    let tests = fixtures::read(fields, &collect, faults);
    OwnCheck {
        id,
        file: file.to_owned(),
        line: node.line,
        title,
        impact,
        remedy,
        collect,
        each,
        subject,
        lets,
        params,
        crit,
        warn,
        message,
        value,
        unit,
        evidence,
        tests,
    }
}

fn id(fields: Fields<'_>, pack: &str, faults: &mut Faults) -> String {
    let id = fields.need_text("id", faults).unwrap_or_default().to_owned();
    let own = id.strip_prefix("x.").and_then(|rest| rest.strip_prefix(pack)?.strip_prefix('.'));
    if !own.is_some_and(is_name) && !id.is_empty() {
        let (id, pack) = (shown(&id), shown(pack));
        faults.add(
            fields.line("id"),
            words!(
                "{id} must be x.{pack}. and a name of a-z, 0-9 and -",
                "{id} 必须是 x.{pack}. 加上由 a-z、0-9、- 组成的名称"
            ),
        );
    }
    id
}

fn evidence(fields: Fields<'_>, faults: &mut Faults) -> Vec<String> {
    let mut evidence = Vec::new();
    for node in fields.list("evidence", EVIDENCE_MAX, faults) {
        if let Some(source) = super::fields::text(node, "evidence", faults) {
            rule(source, node.line, faults);
            evidence.push(source.to_owned());
        }
    }
    evidence
}

/// Units that findings have.
const UNITS: &[&str] = &["s", "ms", "%", "B", "/s", ""];

fn unit(fields: Fields<'_>, faults: &mut Faults) -> &'static str {
    let Some(text) = fields.text("unit", faults) else { return "" };
    UNITS.iter().find(|unit| **unit == text).copied().unwrap_or_else(|| {
        let list = UNITS[..UNITS.len() - 1].join(", ");
        faults.add(fields.line("unit"), words!("unit is one of: {list}", "unit 可用：{list}"));
        ""
    })
}

fn collect(fields: Fields<'_>, faults: &mut Faults) -> Vec<(String, Collector)> {
    let Some(node) = fields.need("collect", faults) else { return Vec::new() };
    named(node, "collect", COLLECTORS_MAX, faults)
        .filter_map(|(name, node)| Some((name.to_owned(), Collector::parse(node, faults)?)))
        .collect()
}

fn lets(fields: Fields<'_>, faults: &mut Faults) -> Vec<(String, String)> {
    let Some(node) = fields.get("let") else { return Vec::new() };
    let mut lets = Vec::new();
    let pairs: Vec<_> = named(node, "let", LETS_MAX, faults).collect();
    for (name, node) in pairs {
        if let Some(source) = super::fields::text(node, "let", faults) {
            rule(source, node.line, faults);
            lets.push((name.to_owned(), source.to_owned()));
        }
    }
    lets
}

fn params(fields: Fields<'_>, faults: &mut Faults) -> Vec<Parameter> {
    let Some(node) = fields.get("params") else { return Vec::new() };
    let mut params = Vec::new();
    let pairs: Vec<_> = named(node, "params", PARAMS_MAX, faults).collect();
    for (name, node) in pairs {
        let text = node.text().unwrap_or_default();
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() && !node.is_quoted() => {
                params.push(Parameter { name: name.to_owned(), value, whole: text.parse::<i64>().is_ok() });
            }
            Ok(_) | Err(_) => {
                faults.add(node.line, words!("params holds numbers", "params 只能是数值"));
            }
        }
    }
    params
}

/// The entries of a map whose keys are names that expressions use.
fn named<'a>(node: &'a Node, what: &str, most: usize, faults: &mut Faults) -> std::vec::IntoIter<(&'a str, &'a Node)> {
    let mut pairs: Vec<(&str, &Node)> = Vec::new();
    if node.entries().is_empty() {
        faults.add(node.line, words!("{what} must be a map of names", "{what} 必须是以名称为键的映射"));
    }
    for entry in node.entries() {
        let key = entry.key.as_str();
        let fits = key.chars().all(|one| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '_');
        if !fits
            || key.is_empty()
            || key.len() > 40
            || key.starts_with(|one: char| one.is_ascii_digit())
            || TAKEN.contains(&key)
        {
            let key = shown(key);
            faults.add(
                entry.line,
                words!(
                    "{key} cannot be a name here: a-z, 0-9 and _, and no word of the language",
                    "{key} 不能用作名称：只能由 a-z、0-9、_ 组成，且不能是保留字"
                ),
            );
        } else if pairs.iter().any(|(name, _)| *name == key) {
            faults.add(entry.line, words!("{key} stands here twice; keep one", "{key} 重复，请只保留一个"));
        } else if pairs.len() == most {
            faults.add(entry.line, words!("{what} has more than {most} names", "{what} 的名称超过 {most} 个"));
            break;
        } else {
            pairs.push((key, &entry.node));
        }
    }
    pairs.into_iter()
}

fn level(node: &Node, what: &str, faults: &mut Faults) -> Level {
    let fields = Fields::of(node, what, &["when", "clear", "for"], faults);
    let when = fields.need_text("when", faults).unwrap_or_default();
    if !when.is_empty() {
        rule(when, fields.line("when"), faults);
    }
    let clear = fields.text("clear", faults);
    if let Some(clear) = clear {
        rule(clear, fields.line("clear"), faults);
    }
    let hold_secs = fields.text("for", faults).and_then(|text| {
        let secs = secs(text);
        if secs.is_none() {
            faults.add(
                fields.line("for"),
                words!("for is a time up to 24h, like 90s, 30m or 2h", "for 是不超过 24h 的时间，例如 90s、30m、2h"),
            );
        }
        secs
    });
    Level {
        when: when.to_owned(),
        clear: clear.map(str::to_owned),
        hold_secs: hold_secs.unwrap_or(0),
        line: fields.line("when"),
    }
}

/// Reads `90s`, `30m`, `2h`.
fn secs(text: &str) -> Option<u64> {
    let (number, factor) = [('s', 1), ('m', 60), ('h', 3600)]
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(*unit)?, *factor)))?;
    number.parse::<u64>().ok()?.checked_mul(factor).filter(|secs| *secs <= 86_400)
}

fn rule(source: &str, line: u32, faults: &mut Faults) {
    if let Err(why) = Rule::new(source) {
        faults.add(line, why);
    }
}

fn sentence(text: &str, line: u32, faults: &mut Faults) {
    if let Err(why) = Message::new(text) {
        faults.add(line, why);
    }
}

/// A state by its name.
pub(super) fn state(text: &str) -> Option<Status> {
    Some(match text {
        "ok" => Status::Ok,
        "warn" | "warning" => Status::Warning,
        "crit" | "critical" => Status::Critical,
        "unknown" => Status::Unknown,
        _ => return None,
    })
}

/// A sentence for each fault.
#[must_use]
pub fn sentences(file: &str, faults: &[Fault]) -> Words {
    let all = |get: fn(&Words) -> &String| {
        let lines = faults.iter().map(|fault| format!("{file}:{}: {}", fault.line, get(&fault.why)));
        lines.collect::<Vec<_>>().join("\n")
    };
    Words { en: all(|words| &words.en), zh: all(|words| &words.zh) }
}
