//! `check` as whoever runs it sees it: formats, exit codes, bad input, and what the checker may do.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests start programs, read clocks and wait")]

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn check(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cloud-doctor-agent")).arg("check").args(arguments).env_clear().output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Another root, with these files.
fn root(files: &[(&str, &[u8])]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    root
}

fn json(root: &Path, more: &[&str]) -> (i32, Value) {
    let output = check(&[&["--json", "--root", root.to_str().unwrap()], more].concat());
    (
        output.status.code().unwrap(),
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr))),
    )
}

const SEED: &[u8] = b"defaults\n    mode http\n    timeout connect 5s\n    timeout client 30s\n    timeout server 30s\n\n\
    backend web\n    option httpchk GET /health\n    default-server inter 300s fall 3 rise 2\n    server web1 10.0.0.1:80 check\n";

#[test]
fn lb_01_a_load_balancer_that_probes_every_300_s_is_found_and_60_s_are_not_enough() {
    let found = |config: &[u8]| {
        let root = root(&[("etc/haproxy/haproxy.cfg", config)]);
        let (code, document) = json(root.path(), &["lb.detection-time", "--all"]);
        let finding = document["findings"][0].clone();
        assert_eq!(finding["subject"], "haproxy backend web/web1");
        assert_eq!(finding["unit"], "s");
        (code, finding)
    };
    let (code, seed) = found(SEED);
    assert_eq!((code, &seed["status"], &seed["value"]), (2, &"critical".into(), &1800.0.into()), "{seed}");
    assert_eq!(seed["details"]["refused_s"], 900.0);
    assert!(
        seed["evidence"].as_array().unwrap().iter().any(|one| one["source"] == "/etc/haproxy/haproxy.cfg:9"),
        "{seed}"
    );
    let minute = text(SEED).replace("300s", "60s");
    let (code, minute) = found(minute.as_bytes());
    assert_eq!((code, &minute["status"], &minute["value"]), (2, &"critical".into(), &360.0.into()), "{minute}");
    let good = text(SEED)
        .replace("inter 300s", "inter 5s fastinter 1s")
        .replace("timeout server", "timeout check 3s\n    timeout server");
    let (code, good) = found(good.as_bytes());
    assert_eq!((code, &good["status"], &good["value"]), (0, &"ok".into(), &16.0.into()), "{good}");
}

#[test]
fn bad_arguments_get_a_sentence_and_a_plugins_unknown() {
    for (arguments, sentence) in [
        (&["no-such"][..], "no check and no group no-such"),
        (&["--set", "cpu.usage"], "CHECK.PARAM=NUMBER"),
        (&["--set", "cpu.usage.colour=1"], "only: warning, critical"),
        (&["--explain", "nothing"], "check --list"),
        (&["--root", "/no/such/folder"], "/no/such/folder"),
        (&["--root", "/etc/passwd"], "/etc/passwd"),
        (&["--rto", "soon"], "like 90s, 15m or 2h"),
        (&["--format", "poem"], "possible values"),
        (&["--watch", "0"], "2..=3600"),
    ] {
        let output = check(arguments);
        assert_eq!(output.status.code(), Some(3), "{arguments:?}");
        let said = text(&output.stderr);
        assert!(said.contains(sentence), "{arguments:?}: {said}");
    }
}

#[test]
fn chk_01_a_file_that_is_too_large_is_unknown_with_the_reason() {
    let root = root(&[("etc/haproxy/haproxy.cfg", b"")]);
    let file = fs::File::create(root.path().join("etc/haproxy/haproxy.cfg")).unwrap();
    // A gigabyte that takes no room.
    file.set_len(1 << 30).unwrap();
    let since = Instant::now();
    let (code, document) = json(root.path(), &["lb"]);
    assert!(since.elapsed() < Duration::from_secs(10));
    assert_eq!(code, 3);
    let finding = &document["findings"][0];
    assert_eq!(finding["status"], "unknown");
    assert!(finding["summary"].as_str().unwrap().contains("larger than 8 MiB"), "{finding}");
}

