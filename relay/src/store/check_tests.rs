//! Runs of checks, waivers and schedules in a real file.
#![allow(clippy::unwrap_used)]

use super::tests::{NOW, WHO, World, enrolment, first, genesis, token, world};
use super::*;
use cloud_doctor_proto::ids::{AgentId, Nonce};
use cloud_doctor_proto::time::DAY_SECS;

const WEB: AgentId = AgentId([1; 32]);
const DB: AgentId = AgentId([2; 32]);

/// A customer with two servers.
async fn with_servers() -> World {
    let world = world().await;
    let mut head = genesis(&world).await;
    world.store.of(world.tenant).add_enrol_token(&token(1, 5), WHO, NOW).await.unwrap();
    for agent in [1, 2] {
        let (_, next) = world.store.enrol(&enrolment(1, head, agent), NOW).await.unwrap();
        head = next;
    }
    world
}

fn run(agent: AgentId, number: u16, received_at: u64) -> CheckRun {
    let mut id = [0; 16];
    id[..2].copy_from_slice(&number.to_be_bytes());
    CheckRun {
        line: RunLine {
            run: Nonce(id),
            agent,
            at: UnixTime(received_at - 1),
            received_at: UnixTime(received_at),
            why: RunWhy::Asked,
            account: "ann".into(),
            whole: true,
            counts: FindingCounts { critical: 1, warning: 2, unknown: 3, ok: 4, notes: 5 },
        },
        report: vec![7; 1000],
        signature: [9; 64],
    }
}

fn numbers(runs: &[RunLine]) -> Vec<u16> {
    runs.iter().map(|line| u16::from_be_bytes([line.run.0[0], line.run.0[1]])).collect()
}

