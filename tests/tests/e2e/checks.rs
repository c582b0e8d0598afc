//! Checks through the relay: asked, signed on the server, verified by the client, and never believed from the relay.

use cloud_doctor_tests::agent::Agent;
use cloud_doctor_tests::site::{Client, Site};
use serde_json::Value;
use std::path::Path;
use std::process::Output;

fn texts(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[track_caller]
fn findings(output: &Output) -> Vec<Value> {
    let (_, out, err) = texts(output);
    let document: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
    assert_eq!((&document["schema"], &document["host"]), (&"cloud-doctor/findings/v1".into(), &"web-1".into()));
    document["findings"].as_array().unwrap().clone()
}

/// The exit status of the worst of them.
fn worst(findings: &[Value]) -> i32 {
    let statuses = ["ok", "unknown", "warning", "critical"];
    let rank = |finding: &Value| statuses.iter().position(|status| finding["status"] == *status).unwrap();
    [0, 3, 1, 2][findings.iter().map(rank).max().unwrap_or(0)]
}

/// Changes what the relay has kept, as its operator could.
fn change_runs(data: &Path, sql: &'static str) {
    use sqlx::{ConnectOptions as _, Executor as _};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let file = data.join("relay.db");
        let mut connection = sqlx::sqlite::SqliteConnectOptions::new().filename(file).connect().await.unwrap();
        assert_eq!(connection.execute(sql).await.unwrap().rows_affected(), 1);
    });
}

#[test]
fn chk_10_a_client_shows_what_the_server_signed_and_nothing_else() {
    let site = Site::new();
    let (code, out, err) = texts(&site.ask(&["check", "web-1", "--last"]));
    assert_eq!((code, out.as_str()), (Some(3), ""), "{err}");
    assert!(err.contains("no report of web-1 yet"), "{err}");

    let fresh = site.ask(&["check", "web-1", "cpu", "memory", "no.such-check", "--json", "--all"]);
    let found = findings(&fresh);
    let cpu = found.iter().find(|finding| finding["check"] == "cpu.usage");
    assert!(cpu.is_some_and(|cpu| cpu["value"].is_number()), "{found:?}");
    let (code, _, err) = texts(&fresh);
    assert_eq!(code, Some(worst(&found)), "{found:?}");
    assert!(err.contains("Not run on web-1") && err.contains("no.such-check"), "{err}");

    for (lang, words) in [("en", "ran checks a moment ago. Ask again in"), ("zh", "刚刚运行过检查")] {
        let (code, out, err) = texts(&site.ask(&["check", "web-1", "--lang", lang]));
        assert_eq!((code, out.as_str()), (Some(3), ""), "{err}");
        assert!(err.contains(words), "{err}");
    }

    let last = site.ask(&["check", "web-1", "--last", "--json", "--all"]);
    assert_eq!(findings(&last), found);
    assert_eq!(last.status.code(), fresh.status.code());
    let (_, out, err) = texts(&site.ask(&["check", "web-1", "--last", "--all", "--lang", "zh"]));
    assert!(out.contains("cpu.usage") && out.contains("正常"), "{out}");
    assert!(err.contains("最新报告"), "{err}");
    site.agent.wait_for_audit(&["checks-reported", "owner"]);

    // A relay that makes a server look better, or worse, than it said.
    change_runs(
        &site.relay.data,
        "UPDATE check_runs SET report = unhex(replace(hex(report), hex('cpu.usage'), hex('cpu.usagf')))",
    );
    for (lang, words) in
        [("en", "is not shown: its signature is not by that server"), ("zh", "未予显示：签名不是该服务器")]
    {
        let (code, out, err) = texts(&site.ask(&["check", "web-1", "--last", "--json", "--lang", lang]));
        assert_eq!((code, out.as_str()), (Some(3), ""), "{err}");
        assert!(err.contains(words), "{err}");
    }
    site.nothing_left();
}

