//! The relay asks a server for checks: what it keeps, and what it drops, whatever the server sends.

use crate::peer::{Agent, Frames};
use crate::world::{PATIENCE, Server, World};
use cloud_doctor_proto::checks::{CheckReport, CheckRequest, Report};
use cloud_doctor_proto::control::{StreamHead, StreamPurpose};
use cloud_doctor_proto::finding::{Evidence, Finding, Status, Words};
use cloud_doctor_proto::frame::{self, Kind};
use cloud_doctor_proto::ids::Nonce;
use cloud_doctor_proto::refusal::Refusal;
use cloud_doctor_proto::time::UnixTime;
use cloud_doctor_relay::broker::BrokerError;
use cloud_doctor_relay::checks::{Ask, AskError, Checks, Dropped, Plan, look};
use cloud_doctor_relay::clock;
use cloud_doctor_relay::metrics::{self, Metrics};
use cloud_doctor_relay::store::{Actor, CheckRun, FindingCounts, RunWhy};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const NONCE: Nonce = Nonce([5; 16]);

fn finding(check: &str, status: Status) -> Finding {
    Finding {
        check: check.into(),
        subject: "/".into(),
        status,
        note: false,
        since: None,
        value: Some(97.5),
        unit: "%".into(),
        evidence: vec![Evidence { source: "statvfs".into(), text: "x".into() }],
        summary: Words::same("full"),
        impact: Words::same("stops"),
        remedy: Words::same("more"),
        details: std::collections::BTreeMap::new(),
    }
}

fn report(nonce: Nonce, at: UnixTime) -> Report {
    let findings = vec![finding("disk.space", Status::Critical), finding("cpu.usage", Status::Ok)];
    Report { nonce, findings, ..Report::empty("web-1".into(), "0.1.0".into(), at) }
}

fn signed(server: &Server, nonce: Nonce, at: UnixTime) -> Vec<u8> {
    frame::message(Kind::CheckReport, &CheckReport::sign(&server.identity, report(nonce, at)))
}

struct Desk {
    world: World,
    server: Server,
    agent: Agent,
    metrics: Arc<Metrics>,
    checks: Arc<Checks>,
}

impl Desk {
    async fn new(wait: Duration) -> Self {
        let world = World::new().await;
        let server = world.enrolled(1).await;
        let agent = Agent::up(&world, &server).await;
        let metrics = Arc::new(Metrics::default());
        let checks = Arc::new(Checks::new(world.store.clone(), world.broker.clone(), metrics.clone(), wait));
        Self { world, server, agent, metrics, checks }
    }

    fn ask(&self, nonce: Nonce) -> Ask {
        Ask {
            tenant: self.world.tenant,
            agent: self.server.agent(),
            checks: vec!["cpu".into()],
            nonce,
            why: RunWhy::Asked,
            account: "ann".into(),
            client: "192.0.2.7".into(),
        }
    }

    /// Asks while the server does what `answer` says.
    async fn asked(&self, nonce: Nonce, answer: impl AsyncFnOnce(&mut Frames)) -> Result<CheckRun, AskError> {
        let ask = self.ask(nonce);
        let server = async {
            let mut frames = self.agent.accept().await;
            let head: StreamHead = frames.expect(Kind::StreamHead).await;
            assert_eq!(head.purpose, StreamPurpose::Checks);
            assert_eq!((head.account.as_str(), head.client.as_str()), ("ann", "192.0.2.7"));
            let request: CheckRequest = frames.expect(Kind::CheckRequest).await;
            assert_eq!((request.nonce, request.checks), (nonce, vec!["cpu".to_owned()]));
            answer(&mut frames).await;
            frames
        };
        let (run, _frames) = tokio::join!(self.checks.run(&ask), server);
        run
    }

    async fn answered(&self, nonce: Nonce, bytes: &[u8]) -> Result<CheckRun, AskError> {
        self.asked(nonce, async |frames: &mut Frames| {
            // A relay that has read enough stops.
            drop(frames.send.write_all(bytes).await);
            drop(frames.send.finish());
        })
        .await
    }

    fn counted(&self, outcome: &str) -> u64 {
        let registry = metrics::registry(&self.metrics, self.world.registry.clone(), self.world.broker.clone());
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let line = format!("cloud_doctor_relay_check_answers_total{{outcome=\"{outcome}\"}} ");
        let counted = text.lines().find_map(|found| found.strip_prefix(&line)?.parse().ok());
        assert!(
            counted.is_none() || text.contains("# HELP cloud_doctor_relay_check_answers Answers of servers"),
            "{text}"
        );
        counted.unwrap_or(0)
    }

    async fn kept(&self) -> usize {
        self.world.store.of(self.world.tenant).check_runs(&self.server.agent(), None, 100).await.unwrap().len()
    }
}

#[tokio::test]
async fn a_servers_report_is_kept_as_it_was_signed() {
    let desk = Desk::new(PATIENCE).await;
    let now = clock::now();
    let run = desk.answered(NONCE, &signed(&desk.server, NONCE, now)).await.unwrap();
    assert_eq!((run.line.run, run.line.at, run.line.account.as_str()), (NONCE, now, "ann"));
    assert!(!run.line.whole, "it asked for some");
    assert_eq!(run.line.counts, FindingCounts { critical: 1, ok: 1, ..FindingCounts::default() });
    let stored = desk.world.store.of(desk.world.tenant).newest_check_run(&desk.server.agent()).await.unwrap().unwrap();
    assert_eq!(stored, run);
    let again = CheckReport { report: stored.report.into(), signature: stored.signature };
    assert_eq!(again.answers(&desk.server.agent(), &NONCE).unwrap().findings.len(), 2);
    assert_eq!(desk.counted("kept"), 1);
    desk.world.stop().await;
}

