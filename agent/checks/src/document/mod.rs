//! Documents of YAML, JSON and TOML files: maps, lists and scalars, each with the line that it stands on.
//!
//! What is read is hostile: depth, size and what aliases expand to are bounded, and junk is a sentence with its line. It
//! must never give a scalar a type: `5`, `5s`, `"5"` and `yes` mean what the system says whose file it is.

mod build;
mod toml;
mod yaml;

use crate::found::Gap;
use crate::host::Host;
use crate::lb::Place;
use cloud_doctor_proto::finding::Words;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Maps and lists within each other (CHK-02).
pub(crate) const DEPTH_MAX: usize = 64;
/// Maps, lists and scalars of one file, with what aliases expand to (CHK-02).
pub(crate) const NODES_MAX: usize = 200_000;

/// What stands in one file.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    /// In order; empty ones are left out. TOML and JSON have one.
    pub(crate) all: Vec<Node>,
    /// Why there is no more: what follows was not read.
    pub(crate) broken: Option<Broken>,
}

/// Where reading ended, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) line: u32,
    /// A sentence that names the line.
    pub(crate) why: Words,
}

/// A value, and the line where it begins. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) line: u32,
    pub(crate) value: Arc<Value>,
}

/// What a node is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// In the order of the file, repeated keys included; what a merge key (`<<`) brings comes first.
    Map(Vec<Entry>),
    List(Vec<Node>),
    /// `quoted`: it is text for sure, not a number, a truth value or nothing.
    Scalar {
        text: String,
        quoted: bool,
    },
}

/// One key of a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    /// The key's line.
    pub(crate) line: u32,
    /// Whether a merge key brought it.
    pub(crate) merged: bool,
    pub(crate) node: Node,
}

/// Reads `text`: TOML when the path ends so, else YAML, of which JSON is a part.
pub(crate) fn read(path: &str, text: &str) -> Documents {
    if path.ends_with(".toml") { toml::read(text) } else { yaml::read(text) }
}

/// Reads a file of the host.
///
/// # Errors
/// As [`Host::read`].
pub(crate) fn open(host: &Host, path: &str) -> Result<Documents, Gap> {
    Ok(read(path, &host.read(path)?))
}

impl Node {
    /// The value of `key`; of several the last one. A null is nothing.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.find(|one| one == key).map(|entry| &entry.node)
    }

    /// The last entry whose key fits and whose value is not null.
    pub(crate) fn find(&self, fits: impl Fn(&str) -> bool) -> Option<&Entry> {
        self.entries().iter().rev().find(|entry| fits(&entry.key)).filter(|entry| !entry.node.is_null())
    }

    /// The value below several keys.
    pub(crate) fn at(&self, keys: &[&str]) -> Option<&Node> {
        keys.iter().try_fold(self, |node, key| node.get(key))
    }

    /// A map's entries; none of anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &*self.value {
            Value::Map(entries) => entries,
            Value::List(_) | Value::Scalar { .. } => &[],
        }
    }

    /// A list's items; none of anything else.
    pub(crate) fn items(&self) -> &[Node] {
        match &*self.value {
            Value::List(items) => items,
            Value::Map(_) | Value::Scalar { .. } => &[],
        }
    }

    /// A scalar's text.
    pub(crate) fn text(&self) -> Option<&str> {
        match &*self.value {
            Value::Scalar { text, .. } => Some(text),
            Value::Map(_) | Value::List(_) => None,
        }
    }

    /// Whether it is YAML's or JSON's null.
    pub(crate) fn is_null(&self) -> bool {
        match &*self.value {
            Value::Scalar { text, quoted: false } => matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"),
            Value::Scalar { .. } | Value::Map(_) | Value::List(_) => false,
        }
    }

    /// Whether it is a scalar that is text for sure.
    pub(crate) fn is_quoted(&self) -> bool {
        matches!(&*self.value, Value::Scalar { quoted: true, .. })
    }

    /// A truth value, of YAML 1.1 also.
    pub(crate) fn flag(&self) -> Option<bool> {
        let text = self.text()?;
        if ["true", "yes", "on"].iter().any(|word| text.eq_ignore_ascii_case(word)) {
            Some(true)
        } else if ["false", "no", "off"].iter().any(|word| text.eq_ignore_ascii_case(word)) {
            Some(false)
        } else {
            None
        }
    }

    /// The first key that stands twice in one map, anywhere below. Some systems refuse such a file, others take the last.
    pub(crate) fn repeated(&self) -> Option<&Entry> {
        let mut seen = BTreeSet::new();
        let own = self.entries().iter().filter(|entry| !entry.merged).find(|entry| !seen.insert(&entry.key));
        own.or_else(|| self.entries().iter().find_map(|entry| entry.node.repeated()))
            .or_else(|| self.items().iter().find_map(Node::repeated))
    }
}