/// Somebody who is signed in as a member.
fn member(site: &Site) -> Client {
    let client = Client::new(&site.world, "mia");
    let password = site.world.path("password");
    let password = password.to_str().unwrap();
    site.client.must(&["account", "add", "mia", "--password-file", password]);
    let (url, words) = (site.url(), site.words());
    let mut arguments = vec!["login", &url, "--account", "mia", "--password-file", password, "--trust", &words];
    let pin = site.relay.listening().clients_pin.clone();
    if let Some(pin) = &pin {
        arguments.extend(["--pin", pin]);
    }
    client.must(&arguments);
    client
}

#[track_caller]
fn refused(client: &Client, arguments: &[&str], code: i32, words: &str) {
    let (status, out, err) = texts(&client.ask(arguments));
    assert_eq!((status, out.as_str()), (Some(code), ""), "{arguments:?}: {err}");
    assert!(err.contains(words), "{arguments:?}: {err}");
}

#[track_caller]
fn json(client: &Client, arguments: &[&str]) -> Value {
    serde_json::from_str(&client.must(arguments)).unwrap()
}

#[test]
fn chk_10_a_waiver_is_said_beside_the_report_and_changes_nothing_in_it() {
    let site = Site::new();
    let client = &site.client;
    let reason = "the test says so";
    let add = |check: &'static str| ["waiver", "add", "web-1", check, "--reason", reason];
    refused(client, &add("cpu.usage"), 1, "no report of web-1 yet");
    let before = site.ask(&["check", "web-1", "--json", "--all"]);
    let found = findings(&before);
    // Which of the machine's findings are bad is the machine's affair; that some can be told is not.
    let bad = found.iter().find(|finding| finding["status"] != "ok");
    let bad = bad.unwrap_or_else(|| found.first().expect("a live host has findings"));
    let (check, subject) = (bad["check"].as_str().unwrap(), bad["subject"].as_str().unwrap());
    let adding = ["waiver", "add", "web-1", check, subject, "--reason", reason, "--json"];
    let made = json(client, &adding)["waiver"].clone();
    assert_eq!((&made["check"], &made["subject"], &made["owner"]), (&check.into(), &subject.into(), &"owner".into()));
    let days = (made["until"].as_u64().unwrap() - made["created_at"].as_u64().unwrap()) / 86_400;
    assert!((29..=30).contains(&days), "thirty days: {made}");

    let after = site.ask(&["check", "web-1", "--last", "--json", "--all"]);
    assert_eq!((findings(&after), after.status.code()), (found.clone(), before.status.code()), "nothing is hidden");
    for (lang, words) in [("en", "is waived by owner until"), ("zh", "豁免至")] {
        let (_, out, err) = texts(&site.ask(&["check", "web-1", "--last", "--lang", lang]));
        assert_eq!(err.contains(words) && err.contains(reason), bad["status"] != "ok", "{err}");
        assert!(bad["status"] == "ok" || out.contains(check), "{out}");
    }

    refused(client, &add("no.such-check"), 1, "no finding of no.such-check");
    let other = ["waiver", "add", "web-1", check, "no such subject", "--reason", reason];
    refused(client, &other, 1, &format!("no finding of {check} about \"no such subject\". It has: \""));
    let late = ["waiver", "add", "web-1", check, subject, "--reason", reason, "--until", "+367d"];
    refused(client, &late, 5, "at most 366 days");
    refused(client, &[&late[..7], &["--until", "30 days"]].concat(), 1, "is no moment");
    refused(client, &["waiver", "add", "web-2", check, "--reason", reason], 1, "no server");
    assert_eq!(site.ask(&["waiver", "add", "web-1", check]).status.code(), Some(2), "a reason is needed");

    let mia = member(&site);
    let listed = json(&mia, &["waiver", "list", "web-1", "--json"]);
    assert_eq!(listed["waivers"], serde_json::json!([made]));
    let table = mia.must(&["waiver", "list", "web-1"]);
    assert!(table.contains("WHO ANSWERS") && table.contains("counts") && table.contains(reason), "{table}");
    let id = made["waiver"].as_str().unwrap();
    refused(&mia, &adding, 5, "Only an admin may do that");
    refused(&mia, &["waiver", "remove", "web-1", id], 5, "Only an admin may do that");
    refused(client, &["waiver", "remove", "web-1", "zzzz"], 1, "no waiver whose id begins with");
    client.must(&["waiver", "remove", "web-1", &id[..6]]);
    assert_eq!(json(client, &["waiver", "list", "web-1", "--json"])["waivers"], serde_json::json!([]));
    site.nothing_left();
}

