//! Scans over real tunnels: whatever servers do, each gets its one result, and a relay that stops goes on later.

use crate::peer::{Agent, Frames};
use crate::world::{PATIENCE, Server, World};
use cloud_doctor_proto::checks::{CheckReport, CheckRequest, Report};
use cloud_doctor_proto::control::StreamHead;
use cloud_doctor_proto::finding::{Evidence, Finding, Status, Words};
use cloud_doctor_proto::frame::{self, Kind};
use cloud_doctor_proto::ids::{AgentId, Nonce, ScanSeed, VerifyKey};
use cloud_doctor_proto::refusal::Refusal;
use cloud_doctor_proto::time::UnixTime;
use cloud_doctor_relay::checks::Checks;
use cloud_doctor_relay::clock;
use cloud_doctor_relay::metrics::Metrics;
use cloud_doctor_relay::scan::{Scans, keep_time};
use cloud_doctor_relay::store::{
    Actor, NewScan, NewWaiver, Rank, Scan, ScanPlan, ScanTerms, ServerState, WhichFindings, WhichServers,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const WHO: Actor<'static> = Actor { account: "ann", client: "192.0.2.7" };

fn terms(wait_secs: u64) -> ScanTerms {
    ScanTerms { labels: Vec::new(), checks: Vec::new(), at_once: 8, wait_secs }
}

/// A relay's scans, as they run from one start to one stop.
struct Desk {
    scans: Arc<Scans>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Desk {
    fn open(world: &World) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let (store, registry) = (world.store.clone(), world.registry.clone());
        let metrics = Arc::new(Metrics::default());
        let checks = Arc::new(Checks::new(store.clone(), world.broker.clone(), metrics, PATIENCE));
        let scans = Scans::new(store, checks, registry, tasks.clone(), stop.clone());
        tasks.spawn(keep_time(scans.clone(), stop.clone()));
        Self { scans, tasks, stop }
    }

    async fn close(self) {
        self.stop.cancel();
        self.tasks.close();
        tokio::time::timeout(PATIENCE, self.tasks.wait()).await.expect("scans stop");
    }
}

fn report(nonce: Nonce, findings: &[(&str, Status)], at: UnixTime) -> Report {
    let finding = |(subject, status): &(&str, Status)| Finding {
        check: "disk.space".into(),
        subject: (*subject).into(),
        status: *status,
        note: false,
        since: None,
        value: Some(97.5),
        unit: "%".into(),
        evidence: vec![Evidence { source: "statvfs".into(), text: "x".into() }],
        summary: Words { en: "It is full.".into(), zh: "已满。".into() },
        impact: Words::same("stops"),
        remedy: Words::same("more"),
        details: BTreeMap::new(),
    };
    Report {
        identity: VerifyKey([0; 32]),
        nonce,
        at,
        millis: 12,
        version: "0.1.0".into(),
        host: "web".into(),
        findings: findings.iter().map(finding).collect(),
        absent: Vec::new(),
        asked: Vec::new(),
        refused: Vec::new(),
        left_out: 0,
        sandbox_open: Vec::new(),
    }
}

fn signed(server: &Server, nonce: Nonce, findings: &[(&str, Status)]) -> Vec<u8> {
    frame::message(Kind::CheckReport, &CheckReport::sign(&server.identity, report(nonce, findings, clock::now())))
}

/// The next request to a server, with the stream on which it waits.
async fn asked(agent: &Agent) -> (Frames, Nonce) {
    let mut frames = tokio::time::timeout(PATIENCE, agent.accept()).await.expect("the server is asked");
    let _head: StreamHead = frames.expect(Kind::StreamHead).await;
    let request: CheckRequest = frames.expect(Kind::CheckRequest).await;
    (frames, request.nonce)
}

async fn say(mut frames: Frames, bytes: &[u8]) -> Frames {
    frames.send.write_all(bytes).await.unwrap();
    frames.send.finish().unwrap();
    frames
}

async fn ended(world: &World, scan: &Scan) -> BTreeMap<AgentId, (ServerState, String, Rank)> {
    let scoped = world.store.of(world.tenant);
    for _ in 0..800 {
        if scoped.scan(&scan.id).await.unwrap().unwrap().ended_at.is_some() {
            let rows = scoped.scan_servers(scan.number, WhichServers::default(), 1_000).await.unwrap();
            return rows.into_iter().map(|row| (row.agent, (row.state, row.reason, row.rank))).collect();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the scan did not end: {:?}", scoped.scan_counts(scan.number).await);
}

#[tokio::test]
async fn chk_12_whatever_servers_do_each_has_one_result() {
    let world = World::new().await;
    let desk = Desk::open(&world);
    let mut servers = Vec::new();
    for seed in 1..=7 {
        servers.push(world.enrolled(seed).await);
    }
    let [good, garbage, silent, refuses, leaves, early, absent] = &servers[..] else { panic!() };
    let mut up = BTreeMap::new();
    for server in &servers[..6] {
        up.insert(server.agent(), Agent::up(&world, server).await);
    }
    let seed = ScanSeed([7; 16]);
    let new = NewScan { seed, terms: terms(4) };
    let scan = desk.scans.start(world.tenant, &new, WHO).await.unwrap();
    assert_eq!((scan.id, scan.servers), (seed.scan(), 7));

    let of = |server: &Server| &up[&server.agent()];
    let (frames, nonce) = asked(of(good)).await;
    assert_eq!(nonce, seed.nonce(&good.agent()), "a nonce follows from the seed");
    let bad = [("/", Status::Critical), ("/tmp", Status::Ok), ("/var", Status::Unknown)];
    let _kept = say(frames, &signed(good, nonce, &bad)).await;
    let _kept = say(asked(of(garbage)).await.0, b"\0\0\0\x05garbage").await;
    let (_held, _) = asked(of(silent)).await;
    let no = frame::message(Kind::Refused, &Refusal::ChecksNotAllowed.with(""));
    let _kept = say(asked(of(refuses)).await.0, &no).await;
    let _gone = asked(of(leaves)).await;
    of(leaves).peer.connection.close(0u32.into(), b"");
    let later = frame::message(Kind::Refused, &Refusal::ChecksTooOften.with("1"));
    let _kept = say(asked(of(early)).await.0, &later).await;
    let (frames, nonce) = asked(of(early)).await;
    let _kept = say(frames, &signed(early, nonce, &[])).await;

    let found = ended(&world, &scan).await;
    let check = |server: &Server, state, reason: &str, rank| {
        assert_eq!(found[&server.agent()], (state, reason.to_owned(), rank), "{found:?}");
    };
    check(good, ServerState::Report, "", Rank::Critical);
    check(garbage, ServerState::Dropped, "malformed", Rank::Unknown);
    check(silent, ServerState::Silent, "", Rank::Unknown);
    check(refuses, ServerState::Refused, "checks-not-allowed", Rank::Unknown);
    check(leaves, ServerState::Broke, "", Rank::Unknown);
    check(early, ServerState::Report, "", Rank::Ok);
    check(absent, ServerState::Absent, "", Rank::Unknown);
    desk.close().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_that_answer_at_once_do_not_stop_each_other() {
    let world = World::new().await;
    let mut answering = Vec::new();
    for seed in 1..=24 {
        let server = world.enrolled(seed).await;
        let agent = Agent::up(&world, &server).await;
        answering.push(tokio::spawn(async move {
            let (frames, nonce) = asked(&agent).await;
            let _kept = say(frames, &signed(&server, nonce, &[("/", Status::Warning)])).await;
            // The tunnel stays until the test ends.
            agent
        }));
    }
    let desk = Desk::open(&world);
    let all = ScanTerms { at_once: 64, ..terms(60) };
    let scan = desk.scans.start(world.tenant, &NewScan { seed: ScanSeed([7; 16]), terms: all }, WHO).await.unwrap();
    let found = ended(&world, &scan).await;
    assert!(
        found.values().all(|(state, _, rank)| (*state, *rank) == (ServerState::Report, Rank::Warning)),
        "{found:?}"
    );
    for one in answering {
        one.await.unwrap();
    }
    desk.close().await;
    world.stop().await;
}

#[tokio::test]
async fn a_scan_goes_on_where_a_stop_has_left_it() {
    let world = World::new().await;
    let (one, two) = (world.enrolled(1).await, world.enrolled(2).await);
    let (first, second) = (Agent::up(&world, &one).await, Agent::up(&world, &two).await);
    let desk = Desk::open(&world);
    let scan =
        desk.scans.start(world.tenant, &NewScan { seed: ScanSeed([7; 16]), terms: terms(60) }, WHO).await.unwrap();
    let (frames, nonce) = asked(&first).await;
    let _kept = say(frames, &signed(&one, nonce, &[("/", Status::Warning)])).await;
    let (_unanswered, _) = asked(&second).await;
    let scoped = world.store.of(world.tenant);
    for _ in 0..500 {
        if scoped.open_servers(scan.number).await.unwrap() == [(two.agent(), true)] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    desk.close().await;
    assert_eq!(scoped.open_servers(scan.number).await.unwrap(), [(two.agent(), true)], "one has its result");
    assert!(scoped.scan(&scan.id).await.unwrap().unwrap().ended_at.is_none());

    let desk = Desk::open(&world);
    let (frames, nonce) = asked(&second).await;
    let _kept = say(frames, &signed(&two, nonce, &[])).await;
    let found = ended(&world, &scan).await;
    assert_eq!(found[&one.agent()].2, Rank::Warning, "what is finished stays: {found:?}");
    assert_eq!(found[&two.agent()], (ServerState::Report, String::new(), Rank::Ok));
    desk.close().await;
    world.stop().await;
}

#[tokio::test]
async fn the_next_scan_says_what_changed_and_waivers_count() {
    let world = World::new().await;
    let server = world.enrolled(1).await;
    let agent = Agent::up(&world, &server).await;
    let desk = Desk::open(&world);
    let scoped = world.store.of(world.tenant);
    let scanned = async |seed: u8, findings: &[(&str, Status)]| {
        let new = NewScan { seed: ScanSeed([seed; 16]), terms: terms(60) };
        let scan = desk.scans.start(world.tenant, &new, WHO).await.unwrap();
        let (frames, nonce) = asked(&agent).await;
        let _kept = say(frames, &signed(&server, nonce, findings)).await;
        (ended(&world, &scan).await, scan)
    };
    let lines = async |scan: &Scan| {
        let all = scoped.scan_findings(scan.number, &WhichFindings::default(), 100).await.unwrap();
        let line = |one: &cloud_doctor_relay::store::ScanFinding| {
            format!("{} {} {} {}", one.subject, one.rank.id(), one.change, one.waived)
        };
        all.iter().map(line).collect::<Vec<_>>()
    };
    let (_, first) = scanned(1, &[("/", Status::Warning), ("/var", Status::Critical)]).await;
    assert_eq!(lines(&first).await, ["/var critical  false", "/ warning  false"]);
    let waiver = NewWaiver {
        id: [1; 16],
        agent: server.agent(),
        check: "disk.space".into(),
        subject: "/".into(),
        reason: "a cache".into(),
        until: clock::now().plus_secs(600),
    };
    scoped.waive(&waiver, WHO, clock::now()).await.unwrap();
    let (found, second) = scanned(2, &[("/", Status::Critical), ("/tmp", Status::Warning), ("/var", Status::Ok)]).await;
    assert_eq!(lines(&second).await, ["/ critical worse true", "/tmp warning new false", "/var ok gone false"]);
    assert_eq!(found[&server.agent()].2, Rank::Warning, "what somebody answers for does not count");
    assert_eq!(scoped.scan_before(&second).await.unwrap().map(|scan| scan.id), Some(first.id));
    // Answered for no more: what is kept says so at once.
    scoped.unwaive(&server.agent(), &[1; 16], WHO, clock::now()).await.unwrap();
    let rows = scoped.scan_servers(second.number, WhichServers::default(), 10).await.unwrap();
    assert_eq!(rows[0].rank, Rank::Critical);
    desk.close().await;
    world.stop().await;
}

#[tokio::test]
async fn a_plan_whose_time_has_passed_begins_one_scan() {
    let world = World::new().await;
    let server = world.enrolled(1).await;
    let agent = Agent::up(&world, &server).await;
    let scoped = world.store.of(world.tenant);
    let now = clock::now();
    let plan = ScanPlan {
        id: [1; 16],
        name: "hourly".into(),
        cron: "0 * * * *".into(),
        terms: terms(60),
        // Missed for a day.
        next_at: UnixTime(now.0 - 86_400),
        paused: false,
    };
    scoped.add_scan_plan(&plan, WHO, now).await.unwrap();
    let desk = Desk::open(&world);
    let (frames, nonce) = asked(&agent).await;
    let _kept = say(frames, &signed(&server, nonce, &[])).await;
    let scans = scoped.scans(None, 10).await.unwrap();
    assert_eq!((scans.len(), scans[0].plan.as_str(), scans[0].account.as_str()), (1, "hourly", "ann"));
    ended(&world, &scans[0]).await;
    let next = scoped.scan_plans().await.unwrap()[0].plan.next_at;
    assert!(next > now && next.0 <= now.0 + 3_600 + 300, "{next:?}");
    assert!(world.store.due_scan_plans(clock::now()).await.unwrap().is_empty());
    desk.close().await;
    world.stop().await;
}