#[tokio::test]
async fn chk_10_what_may_not_be_believed_is_dropped_and_counted() {
    let desk = Desk::new(PATIENCE).await;
    let now = clock::now();
    let other = Server::new(9, desk.world.tenant_id);
    let good = signed(&desk.server, NONCE, now);
    let frame_of_mebibyte = frame::encode(Kind::CheckReport, &vec![0; Kind::CheckReport.bytes_max()]);
    let mut broken = CheckReport::sign(&desk.server.identity, report(NONCE, now));
    broken.signature[3] ^= 1;
    for (bytes, why) in [
        (signed(&desk.server, Nonce([6; 16]), now), Dropped::Nonce),
        (signed(&other, NONCE, now), Dropped::Stranger),
        (signed(&desk.server, NONCE, now.plus_secs(700)), Dropped::Future),
        (frame::message(Kind::CheckReport, &broken), Dropped::Signature),
        ([good.clone(), good.clone()].concat(), Dropped::Duplicate),
        ([frame_of_mebibyte.clone(), frame_of_mebibyte].concat(), Dropped::TooLarge),
        (good[..good.len() / 2].to_vec(), Dropped::Malformed),
        (b"what else could come".to_vec(), Dropped::TooLarge),
    ] {
        let before = desk.counted(why.id());
        let run = desk.answered(NONCE, &bytes).await;
        assert!(matches!(run, Err(AskError::Dropped(found)) if found == why), "{why:?}: {run:?}");
        assert_eq!(desk.counted(why.id()), before + 1, "{why:?}");
        assert_eq!(desk.kept().await, 0, "{why:?}");
    }
    // The same report again, under the same nonce: once is enough.
    desk.answered(NONCE, &good).await.unwrap();
    let again = desk.answered(NONCE, &good).await;
    assert!(matches!(again, Err(AskError::Dropped(Dropped::Duplicate))), "{again:?}");
    assert_eq!(desk.kept().await, 1);
    desk.world.stop().await;
}

#[tokio::test]
async fn a_server_that_refuses_is_silent_or_leaves_is_told_apart() {
    let desk = Desk::new(Duration::from_millis(300)).await;
    let no = frame::message(Kind::Refused, &Refusal::ChecksTooOften.with("7"));
    let refused = desk.answered(NONCE, &no).await;
    assert!(matches!(refused, Err(AskError::Refused(no)) if no.code == Refusal::ChecksTooOften && no.detail == "7"));
    let left = desk.answered(NONCE, &[]).await;
    assert!(matches!(left, Err(AskError::Broke)), "{left:?}");
    // Half an answer, and nothing more.
    let half = desk.asked(NONCE, async |frames: &mut Frames| frames.send.write_all(&no[..5]).await.unwrap()).await;
    assert!(matches!(half, Err(AskError::Silent)), "{half:?}");
    let counts = ["refused", "broke", "silent"].map(|outcome| desk.counted(outcome));
    assert_eq!(counts, [1, 1, 1]);
    desk.agent.peer.connection.close(0u32.into(), b"");
    desk.world.until_live(&desk.server.agent(), false).await;
    let away = desk.checks.run(&desk.ask(NONCE)).await;
    assert!(matches!(away, Err(AskError::Broker(BrokerError::Unreachable))), "{away:?}");
    assert_eq!(desk.kept().await, 0);
    desk.world.stop().await;
}

#[tokio::test]
async fn an_account_asks_no_more_often_than_it_may_open_streams() {
    let desk = Desk::new(PATIENCE).await;
    let no = frame::message(Kind::Refused, &Refusal::ChecksTooOften.with("7"));
    for _ in 0..30 {
        drop(desk.answered(NONCE, &no).await);
    }
    let run = desk.checks.run(&desk.ask(NONCE)).await;
    assert!(matches!(run, Err(AskError::Broker(BrokerError::TooMany))), "{run:?}");
    assert_eq!(desk.world.broker.counts().opened, 0, "nothing sealed passed");
    desk.world.stop().await;
}

#[tokio::test]
async fn a_server_with_a_schedule_is_asked_by_itself() {
    let desk = Desk::new(PATIENCE).await;
    let by = Actor { account: "ann", client: "" };
    let (agent, scoped) = (desk.server.agent(), desk.world.store.of(desk.world.tenant));
    scoped.set_check_schedule(&agent, 300, by, clock::now()).await.unwrap();
    let all = desk.world.store.check_schedules().await.unwrap();
    // Its time came when it was away.
    let mut plan = Plan::default();
    assert!(plan.due(&all, |_| false, UnixTime(clock::now().0 - 60), |_| 0).is_empty());
    let plan = Mutex::new(plan);
    let server = async {
        let mut frames = desk.agent.accept().await;
        let head: StreamHead = frames.expect(Kind::StreamHead).await;
        assert_eq!((head.purpose, head.account.as_str()), (StreamPurpose::Checks, ""));
        let request: CheckRequest = frames.expect(Kind::CheckRequest).await;
        assert!(request.checks.is_empty(), "all that the ceiling allows");
        frames.send.write_all(&signed(&desk.server, request.nonce, clock::now())).await.unwrap();
        frames.send.finish().unwrap();
        frames
    };
    tokio::join!(look(&desk.checks, &desk.world.registry, &plan, clock::now()), server);
    let run = scoped.newest_check_run(&agent).await.unwrap().unwrap();
    assert_eq!((run.line.why, run.line.account.as_str(), run.line.whole), (RunWhy::Schedule, "", true));
    // Until its time comes again, a look asks nobody.
    look(&desk.checks, &desk.world.registry, &plan, clock::now()).await;
    assert_eq!(desk.kept().await, 1);
    desk.world.stop().await;
}
