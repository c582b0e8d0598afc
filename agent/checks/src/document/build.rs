//! Builds documents from what a parser says one after another, within bounds and without recursion.

use super::{Broken, DEPTH_MAX, Documents, Entry, NODES_MAX, Node, Value};
use crate::words;
use cloud_doctor_proto::finding::Words;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Documents in the making.
#[derive(Debug, Default)]
pub(super) struct Builder {
    done: Vec<Node>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Anchored>,
    nodes: usize,
}

/// A map or list that has not ended yet.
#[derive(Debug)]
struct Open {
    line: u32,
    /// 0: none.
    anchor: usize,
    /// How many nodes there were before it.
    nodes_before: usize,
    /// Levels below it so far.
    levels: usize,
    part: Part,
}

#[derive(Debug)]
enum Part {
    Map { entries: Vec<Entry>, merges: Vec<Node>, key: Option<Key> },
    List(Vec<Node>),
}

#[derive(Debug)]
struct Key {
    text: String,
    line: u32,
    quoted: bool,
}

/// What an alias may name.
#[derive(Debug)]
struct Anchored {
    node: Node,
    nodes: usize,
    levels: usize,
}

impl Builder {
    pub(super) fn scalar(&mut self, line: u32, text: String, quoted: bool, anchor: usize) -> Result<(), Broken> {
        self.count(line, 1)?;
        let node = Node { line, value: Arc::new(Value::Scalar { text, quoted }) };
        self.finish(node, anchor, 1, 0);
        Ok(())
    }

    pub(super) fn open_map(&mut self, line: u32, anchor: usize) -> Result<(), Broken> {
        self.open(line, anchor, Part::Map { entries: Vec::new(), merges: Vec::new(), key: None })
    }

    pub(super) fn open_list(&mut self, line: u32, anchor: usize) -> Result<(), Broken> {
        self.open(line, anchor, Part::List(Vec::new()))
    }

    fn open(&mut self, line: u32, anchor: usize, part: Part) -> Result<(), Broken> {
        let nodes_before = self.nodes;
        self.count(line, 1)?;
        self.open.push(Open { line, anchor, nodes_before, levels: 0, part });
        self.fits(line, 0)
    }

    /// Ends what was opened last.
    pub(super) fn close(&mut self) {
        let Some(open) = self.open.pop() else { return };
        let value = match open.part {
            Part::Map { entries, merges, .. } => Value::Map(merged(entries, &merges)),
            Part::List(items) => Value::List(items),
        };
        let node = Node { line: open.line, value: Arc::new(value) };
        self.finish(node, open.anchor, self.nodes - open.nodes_before, open.levels + 1);
    }

    pub(super) fn alias(&mut self, line: u32, anchor: usize) -> Result<(), Broken> {
        let Some(Anchored { node, nodes, levels }) = self.anchors.get(&anchor) else {
            return Err(broken(line, &words!("an alias stands inside of what it names", "别名出现在其所指内容之内")));
        };
        let (node, nodes, levels) = (Node { line, value: Arc::clone(&node.value) }, *nodes, *levels);
        self.fits(line, levels)?;
        if self.nodes.saturating_add(nodes) > NODES_MAX {
            let why = words!(
                "aliases expand to more than {NODES_MAX} values; not read further",
                "别名展开后超过 {NODES_MAX} 个值，未继续读取"
            );
            return Err(broken(line, &why));
        }
        self.nodes += nodes;
        self.finish(node, 0, nodes, levels);
        Ok(())
    }

    /// Puts a node where it belongs.
    fn finish(&mut self, node: Node, anchor: usize, nodes: usize, levels: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, Anchored { node: node.clone(), nodes, levels });
        }
        let Some(open) = self.open.last_mut() else {
            if !node.is_null() {
                self.done.push(node);
            }
            return;
        };
        open.levels = open.levels.max(levels);
        match &mut open.part {
            Part::List(items) => items.push(node),
            Part::Map { entries, merges, key } => match key.take() {
                None => *key = Some(Key::of(&node)),
                Some(key) if key.is_merge() && node.text().is_none() => merges.push(node),
                Some(Key { text, line, .. }) => entries.push(Entry { key: text, line, merged: false, node }),
            },
        }
    }

    fn count(&mut self, line: u32, nodes: usize) -> Result<(), Broken> {
        self.nodes += nodes;
        if self.nodes > NODES_MAX {
            let why = words!("more than {NODES_MAX} values; not read further", "超过 {NODES_MAX} 个值，未继续读取");
            return Err(broken(line, &why));
        }
        Ok(())
    }

    fn fits(&self, line: u32, levels: usize) -> Result<(), Broken> {
        if self.open.len() + levels > DEPTH_MAX {
            let why = words!(
                "more than {DEPTH_MAX} maps and lists within each other; not read further",
                "映射与列表嵌套超过 {DEPTH_MAX} 层，未继续读取"
            );
            return Err(broken(line, &why));
        }
        Ok(())
    }

    /// What was read until the end, or until `broken`.
    pub(super) fn end(self, broken: Option<Broken>) -> Documents {
        Documents { all: self.done, broken }
    }
}

impl Key {
    /// A map or a list as a key is nothing that anybody here asks for.
    fn of(node: &Node) -> Self {
        match &*node.value {
            Value::Scalar { text, quoted } => Self { text: text.clone(), line: node.line, quoted: *quoted },
            Value::Map(_) | Value::List(_) => Self { text: "?".into(), line: node.line, quoted: true },
        }
    }

    fn is_merge(&self) -> bool {
        self.text == "<<" && !self.quoted
    }
}

/// A map's own entries, after those that merge keys bring and that it has not itself; of several the first.
fn merged(entries: Vec<Entry>, merges: &[Node]) -> Vec<Entry> {
    if merges.is_empty() {
        return entries;
    }
    let own: BTreeSet<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
    let mut brought = BTreeMap::new();
    for source in merges.iter().flat_map(|merge| std::iter::once(merge).chain(merge.items())) {
        // Within one source the last of two keys counts, as everywhere.
        let this: BTreeMap<&str, &Entry> = source.entries().iter().map(|entry| (entry.key.as_str(), entry)).collect();
        for (key, entry) in this.into_iter().filter(|(key, _)| !own.contains(key)) {
            brought.entry(key.to_owned()).or_insert_with(|| Entry { merged: true, ..entry.clone() });
        }
    }
    brought.into_values().chain(entries).collect()
}

/// An end at a line.
pub(super) fn broken(line: u32, why: &Words) -> Broken {
    let Words { en, zh } = why;
    Broken { line, why: words!("line {line}: {en}", "第 {line} 行：{zh}") }
}

/// A parser's number of a line.
pub(super) fn line_number(line: usize) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX)
}
