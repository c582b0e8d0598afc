//! Roots that come and go, and the day on which the recovery key is needed.

use super::people::{SLEEP, colleague, pid};
use cloud_doctor_tests::agent::Agent;
use cloud_doctor_tests::eventually::{SOON, eventually};
use cloud_doctor_tests::process;
use cloud_doctor_tests::site::{Client, Site};
use cloud_doctor_tests::terminal::Terminal;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

#[track_caller]
fn refused(output: &Output, code: i32, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
}

fn roots(client: &Client) -> Vec<String> {
    let listed: serde_json::Value = serde_json::from_str(&client.must(&["tenant", "root", "list", "--json"])).unwrap();
    listed["roots"].as_array().unwrap().iter().map(|root| root["person"].as_str().unwrap().to_owned()).collect()
}

/// A passphrase for a key file, as people set one.
fn lock(site: &Site, key: &str, passphrase: &str) {
    let mut command = site.world.command("/usr/bin/ssh-keygen");
    command.args(["-q", "-p", "-P", "", "-N", passphrase, "-f", key]);
    let output = site.world.output("ssh-keygen", command);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_recovery_key_replaces_a_lost_root_on_relay_and_agents() {
    let site = Site::new();
    let (nina, key) = colleague(&site, "nina");
    let recovery = site.world.path("recovery").to_str().unwrap().to_owned();
    let running =
        site.start("running", &[&["exec", "web-1", "--user", "root", "--"], &SLEEP[..]].concat(), Stdio::null());
    let running = pid(&running);
    let unused = site.invite("unused", 5);

    let recover =
        |file: &str, name: &str| nina.ask(&["tenant", "recover", file, "--root", &key, "--name", name, "--yes"]);
    let own_key = key.trim_end_matches(".pub");
    refused(&recover(own_key, "nina"), 6, &["is not the recovery key of Example Ltd", "Nothing was signed"]);
    refused(&recover(site.world.path("password").to_str().unwrap(), "nina"), 1, &["key file", "cannot be used"]);
    refused(&recover("/nonexistent", "nina"), 1, &["/nonexistent"]);
    refused(&recover(&recovery, "ni\u{202e}na"), 1, &["cannot be seen", "Nothing was signed"]);
    refused(&nina.ask(&["tenant", "root", "add", &key, "--name", "nina"]), 1, &["None of your keys is a root"]);
    assert_eq!(roots(&nina), ["owner"]);

    lock(&site, &recovery, "correct horse");
    let arguments = ["tenant", "recover", &recovery, "--root", &key, "--name", "nina"];
    let at_terminal = |passphrase: &str| {
        let mut terminal = Terminal::start(&site.world, "recover", &nina.command(&arguments), 500, 24);
        terminal.wait_for("Replace all roots of Example Ltd (owner) by nina");
        terminal.type_in("y\n");
        terminal.wait_for("Passphrase of");
        terminal.type_in(&format!("{passphrase}\n"));
        let code = terminal.finish().code();
        (code, String::from_utf8_lossy(&terminal.shown()).into_owned())
    };
    let (code, said) = at_terminal("wrong horse");
    assert!(code == Some(1) && said.contains("passphrase"), "{code:?}: {said}");
    assert!(process::lives(running) && roots(&nina) == ["owner"]);
    let (code, said) = at_terminal("correct horse");
    let recovered = Instant::now();
    assert!(code == Some(0) && said.contains("The only root of Example Ltd is nina"), "{code:?}: {said}");

    eventually(SOON, "the lost root's command is ended", || (!process::lives(running)).then_some(()));
    assert!(recovered.elapsed() < Duration::from_secs(5), "{:?}", recovered.elapsed());
    assert_eq!(roots(&nina), ["nina"]);
    refused(&site.exec(&["/bin/true"]), 255, &["not in this customer's trust log"]);
    refused(&site.ask(&["tenant", "engineer", "add", &key, "--name", "x"]), 1, &["None of your keys is a root"]);
    let mut late = Agent::new(&site.world, "late").start_enrol(&unused, "own");
    assert!(!late.wait(SOON).success() && late.stderr().contains("batch"), "{}", late.stderr());

    nina.must(&["tenant", "engineer", "add", &key, "--name", "nina"]);
    let output = nina.ask(&["exec", "web-1", "--user", "root", "--", "/bin/echo", "back"]);
    assert_eq!(output.stdout, b"back\n", "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn roots_are_added_and_removed_and_one_is_left() {
    let site = Site::founded(cloud_doctor_tests::site::Plan::default());
    let (nina, key) = colleague(&site, "nina");
    let recovery = site.world.path("recovery").to_str().unwrap().to_owned();
    refused(&site.ask(&["tenant", "root", "remove", "owner", "--yes"]), 1, &["last root", "Nothing was signed"]);
    // By a root, and by the recovery key as it was written.
    site.client.must(&["tenant", "root", "add", &key, "--name", "nina"]);
    refused(&nina.ask(&["tenant", "root", "add", &key, "--name", "nina"]), 1, &["a root already"]);
    nina.must(&["tenant", "root", "remove", "owner", "--yes"]);
    assert_eq!(roots(&nina), ["nina"]);
    let owner = site.world.path("home/owner.pub").to_str().unwrap().to_owned();
    nina.must(&["--key", &recovery, "tenant", "root", "add", &owner, "--name", "owner"]);
    assert_eq!(roots(&site.client).len(), 2);
    site.client.must(&["tenant", "engineer", "add", &key, "--name", "nina"]);
    refused(&nina.ask(&["tenant", "root", "remove", "nobody", "--yes"]), 1, &["nobody"]);
    refused(&site.ask(&["tenant", "engineer", "add", &key, "--name", "e\u{200b}ve"]), 1, &["cannot be seen"]);
    let mut chinese = site.client.command(&["tenant", "engineer", "add", &key, "--name", "e\nve"]);
    chinese.env("LC_ALL", "zh_CN.UTF-8");
    refused(&site.world.output("chinese", chinese), 1, &["无法写入信任日志", "不可见字符"]);
}
