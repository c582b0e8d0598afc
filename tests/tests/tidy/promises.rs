//! README's table of promises: each row names tests that exist, or says "not yet".

use super::code::{blanked, functions};
use super::tree::{Tree, can_complain, holds};
use std::collections::BTreeSet;

/// The heading of the table's first column. Rows follow until the table ends.
const HEADING: &str = "| promise |";
/// What stands in a row that nothing holds.
const NOT_YET: &str = "not yet";

fn promises(tree: &Tree) -> Vec<String> {
    let Some(readme) = tree.file("README.md") else { return Vec::new() };
    let rows = rows(&readme.text);
    if rows.is_empty() {
        return vec![format!("README.md: has no table of promises that begins with {HEADING:?}")];
    }
    let tests = tests(tree);
    rows.iter().flat_map(|row| broken_row(row, &tests)).collect()
}

/// The rows below the heading, each as promise and tests.
fn rows(readme: &str) -> Vec<(String, String)> {
    let table = readme.lines().skip_while(|line| !line.starts_with(HEADING)).skip(2);
    let rows = table.take_while(|line| line.starts_with('|'));
    let cells = rows.map(|row| row.trim_matches('|').split('|').map(str::trim).map(str::to_owned).collect::<Vec<_>>());
    cells.map(|mut cells| (cells.remove(0), cells.pop().unwrap_or_default())).collect()
}

fn broken_row((promise, held_by): &(String, String), tests: &BTreeSet<String>) -> Vec<String> {
    let named: Vec<&str> = held_by.split('`').skip(1).step_by(2).map(last_part).collect();
    if named.is_empty() && !held_by.to_lowercase().contains(NOT_YET) {
        return vec![format!("README.md: {promise:?} names no test in backticks and does not say {NOT_YET:?}")];
    }
    let missing = named.into_iter().filter(|name| !tests.contains(*name));
    missing.map(|name| format!("README.md: {promise:?} names the test {name}, which does not exist")).collect()
}

/// `e2e::evil::r_01_stolen` names the function `r_01_stolen`.
fn last_part(path: &str) -> &str {
    path.rsplit("::").next().unwrap_or(path)
}

fn tests(tree: &Tree) -> BTreeSet<String> {
    let all = tree.rust().flat_map(|file| functions(&blanked(&file.text)));
    all.filter(|function| function.is_test).map(|function| function.name).collect()
}

#[test]
fn promises_name_tests_that_exist() {
    let tree = Tree::of_repository();
    let tests = tests(&tree);
    assert!(tests.contains("promises_name_tests_that_exist"), "the search for tests finds not even this one");
    holds(&promises(&tree));
}

#[test]
fn promises_can_complain() {
    let readme = |rows: &str| format!("# House\n\n| promise | tests |\n|---|---|\n{rows}\nAfter it.\n");
    let nowhere = readme("| It holds | `no_such_test` |");
    let silent = readme("| It holds | surely |");
    let unheld = readme("| It holds | not yet |");
    let bad = [("README.md", nowhere.as_str()), ("README.md", silent.as_str()), ("README.md", "# House\n")];
    can_complain(promises, &bad, ("README.md", &unheld));
    let held = readme("| It holds | `e2e::it_holds` |");
    let with_test = [("README.md", held.as_str()), ("tests/tests/e2e.rs", "#[tokio::test]\nasync fn it_holds() {}\n")];
    holds(&promises(&Tree::made_up(&with_test)));
}