#[test]
fn a_schedule_of_checks_is_set_by_an_admin_and_shown_to_everybody() {
    let site = Site::new();
    let schedule = |client: &Client| json(client, &["check-schedule", "web-1", "--json"])["check_schedule"].clone();
    assert_eq!(
        (&schedule(&site.client)["every_secs"], &schedule(&site.client)["server"]),
        (&0.into(), &"web-1".into())
    );
    let (_, out, err) = texts(&site.ask(&["check-schedule", "web-1", "--every", "6h"]));
    assert!(out.is_empty() && err.contains("asks web-1 every 6h"), "{out}{err}");
    let mia = member(&site);
    assert_eq!(schedule(&mia)["every_secs"], 21_600);
    refused(&mia, &["check-schedule", "web-1", "--every", "off"], 5, "Only an admin may do that");
    for (every, code, words) in [("1m", 5, "300 to 604800"), ("8d", 5, "300 to 604800"), ("often", 1, "how often")] {
        refused(&site.client, &["check-schedule", "web-1", "--every", every], code, words);
    }
    refused(&site.client, &["check-schedule", "web-2"], 1, "no server");
    site.client.must(&["check-schedule", "web-1", "--every", "off"]);
    let (_, _, err) = texts(&mia.ask(&["check-schedule", "web-1"]));
    assert!(err.contains("asks web-1 for no checks by itself"), "{err}");
    assert_eq!(schedule(&mia)["every_secs"], 0);
}

fn without_checks(agent: &Agent) {
    let text = std::fs::read_to_string(agent.ceiling()).unwrap();
    let rules: Vec<&str> = text.split("[[rule]]").filter(|rule| !rule.contains("scope = \"checks\"")).collect();
    let text = rules.join("[[rule]]");
    let text = if text.trim_end().ends_with("[end]") { text } else { text + "\n[end]\n" };
    std::fs::write(agent.ceiling(), text).unwrap();
}

#[test]
fn r_17_a_server_whose_ceiling_lists_no_checks_runs_none_and_says_so() {
    let mut site = Site::with(without_checks);
    for (lang, words) in [("en", "ceiling allows none of these checks"), ("zh", "权限上限不允许远程运行这些检查")]
    {
        let (code, out, err) = texts(&site.ask(&["check", "web-1", "--json", "--lang", lang]));
        assert_eq!((code, out.as_str()), (Some(3), ""), "{err}");
        assert!(err.contains(words), "{err}");
    }
    assert_eq!(site.agent.audited("checks-reported"), 0);
    // Nobody is asked where nobody is.
    site.agent.stop();
    cloud_doctor_tests::eventually::eventually(cloud_doctor_tests::eventually::SOON, "the server is away", || {
        let (_, _, err) = texts(&site.ask(&["check", "web-1"]));
        err.contains("not connected to this relay").then_some(())
    });
    let (code, out, err) = texts(&site.ask(&["check", "no-such-server"]));
    assert_eq!((code, out.as_str()), (Some(3), ""), "{err}");
    assert!(err.contains("no server"), "{err}");
    assert_eq!(site.ask(&["check"]).status.code(), Some(3), "wrong arguments are no critical finding");
}

/// Where Debian's monitoring-plugins-basic puts them.
const PLUGINS: &str = "/usr/lib/nagios/plugins";

const PACK: &str = r#"pack: site
version: 1.0.0
requires: { schema: 1 }
checks:
  - id: x.site.load
    title: { en: Load as the site judges it, zh: "\u8d1f\u8f7d" }
    collect: { it: { use: plugin.nagios, plugin: x.site.load-plugin } }
    warn: { when: "it.perf.exists(one, one.name == 'load1' && one.value >= 0.0)" }
    message: { en: "There is a load: {it.text}", zh: "\u6709\u8d1f\u8f7d: {it.text}" }
    remedy: Ask the site.
    tests:
      - { given: { it: { exit: 0, stdout: "OK | load1=1;5;9" } }, expect: [ { state: warn } ] }
      - { given: { it: { exit: 0, stdout: "OK" } }, expect: [] }
