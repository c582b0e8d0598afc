//! What checks there are: a line for each, one in full, and all for programs.

use super::Style;
use super::wrap::wrap;
use crate::check::{Check, Group};
use crate::words;
use serde::Serialize;
use std::fmt::Write as _;

/// All checks, by group.
#[must_use]
pub fn list(style: Style) -> String {
    let widest = crate::all().map(|check| check.id.len()).max().unwrap_or(0);
    let mut out = String::new();
    for group in Group::ALL {
        let mut checks = crate::all().filter(|check| check.group() == *group).peekable();
        if checks.peek().is_none() {
            continue;
        }
        writeln!(out, "{}", group.title().get(style.language)).ok();
        for check in checks {
            writeln!(out, "  {:widest$}  {}", check.id, check.title.get(style.language)).ok();
        }
        out.push('\n');
    }
    out
}

/// One check in full.
#[must_use]
pub fn explain(check: &Check, style: Style) -> String {
    let language = style.language;
    let mut out = format!("{}  {}\n", check.id, check.title.get(language));
    let mut section = |name: crate::check::Text, lines: Vec<String>| {
        writeln!(out, "\n{}", name.get(language)).ok();
        for line in lines.iter().flat_map(|line| wrap(line, style.width.saturating_sub(2).max(20))) {
            writeln!(out, "  {line}").ok();
        }
    };
    let text = |en, zh| crate::check::Text { en, zh };
    section(text("What it reads", "读取内容"), check.reads.iter().map(|read| (*read).to_owned()).collect());
    let mut needs = Vec::new();
    if check.needs.live {
        needs.push(words!("A running host, not a copied root.", "需要运行中的主机，而非复制的根目录。"));
    }
    if check.needs.root {
        needs.push(words!("Root sees more than other users.", "以 root 运行可看到更多内容。"));
    }
    if check.needs.net {
        needs.push(words!("It asks sockets of this host.", "会访问本机的套接字。"));
    }
    if !needs.is_empty() {
        section(text("What it needs", "运行条件"), needs.iter().map(|need| need.get(language).to_owned()).collect());
    }
    let params = check.params.iter().map(|param| {
        let id = check.id;
        let (name, fires, clears, unit, source) = (param.name, param.fires, param.clears, param.unit, param.source);
        let told = if fires.to_bits() == clears.to_bits() {
            words!("{id}.{name} = {fires} {unit} ({source})", "{id}.{name} = {fires} {unit}({source})")
        } else {
            words!(
                "{id}.{name} = {fires} {unit}, over again at {clears} {unit} ({source})",
                "{id}.{name} = {fires} {unit}，恢复阈值 {clears} {unit}（{source}）"
            )
        };
        told.get(language).to_owned()
    });
    if !check.params.is_empty() {
        section(text("Its numbers, set with --set", "参数（用 --set 设置）"), params.collect());
    }
    section(text("What it costs", "影响"), vec![check.impact.get(language).to_owned()]);
    section(text("What to do", "处理建议"), vec![check.remedy.get(language).to_owned()]);
    out
}

#[derive(Serialize)]
struct One {
    id: &'static str,
    group: &'static str,
    title: Both,
    reads: &'static [&'static str],
    needs_live: bool,
    needs_root: bool,
    needs_network: bool,
    params: Vec<Number>,
    impact: Both,
    remedy: Both,
}

#[derive(Serialize)]
struct Both {
    en: &'static str,
    zh: &'static str,
}

#[derive(Serialize)]
struct Number {
    name: &'static str,
    fires: f64,
    clears: f64,
    below: bool,
    unit: &'static str,
    source: &'static str,
}

/// All checks, as one JSON array.
///
/// # Errors
/// None are expected.
pub fn list_json() -> serde_json::Result<String> {
    let both = |text: crate::check::Text| Both { en: text.en, zh: text.zh };
    let one = |check: &'static Check| One {
        id: check.id,
        group: check.group().name(),
        title: both(check.title),
        reads: check.reads,
        needs_live: check.needs.live,
        needs_root: check.needs.root,
        needs_network: check.needs.net,
        params: check
            .params
            .iter()
            .map(|param| Number {
                name: param.name,
                fires: param.fires,
                clears: param.clears,
                below: param.below,
                unit: param.unit,
                source: param.source,
            })
            .collect(),
        impact: both(check.impact),
        remedy: both(check.remedy),
    };
    serde_json::to_string(&crate::all().map(one).collect::<Vec<_>>())
}
