//! Scans through the API: who may begin and plan, what is refused, and how results are shown. Servers' half is in
//! `tunnels/scans.rs`; here the one server is absent, and reports come from the store.

use crate::customer::Customer;
use crate::world::{World, unbase64};
use cloud_doctor_proto::ids::{AgentId, Nonce, ScanSeed, VerifyKey};
use cloud_doctor_proto::time::UnixTime;
use cloud_doctor_relay::clock;
use cloud_doctor_relay::store::{
    Actor, CheckRun, FindingCounts, NewFinding, NewScan, Rank, RunLine, RunWhy, ScanTerms, ServerResult, ServerState,
};
use serde_json::{Value, json};

const SCANS: &str = "/api/v1/scans";
const PLANS: &str = "/api/v1/scan-plans";

async fn with_server() -> (World, String, String) {
    let (world, ann) = World::with_ann().await;
    let server = world.add_server(&ann, &mut Customer::new(10)).await.to_string();
    (world, ann, server)
}

async fn ended(world: &World, token: &str, scan: &str) -> Value {
    let path = format!("{SCANS}/{scan}");
    for _ in 0..800 {
        let shown = world.get(&path, token).await;
        if shown.get("ended_at").is_some() {
            return shown;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the scan did not end");
}

#[tokio::test]
async fn an_admin_begins_scans_and_everybody_reads_them() {
    let (world, ann, server) = with_server().await;
    let eve = world.member(&ann, "eve").await;
    assert_eq!(world.call("POST", SCANS, Some(&eve), Some(json!({}))).await.problem(), "not-admin");
    for (bad, code) in [
        (json!({"labels": ["a b"]}), "bad-label"),
        (json!({"labels": vec!["x"; 17]}), "bad-label"),
        (json!({"labels": ["env=none"]}), "bad-plan"),
        (json!({"checks": ["/bin/sh"]}), "bad-plan"),
        (json!({"checks": vec!["x"; 501]}), "bad-plan"),
        (json!({"at_once": 0}), "bad-plan"),
        (json!({"at_once": 1001}), "bad-plan"),
        (json!({"wait_secs": 4}), "bad-plan"),
        (json!({"wait_secs": 301}), "bad-plan"),
        (json!({"seed": "x"}), "bad-request"),
    ] {
        assert_eq!(world.call("POST", SCANS, Some(&ann), Some(bad.clone())).await.problem(), code, "{bad}");
    }
    let seed = ScanSeed([7; 16]);
    let wish = json!({"seed": seed.to_string(), "checks": ["disk", "cpu"]});
    let scan = world.call("POST", SCANS, Some(&ann), Some(wish.clone())).await.ok();
    let id = seed.scan().to_string();
    assert_eq!((&scan["scan"], &scan["servers"], &scan["checks"]), (&json!(id), &json!(1), &json!(["disk", "cpu"])));
    assert_eq!(world.call("POST", SCANS, Some(&ann), Some(wish)).await.problem(), "bad-plan", "a seed counts once");

    let shown = ended(&world, &eve, &id).await;
    assert_eq!(shown["states"], json!({"absent": 1}), "an absent server is a result");
    assert_eq!((&shown["worst"], &shown["found"]), (&json!({"unknown": 1}), &json!([])));
    let servers = world.get(&format!("{SCANS}/{id}/servers"), &eve).await;
    let row = &servers["servers"][0];
    assert_eq!((&row["server"], &row["state"], &row["worst"]), (&json!(server), &json!("absent"), &json!("unknown")));
    let listed = world.get(SCANS, &eve).await;
    assert_eq!((listed["scans"].as_array().unwrap().len(), &listed["more"]), (1, &json!(false)));

    let cancel = format!("{SCANS}/{id}/cancel");
    assert_eq!(world.call("POST", &cancel, Some(&eve), Some(json!({}))).await.problem(), "not-admin");
    assert_eq!(world.call("POST", &cancel, Some(&ann), Some(json!({}))).await.problem(), "bad-plan", "it has ended");
    for path in ["servers?state=x", "servers?worst=x", "findings?status=x", "findings?after=x", "reports?of=x"] {
        let odd = world.call("GET", &format!("{SCANS}/{id}/{path}"), Some(&ann), None).await;
        assert_eq!(odd.problem(), "bad-request", "{path}");
    }
    let audit = world.get("/api/v1/audit", &ann).await["events"].as_array().unwrap().clone();
    let started: Vec<_> = audit.iter().filter(|event| event["action"] == "scan-started").collect();
    assert_eq!((started.len(), &started[0]["subject"]), (1, &json!(format!("{id} 1 - cpu,disk"))), "{audit:?}");
    world.stop().await;
}

/// A scan of the one server as its report would have left it.
async fn reported(world: &World, server: &str, seed: ScanSeed) -> String {
    let store = world.store().await;
    let agent: AgentId = server.parse().unwrap();
    let tenant = store.agent_by_transport_key(&VerifyKey([7; 32])).await.unwrap().unwrap().tenant;
    let scoped = store.of(tenant);
    let terms = ScanTerms { labels: Vec::new(), checks: Vec::new(), at_once: 8, wait_secs: 75 };
    let by = Actor { account: "ann", client: "" };
    let scan = scoped.start_scan(&NewScan { seed, terms }, by, clock::now()).await.unwrap();
    let finding = |subject: &str, rank| NewFinding {
        check: "disk.space".into(),
        subject: subject.into(),
        rank,
        change: "new",
        en: "It is full.".into(),
        zh: "已满。".into(),
    };
    let nonce: Nonce = seed.nonce(&agent);
    let line = RunLine {
        run: nonce,
        agent,
        at: UnixTime(1_800_000_000),
        received_at: clock::now(),
        why: RunWhy::Asked,
        account: "ann".into(),
        whole: true,
        counts: FindingCounts::default(),
    };
    assert!(scoped.add_check_run(&CheckRun { line, report: vec![7; 9], signature: [9; 64] }).await.unwrap());
    let result = ServerResult {
        agent,
        state: ServerState::Report,
        reason: String::new(),
        detail: String::new(),
        took_ms: 5,
        run: Some(nonce),
        findings: vec![finding("/", Rank::Critical), finding("/var", Rank::Warning)],
        looked: vec!["disk.space".into()],
    };
    scoped.add_results(scan.number, &[result], clock::now()).await.unwrap();
    scoped.end_scan(scan.number, clock::now()).await.unwrap();
    store.close().await;
    scan.id.to_string()
}

#[tokio::test]
async fn findings_and_reports_of_a_scan_are_shown_with_waivers() {
    let (world, ann, server) = with_server().await;
    let until = clock::now().0 + 600;
    let wish = json!({"check": "disk.space", "subject": "/", "reason": "a cache", "until": until});
    world.call("POST", &format!("/api/v1/servers/{server}/checks/waivers"), Some(&ann), Some(wish)).await.ok();
    let id = reported(&world, &server, ScanSeed([8; 16])).await;
    let shown = world.get(&format!("{SCANS}/{id}"), &ann).await;
    assert_eq!(shown["worst"], json!({"warning": 1}), "what somebody answers for does not count");
    let line = |status: &str, waived: bool| json!({"check": "disk.space", "status": status, "waived": waived, "change": "new", "findings": 1, "servers": 1});
    assert_eq!(shown["found"], json!([line("critical", true), line("warning", false)]));
    let findings = world.get(&format!("{SCANS}/{id}/findings?status=critical&check=disk.space"), &ann).await;
    let found = &findings["findings"][0];
    assert_eq!((&found["subject"], &found["waived"]), (&json!("/"), &json!(true)));
    assert_eq!((&found["summary"], &findings["next"]), (&json!(["It is full.", "已满。"]), &Value::Null));
    let other = reported(&world, &server, ScanSeed([9; 16])).await;
    let beside = world.get(&format!("{SCANS}/{other}?since={id}"), &ann).await;
    assert_eq!(beside["before"], json!(id));
    let changed: Vec<_> = beside["found"].as_array().unwrap().iter().map(|line| &line["change"]).collect();
    assert_eq!(changed, ["", ""], "the same was found again");
    let listed = world.get(&format!("{SCANS}/{other}/findings?since={id}&status=critical"), &ann).await;
    assert_eq!((&listed["findings"][0]["subject"], &listed["findings"][0]["change"]), (&json!("/"), &json!("")));
    let missing = world.call("GET", &format!("{SCANS}/{id}?since={}", "0".repeat(32)), Some(&ann), None).await;
    assert_eq!(missing.problem(), "unknown");
    let none = world.get(&format!("{SCANS}/{id}/findings?change=gone"), &ann).await;
    assert_eq!(none["findings"], json!([]));
    let reports = world.get(&format!("{SCANS}/{id}/reports?of={server},{}", "0".repeat(64)), &ann).await;
    let (report, missing) = (&reports["reports"][0], &reports["reports"][1]);
    assert_eq!((unbase64(&report["report"]), unbase64(&report["signature"])), (vec![7; 9], vec![9; 64]));
    assert_eq!(report["waived"], json!([["disk.space", "/"]]));
    assert_eq!((&missing["report"], &missing["waived"]), (&Value::Null, &json!([])));
    let many = vec![server.as_str(); 33].join(",");
    let refused = world.call("GET", &format!("{SCANS}/{id}/reports?of={many}"), Some(&ann), None).await;
    assert_eq!(refused.problem(), "bad-request");
    world.stop().await;
}

#[tokio::test]
async fn plans_are_made_changed_and_taken_away_by_admins() {
    let (world, ann, _) = with_server().await;
    let eve = world.member(&ann, "eve").await;
    let wish = json!({"name": "nightly", "cron": "30 2 * * 1-5", "labels": ["env=prod"], "checks": ["disk"]});
    assert_eq!(world.call("POST", PLANS, Some(&eve), Some(wish.clone())).await.problem(), "not-admin");
    for (key, bad) in [
        ("name", json!("")),
        ("name", json!("a\nb")),
        ("name", json!("x".repeat(65))),
        ("cron", json!("30 2 * *")),
        ("cron", json!("* * * * *")),
        ("cron", json!("0 0 30 2 *")),
        ("checks", json!(["a b"])),
    ] {
        let mut wish = wish.clone();
        wish[key] = bad;
        let refused = world.call("POST", PLANS, Some(&ann), Some(wish.clone())).await;
        assert_eq!((refused.status, refused.problem().as_str()), (422, "bad-plan"), "{wish}");
    }
    let made = world.call("POST", PLANS, Some(&ann), Some(wish.clone())).await.ok();
    let next = made["next_at"].as_u64().unwrap();
    assert!(next > clock::now().0 && next < clock::now().0 + 4 * 86_400, "{made}");
    assert_eq!(
        world.call("POST", PLANS, Some(&ann), Some(wish.clone())).await.problem(),
        "bad-plan",
        "the name is taken"
    );
    assert_eq!(world.get(PLANS, &eve).await["plans"], json!([made]));
    let one = format!("{PLANS}/{}", made["plan"].as_str().unwrap());
    let mut weekly = wish;
    weekly["cron"] = json!("0 3 * * 1");
    assert_eq!(world.call("PUT", &one, Some(&eve), Some(weekly.clone())).await.problem(), "not-admin");
    let changed = world.call("PUT", &one, Some(&ann), Some(weekly)).await.ok();
    assert_eq!((&changed["plan"], &changed["cron"]), (&made["plan"], &json!("0 3 * * 1")));
    let pause = format!("{one}/pause");
    assert_eq!(world.call("POST", &pause, Some(&eve), Some(json!({}))).await.problem(), "not-admin");
    let paused = world.call("POST", &pause, Some(&ann), Some(json!({}))).await.ok();
    assert_eq!((&paused["paused"], &paused["next_at"]), (&json!(true), &changed["next_at"]));
    assert_eq!(world.get(PLANS, &eve).await["plans"], json!([paused]));
    let resumed = world.call("POST", &format!("{one}/resume"), Some(&ann), Some(json!({}))).await.ok();
    assert_eq!((&resumed["paused"], resumed.get("last_scan")), (&json!(false), None), "it has begun none yet");
    assert_eq!(world.call("DELETE", &one, Some(&eve), None).await.problem(), "not-admin");
    assert_eq!(world.call("DELETE", &one, Some(&ann), None).await.status, 204);
    assert_eq!(world.call("DELETE", &one, Some(&ann), None).await.problem(), "unknown");
    world.stop().await;
}
