//! Scans through the relay with real agents: every server accounted for, believed by signature alone, exported for others.

use cloud_doctor_tests::agent::Agent;
use cloud_doctor_tests::eventually::{SOON, eventually};
use cloud_doctor_tests::site::{Plan, Site};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

/// Three servers are enrolled, and one that ran checks is asked again after its pause of 20 s.
const PATIENCE: Duration = Duration::from_secs(50);

/// The customer's `web-1` runs, `web-2` runs too, and `db-1` was enrolled and is stopped.
struct Fleet {
    site: Site,
    web2: Agent,
}

impl Fleet {
    fn new() -> Self {
        let site = Site::planned(Plan { patience: PATIENCE, ..Plan::default() }, |_| {});
        let invitation = site.invite("more", 2);
        let mut web2 = Agent::enrolled(&site.world, "web-2", &invitation, "own");
        web2.run();
        drop(Agent::enrolled(&site.world, "db-1", &invitation, "own"));
        eventually(SOON, "two servers are online", || {
            let servers: Value = serde_json::from_slice(&site.ask(&["servers", "--json"]).stdout).ok()?;
            let online = servers["servers"].as_array()?.iter().filter(|one| one["connected"] == true).count();
            (online == 2).then_some(())
        });
        Self { site, web2 }
    }
}

fn texts(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[track_caller]
fn document(output: &Output) -> Value {
    let (_, out, err) = texts(output);
    let document: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
    assert_eq!(document["schema"], "cloud-doctor/scan/v1");
    document
}

fn states(document: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let servers = document["servers"].as_array().unwrap();
    let mut states: Vec<_> = servers.iter().map(|one| (text(&one["server"]), text(&one["state"]))).collect();
    states.sort();
    states
}

fn expected(states: &[(&str, &str)]) -> Vec<(String, String)> {
    states.iter().map(|(server, state)| ((*server).to_owned(), (*state).to_owned())).collect()
}

/// The exit status that the findings of a document make.
fn worst(document: &Value) -> i32 {
    let count = |what: &str| document["counts"][what].as_u64().unwrap();
    if count("critical") > 0 { 2 } else { i32::from(count("warning") > 0) }
}

/// What Python's own reader makes of a file.
#[track_caller]
fn python(program: &str, file: &Path) -> Value {
    let output = Command::new("python3").args(["-c", program]).arg(file).output().expect("python3");
    let (code, out, err) = texts(&output);
    assert_eq!(code, Some(0), "{err}");
    serde_json::from_str(&out).unwrap()
}

/// Changes what the relay has kept, as its operator could.
fn change(data: &Path, sql: &'static str) -> u64 {
    use sqlx::{ConnectOptions as _, Executor as _};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let file = data.join("relay.db");
        let mut connection = sqlx::sqlite::SqliteConnectOptions::new().filename(file).connect().await.unwrap();
        connection.execute(sql).await.unwrap().rows_affected()
    })
}

#[test]
fn chk_12_a_scan_accounts_for_every_server_and_exports_what_they_signed() {
    let fleet = Fleet::new();
    let site = &fleet.site;
    let scan = site.ask(&["scan", "--check", "cpu,memory", "--json", "--all"]);
    let found = document(&scan);
    assert_eq!(states(&found), expected(&[("db-1", "absent"), ("web-1", "report"), ("web-2", "report")]));
    let cpu = |server: &Value| {
        let findings = server["findings"].as_array().unwrap();
        findings.iter().any(|finding| finding["check"] == "cpu.usage" && finding["value"].is_number())
    };
    let servers = found["servers"].as_array().unwrap();
    assert_eq!(servers.iter().filter(|server| cpu(server)).count(), 2, "{found}");
    let (code, _, err) = texts(&scan);
    assert_eq!(code, Some(worst(&found)), "{found}");
    assert!(err.contains("has begun: 3 servers") && err.contains("3 of 3 servers done"), "{err}");
    fleet.web2.wait_for_audit(&["checks-reported", "owner"]);

    // Asked again for what it found, in the other forms, by the beginning of its id.
    let id = found["scan"].as_str().unwrap();
    let show = |more: &[&str]| site.ask(&[&["scan", "show", &id[..12]], more].concat());
    assert_eq!(document(&show(&["--json", "--all"])), found);
    let (code, out, _) = texts(&show(&["--fail-on", "none", "--fail-on-absent", "--lang", "zh"]));
    assert_eq!(code, Some(4), "{out}");
    assert!(out.contains("db-1  未连接"), "{out}");
    let (_, out, _) = texts(&site.ask(&["scan", "list"]));
    assert!(out.contains(&id[..12]) && out.contains("done"), "{out}");

    let (csv, xml) = (site.world.path("scan.csv"), site.world.path("scan.xml"));
    for (format, file) in [("csv", &csv), ("junit", &xml)] {
        let wrote = show(&["--format", format, "--all", "--output", file.to_str().unwrap()]);
        assert_eq!(wrote.status.code(), scan.status.code(), "{}", texts(&wrote).2);
    }
    let rows =
        python("import csv,json,sys; print(json.dumps(list(csv.DictReader(open(sys.argv[1],newline='')))))", &csv);
    let rows = rows.as_array().unwrap();
    let of = |server: &str| rows.iter().filter(|row| row["server"] == server).count();
    let findings: usize = servers.iter().map(|server| server["findings"].as_array().unwrap().len()).sum();
    assert_eq!((of("db-1"), of("web-1") + of("web-2")), (1, findings));
    let suites = python(
        "import json,sys,xml.etree.ElementTree as x\n\
         r=x.parse(sys.argv[1]).getroot()\n\
         print(json.dumps([[s.get('name'),int(s.get('tests')),len(s.findall('testcase')),\
         int(s.get('failures'))==len(s.findall('testcase/failure'))] for s in r.findall('testsuite')]))",
        &xml,
    );
    for suite in suites.as_array().unwrap() {
        assert!(suite[1] == suite[2] && suite[3] == true, "{suites}");
    }
    assert_eq!(suites.as_array().unwrap().len(), 3);
}

