//! Second signatures given ahead: an approver signs for some hours, and sleeps.

use super::people::colleague;
use super::watch::{approver, quiet_shell};
use cloud_doctor_tests::eventually::{SOON, eventually};
use cloud_doctor_tests::process;
use cloud_doctor_tests::site::{Client, Plan, Site};
use cloud_doctor_tests::terminal::Terminal;
use serde_json::Value;
use std::process::Stdio;
use std::time::{Duration, Instant};

fn vendor() -> Site {
    Site::planned(Plan { preset: "vendor", ..Plan::default() }, |_| {})
}

fn listed(client: &Client) -> Vec<Value> {
    let listed: Value = serde_json::from_str(&client.must(&["approve", "list-ahead", "--json"])).unwrap();
    listed["ahead"].as_array().unwrap().clone()
}

/// The requests that wait for a second signature now.
fn waiting(client: &Client) -> Vec<Value> {
    let listed: Value = serde_json::from_str(&client.must(&["approve", "--json"])).unwrap();
    listed["approvals"].as_array().unwrap().clone()
}

/// This person's command as root waits for a second signature, as ever; Anna says no.
#[track_caller]
fn asks(site: &Site, anna: &Client, engineer: &Client) {
    let argv = ["exec", "web-1", "--user", "root", "--time", "30m", "--", "/bin/echo", "opened"];
    let mut client = site.world.start("asking", engineer.command(&argv));
    let id =
        eventually(SOON, "a second signature is asked for", || Some(waiting(anna).first()?["id"].as_str()?.to_owned()));
    anna.must(&["approve", &id, "--deny"]);
    assert_eq!(client.wait(SOON).code(), Some(255));
    assert!(client.stdout().is_empty(), "{}", client.stdout());
}

#[test]
fn aut_15_an_approver_signs_ahead_and_the_engineers_root_shell_opens_and_ends_with_it() {
    let site = vendor();
    let anna = approver(&site, "anna");
    let (erin, key) = colleague(&site, "erin");
    site.client.must(&["tenant", "engineer", "add", &key, "--name", "erin"]);
    asks(&site, &anna, &site.client);
    let until = ["--until", "+2h", "--why", "disk swap"];
    let ahead = [&["approve", "ahead", "web-1", "--for", "owner", "--user", "root", "--commands"][..], &until].concat();
    let mut terminal = Terminal::start(&site.world, "ahead", &anna.command(&ahead), 200, 30);
    for text in ["owner", "web-1", "shell as root, commands as root", "disk swap", "words", "Sign this ahead?"] {
        terminal.wait_for(text);
    }
    terminal.type_in("y\n");
    terminal.wait_for("Signed ahead as entry");
    assert_eq!(terminal.finish().code(), Some(0));
    let [one] = &listed(&anna)[..] else { panic!("one is signed ahead") };
    let entry = one["entry"].as_u64().unwrap().to_string();
    assert_eq!((one["engineer"].as_str(), one["by"].as_str()), (Some("owner"), Some("anna")), "{one}");
    let shown = site.client.must(&["tenant", "show"]);
    assert!(shown.contains("shell as root, commands as root") && shown.contains("anna"), "{shown}");

    let mut shell = quiet_shell(&site);
    shell.wait_for("ready");
    assert!(waiting(&anna).is_empty());
    site.agent.wait_for_audit(&["visit-opened", "\"second\":\"anna\"", &format!("\"signed-ahead-in-entry\":{entry}")]);
    let explained = String::from_utf8_lossy(&site.agent.ask(&["explain"]).stdout).into_owned();
    for text in ["may be given ahead", &format!("Signed ahead by anna (entry {entry}"), "disk swap"] {
        assert!(explained.contains(text), "{text:?} is not in: {explained}");
    }
    // It was signed for the owner's key, not for Erin's.
    asks(&site, &anna, &erin);

    let holder = site.agent.one("holder");
    anna.must(&["approve", "end-ahead", &entry]);
    let ended = Instant::now();
    eventually(SOON, "the shell is ended", || (!process::lives(holder)).then_some(()));
    assert!(ended.elapsed() < Duration::from_secs(5), "{:?}", ended.elapsed());
    shell.finish();
    assert!(listed(&anna).is_empty());
    asks(&site, &anna, &site.client);
}

#[test]
fn aut_15_outside_its_hours_what_was_signed_ahead_opens_nothing() {
    let site = vendor();
    let anna = approver(&site, "anna");
    let ahead = |from: &str, until: &str| {
        let hours = ["--from", from, "--until", until, "--yes"];
        anna.must(
            &[&["approve", "ahead", "web-1", "--for", "owner", "--user", "root", "--commands"][..], &hours].concat(),
        );
    };
    ahead("+2h", "+3h");
    asks(&site, &anna, &site.client);
    // A visit of half an hour would outlast ten minutes.
    ahead("now", "+10m");
    asks(&site, &anna, &site.client);
    let argv = ["exec", "web-1", "--user", "root", "--time", "5m", "--", "/bin/echo", "opened"];
    let mut short = site.start("short", &argv, Stdio::null());
    assert!(short.wait(SOON).success(), "{}", short.stderr());
    assert_eq!(short.stdout(), "opened\n");
}

#[test]
fn aut_15_nobody_signs_ahead_for_the_own_key_or_beyond_the_bounds() {
    let site = vendor();
    let anna = approver(&site, "anna");
    let sign = |client: &Client, hours: [&str; 4]| {
        let who = ["approve", "ahead", "web-1", "--for", "owner", "--user", "root", "--yes"];
        let output = client.ask(&[&who[..], &hours].concat());
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    // The owner is a root, and the engineer.
    let (code, said) = sign(&site.client, ["--from", "now", "--until", "+1h"]);
    assert!(code == Some(5) && said.contains("of another person"), "{said}");
    for hours in [["--from", "now", "--until", "+25h"], ["--from", "+8d", "--until", "+1h"]] {
        let (code, said) = sign(&anna, hours);
        assert!(code == Some(1) && said.contains("lasts at most a day"), "{said}");
    }
    let nobody = anna.ask(&["approve", "ahead", "web-1", "--for", "anna", "--user", "root", "--until", "+1h"]);
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("Nobody in this role"));
    assert!(!anna.ask(&["approve", "end-ahead", "1"]).status.success());
    assert!(listed(&anna).is_empty());
}
