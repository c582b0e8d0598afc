//! Checks through the API: what is kept of runs, who may plan, and what is refused. Runs come from the store here; a
//! server's half is in `tunnels/checks.rs`, the whole road in the end-to-end tests.

use crate::customer::Customer;
use crate::world::World;
use cloud_doctor_proto::checks::{Absent, CheckReport, Report};
use cloud_doctor_proto::finding::{Finding, Status, Words};
use cloud_doctor_proto::ids::{AgentId, Nonce, VerifyKey};
use cloud_doctor_proto::time::{DAY_SECS, UnixTime};
use cloud_doctor_relay::checks::counts;
use cloud_doctor_relay::clock;
use cloud_doctor_relay::store::{CheckRun, RunLine, RunWhy};
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};

impl World {
    /// Keeps a run of a server with findings of `check subject status`, as if it had just come; its name.
    pub(crate) async fn check_run(&self, server: &str, number: u8, findings: &[(&str, &str, Status)]) -> String {
        let agent: AgentId = server.parse().unwrap();
        let report = report(Nonce([number; 16]), findings);
        let counts = counts(&report);
        let signed = CheckReport::sign(&SigningKey::from_bytes(&[1; 32]), report);
        let line = RunLine {
            run: Nonce([number; 16]),
            agent,
            at: UnixTime(1_800_000_000),
            received_at: clock::now(),
            why: RunWhy::Asked,
            account: "ann".into(),
            whole: true,
            counts,
        };
        let store = self.store().await;
        let run = CheckRun { line, report: signed.report.into_vec(), signature: signed.signature };
        let tenant = store.agent_by_transport_key(&VerifyKey([7; 32])).await.unwrap().unwrap().tenant;
        assert!(store.of(tenant).add_check_run(&run).await.unwrap());
        store.close().await;
        run.line.run.to_string()
    }
}

fn report(nonce: Nonce, findings: &[(&str, &str, Status)]) -> Report {
    let finding = |(check, subject, status): &(&str, &str, Status)| Finding {
        check: (*check).into(),
        subject: (*subject).into(),
        status: *status,
        note: false,
        since: None,
        value: Some(97.5),
        unit: "%".into(),
        evidence: Vec::new(),
        summary: Words { en: "It is full.".into(), zh: "已满。".into() },
        impact: Words::same("stops"),
        remedy: Words::same("more"),
        details: std::collections::BTreeMap::new(),
    };
    Report {
        nonce,
        millis: 12,
        findings: findings.iter().map(finding).collect(),
        absent: vec![Absent { check: "lb.detection-time".into(), why: Words::same("none") }],
        refused: vec!["/bin/sh".into()],
        left_out: 3,
        sandbox_open: vec!["landlock".into()],
        ..Report::empty("web-1".into(), "0.1.0".into(), UnixTime(1_800_000_000))
    }
}

async fn with_server() -> (World, String, String, String) {
    let (world, ann) = World::with_ann().await;
    let server = world.add_server(&ann, &mut Customer::new(10)).await.to_string();
    let checks = format!("/api/v1/servers/{server}/checks");
    (world, ann, server, checks)
}

async fn audited(world: &World, token: &str, action: &str) -> usize {
    let audit = world.get("/api/v1/audit", token).await["events"].as_array().unwrap().clone();
    audit.iter().filter(|event| event["action"] == action).count()
}