#[tokio::test]
async fn a_run_is_kept_as_it_was_signed_once() {
    let world = with_servers().await;
    let scoped = world.store.of(world.tenant);
    let kept = run(WEB, 1, NOW.0);
    assert!(scoped.add_check_run(&kept).await.unwrap());
    assert_eq!(scoped.check_run(&WEB, &kept.line.run).await.unwrap().as_ref(), Some(&kept));
    assert_eq!(scoped.newest_check_run(&WEB).await.unwrap(), Some(kept.clone()));
    let again = CheckRun { report: vec![8], ..run(WEB, 1, NOW.0 + 5) };
    assert!(!scoped.add_check_run(&again).await.unwrap(), "a nonce counts once for a server");
    assert_eq!(scoped.newest_check_run(&WEB).await.unwrap(), Some(kept.clone()));
    assert!(scoped.add_check_run(&run(DB, 1, NOW.0)).await.unwrap(), "another server's is another one");
    let other = world.store.add_tenant(&first("bob"), NOW).await.unwrap();
    let foreign = world.store.of(other);
    assert_eq!(foreign.check_run(&WEB, &kept.line.run).await.unwrap(), None);
    assert_eq!(foreign.newest_check_run(&WEB).await.unwrap(), None);
    assert!(foreign.check_runs(&WEB, None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn runs_are_listed_in_pages_and_compared_with_whole_ones() {
    let world = with_servers().await;
    let scoped = world.store.of(world.tenant);
    for number in 1..=5 {
        // Two in the same second.
        let mut run = run(WEB, number, NOW.0 + u64::from(number / 2));
        run.line.whole = number % 2 == 1;
        scoped.add_check_run(&run).await.unwrap();
    }
    let page = scoped.check_runs(&WEB, None, 2).await.unwrap();
    assert_eq!(numbers(&page), [5, 4]);
    let page = scoped.check_runs(&WEB, Some(&page[1].run), 2).await.unwrap();
    assert_eq!(numbers(&page), [3, 2]);
    assert_eq!(numbers(&scoped.check_runs(&WEB, Some(&page[1].run), 2).await.unwrap()), [1]);
    for (number, before) in [(5_u16, Some(3)), (4, Some(3)), (3, Some(1)), (2, Some(1)), (1, None)] {
        let of = run(WEB, number, NOW.0).line.run;
        let found = scoped.check_run_before(&WEB, &of).await.unwrap();
        assert_eq!(found.map(|found| numbers(&[found.line])[0]), before, "{number}");
    }
}

#[tokio::test]
async fn runs_are_bounded_in_number_age_and_bytes() {
    let world = with_servers().await;
    let scoped = world.store.of(world.tenant);
    for number in 0..205 {
        scoped.add_check_run(&run(WEB, number, NOW.0 + u64::from(number))).await.unwrap();
    }
    scoped.add_check_run(&run(DB, 0, NOW.0)).await.unwrap();
    let kept = numbers(&scoped.check_runs(&WEB, None, 1000).await.unwrap());
    assert_eq!((kept.len(), kept[0], kept[199]), (200, 204, 5), "the newest 200");
    assert_eq!(scoped.check_runs(&DB, None, 10).await.unwrap().len(), 1, "each server has its own");
    let forget = async |before: u64, bytes| {
        while world.store.forget_check_runs(UnixTime(before), bytes).await.unwrap() {}
        numbers(&scoped.check_runs(&WEB, None, 1000).await.unwrap()).len()
    };
    assert_eq!(forget(0, RUNS_BYTES_MAX).await, 200);
    assert_eq!(forget(NOW.0 + 105, RUNS_BYTES_MAX).await, 100, "what is old goes, in batches");
    assert!(scoped.check_runs(&DB, None, 10).await.unwrap().is_empty());
    assert_eq!(forget(0, 30_000).await, 30, "the oldest go first");
    assert_eq!(scoped.newest_check_run(&WEB).await.unwrap().unwrap().line, run(WEB, 204, NOW.0 + 204).line);
    scoped.remove_agent(&WEB, WHO, NOW).await.unwrap();
    assert_eq!(forget(0, RUNS_BYTES_MAX).await, 0, "a removed server's go with it");
}

fn waiver(number: u16, until: u64) -> NewWaiver {
    let mut id = [0; 16];
    id[..2].copy_from_slice(&number.to_be_bytes());
    NewWaiver {
        id,
        agent: WEB,
        check: "disk.space".into(),
        subject: format!("/{number}"),
        reason: "it is a cache".into(),
        until: UnixTime(until),
    }
}

#[tokio::test]
async fn waivers_end_and_are_bounded() {
    let world = with_servers().await;
    let scoped = world.store.of(world.tenant);
    for number in 0..500 {
        scoped.waive(&waiver(number, NOW.0 + 10), WHO, NOW).await.unwrap();
    }
    let full = scoped.waive(&waiver(500, NOW.0 + 99), WHO, NOW).await;
    assert!(matches!(full, Err(PlanRefused::TooMany)), "{full:?}");
    let again = NewWaiver { id: [9; 16], reason: "longer".into(), ..waiver(7, NOW.0 + 99) };
    scoped.waive(&again, WHO, NOW).await.unwrap();
    let all = scoped.waivers(&WEB).await.unwrap();
    assert_eq!(all.len(), 500, "one of the same check and subject is replaced");
    let found = all.iter().find(|waiver| waiver.new.subject == "/7").unwrap();
    assert_eq!((&found.new, found.account.as_str(), found.created_at), (&again, "ann", NOW));
    assert_eq!([NOW.0 + 10, NOW.0 + 11].map(|at| all[0].counts(UnixTime(at))), [true, false]);
    let later = UnixTime(NOW.0 + 11);
    scoped.waive(&waiver(500, later.0 + 99), WHO, later).await.unwrap();
    assert_eq!(scoped.waivers(&WEB).await.unwrap().len(), 2, "those that count no more make room");
    assert!(matches!(scoped.unwaive(&DB, &[9; 16], WHO, later).await, Err(PlanRefused::Unknown)));
    scoped.unwaive(&WEB, &[9; 16], WHO, later).await.unwrap();
    assert!(matches!(scoped.unwaive(&WEB, &[9; 16], WHO, later).await, Err(PlanRefused::Unknown)));
    let unknown = scoped.waive(&NewWaiver { agent: AgentId([8; 32]), ..waiver(1, later.0) }, WHO, later).await;
    assert!(matches!(unknown, Err(PlanRefused::Unknown)));
    let audit = scoped.audit_rows(0, 5000).await.unwrap();
    let noted = |action: &str| audit.iter().filter(|row| row.action == action).count();
    assert_eq!((noted("finding-waived"), noted("finding-unwaived")), (502, 1), "what is refused leaves no row");
}

#[tokio::test]
async fn schedules_are_known_with_the_newest_whole_run() {
    let world = with_servers().await;
    let scoped = world.store.of(world.tenant);
    assert_eq!(scoped.check_schedule(&WEB).await.unwrap(), 0);
    scoped.set_check_schedule(&WEB, 3600, WHO, NOW).await.unwrap();
    scoped.set_check_schedule(&DB, 300, WHO, NOW).await.unwrap();
    scoped.set_check_schedule(&WEB, DAY_SECS, WHO, NOW).await.unwrap();
    assert_eq!(scoped.check_schedule(&WEB).await.unwrap(), DAY_SECS);
    scoped.add_check_run(&run(WEB, 1, NOW.0)).await.unwrap();
    let mut part = run(WEB, 2, NOW.0 + 50);
    part.line.whole = false;
    scoped.add_check_run(&part).await.unwrap();
    let tenant = world.tenant;
    assert_eq!(
        world.store.check_schedules().await.unwrap(),
        [
            Scheduled { tenant, agent: WEB, every_secs: DAY_SECS, last: Some(NOW) },
            Scheduled { tenant, agent: DB, every_secs: 300, last: None }
        ]
    );
    scoped.set_check_schedule(&DB, 0, WHO, NOW).await.unwrap();
    scoped.remove_agent(&WEB, WHO, NOW).await.unwrap();
    assert!(world.store.check_schedules().await.unwrap().is_empty(), "off, and gone with its server");
    let gone = scoped.set_check_schedule(&WEB, 300, WHO, NOW).await;
    assert!(matches!(gone, Err(PlanRefused::Unknown)));
}
