//! Names of tests carry the case that they show: `enr_01_token_used_twice`. A name that begins like one must be one, and
//! each case of a relay with a console that is due has a test.

use super::code::{Function, blanked, functions};
use super::tree::{Tree, can_complain, holds};

/// Families of cases, as they stand at the front of a test's name.
const FAMILIES: &[&str] =
    &["enr", "tls", "qui", "cod", "pty", "loc", "aud", "aut", "dos", "flt", "web", "chk", "r", "h"];

/// Cases that a test must carry in its name: of the web, signing in, too much of everything, terminals, hardening.
const DUE: &[(&str, &[u8])] = &[
    ("web", &[1, 3, 4, 5, 6, 9, 10, 11, 12, 14, 15, 17, 18, 19]),
    ("aut", &[1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 14, 15, 16]),
    ("dos", &[1, 2, 3, 4, 6, 7, 8, 9, 10]),
    ("pty", &[1, 2, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14]),
    ("h", &[1, 2, 3, 4, 5, 7, 11, 12, 18, 19]),
];

/// Cases that are held by a test with another name.
const HELD: &[(&str, &str)] = &[
    ("h_06", "pty_01_pty_02_pty_05_pty_07_pty_08_pty_09_a_terminal_in_chromium_is_one"),
    ("h_09", "tls_02_weak_groups_and_tls_1_2_alone_get_an_alert_and_nothing_else"),
    ("h_10", "qui_01_at_the_limit_and_one_above"),
    ("h_13", "tunnel_unit_is_exposed_to_two_at_most"),
    ("h_14", "tunnel_unit_is_exposed_to_two_at_most"),
    ("h_15", "guard_unit_is_exposed_to_one_point_two_at_most"),
    ("h_16", "r_17_checks_run_in_a_unit_of_their_own_and_see_the_host"),
    ("h_17", "pty_11_a_shell_cannot_trace_its_own_holder"),
    ("h_20", "leaving_keeps_the_audit_and_the_ceiling_and_nothing_else"),
    ("h_21", "relay_unit_is_exposed_to_two_at_most"),
    ("h_22", "r_02_the_real_relays_keys_open_nothing"),
    ("h_23", "aut_03_set_up_happens_once_and_there_is_no_default_account"),
    ("h_24", "h_02_every_answer_has_its_headers_and_none_may_be_kept"),
    ("h_25", "an_error_or_a_canary_in_a_log_fails_a_test"),
    ("h_27", "metrics_count_what_happens_and_health_asks_the_database"),
];

/// Cases that no test can show yet, and why. Whoever builds what they are about moves them up.
const NOT_DUE: &[(&str, &str)] = &[
    ("web_08", "there are no recordings to look at"),
    ("web_13", "there are no recordings to link to"),
    ("web_16", "the relay calls no address that a customer names"),
    ("h_08", "there are no recordings to look at"),
    ("h_26", "how a log line is escaped is the library's, from the version on that Cargo.toml asks for"),
];

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

/// Every case at the front of a name, as `web_17`: `dos_03_web_17_whoever_drips` names two.
fn all_of(mut name: &str) -> Vec<String> {
    let mut all = Vec::new();
    while let Some((family, number)) = parse(name) {
        all.push(format!("{family}_{number:02}"));
        name = &name[family.len() + "_00_".len()..];
    }
    all
}

/// Names of all tests; titles of the console's, `WEB-10 …`, are names too.
fn names(tree: &Tree) -> Vec<String> {
    let rust = tree.rust().flat_map(|file| functions(&blanked(&file.text)));
    let mut names: Vec<String> = rust.filter(|function| function.is_test).map(|function| function.name).collect();
    for file in tree.files.iter().filter(|file| file.path.ends_with(".test.ts")) {
        let titled = file.text.lines().filter(|line| line.starts_with("test") || line.starts_with("describe"));
        let titles = titled.filter_map(|line| line.split('"').nth(1));
        names.extend(titles.map(|title| title.to_lowercase().replace(": ", "_").replace([' ', '-'], "_")));
    }
    names
}

fn undone(tree: &Tree) -> Vec<String> {
    let names = names(tree);
    let shown: Vec<String> = names.iter().flat_map(|name| all_of(name)).collect();
    let due =
        DUE.iter().flat_map(|(family, numbers)| numbers.iter().map(move |number| format!("{family}_{number:02}")));
    let mut complaints: Vec<String> =
        due.filter(|case| !shown.contains(case)).map(|case| format!("no test shows {case}")).collect();
    let gone = HELD.iter().filter(|(_, test)| !names.iter().any(|name| name == test));
    complaints.extend(gone.map(|(case, test)| format!("{case}: there is no test {test}")));
    let early = NOT_DUE.iter().filter(|(case, _)| shown.iter().any(|shown| shown == case));
    complaints.extend(early.map(|(case, why)| format!("{case} has a test: it is due, not {why:?}")));
    complaints
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
fn every_case_that_is_due_has_a_test() {
    holds(&undone(&Tree::of_repository()));
}

#[test]
fn cases_without_a_test_can_be_complained_about() {
    let complaints =
        |text: &str| undone(&Tree::made_up(&[("a.rs", text), ("b.test.ts", "test(\"WEB-10 x: y\", () => {")]));
    let (none, some) = (complaints(""), complaints("#[test]\nfn dos_03_web_17_drips() {}"));
    let says = |complaints: &[String], case: &str| complaints.contains(&format!("no test shows {case}"));
    assert!(says(&none, "dos_03") && says(&none, "web_17") && !says(&none, "web_10"), "{none:?}");
    assert!(!says(&some, "dos_03") && !says(&some, "web_17") && says(&some, "web_18"), "{some:?}");
    assert!(complaints("#[test]\nfn web_08_early() {}").iter().any(|complaint| complaint.starts_with("web_08 has")));
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
