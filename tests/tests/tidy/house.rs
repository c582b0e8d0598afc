//! The house itself: what lies on the top level, what is locked, and what proto drags along.

use super::tree::{holds, top};
use std::process::Command;

/// What may lie on the top level; ARCHITECTURE.md gives the reason of anything new.
const TOP_LEVEL: &[&str] = &[
    ".cargo",
    ".ci",
    ".config",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "agent",
    "clippy.toml",
    "deny.toml",
    "proto",
    "relay",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "systemd",
    "tests",
];

/// Crates that would bring a socket, a clock or a runtime into proto.
const NOT_IN_PROTO: &[&str] = &["tokio", "quinn", "quinn-proto", "rustls", "mio", "hyper", "axum", "socket2", "ring"];

/// Crates that compress, or undo it. What nobody uses cannot be turned on by a feature of a dependency (COD-04).
const COMPRESSORS: &[&str] = &[
    "async-compression",
    "brotli",
    "bzip2",
    "compression",
    "deflate",
    "flate2",
    "libdeflate",
    "libz",
    "lz4",
    "lzma",
    "miniz",
    "ruzstd",
    "snap",
    "xz",
    "yazi",
    "zlib",
    "zopfli",
    "zstd",
];

/// Who may use one, since none of them meets what somebody else sends: the file that a report is written into, and its tests;
/// and the relay's console, whose own files are packed.
const MAY_COMPRESS: &[&str] = &["cloud-doctor-checks", "cloud-doctor-agent", "flate2", "memory-serve", "brotli"];

fn compressing(lock: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for package in lock.split("[[package]]") {
        let Some(name) = package.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"')) else {
            continue;
        };
        let uses = package.lines().filter_map(|line| line.trim().strip_prefix('"')?.split(['"', ' ']).next());
        let bad = uses.filter(|used| COMPRESSORS.iter().any(|known| used.starts_with(known)));
        if !MAY_COMPRESS.contains(&name) {
            complaints.extend(bad.map(|used| format!("Cargo.lock: {name} uses {used}, which compresses")));
        }
    }
    complaints
}

fn strangers<'a>(paths: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut tops: Vec<_> =
        paths.filter_map(|path| path.split('/').next()).filter(|top| !TOP_LEVEL.contains(top)).collect();
    tops.dedup();
    tops.into_iter().map(|top| format!("{top}: does not belong on the top level")).collect()
}

fn dragged_along(cargo_tree: &str) -> Vec<String> {
    let crates = cargo_tree.lines().filter_map(|line| line.split_whitespace().next());
    let wrong = crates.filter(|name| NOT_IN_PROTO.contains(name) || name.starts_with("tokio"));
    wrong.map(|name| format!("proto depends on {name}")).collect()
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(top()).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_top_level_holds_what_belongs_there() {
    holds(&strangers(output("git", &["ls-files"]).lines()));
}

#[test]
fn strangers_can_be_complained_about() {
    assert_eq!(strangers(["scripts/a.sh", "agent/Cargo.toml"].into_iter()).len(), 1);
}

#[test]
fn dependencies_are_locked() {
    assert_eq!(output("git", &["ls-files", "Cargo.lock"]).trim(), "Cargo.lock", "Cargo.lock is committed");
}

#[test]
fn proto_drags_no_runtime_along() {
    let tree =
        output(env!("CARGO"), &["tree", "--locked", "-p", "cloud-doctor-proto", "-e", "normal", "--prefix", "none"]);
    assert!(tree.starts_with("cloud-doctor-proto"), "{tree}");
    holds(&dragged_along(&tree));
}

#[test]
fn proto_can_be_complained_about() {
    assert_eq!(dragged_along("cloud-doctor-proto v0.1.0\ntokio-util v0.7\nsnow v0.10\nquinn v0.11\n").len(), 2);
}

#[test]
fn cod_04_nothing_is_linked_that_could_compress() {
    holds(&compressing(&std::fs::read_to_string(top().join("Cargo.lock")).unwrap()));
}

#[test]
fn compressing_can_be_complained_about() {
    let lock = |name: &str| {
        format!("[[package]]\nname = \"{name}\"\ndependencies = [\n \"flate2\",\n \"zstd-sys 1.0\",\n \"snow\",\n]\n")
    };
    assert_eq!(compressing(&lock("rustls")).len(), 2);
    assert!(compressing(&lock("cloud-doctor-checks")).is_empty());
}
