//! Words that must not stand in the repository: promises to oneself, names that say nothing, places of one machine.

use super::code::blanked;
use super::tree::{Tree, can_complain, holds};

/// Each word in two halves, so that this list does not complain about itself.
const PROMISES_TO_ONESELF: &[(&str, &str)] = &[
    ("TO", "DO"),
    ("FIX", "ME"),
    ("XX", "X"),
    ("unimple", "mented!"),
    ("to", "do!"),
    ("for ", "now"),
    ("For ", "now"),
];

/// Folders of a machine on which somebody worked.
const PLACES: &[(&str, &str)] = &[("/wo", "rk/"), ("/root/", ".cargo"), ("/ho", "me/user")];

/// Chinese marks where something to be copied or typed has its own: an address, a key, a line of a configuration. Chinese has
/// no space behind a mark.
const COPIED: &[&str] = &["\u{ff1a}//", "~\u{ff1f}", "\u{ff0c} ", "\u{ff1a} ", "\u{ff1b} ", "\u{ff1f} "];

/// Names that say nothing about what a module holds.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc"];

fn forbidden_words(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in tree.files.iter().filter(|file| !["Cargo.lock", "LICENSE"].contains(&file.path.as_str())) {
        for (number, line) in file.text.lines().enumerate() {
            for word in PROMISES_TO_ONESELF.iter().chain(PLACES).map(|(a, b)| format!("{a}{b}")) {
                if stands_in(line, &word) {
                    complaints.push(format!("{}:{}: says {word:?}: {}", file.path, number + 1, line.trim()));
                }
            }
        }
    }
    complaints
}

/// As words of their own: not the beginning of a longer one.
fn stands_in(line: &str, word: &str) -> bool {
    let letter = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        let longer_before = word.starts_with(letter) && before.ends_with(letter);
        let longer_after = word.ends_with(letter) && after.starts_with(letter);
        !longer_before && !longer_after
    })
}

fn marks_in_copied_text(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in &tree.files {
        for (number, line) in file.text.lines().enumerate() {
            if COPIED.iter().any(|mark| line.contains(mark)) {
                complaints.push(format!(
                    "{}:{}: a Chinese mark in what is copied: {}",
                    file.path,
                    number + 1,
                    line.trim()
                ));
            }
        }
    }
    complaints
}

fn ignored_tests(tree: &Tree) -> Vec<String> {
    let ignored = tree.rust().filter(|file| blanked(&file.text).contains("#[ignore"));
    ignored.map(|file| format!("{}: ignores a test; assert what is wrong today, with a note", file.path)).collect()
}

fn empty_names(tree: &Tree) -> Vec<String> {
    let parts = |path: &str| path.trim_end_matches(".rs").split('/').any(|part| EMPTY_NAMES.contains(&part));
    let named = tree.rust().filter(|file| parts(&file.path));
    named.map(|file| format!("{}: a module is named after what it holds", file.path)).collect()
}

#[test]
fn forbidden_words_stand_nowhere() {
    holds(&forbidden_words(&Tree::of_repository()));
}

#[test]
fn forbidden_words_can_complain() {
    let samples = PROMISES_TO_ONESELF.iter().chain(PLACES).map(|(a, b)| format!("// {a}{b} later"));
    let samples: Vec<_> = samples.collect();
    let bad: Vec<_> = samples.iter().map(|text| ("a.rs", text.as_str())).collect();
    can_complain(forbidden_words, &bad, ("b.md", "Nothing is left for nowhere; work/main is a folder."));
}

#[test]
fn what_is_copied_has_its_own_marks() {
    holds(&marks_in_copied_text(&Tree::of_repository()));
}

#[test]
fn marks_in_copied_text_can_be_complained_about() {
    let samples: Vec<_> = COPIED.iter().map(|mark| format!("quic{mark}x")).collect();
    let bad: Vec<_> = samples.iter().map(|text| ("a.rs", text.as_str())).collect();
    can_complain(marks_in_copied_text, &bad, ("b.rs", "\u{5982}\u{ff1a}quic://x\u{ff0c}~?"));
}

#[test]
fn tests_are_not_ignored_and_modules_have_names() {
    let tree = Tree::of_repository();
    holds(&[ignored_tests(&tree), empty_names(&tree)].concat());
}

#[test]
fn ignoring_and_empty_names_can_be_complained_about() {
    can_complain(ignored_tests, &[("a.rs", "#[test]\n#[ignore]\nfn a() {}")], ("b.rs", "// #[ignore]\n"));
    can_complain(
        empty_names,
        &[("agent/src/utils.rs", ""), ("relay/src/common/mod.rs", "")],
        ("agent/src/host.rs", ""),
    );
}