"#;

fn plugin(id: &str, exec: &str, more: &str) -> String {
    let is_root = rustix::process::geteuid().is_root();
    let me = || String::from_utf8(std::process::Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    let user = if is_root { "nobody".to_owned() } else { me().trim().to_owned() };
    format!("[[plugin]]\nid = 'x.site.{id}'\nexec = '{exec}'\nuser = '{user}'\n{more}\n")
}

fn with_own_checks(agent: &Agent) {
    let text = std::fs::read_to_string(agent.ceiling()).unwrap();
    let more = plugin("dummy", &format!("{PLUGINS}/check_dummy"), "args = ['1', 'so so | n=7s;5;9']")
        + &plugin("load-plugin", &format!("{PLUGINS}/check_load"), "args = ['-w', '900,900,900', '-c', '999,999,999']")
        + &plugin("hangs", "/bin/sleep", "args = ['60']\ntimeout = '1s'")
        + &plugin("not-listed", "/bin/echo", "args = ['it ran']")
        + "[[rule]]\nscope = 'checks'\nmode = 'allow'\n\
           checks = ['x.site.dummy', 'x.site.load-plugin', 'x.site.load', 'x.site.hangs']\n[end]\n";
    std::fs::write(agent.ceiling(), text.replace("\n[end]\n", &format!("\n{more}"))).unwrap();
    let packs = agent.ceiling().with_file_name("packs");
    std::fs::create_dir(&packs).unwrap();
    std::fs::write(packs.join("site.yaml"), PACK).unwrap();
}

#[test]
fn r_17_a_relay_has_a_pack_and_real_plugins_run_that_the_ceiling_lists_and_no_other() {
    if !Path::new(PLUGINS).join("check_load").exists() {
        return cloud_doctor_tests::not_tested::not_tested("monitoring-plugins-basic is not installed");
    }
    let site = Site::with(with_own_checks);
    let output = site.ask(&["check", "web-1", "x", "cpu.load", "x.site.not-listed", "--json", "--all"]);
    let found = findings(&output);
    let (code, _, err) = texts(&output);
    let of = |id: &str| found.iter().find(|one| one["check"] == id).unwrap_or_else(|| panic!("{id}: {found:?} {err}"));
    let part = |id: &str, status: &str, part: &str| {
        let one = of(id);
        assert_eq!(one["status"], status, "{one}");
        assert!(one["summary"].as_str().unwrap().contains(part), "{one}");
    };
    part("x.site.dummy", "warning", "WARNING: so so");
    assert_eq!((&of("x.site.dummy")["value"], &of("x.site.dummy")["unit"]), (&7.0.into(), &"s".into()));
    part("x.site.load-plugin", "ok", "load average");
    part("x.site.load", "warning", "There is a load: ");
    part("x.site.hangs", "unknown", "no answer within 1 s");
    assert!(of("cpu.load")["since"].is_u64(), "{found:?}");
    assert!(found.iter().all(|one| one["check"] != "x.site.not-listed"), "{found:?}");
    assert!(err.contains("Not run on web-1") && err.contains("x.site.not-listed"), "{err}");
    assert_eq!(code, Some(worst(&found)));
    let (_, out, _) = texts(&site.ask(&["check", "web-1", "--last", "--lang", "zh"]));
    assert!(out.contains("\u{6709}\u{8d1f}\u{8f7d}"), "{out}");
    // What is declared, and what of it a relay may have, root is told.
    let told = String::from_utf8_lossy(&site.agent.ask(&["explain"]).stdout).into_owned();
    let line = |id: &str| told.lines().find(|line| line.contains(id)).unwrap_or_else(|| panic!("{told}")).to_owned();
    assert!(line("plugin x.site.dummy").contains("at any time, without a signature"), "{told}");
    assert!(line("plugin x.site.not-listed").contains("Not from afar now"), "{told}");
    site.nothing_left();
}
