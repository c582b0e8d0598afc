//! `report` as somebody types it: the real program, a copied root, exit codes and sentences.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests start programs")]

use serde_json::Value;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_cloud-doctor-agent");

/// A root with a load balancer that notices late, and a secret beside it.
fn root() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in [
        ("etc/hostname", "web-1\n"),
        ("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"),
        (
            "etc/keepalived/keepalived.conf",
            "vrrp_instance A {\n authentication {\n auth_type PASS\n auth_pass k33pal1v\n }\n}\nvirtual_server 10.0.0.10 80 {\n protocol TCP\n \
             delay_loop 300\n real_server 10.0.0.11 80 {\n TCP_CHECK {\n connect_timeout 5\n retry 3\n delay_before_retry 300\n }\n }\n}\n",
        ),
        ("etc/shadow", "root:$6$k6y3o.eP$JlKBx9za9667qe4:19000:0:99999:7:::\n"),
        ("etc/nginx/tls.key", "-----BEGIN PRIVATE KEY-----\nMIIEkeykeykey\n-----END PRIVATE KEY-----\n"),
    ] {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let locale = ["LC_ALL", "LC_MESSAGES", "LANG"];
    let mut command = Command::new(PROGRAM);
    locale.iter().for_each(|name| {
        command.env_remove(name);
    });
    // What runs of the tests find is for no other run on this machine.
    command.arg("report").args(["--state-dir", "state"]).args(arguments).current_dir(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn chk_a_report_goes_to_standard_output_in_each_form_and_language() {
    let (root, here) = (root(), tempfile::tempdir().unwrap());
    let root = root.path().to_str().unwrap();
    for (format, language, begins, part) in [
        ("html", "en", "<!doctype html>", "needs action now"),
        ("html", "zh", "<!doctype html>", "\u{9700}\u{8981}\u{7acb}\u{5373}\u{5904}\u{7406}"),
        ("markdown", "en", "# Diagnostic report: web-1", "**Remedy**"),
        ("markdown", "zh", "# \u{8bca}\u{65ad}\u{62a5}\u{544a}", "\u{4f18}\u{5148}\u{7ea7}"),
        ("json", "en", "{\"schema\":\"cloud-doctor/report/v1\"", "\"priority\":\"urgent\""),
    ] {
        let out = run(here.path(), &["--root", root, "--format", format, "--lang", language]);
        let told = text(&out.stdout);
        assert_eq!(out.status.code(), Some(0), "{format}: {}", text(&out.stderr));
        assert!(told.starts_with(begins) && told.contains(part), "{format} {language}: {told}");
        assert!(!told.contains("k33pal1v"), "{format} {language}");
        assert!(out.stderr.is_empty(), "{}", text(&out.stderr));
    }
    assert_eq!(fs::read_dir(here.path()).unwrap().count(), 0, "nothing is written");
}

#[test]
fn chk_what_the_engineer_says_is_in_the_ticket() {
    let (root, here) = (root(), tempfile::tempdir().unwrap());
    let root = root.path().to_str().unwrap();
    let out = run(
        here.path(),
        &[
            "--root",
            root,
            "--format",
            "json",
            "--lang",
            "en",
            "--rto",
            "15m",
            "--rpo",
            "1h",
            "--type",
            "outage",
            "--impact",
            "no orders",
            "--symptom",
            "502 with password=hunter2secret",
            "--priority",
            "important",
            "--tag",
            "lb",
        ],
    );
    let report: Value = serde_json::from_slice(&out.stdout).unwrap();
    let ticket = &report["ticket"];
    assert_eq!(
        [&ticket["type"], &ticket["impact"], &ticket["priority"], &ticket["tag"]],
        ["outage", "no orders", "important", "lb"]
    );
    assert_eq!(ticket["suggested"].as_array().unwrap().len(), 0);
    assert!(!text(&out.stdout).contains("hunter2secret"));
    assert_eq!(report["objectives"][0]["seconds"], 900.0);
    assert!(report["objectives"][0]["found_seconds"].as_f64().unwrap() > 900.0);
    assert_eq!(report["objectives"][1]["status"], "unknown");
    assert_eq!(report["host"], "web-1");
    assert!(report["score"]["value"].as_u64().unwrap() <= 80, "{}", report["score"]);
}

#[test]
fn chk_a_bundle_is_whole_for_its_owner_only_and_holds_no_key() {
    let (root, here) = (root(), tempfile::tempdir().unwrap());
    let out = run(here.path(), &["--root", root.path().to_str().unwrap(), "--lang", "en"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let files: Vec<_> = fs::read_dir(here.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "no rest of writing stays: {files:?}");
    let name = files[0].file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("cloud-doctor-report-web-1-2") && name.ends_with("Z.tar.gz"), "{name}");
    assert!(text(&out.stdout).starts_with(&format!("Report written: ./{name} (")), "{}", text(&out.stdout));
    assert_eq!(fs::metadata(&files[0]).unwrap().permissions().mode() & 0o777, 0o600);
    let mut names = Vec::new();
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(fs::File::open(&files[0]).unwrap()));
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        names.push(entry.path().unwrap().to_str().unwrap().split_once('/').unwrap().1.to_owned());
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let told = String::from_utf8_lossy(&bytes);
        for secret in ["k33pal1v", "JlKBx9za9667qe4", "MIIEkeykeykey"] {
            assert!(!told.contains(secret), "{secret} in {names:?}");
        }
    }
    let expected = [
        "manifest.json",
        "findings.json",
        "timeline.json",
        "report.en.html",
        "report.en.md",
        "report.zh.html",
        "report.zh.md",
    ];
    assert_eq!(names[..7], expected);
    assert!(names.contains(&"config/etc/keepalived/keepalived.conf".to_owned()), "{names:?}");
    assert!(names.iter().all(|name| !name.contains("shadow") && !name.contains("tls.key")), "{names:?}");
}

#[test]
fn chk_a_report_replaces_a_file_and_nothing_else() {
    let (root, here) = (root(), tempfile::tempdir().unwrap());
    let root = root.path().to_str().unwrap();
    let out = |arguments: &[&str]| {
        run(here.path(), &[&["--root", root, "--format", "markdown", "--lang", "en"], arguments].concat())
    };
    for _ in 0..2 {
        assert_eq!(out(&["--out", "a.md"]).status.code(), Some(0));
    }
    assert!(fs::read_to_string(here.path().join("a.md")).unwrap().starts_with("# Diagnostic report"));
    assert_eq!(out(&["--out", "."]).status.code(), Some(0));
    assert_eq!(fs::read_dir(here.path()).unwrap().count(), 2);
    std::os::unix::fs::symlink("a.md", here.path().join("link")).unwrap();
    let refused = out(&["--out", "link"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("link is no plain file"), "{}", text(&refused.stderr));
}

#[test]
fn chk_what_is_asked_wrongly_is_answered_with_a_sentence() {
    let (root, here) = (root(), tempfile::tempdir().unwrap());
    let root = root.path().to_str().unwrap();
    for (arguments, code, part) in [
        (&["--out", "/no/such/place/x.tar.gz"][..], 2, "There is no folder /no/such/place. Make it first"),
        (&["--out", "/no/such/place/"], 2, "There is no folder"),
        (&["--out", "/dev/null", "--format", "json"], 2, "/dev/null is no plain file"),
        (&["--rto", "soon"], 2, "a time between 1s and 720h"),
        (&["--rpo", "0"], 2, "a time between 1s and 720h"),
        (&["--priority", "high"], 2, "urgent, important, normal"),
        (&["--format", "pdf"], 2, "html, markdown, json, bundle"),
        (&["--set", "cpu.nothing.warning=1"], 2, "there is no check"),
        (&["--set", "cpu.usage"], 2, "CHECK.PARAM=NUMBER"),
        (&["surprise"], 2, "unexpected argument"),
    ] {
        let out = run(here.path(), &[&["--root", root, "--lang", "en"], arguments].concat());
        assert_eq!(out.status.code(), Some(code), "{arguments:?}");
        assert!(text(&out.stderr).contains(part), "{arguments:?}: {}", text(&out.stderr));
        assert!(out.stdout.is_empty(), "{arguments:?}");
    }
    let no_root = run(here.path(), &["--root", "/no/such/root", "--lang", "en"]);
    assert_eq!(no_root.status.code(), Some(2));
    assert!(text(&no_root.stderr).contains("/no/such/root"), "{}", text(&no_root.stderr));
    let chinese = run(here.path(), &["--root", root, "--lang", "zh", "--out", "/no/such/place/x"]);
    assert!(text(&chinese.stderr).contains("\u{76ee}\u{5f55} /no/such/place"), "{}", text(&chinese.stderr));
    assert_eq!(fs::read_dir(here.path()).unwrap().count(), 0);
}

#[test]
fn chk_the_schema_is_printed() {
    let out = run(Path::new("/"), &["--schema"]);
    let schema: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((out.status.code(), &schema["$id"]), (Some(0), &Value::from("cloud-doctor/report/v1")));
}

#[test]
fn chk_check_can_be_written_as_a_page() {
    let root = root();
    for (format, begins) in [("html", "<!doctype html>"), ("markdown", "# Checks of web-1")] {
        let mut command = Command::new(PROGRAM);
        command.args(["check", "lb", "--lang", "en", "--format", format, "--root"]).arg(root.path());
        let out = command.output().unwrap();
        assert_eq!(out.status.code(), Some(2), "{}", text(&out.stderr));
        assert!(text(&out.stdout).starts_with(begins), "{}", text(&out.stdout));
    }
}
