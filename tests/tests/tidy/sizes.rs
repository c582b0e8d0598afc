//! Sizes that a reader can hold in the head, and a first line that says what the file is for.

use super::code::{blanked, functions};
use super::tree::{Tree, can_complain, holds};

/// Lines of a function, from its name to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;
/// Lines of a file.
const FILE_LINES_MAX: usize = 800;
/// Lines from which on a file is named as one to split.
const FILE_LINES_GOOD: usize = 400;

fn long_functions(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in tree.rust() {
        for function in functions(&blanked(&file.text)) {
            if function.lines > FUNCTION_LINES_MAX {
                let (name, line, lines) = (&function.name, function.line, function.lines);
                complaints.push(format!("{}:{line}: {name} has {lines} lines, more than 70", file.path));
            }
        }
    }
    complaints
}

fn long_files(tree: &Tree) -> Vec<String> {
    let long = tree.rust().map(|file| (file, file.text.lines().count())).filter(|(_, lines)| *lines > FILE_LINES_MAX);
    long.map(|(file, lines)| format!("{}: {lines} lines, more than 800", file.path)).collect()
}

/// Every Rust file says first what it is for and what it must never do.
fn silent_files(tree: &Tree) -> Vec<String> {
    let silent = tree.rust().filter(|file| {
        let mut lines = file.text.lines().map(str::trim);
        !lines.find(|line| !line.is_empty() && !line.starts_with("#!")).is_some_and(|line| line.starts_with("//!"))
    });
    silent.map(|file| format!("{}: begins without //! docs", file.path)).collect()
}

#[test]
fn functions_and_files_are_short() {
    let tree = Tree::of_repository();
    for file in tree.rust().filter(|file| file.text.lines().count() > FILE_LINES_GOOD) {
        eprintln!("to split one day: {} has {} lines", file.path, file.text.lines().count());
    }
    holds(&[long_functions(&tree), long_files(&tree)].concat());
}

#[test]
fn sizes_can_complain() {
    let long = format!("fn f() {{\n{}}}\n", "    g();\n".repeat(69));
    let short = format!("fn f() {{\n{}}}\n", "    g();\n".repeat(68));
    can_complain(long_functions, &[("a.rs", &long)], ("b.rs", &short));
    can_complain(long_files, &[("a.rs", &"\n".repeat(801))], ("b.rs", &"\n".repeat(800)));
}

#[test]
fn files_say_what_they_are_for() {
    holds(&silent_files(&Tree::of_repository()));
}

#[test]
fn silence_can_be_complained_about() {
    let bad = [("a.rs", "use std::fs;\n//! Late."), ("b.rs", ""), ("c.rs", "// Not docs.\n")];
    can_complain(silent_files, &bad, ("d.rs", "#![no_main]\n//! For this.\n"));
}