/// Longest value that is shown.
const SHOWN_CHARS_MAX: usize = 120;

impl Entry {
    /// Where it stands. The text is made of the key and a scalar's value alone: a whole line of JSON, or a list in
    /// brackets, may hold anybody's secrets.
    pub(crate) fn place(&self, file: &str) -> Place {
        let value: String = self.node.text().unwrap_or_default().chars().take(SHOWN_CHARS_MAX).collect();
        let key: String = self.key.chars().take(SHOWN_CHARS_MAX).collect();
        Place { file: file.to_owned(), line: self.line, text: format!("{key}: {value}").trim_end().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The value below keys, and its line.
    fn found<'a>(documents: &'a Documents, index: usize, keys: &[&str]) -> (Option<&'a str>, u32) {
        let node = documents.all.get(index).and_then(|node| node.at(keys));
        (node.and_then(Node::text), node.map_or(0, |node| node.line))
    }

    #[test]
    fn chk_04_values_are_found_with_their_lines() {
        let nested = "a:\n  # why\n  b: 5s # unit\n  'c d': \"x\"\n";
        let anchors = "x: &x\n  t: 1\n  u: 2\na:\n  <<: *x\n  t: 3\nb: *x\n";
        for (name, path, text, index, keys, value, line) in [
            ("block", "a.yml", nested, 0, &["a", "b"][..], Some("5s"), 3),
            ("quoted key", "a.yml", nested, 0, &["a", "c d"], Some("x"), 4),
            ("missing", "a.yml", nested, 0, &["a", "z"], None, 0),
            ("carriage returns", "a.yml", "a:\r\n  b: 1\r\n", 0, &["a", "b"], Some("1"), 2),
            ("flow", "a.yml", "a: {b: 1,\n c: [x]}\n", 0, &["a", "b"], Some("1"), 1),
            ("the last of two", "a.yml", "a: 1\na: 2\n", 0, &["a"], Some("2"), 2),
            ("null is nothing", "a.yml", "a: 1\na: ~\n", 0, &["a"], None, 0),
            ("quoted null is text", "a.yml", "a: '~'\n", 0, &["a"], Some("~"), 1),
            ("second document", "a.yml", "a: 1\n---\n# only a comment\n---\na: 2\n", 1, &["a"], Some("2"), 5),
            ("merge", "a.yml", anchors, 0, &["a", "u"], Some("2"), 3),
            ("own beats merged", "a.yml", anchors, 0, &["a", "t"], Some("3"), 6),
            (
                "merge of a list, first wins",
                "a.yml",
                "x: &x {t: 1}\ny: &y {t: 2, u: 3}\na: {<<: [*x, *y]}\n",
                0,
                &["a", "t"],
                Some("1"),
                1,
            ),
            ("quoted << is a key", "a.yml", "a: {'<<': 1}\n", 0, &["a", "<<"], Some("1"), 1),
            ("alias", "a.yml", anchors, 0, &["b", "t"], Some("1"), 2),
            ("alias of a scalar has its own line", "a.yml", "a: &a 1\nb: *a\n", 0, &["b"], Some("1"), 2),
            ("block text", "a.yml", "a: |\n  x\n  y\nb: 1\n", 0, &["a"], Some("x\ny\n"), 2),
            ("json", "a.json", "{\n\t\"a\": {\"b\": -1.5e3, \"c\": null}\n}\n", 0, &["a", "b"], Some("-1.5e3"), 2),
            ("json of one line", "a.json", r#"{"a":{"b":"\u003cx\/"}}"#, 0, &["a", "b"], Some("<x/"), 1),
            (
                "json outside the first plane",
                "a.json",
                r#"{"a":"\ud83d\ude00 \\ud83d"}"#,
                0,
                &["a"],
                Some("😀 \\ud83d"),
                1,
            ),
            ("json with half a pair", "a.json", r#"{"a":"x\uD83Dy"}"#, 0, &["a"], Some("x\u{fffd}y"), 1),
            ("toml", "a.toml", "[a]\n# why\nb = 0x10\n", 0, &["a", "b"], Some("16"), 3),
            ("toml dotted", "a.toml", "[a.b]\nc.d = \"5s\"\n", 0, &["a", "b", "c", "d"], Some("5s"), 2),
            ("toml inline", "a.toml", "a = {b = true}\n", 0, &["a", "b"], Some("true"), 1),
        ] {
            assert_eq!(found(&read(path, text), index, keys), (value, line), "{name}");
        }
    }

    #[test]
    fn chk_02_what_is_too_deep_too_large_or_a_bomb_is_refused_with_a_sentence() {
        let bomb: String =
            (1..12).map(|i| format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 9].join(","))).collect();
        let chain: String = (1..80).map(|i| format!("a{i}: &a{i} [*a{}]\n", i - 1)).collect();
        for (name, path, text, part) in [
            ("brackets", "a.yml", "[".repeat(100), "line 1: more than 64"),
            ("a million brackets", "a.yml", "[".repeat(1_000_000), "line 1: recursion limit"),
            ("json", "a.json", r#"{"":["#.repeat(100_000), "line 1: recursion limit"),
            ("steps", "a.yml", (0..100).map(|i| format!("{}a:\n", " ".repeat(i))).collect(), "line 65: more than 64"),
            ("many", "a.yml", format!("[{}]", vec!["1"; 300_000].join(",")), "more than 200000"),
            ("many documents", "a.yml", "---\na: 1\n".repeat(100_000), "more than 200000"),
            ("bomb", "a.yml", format!("a0: &a0 [1,1,1]\n{bomb}"), "aliases expand to more than 200000"),
            ("steps of aliases", "a.yml", format!("a0: &a0 [1]\n{chain}"), "more than 64"),
            ("itself", "a.yml", "a: &a [1, *a]\n".into(), "line 1: an alias stands inside of what it names"),
            ("toml brackets", "a.toml", format!("a={}", "[".repeat(1_000_000)), "line 1"),
            ("toml dots", "a.toml", format!("a{} = 1", ".a".repeat(70)), "line 1: more than 64"),
            ("toml many", "a.toml", (0..300_000).map(|i| format!("k{i}=1\n")).collect(), "more than 200000"),
        ] {
            let broken = read(path, &text).broken.unwrap_or_else(|| panic!("{name} was read"));
            assert!(broken.why.en.contains(part), "{name}: {}", broken.why.en);
        }
    }

    #[test]
    fn chk_04_junk_is_a_sentence_with_its_line_and_what_came_before_stays() {
        for (name, path, text, documents, part) in [
            ("tab", "a.yml", "a:\n\t- b\n", 0, "line 2"),
            ("template", "a.yml", "a: 1\n---\nb: %{x}\n", 1, "line 3"),
            ("open bracket", "a.yml", "a: [b\n", 0, "line"),
            ("open quote", "a.yml", "a: 1\nb: 'c\n", 0, "line 2"),
            ("unknown anchor", "a.yml", "a: *b\n", 0, "line 1"),
            ("wrong indent", "a.yml", "a: 1\n b: 2\n", 0, "line 2"),
            ("after json", "a.json", "{\"a\": 1}\ngarbage: [", 1, "line 2"),
            ("toml", "a.toml", "a = 1\nb = \n", 0, "line 2"),
            ("toml twice", "a.toml", "a = 1\na = 2\n", 0, "line 2"),
        ] {
            let read = read(path, text);
            assert_eq!(read.all.len(), documents, "{name}");
            let broken = read.broken.unwrap_or_else(|| panic!("{name} was read"));
            assert!(broken.why.en.contains(part), "{name}: {}", broken.why.en);
        }
        for text in ["", "# nothing\n", "---\n", "---\n---\n", "~\n"] {
            assert!(read("a.yml", text).all.is_empty(), "{text:?}");
        }
    }

    #[test]
    fn chk_01_no_bytes_end_the_program() {
        let seeds = [
            "a: &x [1, {b: *x}]\n<<: *x\n? - k\n: |-\n  t\n--- !t 'q'\n",
            "{\"a\\u00e9\": [1, null]}",
            "[a.b]\nc = \"\"\"x\"\"\"\n",
        ];
        for seed in seeds {
            for cut in (0..seed.len()).filter(|cut| seed.is_char_boundary(*cut)) {
                for insert in ["{", "]", "- ", "\t", "\"", "\\ud83d", "&a", "*", "---\n", "<<", "\u{85}", "=", "#", "é"]
                {
                    let text = format!("{}{insert}{}", &seed[..cut], &seed[cut..]);
                    for path in ["a.yml", "a.toml"] {
                        for node in read(path, &text).all {
                            node.repeated();
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn keys_that_stand_twice_are_named() {
        for (text, expected) in [
            ("a: 1\nb: {c: 1, d: 2, c: 3}\n", Some("c")),
            ("- a: 1\n- a: 1\n", None),
            ("x: &x {a: 1}\ny: {<<: *x, a: 2}\n", None),
            ("- a: 1\n  a: 1\n", Some("a")),
        ] {
            let read = read("a.yml", text);
            assert_eq!(read.all[0].repeated().map(|entry| entry.key.as_str()), expected, "{text}");
        }
    }

    #[test]
    fn a_place_shows_its_own_key_and_nothing_beside_it() {
        let read = read("a.json", r#"{"token":"hunter2","interval":"5s","list":[1]}"#);
        let entries = read.all[0].entries();
        let place = entries[1].place("/etc/a.json");
        assert_eq!((place.source().as_str(), place.text.as_str()), ("/etc/a.json:1", "interval: 5s"));
        assert_eq!(entries[2].place("f").text, "list:");
    }
}
