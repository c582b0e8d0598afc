//! `enrol` as far as this side alone decides: what it shows, what it refuses, and that a failure leaves no trace.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests start programs")]

use cloud_doctor_proto::ids::{Hash, TenantId};
use cloud_doctor_proto::pin::Pin;
use cloud_doctor_proto::token::Token;
use cloud_doctor_proto::words::words;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A folder with a token file, and nothing behind the relay's address.
struct Try {
    dir: tempfile::TempDir,
    trust: String,
    pin: String,
}

impl Try {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let token = Token { secret: [1; 32], batch_seed: [2; 32], tenant: TenantId([3; 32]) };
        std::fs::write(dir.path().join("token"), format!("{}\n", *token.line())).unwrap();
        Self { dir, trust: words(&Hash([3; 32])), pin: Pin([4; 32]).to_string() }
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn run(&self, more: &[&str]) -> Output {
        // A port on which nothing listens: bound here, without anybody reading.
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let relay = socket.local_addr().unwrap().to_string();
        Command::new(env!("CARGO_BIN_EXE_cloud-doctor-agent"))
            .args(["enrol", "--relay", &relay, "--relay-pin", &self.pin, "--trust", &self.trust, "--preset", "vendor"])
            .arg("--token-file")
            .arg(self.dir.path().join("token"))
            .arg("--state-dir")
            .arg(self.state())
            .args(more)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    #[track_caller]
    fn refuses(&self, more: &[&str], code: i32, expected: &str) {
        let output = self.run(more);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains(expected), "{expected}: {text}");
        assert_eq!(text.lines().count(), 1, "one clear sentence: {text}");
        assert!(!self.state().exists(), "nothing is left");
    }
}

#[test]
fn enr_06_other_words_than_the_tokens_stop_before_anybody_is_contacted() {
    let mut attempt = Try::new();
    attempt.trust = words(&Hash([9; 32]));
    attempt.refuses(&["--yes"], 1, "another customer than --trust says");
    attempt.trust = "zoo zoo zoo zoo zoo zoooo".into();
    attempt.refuses(&["--yes"], 2, "is not one of the words");
}

#[test]
fn enr_02_a_token_that_is_none_says_so() {
    let attempt = Try::new();
    for (text, expected) in [("", "does not begin with"), ("cdt1.AAAA", "incomplete"), ("cdt9.AAAA", "does not begin")]
    {
        std::fs::write(attempt.dir.path().join("token"), text).unwrap();
        attempt.refuses(&["--yes"], 1, expected);
    }
    std::fs::remove_file(attempt.dir.path().join("token")).unwrap();
    attempt.refuses(&["--yes"], 1, "cannot be read");
}

#[test]
fn tls_01_a_pin_that_is_none_says_so() {
    let mut attempt = Try::new();
    attempt.pin = "sha256:abc".into();
    attempt.refuses(&["--yes"], 2, "a pin is written sha256:");
}

#[test]
fn a_dry_run_shows_every_line_and_what_leaves_and_changes_nothing() {
    let attempt = Try::new();
    let output = attempt.run(&["--dry-run", "--name", "web-1"]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    for line in cloud_doctor_proto::preset::Preset::Vendor.text().lines() {
        assert!(text.contains(line), "{line}");
    }
    for expected in ["\"web-1\"", "What leaves this server", "nobody was contacted"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(!attempt.state().exists());
}

#[test]
fn without_a_yes_nothing_is_changed() {
    let attempt = Try::new();
    let output = attempt.run(&[]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("Nothing was changed"), "{output:?}");
    assert!(!attempt.state().exists());
}

#[test]
fn a_relay_that_does_not_answer_leaves_no_trace() {
    let attempt = Try::new();
    attempt.refuses(&["--yes"], 1, "Not enrolled:");
}

#[test]
fn a_ceiling_that_the_customer_wrote_before_stays() {
    let attempt = Try::new();
    std::fs::create_dir_all(attempt.state().join("etc")).unwrap();
    std::fs::set_permissions(attempt.state(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    std::fs::write(attempt.state().join("etc/ceiling.toml"), "version = 1\n[end]\n").unwrap();
    let output = attempt.run(&["--yes"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("stays as it is"), "{output:?}");
    let left: Vec<_> = std::fs::read_dir(attempt.state()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(left, ["etc"]);
    assert_eq!(std::fs::read_to_string(attempt.state().join("etc/ceiling.toml")).unwrap(), "version = 1\n[end]\n");
}

#[test]
fn an_enrolled_server_is_not_enrolled_again() {
    let attempt = Try::new();
    std::fs::create_dir_all(attempt.state().join("etc")).unwrap();
    std::fs::write(attempt.state().join("etc/agent.toml"), "").unwrap();
    let output = attempt.run(&["--yes"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("enrolled already"), "{output:?}");
}

#[test]
fn enr_07_the_token_may_come_by_standard_input_and_never_by_an_argument() {
    let attempt = Try::new();
    let program = env!("CARGO_BIN_EXE_cloud-doctor-agent");
    let mut child = Command::new(program)
        .args(["enrol", "--relay", "r:1", "--relay-pin", &attempt.pin, "--trust", &attempt.trust, "--preset", "own"])
        .args(["--token-file", "-", "--dry-run", "--state-dir"])
        .arg(attempt.state())
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let line = std::fs::read(attempt.dir.path().join("token")).unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), &line).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let help = Command::new(program).args(["enrol", "--help"]).output().unwrap();
    let help = String::from_utf8_lossy(&help.stdout);
    assert!(help.contains("--token-file") && !help.contains("--token "), "{help}");
}