#[test]
fn chk_04_junk_and_fifos_are_unknown_with_the_reason() {
    for junk in [&b"backend web\n\0\0\xff"[..], b"\xff\xfeb\0a\0c\0k\0", b"\x7fELF\0\0\0"] {
        let root = root(&[("etc/haproxy/haproxy.cfg", junk)]);
        let (code, document) = json(root.path(), &["lb.detection-time"]);
        assert_eq!((code, &document["findings"][0]["status"]), (3, &"unknown".into()), "{document}");
    }
    let root = root(&[("etc/haproxy/other", b"")]);
    let fifo = root.path().join("etc/haproxy/haproxy.cfg");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o644.into(), 0).unwrap();
    let (code, document) = json(root.path(), &["lb.detection-time"]);
    assert_eq!(code, 3);
    assert!(document["findings"][0]["summary"].as_str().unwrap().contains("no regular file"), "{document}");
}

#[test]
fn chk_06_a_link_does_not_lead_out_of_another_root() {
    let root = root(&[("etc/haproxy/other", b"")]);
    std::os::unix::fs::symlink("/etc/shadow", root.path().join("etc/haproxy/haproxy.cfg")).unwrap();
    let output = check(&["--json", "--all", "--root", root.path().to_str().unwrap()]);
    let said = text(&output.stdout);
    assert!(!said.contains("root:"), "{said}");
}

#[test]
fn chk_08_the_checker_is_closed_in() {
    let mut checker = Command::new(env!("CARGO_BIN_EXE_cloud-doctor-agent"))
        .arg("checker")
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // A check that waits a second for its second reading.
    let order = br#"{"root":null,"checks":["cpu.usage"],"rto_secs":null,"set":[],"before":[],"net":false}"#;
    std::io::Write::write_all(&mut checker.stdin.take().unwrap(), order).unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(checker.stdout.take().unwrap()));
    assert_eq!(lines.next().unwrap().unwrap(), r#"{"fence":[]}"#);
    let status = fs::read_to_string(format!("/proc/{}/status", checker.id())).unwrap();
    let value = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!((value("NoNewPrivs:"), value("Seccomp:")), ("1".into(), "2".into()));
    let capabilities = u64::from_str_radix(&value("CapEff:"), 16).unwrap();
    // CAP_DAC_READ_SEARCH 2, CAP_SYS_PTRACE 19, CAP_SYSLOG 34.
    assert_eq!(capabilities & !(1 << 2 | 1 << 19 | 1 << 34), 0, "{capabilities:x}");
    let limits = fs::read_to_string(format!("/proc/{}/limits", checker.id())).unwrap();
    assert!(limits.lines().any(|line| line.starts_with("Max address space") && line.contains("268435456")), "{limits}");
    assert!(lines.any(|line| line.unwrap().contains("found")));
    assert!(checker.wait().unwrap().success());
}

#[test]
fn every_format_says_the_same() {
    let root = root(&[("etc/haproxy/haproxy.cfg", SEED)]);
    let folder = root.path().to_str().unwrap();
    let human = check(&["lb.detection-time", "--root", folder]);
    assert!(text(&human.stdout).contains("web1 is taken out after 30 min when it hangs, 900 s when it refuses"));
    let chinese = check(&["lb.detection-time", "--root", folder, "--lang", "zh"]);
    assert!(text(&chinese.stdout).starts_with("\u{4e25}\u{91cd}"), "{}", text(&chinese.stdout));
    let metrics = check(&["lb.detection-time", "--root", folder, "--format", "prometheus"]);
    let metrics = text(&metrics.stdout);
    let line =
        "cloud_doctor_check_value{check=\"lb.detection-time\",subject=\"haproxy backend web/web1\",unit=\"s\"} 1800";
    assert!(metrics.lines().any(|one| one == line), "{metrics}");
    for output in [human, chinese] {
        assert_eq!(output.status.code(), Some(2));
    }
    let schema: Value = serde_json::from_slice(&check(&["--schema"]).stdout).unwrap();
    assert_eq!(schema["$id"], "cloud-doctor/findings/v1");
    let list: Value = serde_json::from_slice(&check(&["--list", "--json"]).stdout).unwrap();
    assert!(list.as_array().unwrap().iter().any(|one| one["id"] == "lb.detection-time"));
}