#[tokio::test]
async fn a_run_is_shown_with_its_changes_and_as_it_was_signed() {
    let (world, ann, server, checks) = with_server().await;
    let nothing = json!({"latest": null, "schedule": {"every_secs": 0}, "waivers": []});
    assert_eq!(world.get(&checks, &ann).await, nothing);
    world.check_run(&server, 1, &[("disk.space", "/", Status::Ok), ("tls.expiry", "a", Status::Critical)]).await;
    let run = world
        .check_run(&server, 2, &[("disk.space", "/", Status::Warning), ("tls.expiry", "a", Status::Unknown)])
        .await;
    let latest = world.get(&checks, &ann).await["latest"].clone();
    assert_eq!(latest["run"], json!(run));
    let keys = ["at", "why", "by", "millis", "version", "refused", "left_out", "sandbox_open", "critical", "warning"];
    assert_eq!(
        keys.map(|key| latest[key].clone()),
        [
            json!(1_800_000_000),
            json!("asked"),
            json!("ann"),
            json!(12),
            json!("0.1.0"),
            json!(["/bin/sh"]),
            json!(3),
            json!(["landlock"]),
            json!(0),
            json!(1)
        ]
    );
    assert_eq!(latest["absent"], json!([{"check": "lb.detection-time", "why": {"en": "none", "zh": "none"}}]));
    let first = &latest["findings"][0];
    assert_eq!(
        (&first["check"], &first["status"], &first["value"]),
        (&json!("disk.space"), &json!("warning"), &json!(97.5))
    );
    assert_eq!(first["summary"], json!({"en": "It is full.", "zh": "已满。"}));
    let change = json!([{"check": "disk.space", "subject": "/", "change": "new", "before": "ok", "now": "warning"}]);
    assert_eq!(latest["changes"], change, "what could not be told is not gone");
    // Whoever reads it can verify it.
    let signed = CheckReport {
        report: crate::world::unbase64(&latest["report"]).into(),
        signature: crate::world::unbase64(&latest["signature"]).try_into().unwrap(),
    };
    let key = VerifyKey(SigningKey::from_bytes(&[1; 32]).verifying_key().to_bytes());
    assert_eq!(signed.answers(&AgentId::of(&key), &Nonce([2; 16])).unwrap().findings.len(), 2);
    assert_eq!(world.get(&format!("{checks}/runs/{run}"), &ann).await, latest);
    let missing = world.call("GET", &format!("{checks}/runs/{}", "0".repeat(32)), Some(&ann), None).await;
    assert_eq!(missing.problem(), "unknown");
    world.stop().await;
}

#[tokio::test]
async fn runs_are_listed_in_pages() {
    let (world, ann, server, checks) = with_server().await;
    for number in 1..=51 {
        world.check_run(&server, number, &[("disk.space", "/", Status::Critical)]).await;
    }
    let page = world.get(&format!("{checks}/runs"), &ann).await;
    let runs = page["runs"].as_array().unwrap();
    assert_eq!((runs.len(), &page["more"], &runs[0]["run"]), (50, &json!(true), &json!("33".repeat(16))));
    assert_eq!((&runs[0]["critical"], &runs[0]["ok"], &runs[0]["notes"]), (&json!(1), &json!(0), &json!(0)));
    assert!(runs[0].get("report").is_none(), "a list holds no reports");
    let before = runs[49]["run"].as_str().unwrap();
    let rest = world.get(&format!("{checks}/runs?before={before}"), &ann).await;
    assert_eq!((rest["runs"].as_array().unwrap().len(), &rest["more"]), (1, &json!(false)));
    assert_eq!(world.call("GET", &format!("{checks}/runs?before=x"), Some(&ann), None).await.problem(), "bad-request");
    world.stop().await;
}

#[tokio::test]
async fn asking_an_absent_server_says_so_and_leaves_no_row() {
    let (world, ann, _, checks) = with_server().await;
    let away = world.call("POST", &checks, Some(&ann), Some(json!({"checks": ["cpu"]}))).await;
    assert_eq!((away.status, away.problem().as_str()), (502, "server-away"));
    for bad in [json!({"checks": [""]}), json!({"checks": ["x".repeat(101)]}), json!({"checks": vec!["x"; 501]})] {
        assert_eq!(world.call("POST", &checks, Some(&ann), Some(bad)).await.problem(), "bad-request");
    }
    assert_eq!(world.call("POST", &checks, Some(&ann), Some(json!({"nonce": "x"}))).await.problem(), "bad-request");
    assert_eq!(audited(&world, &ann, "checks-asked").await, 0);
    world.stop().await;
}