#[test]
fn chk_10_a_relay_that_lies_about_a_scan_makes_no_server_healthy() {
    let fleet = Fleet::new();
    let site = &fleet.site;
    let data = &site.relay.data;
    // A relay that knows nothing of a server which the customer's log has.
    assert_eq!(change(data, "UPDATE agents SET removed_at = 1 WHERE name = 'db-1'"), 1);
    let scan = site.ask(&["scan", "--check", "cpu", "--json", "--fail-on", "none"]);
    let (code, out, err) = texts(&scan);
    assert_eq!(code, Some(3), "{out}{err}");
    assert!(err.contains("your trust log has them: db-1"), "{err}");
    let found = document(&scan);
    assert_eq!((states(&found).len(), &found["left_out"]), (2, &serde_json::json!(["db-1"])));
    let id = found["scan"].as_str().unwrap().to_owned();
    let show = |lang: &str| site.ask(&["scan", "show", &id, "--lang", lang]);

    // Another report of the same server in the place of this scan's.
    let sql = "UPDATE check_runs SET report = unhex(replace(hex(report), hex('cpu.usage'), hex('cpu.usagf'))) \
               WHERE agent_id = (SELECT agent_id FROM agents WHERE name = 'web-2')";
    assert_eq!(change(data, sql), 1);
    for (lang, words) in [("en", "web-2  not verified: its report is not signed by the key"), ("zh", "未通过验证")]
    {
        let (code, out, err) = texts(&show(lang));
        assert!(code == Some(3) || code == Some(2), "{out}{err}");
        assert!(out.contains(words), "{out}");
    }
    assert_eq!(change(data, "DELETE FROM check_runs"), 2);
    let (code, out, _) = texts(&show("en"));
    assert_eq!(code, Some(3), "{out}");
    assert_eq!(out.matches("did not give its report").count(), 2, "{out}");

    // A seed that was drawn for another scan.
    assert_eq!(change(data, "UPDATE scans SET seed = zeroblob(16)"), 1);
    let (code, out, err) = texts(&show("en"));
    assert_eq!((code, out.as_str()), (Some(3), ""), "{err}");
    assert!(err.contains("another scan than the one that was asked for"), "{err}");
}

#[test]
fn scans_are_by_label_planned_left_and_ended() {
    let fleet = Fleet::new();
    let site = &fleet.site;
    site.client.must(&["servers", "label", "web-2", "env=prod"]);
    let found = document(&site.ask(&["scan", "--label", "env=prod", "--check", "cpu", "--json"]));
    assert_eq!(states(&found), expected(&[("web-2", "report")]));
    let (code, _, err) = texts(&site.ask(&["scan", "--label", "env=test"]));
    assert_eq!(code, Some(3), "{err}");
    assert!(err.contains("No server has these labels"), "{err}");

    let (code, out, err) = texts(&site.ask(&["scan", "--check", "cpu", "--no-wait"]));
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("cloud-doctor scan show "), "{err}");
    let id = out.trim();
    // web-2 ran checks a moment ago and is asked once more after its pause, so the scan still runs.
    let (code, _, err) = texts(&site.ask(&["scan", "cancel", &id[..8]]));
    assert_eq!(code, Some(0), "{err}");
    let ended = document(&site.ask(&["scan", "show", id, "--json"]));
    assert_eq!((&ended["cancelled"], ended["servers"].as_array().unwrap().len()), (&true.into(), 3));
    assert!(states(&ended).contains(&("web-2".to_owned(), "cancelled".to_owned())), "{ended}");
    let (code, _, err) = texts(&site.ask(&["scan", "cancel", id]));
    assert_eq!(code, Some(5), "{err}");

    let plan = |more: &[&str]| texts(&site.ask(&[&["scan", "plan"], more].concat()));
    let (code, _, err) = plan(&["add", "nightly", "30 2 * * *", "--label", "env=prod", "--check", "disk"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("Plan nightly: the next scan begins at 20"), "{err}");
    assert_eq!(plan(&["add", "nightly", "0 3 * * 1"]).0, Some(0), "the same name is changed");
    let (_, out, _) = plan(&["list"]);
    assert!(out.contains("0 3 * * 1") && !out.contains("30 2") && out.lines().count() == 2, "{out}");
    for (cron, words) in
        [("0 3 * *", "five fields"), ("* * * * *", "five minutes apart"), ("0 0 30 2 *", "never comes")]
    {
        let (code, _, err) = plan(&["add", "bad", cron]);
        assert_eq!(code, Some(5), "{err}");
        assert!(err.contains(words), "{err}");
    }
    assert_eq!(plan(&["remove", "nightly"]).0, Some(0));
    assert_eq!(plan(&["remove", "nightly"]).0, Some(1));
}
