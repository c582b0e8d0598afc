//! Watching: the customer approves a shell as root, looks at it, and ends it; and reads what the server wrote down.

use super::people::colleague;
use cloud_doctor_tests::eventually::{SOON, eventually};
use cloud_doctor_tests::process;
use cloud_doctor_tests::site::{Client, Plan, Site};
use cloud_doctor_tests::terminal::Terminal;
use std::fs;
use std::time::{Duration, Instant};

/// Somebody whose key is an approver's of the site's customer.
#[track_caller]
pub(crate) fn approver(site: &Site, name: &str) -> Client {
    let (client, key) = colleague(site, name);
    site.client.must(&["tenant", "approver", "add", &key, "--name", name]);
    client
}

#[track_caller]
fn terminal(site: &Site, client: &Client, name: &str, arguments: &[&str]) -> Terminal {
    Terminal::start(&site.world, name, &client.command(arguments), 100, 30)
}

/// The engineer's shell as root, which says nothing by itself.
#[track_caller]
pub(crate) fn quiet_shell(site: &Site) -> Terminal {
    let shell = site.terminal(&["shell", "web-1", "--user", "root", "--reason", "slow site"], 90, 25);
    shell.type_in("PS1=; PROMPT_COMMAND=; stty -echo; echo re''ady\n");
    shell
}

#[test]
fn the_customer_approves_a_shell_as_root_watches_it_and_ends_it() {
    let site = Site::planned(Plan { preset: "vendor", ..Plan::default() }, |_| {});
    let anna = approver(&site, "anna");
    let mut shell = quiet_shell(&site);
    let id = eventually(SOON, "the request", || {
        let listed: serde_json::Value = serde_json::from_slice(&anna.ask(&["approve", "--json"]).stdout).ok()?;
        Some(listed["approvals"].as_array()?.first()?["id"].as_str()?.to_owned())
    });
    anna.must(&["approve", &id, "--yes"]);
    shell.wait_for("ready");

    let listed: serde_json::Value = serde_json::from_str(&anna.must(&["watch", "web-1", "--json"])).unwrap();
    let [one] = &listed["shells"].as_array().unwrap()[..] else { panic!("{listed}") };
    assert_eq!((one["user"].as_str(), one["reason"].as_str()), (Some("root"), Some("slow site")), "{listed}");
    assert_eq!((one["attached"].as_bool(), one["may_end"].as_bool()), (Some(true), Some(true)), "{listed}");

    let mut watch = terminal(&site, &anna, "watch", &["watch", "web-1", "--reason", "curious"]);
    watch.wait_for("slow site");
    watch.wait_for("ready");
    shell.wait_for("watched by anna");
    shell.type_in("echo live-$((6*7))\n");
    watch.wait_for("live-42");
    // What the watcher types goes nowhere.
    let marker = site.world.path("typed");
    watch.type_in(&format!("touch {}\n", marker.display()));
    shell.type_in("echo after-$((6*7))\n");
    watch.wait_for("after-42");
    assert!(!marker.exists());

    let holder = site.agent.one("holder");
    watch.type_in("\n~x");
    shell.wait_for("The customer ended the visit.");
    // Hung up, or killed if it did not listen at once.
    assert!(matches!(shell.finish().code(), Some(129 | 137)));
    watch.wait_for("The customer ended the visit.");
    assert_eq!(watch.finish().code(), Some(0));
    eventually(SOON, "the holder is gone", || (!process::lives(holder)).then_some(()));
    for texts in [
        &["watch-opening", "anna"][..],
        &["watcher-came", "anna"],
        &["channel-ended-by-watcher", "anna", "ended-by-customer"],
        &["visit-ended", "ended-by-customer"],
        &["watcher-went", "anna"],
    ] {
        site.agent.wait_for_audit(texts);
    }
    let none = anna.ask(&["watch", "web-1"]);
    assert!(!none.status.success() && String::from_utf8_lossy(&none.stderr).contains("Nobody has a shell"));
    site.nothing_left();
}

#[test]
fn a_watcher_leaves_is_cut_when_its_key_is_removed_and_the_shell_goes_on() {
    let site = Site::new();
    let anna = approver(&site, "anna");
    let mut shell = quiet_shell(&site);
    shell.wait_for("ready");
    let mut first = terminal(&site, &anna, "first", &["watch", "web-1"]);
    first.wait_for("ready");
    first.type_in("\x03");
    assert_eq!(first.finish().code(), Some(0));
    shell.wait_for("nobody watches any more");
    let mut second = terminal(&site, &anna, "second", &["watch", "web-1"]);
    second.wait_for("ready");
    let since = Instant::now();
    site.client.must(&["tenant", "approver", "remove", "anna"]);
    second.wait_for("Your key was removed");
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    second.finish();
    let again = anna.ask(&["watch", "web-1"]);
    assert!(!again.status.success());
    shell.type_in("exit 5\n");
    assert_eq!(shell.finish().code(), Some(5));
    site.nothing_left();
}

#[test]
fn flt_01_flt_03_a_view_outlives_the_tunnel_and_guard_and_the_shell_does_not_notice() {
    let site = Site::new();
    let anna = approver(&site, "anna");
    let mut shell = quiet_shell(&site);
    shell.wait_for("ready");
    let mut watch = terminal(&site, &anna, "watch", &["watch", "web-1"]);
    watch.wait_for("ready");
    for role in ["tunnel", "guard"] {
        site.agent.kill(role);
        shell.type_in(&format!("echo without-{role}-$((6*7))\n"));
        for view in [&mut shell, &mut watch] {
            view.wait_for_within(&format!("without-{role}-42"), Duration::from_secs(20));
        }
    }
    // Twice through the same view, nothing is shown twice.
    let shown = String::from_utf8_lossy(&watch.shown()).into_owned();
    assert_eq!(shown.matches("without-tunnel-42").count(), 1, "{shown}");
    shell.type_in("exit\n");
    assert_eq!(shell.finish().code(), Some(0));
    watch.finish();
    site.nothing_left();
}

#[test]
fn aud_01_an_approver_reads_the_servers_audit_and_verifies_it() {
    let site = Site::planned(Plan { preset: "checks-only", ..Plan::default() }, |_| {});
    let anna = approver(&site, "anna");
    assert!(!site.exec(&["/bin/true"]).status.success());
    let file = site.world.path("audit.jsonl");
    let shown = anna.must(&["audit", "web-1", "--out", file.to_str().unwrap()]);
    assert!(shown.lines().any(|line| line.contains(" refused ") && line.contains("ceiling")), "{shown}");
    assert!(shown.lines().last().unwrap().contains("audit-read"), "{shown}");
    anna.must(&["verify-audit", "--server", "web-1", file.to_str().unwrap()]);
    let on_disk = site.agent.audit_lines().join("\n");
    let saved = fs::read_to_string(&file).unwrap();
    assert!(on_disk.starts_with(saved.trim_end()), "the very lines of the server");
    let listed: serde_json::Value = serde_json::from_str(&anna.must(&["audit", "web-1", "--json"])).unwrap();
    assert_eq!(listed["audit"]["valid"].as_bool(), Some(true));
    assert!(listed["audit"]["events"].as_array().unwrap().len() as u64 > 3, "{listed}");
    // Watching is not to be had here, and the audit by an engineer only with the customer's word.
    let watch = anna.ask(&["watch", "web-1", "--user", "root"]);
    let said = String::from_utf8_lossy(&watch.stderr).into_owned();
    assert!(watch.status.code() == Some(5) && said.contains("watch root"), "{said}");
}
