//! Reads a map of a pack: every field by name, and every fault with its line, so that an author sees all of them at once.

use crate::document::Node;
use crate::words;
use cloud_doctor_proto::finding::Words;

/// What is wrong with a pack, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// From 1.
    pub line: u32,
    /// One sentence.
    pub why: Words,
}

/// All that is wrong so far. A file of junk is not told in full.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

/// Faults of one file that are told.
const FAULTS_MAX: usize = 50;

impl Faults {
    pub(super) fn add(&mut self, line: u32, why: Words) {
        if self.0.len() < FAULTS_MAX {
            self.0.push(Fault { line, why });
        }
    }

    /// What is wrong, by line; nothing when all is well.
    pub(super) fn end(mut self) -> Result<(), Vec<Fault>> {
        self.0.sort_by_key(|fault| fault.line);
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }
}

/// A map with known fields.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    pub(super) node: &'a Node,
}

impl<'a> Fields<'a> {
    /// `node` as a map that has no other fields than `allowed`.
    pub(super) fn of(node: &'a Node, what: &str, allowed: &[&str], faults: &mut Faults) -> Self {
        if node.entries().is_empty() {
            let list = allowed.join(", ");
            faults.add(node.line, words!("{what} must be a map with: {list}", "此处必须是映射，字段为：{list}"));
        }
        let mut seen = std::collections::BTreeSet::new();
        for entry in node.entries() {
            let key = shown(&entry.key);
            if !allowed.contains(&entry.key.as_str()) {
                let list = allowed.join(", ");
                faults.add(
                    entry.line,
                    words!(
                        "{what} has no field {key}; take it out, or use one of: {list}",
                        "此处没有字段 {key}，请删除，或改用：{list}"
                    ),
                );
            } else if !seen.insert(entry.key.as_str()) {
                faults.add(entry.line, words!("{key} stands here twice; keep one", "{key} 重复，请只保留一个"));
            }
        }
        Self { node }
    }

    pub(super) fn get(self, key: &str) -> Option<&'a Node> {
        self.node.get(key)
    }

    /// A field that must be there.
    pub(super) fn need(self, key: &str, faults: &mut Faults) -> Option<&'a Node> {
        let found = self.get(key);
        if found.is_none() && !self.node.entries().is_empty() {
            faults.add(self.node.line, words!("{key} is missing here; add it", "此处缺少 {key}，请补上"));
        }
        found
    }

    /// A text that must be there.
    pub(super) fn need_text(self, key: &str, faults: &mut Faults) -> Option<&'a str> {
        let node = self.need(key, faults)?;
        text(node, key, faults)
    }

    /// A text that may be there.
    pub(super) fn text(self, key: &str, faults: &mut Faults) -> Option<&'a str> {
        text(self.get(key)?, key, faults)
    }

    /// The line of a field, or of the map.
    pub(super) fn line(self, key: &str) -> u32 {
        self.node.find(|one| one == key).map_or(self.node.line, |entry| entry.line)
    }

    /// The items of a list that may be there.
    pub(super) fn list(self, key: &str, most: usize, faults: &mut Faults) -> &'a [Node] {
        let Some(node) = self.get(key) else { return &[] };
        let items = node.items();
        if items.is_empty() && (node.text().is_some() || !node.entries().is_empty()) {
            faults.add(node.line, words!("{key} must be a list", "{key} 必须是列表"));
        }
        if items.len() > most {
            let count = items.len();
            faults.add(
                node.line,
                words!("{key} has {count} items, {most} at most are taken", "{key} 有 {count} 项，最多 {most} 项"),
            );
        }
        items.get(..most).unwrap_or(items)
    }
}

/// A scalar's text.
pub(super) fn text<'a>(node: &'a Node, key: &str, faults: &mut Faults) -> Option<&'a str> {
    let found = node.text();
    if found.is_none() {
        faults.add(node.line, words!("{key} must be a text", "{key} 必须是文本"));
    }
    found
}

/// A text of the file in a sentence.
pub(super) fn shown(text: &str) -> String {
    cloud_doctor_proto::refusal::one_line(text, 80)
}

/// A text in both languages: English alone, or `{ en: …, zh: … }`; without Chinese the English stands for it.
pub(super) fn told(node: &Node, key: &str, faults: &mut Faults) -> Words {
    if let Some(text) = node.text() {
        return Words::same(text);
    }
    let fields = Fields::of(node, key, &["en", "zh"], faults);
    let en = fields.need_text("en", faults).unwrap_or_default();
    let zh = fields.text("zh", faults).unwrap_or(en);
    Words { en: en.to_owned(), zh: zh.to_owned() }
}
