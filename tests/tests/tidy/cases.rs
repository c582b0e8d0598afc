//! Names of tests carry the case that they show: `enr_01_token_used_twice`. A name that begins like one must be one.

use super::code::{Function, blanked, functions};
use super::tree::{Tree, can_complain, holds};

/// Families of cases, as they stand at the front of a test's name.
const FAMILIES: &[&str] = &["enr", "tls", "qui", "cod", "pty", "loc", "aud", "aut", "dos", "flt", "web", "chk", "r"];

fn cases(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in tree.rust() {
        let tests = functions(&blanked(&file.text)).into_iter().filter(|function| function.is_test);
        let wrong = tests.filter(|test| begins_like_a_case(&test.name) && parse(&test.name).is_none());
        let complain = |test: Function| format!("{}:{}: {} names no case", file.path, test.line, test.name);
        complaints.extend(wrong.map(complain));
    }
    complaints
}

/// The family and number of a case, if the whole front of the name is one: `flt_03_words_that_say_what`.
fn parse(name: &str) -> Option<(&str, u8)> {
    let mut parts = name.splitn(3, '_');
    let (family, number, words) = (parts.next()?, parts.next()?, parts.next()?);
    let valid = FAMILIES.contains(&family) && number.len() == 2 && !words.is_empty();
    valid.then(|| number.parse().ok().filter(|number| *number > 0)).flatten().map(|number| (family, number))
}

fn begins_like_a_case(name: &str) -> bool {
    let Some((family, rest)) = name.split_once('_') else { return false };
    let family = family.trim_end_matches(|c: char| c.is_ascii_digit());
    FAMILIES.contains(&family)
        && (rest.starts_with(|c: char| c.is_ascii_digit()) || family.len() < name.find('_').unwrap_or(0))
}

#[test]
fn case_ids_in_test_names_parse() {
    holds(&cases(&Tree::of_repository()));
}

#[test]
fn case_ids_can_be_complained_about() {
    let bad = [
        ("a.rs", "#[test]\nfn enr_1_token() {}"),
        ("b.rs", "#[test]\nfn flt_03() {}"),
        ("c.rs", "#[test]\nfn r01_stolen() {}"),
        ("d.rs", "#[test]\nfn aud_00_nothing() {}"),
    ];
    can_complain(cases, &bad, ("e.rs", "#[test]\nfn r_20_last() {}\n#[test]\nfn enr_dry_run() {}\nfn flt_1_x() {}"));
    assert_eq!(parse("pty_07_hang_up"), Some(("pty", 7)));
}