#[tokio::test]
async fn only_an_admin_plans_and_each_plan_is_audited() {
    let (world, ann, server, checks) = with_server().await;
    let eve = world.member(&ann, "eve").await;
    let schedule = format!("{checks}/schedule");
    let set = async |token: &str, every: Value| {
        world.call("PUT", &schedule, Some(token), Some(json!({"every_secs": every}))).await
    };
    assert_eq!(set(&eve, json!(3600)).await.problem(), "not-admin");
    for bad in [1, 299, 604_801] {
        assert_eq!(set(&ann, json!(bad)).await.problem(), "bad-plan", "{bad}");
    }
    assert_eq!(set(&ann, json!(-1)).await.problem(), "bad-request");
    for good in [300, 604_800, 0, 3600] {
        assert_eq!(set(&ann, json!(good)).await.ok(), json!({"every_secs": good}));
    }
    let until = clock::now().0 + DAY_SECS;
    let wish = json!({"check": "disk.space", "subject": "/", "reason": "it is a cache", "until": until});
    let waivers = format!("{checks}/waivers");
    assert_eq!(world.call("POST", &waivers, Some(&eve), Some(wish.clone())).await.problem(), "not-admin");
    for (key, bad) in [
        ("check", json!("")),
        ("check", json!("a\nb")),
        ("subject", json!("x".repeat(1001))),
        ("reason", json!(" ")),
        ("reason", json!("x".repeat(301))),
        ("until", json!(clock::now().0 - 1)),
        ("until", json!(clock::now().0 + 367 * DAY_SECS)),
    ] {
        let mut wish = wish.clone();
        wish[key] = bad;
        let refused = world.call("POST", &waivers, Some(&ann), Some(wish.clone())).await;
        assert_eq!((refused.status, refused.problem().as_str()), (422, "bad-plan"), "{wish}");
    }
    let made = world.call("POST", &waivers, Some(&ann), Some(wish)).await.ok();
    assert_eq!((&made["owner"], &made["subject"]), (&json!("ann"), &json!("/")));
    world.check_run(&server, 1, &[("disk.space", "/", Status::Critical), ("disk.space", "/a", Status::Critical)]).await;
    let known = world.get(&checks, &eve).await;
    assert_eq!((&known["schedule"]["every_secs"], &known["waivers"]), (&json!(3600), &json!([made])));
    let found = &known["latest"]["findings"];
    assert_eq!([&found[0]["waiver"], &found[1]["waiver"]], [&made["waiver"], &Value::Null]);
    let one = format!("{waivers}/{}", made["waiver"].as_str().unwrap());
    assert_eq!(world.call("DELETE", &one, Some(&eve), None).await.problem(), "not-admin");
    assert_eq!(world.call("DELETE", &one, Some(&ann), None).await.status, 204);
    assert_eq!(world.call("DELETE", &one, Some(&ann), None).await.problem(), "unknown");
    assert_eq!(world.get(&checks, &ann).await["latest"]["findings"][0]["waiver"], Value::Null);
    let mut counts = Vec::new();
    for action in ["checks-scheduled", "finding-waived", "finding-unwaived"] {
        counts.push(audited(&world, &ann, action).await);
    }
    assert_eq!(counts, [4, 1, 1], "refused ones leave no row");
    world.stop().await;
}

#[tokio::test]
async fn a_waiver_that_has_ended_counts_no_more() {
    let (world, ann, server, checks) = with_server().await;
    let wish = json!({"check": "disk.space", "subject": "/", "reason": "x", "until": clock::now().0 + 1});
    world.call("POST", &format!("{checks}/waivers"), Some(&ann), Some(wish)).await.ok();
    world.check_run(&server, 1, &[("disk.space", "/", Status::Critical)]).await;
    let ended = async {
        while !world.get(&checks, &ann).await["latest"]["findings"][0]["waiver"].is_null() {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(crate::client::PATIENCE, ended).await.unwrap();
    assert_eq!(world.get(&checks, &ann).await["waivers"].as_array().unwrap().len(), 1, "it can still be read");
    world.stop().await;
}

#[tokio::test]
async fn a_stored_report_that_cannot_be_read_is_not_shown() {
    let (world, ann, server, checks) = with_server().await;
    let run = world.check_run(&server, 1, &[("disk.space", "/", Status::Critical)]).await;
    let file = cloud_doctor_relay::config::database(&crate::world::data(&world.dir));
    let pool = sqlx::SqlitePool::connect(&format!("sqlite:{}", file.display())).await.unwrap();
    sqlx::query("UPDATE check_runs SET report = x'00'").execute(&pool).await.unwrap();
    pool.close().await;
    let shown = world.call("GET", &format!("{checks}/runs/{run}"), Some(&ann), None).await;
    assert_eq!((shown.status, shown.problem().as_str()), (500, "failed"));
    world.stop().await;
}
