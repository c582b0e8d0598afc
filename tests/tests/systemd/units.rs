//! What can be said of the units without starting them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd")
}

fn analyze(arguments: &[&str]) -> Output {
    Command::new("systemd-analyze").arg("--no-pager").args(arguments).output().expect("systemd-analyze is installed")
}

fn text(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]].concat().escape_ascii().to_string().replace("\\n", "\n")
}

/// Exposure in tenths, as `systemd-analyze security` counts it.
#[track_caller]
fn exposed_at_most(unit: &str, tenths: u8) {
    let (threshold, path) = (format!("--threshold={tenths}"), folder().join(unit));
    let output = analyze(&["security", "--offline=true", &threshold, path.to_str().unwrap()]);
    assert!(output.status.success(), "{unit} is exposed to more than {tenths} tenths:\n{}", text(&output));
}

#[test]
fn tunnel_unit_is_exposed_to_two_at_most() {
    exposed_at_most("cloud-doctor-tunnel.service", 20);
}

#[test]
fn guard_unit_is_exposed_to_one_point_two_at_most() {
    exposed_at_most("cloud-doctor-guard.service", 12);
}

#[test]
fn relay_unit_is_exposed_to_two_at_most() {
    exposed_at_most("cloud-doctor-relay.service", 20);
}

#[test]
fn a_bare_unit_is_exposed_to_more() {
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("bare.service");
    std::fs::write(&unit, "[Service]\nExecStart=/usr/bin/true\n").unwrap();
    let output = analyze(&["security", "--offline=true", "--threshold=20", unit.to_str().unwrap()]);
    assert!(!output.status.success(), "the measure lets everything through");
}

fn units() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut units: Vec<_> = entries.filter(|path| path.is_file()).collect();
    units.sort();
    assert!(units.len() >= 5, "units are missing: {units:?}");
    units
}

/// `systemd-analyze verify` without a word, our programs being wherever they will be installed.
#[test]
fn units_verify_without_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = vec!["verify".to_owned(), "--man=no".to_owned()];
    for unit in units() {
        let copy = folder.path().join(unit.file_name().unwrap());
        let text = std::fs::read_to_string(unit).unwrap();
        let installed = text.replace("/usr/bin/cloud-doctor-agent", "/usr/bin/true");
        std::fs::write(&copy, installed.replace("/usr/bin/cloud-doctor-relay", "/usr/bin/true")).unwrap();
        arguments.push(copy.to_str().unwrap().to_owned());
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = analyze(&arguments);
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output));
}

/// Every setting is explained: a comment stands above it, or above the group of settings that it is part of.
fn unexplained(unit: &str) -> Vec<&str> {
    let (mut explained, mut found) = (false, Vec::new());
    for line in unit.lines() {
        match line {
            "" => explained = false,
            line if line.starts_with('#') => explained = true,
            line if line.starts_with('[') => {}
            // These say what they mean.
            line if ["Description=", "Documentation=", "WantedBy="].iter().any(|key| line.starts_with(key)) => {}
            line if !explained => found.push(line),
            _ => {}
        }
    }
    found
}

#[test]
fn every_setting_is_explained() {
    for unit in units() {
        let text = std::fs::read_to_string(&unit).unwrap();
        assert!(text.starts_with("# "), "{} does not say first what it is for", unit.display());
        assert_eq!(unexplained(&text), [""; 0], "{}", unit.display());
    }
    assert_eq!(unexplained("[Service]\n# Why.\nUser=a\n\nGroup=a\n"), ["Group=a"]);
}
