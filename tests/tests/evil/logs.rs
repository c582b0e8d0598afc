//! trust logs, ceilings, floods and withheld revocations.

use super::stage::{Stage, commands};
use cloud_doctor_proto::channel::ChannelKind;
use cloud_doctor_proto::control::{TrustHead, TrustUpdate};
use cloud_doctor_proto::frame::{self, Kind};
use cloud_doctor_proto::ids::ChannelId;
use cloud_doctor_proto::refusal::{Refusal, Refused};
use cloud_doctor_proto::trust::{Role, What};
use cloud_doctor_proto::visit::{ChallengeReply, ChallengeRequest, OpenVisit};
use cloud_doctor_tests::eventually::{SOON, eventually};
use cloud_doctor_tests::people::{Customer, Person, now, random, sign_entry};
use cloud_doctor_tests::process;
use cloud_doctor_tests::visitor::{self, ANSWER, Answer, Plan, Visit, request};
use serde_bytes::ByteBuf;
use std::fs;
use std::time::{Duration, Instant};

impl Stage {
    /// Sends log entries as a relay does.
    fn push(&mut self, entries: Vec<Vec<u8>>) {
        let entries = entries.into_iter().map(ByteBuf::from).collect();
        self.tunnel.control.borrow_mut().say(Kind::TrustUpdate, &TrustUpdate { entries });
    }

    /// Guard's head, as a client sees it.
    fn guards_head(&self) -> TrustHead {
        let challenge = self.challenge().challenge;
        TrustHead { seq: challenge.trust_seq, hash: challenge.trust_head }
    }
}

#[test]
fn r_13_an_older_or_forked_log_changes_nothing() {
    let mut stage = Stage::new();
    let before = stage.guards_head();
    let whole: Vec<Vec<u8>> = stage.customer.log.entries_from(0, 100).into_iter().map(ByteBuf::into_vec).collect();
    // Rollback: the log as it was before the engineer's entry was followed by others.
    stage.push(whole[..2].to_vec());
    // Fork: another second entry, by a root that the attacker made.
    let mallory = Customer::new("Example Ltd");
    stage.push(vec![mallory.log.entries_from(0, 1)[0].to_vec()]);
    let fork = stage.customer.log.next_entry(mallory.root.id(), now(), What::AddRoot { key: mallory.root.named() });
    stage.push(vec![sign_entry(&mallory.root, &fork)]);
    stage.agent.wait_for_audit(&["log"]);
    assert_eq!(stage.guards_head(), before);
    // An honest grant still opens, one that names a fork does not.
    let mut plan = stage.plan();
    plan.grant.trust_head = mallory.log.head().hash;
    assert_eq!(stage.refusal(&plan.message(&stage.engineer)), Refusal::LogFork);
    stage.visit();
    assert_eq!(stage.strange(), []);
}

#[test]
fn r_14_a_withheld_removal_comes_with_the_next_engineer() {
    let mut stage = Stage::new();
    let colleague = Person::new("carl");
    let entry = stage.customer.add(&colleague, Role::Engineer);
    stage.push(vec![entry]);
    eventually(SOON, "guard has the colleague", || (stage.guards_head() == stage.head()).then_some(()));
    let visit = stage.visit();
    let mut shell = stage.command(&visit, &["/bin/sleep", "1000"]).unwrap();
    let pid = shell.hear_until(visitor::welcome).pid;
    // The customer removes erin; the relay keeps that to itself.
    let removal = stage.customer.say(What::RemovePerson { key: stage.engineer.id() });
    let plan = Plan::honest(stage.challenge(), &colleague, stage.head(), commands());
    let message = OpenVisit { entries: vec![ByteBuf::from(removal)], ..plan.message(&colleague) };
    assert!(matches!(stage.offer(&message), Answer::Opened(_)));
    eventually(Duration::from_secs(6), "erin's command is ended", || (!process::lives(pid)).then_some(()));
    let plan = stage.plan();
    assert_eq!(stage.refusal(&plan.message(&stage.engineer)), Refusal::UnknownEngineer);
    stage.agent.wait_for_audit(&["revoked"]);
}

#[test]
fn r_15_a_key_that_no_root_added_may_sign_nothing() {
    let mut stage = Stage::new();
    let mallory = Person::new("mallory");
    let what = || What::AddPerson { key: mallory.named(), role: Role::Engineer, until: now().plus_secs(3600) };
    let before = stage.guards_head();
    let (engineer, approver, batch) = (stage.engineer.clone(), stage.approver.clone(), stage.batch.clone());
    for by in [&mallory, &engineer, &approver] {
        let entry = stage.customer.log.next_entry(by.id(), now(), what());
        stage.push(vec![sign_entry(by, &entry)]);
    }
    // The relay knows a batch key from a token that it saw: it may add servers, never people.
    let by = cloud_doctor_proto::trust::batch_id(&cloud_doctor_proto::ids::VerifyKey(batch.verifying_key().to_bytes()));
    let entry = stage.customer.log.next_entry(by, now(), what());
    stage.push(vec![entry.sign_with_batch(&batch).to_bytes()]);
    // The root's name with another's signature.
    let entry = stage.customer.log.next_entry(stage.customer.root.id(), now(), what());
    let forged = sign_entry(&mallory, &entry);
    stage.push(vec![forged.clone()]);
    stage.agent.wait_for_audit(&["log"]);
    assert_eq!(stage.guards_head(), before);
    let mut plan = stage.plan();
    plan.grant.engineer = mallory.id();
    let message = OpenVisit { entries: vec![ByteBuf::from(forged)], ..plan.message(&mallory) };
    let answer = stage.offer(&message);
    assert!(matches!(&answer, Answer::Refused(r) if r.code != Refusal::Busy), "{answer:?}");
    assert_eq!(stage.guards_head(), before);
    assert_eq!(stage.strange(), []);
}

#[test]
fn r_17_nothing_that_a_relay_says_changes_ceiling_or_configuration() {
    let stage = Stage::with("checks-only", |_| {});
    let (ceiling, config) = (stage.agent.ceiling(), stage.agent.state.join("etc/agent.toml"));
    let before = (fs::read(&ceiling).unwrap(), fs::read(&config).unwrap());
    let own = cloud_doctor_proto::preset::Preset::Own.text().as_bytes();
    for number in [0x10u16, 0x20, 0x7f, 0x200, 0x7fff] {
        let mut bytes = u32::try_from(own.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend(number.to_be_bytes());
        bytes.push(0);
        bytes.extend(own);
        stage.tunnel.control.borrow_mut().send(&bytes);
        let mut road = stage.tunnel.open();
        road.send(&bytes);
    }
    for purpose in ["ceiling", "config", "update", "shell"] {
        let head = serde_json::json!({ "purpose": purpose, "stream": vec![0u8; 16], "account": "root", "client": "" });
        let mut road = stage.tunnel.open_bare();
        road.send(&frame::message(Kind::StreamHead, &head));
        road.send(own);
    }
    let plan = stage.plan();
    assert_eq!(stage.refusal(&plan.message(&stage.engineer)), Refusal::Ceiling);
    assert_eq!((fs::read(&ceiling).unwrap(), fs::read(&config).unwrap()), before);
    stage.nothing_but_audited(&["\"ceiling\""]);
}

#[test]
fn r_18_a_flood_of_challenge_requests_is_bounded() {
    let stage = Stage::new();
    let guard = stage.agent.one("guard");
    let (begun, cpu) = (Instant::now(), cpu_millis(guard));
    let (mut given, mut refused) = (0, 0);
    for _ in 0..cloud_doctor_tests::scale::pick(40, 400) {
        let mut road = stage.tunnel.open();
        let request = ChallengeRequest { proto_min: 1, proto_max: 1, trust_seq: 0 };
        for _ in 0..20 {
            road.say(Kind::ChallengeRequest, &request);
        }
        loop {
            let next = road.next(Duration::from_millis(200));
            if let Some(reply) = next.message::<Refused>(Kind::Refused) {
                assert_eq!(reply.code, Refusal::Busy);
                refused += 1;
                break;
            }
            if next.message::<ChallengeReply>(Kind::Challenge).is_none() {
                break;
            }
            given += 1;
        }
    }
    let elapsed = begun.elapsed();
    let allowed = 20 + 5 * (elapsed.as_secs() + 1);
    assert!(given <= allowed.min(64 + 5), "{given} challenges in {elapsed:?}");
    assert!(refused > 0, "nothing was refused");
    assert!(cpu_millis(guard) - cpu < 1500, "guard took {} ms", cpu_millis(guard) - cpu);
    // The honest engineer's turn comes.
    eventually(SOON, "a challenge after the flood", || visitor::challenge(&mut stage.tunnel.open()).ok());
    assert_eq!(stage.strange(), []);
}

fn cpu_millis(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10
}

#[test]
fn r_19_a_visit_ends_by_itself_when_nothing_is_let_through() {
    let stage = Stage::new();
    let mut plan = stage.plan();
    plan.grant.ttl_secs = 2;
    assert!(matches!(stage.offer(&plan.message(&stage.engineer)), Answer::Opened(_)));
    let visit = Visit::of(plan);
    let ask = request("root", &["/bin/sh", "-c", "sleep 1001 & exec sleep 1000"]);
    let opened = visit.channel(stage.tunnel.open(), ChannelKind::Exec, ChannelId(random()), None, &ask);
    let mut running = opened.unwrap();
    let pid = running.hear_until(visitor::welcome).pid;
    let holder = process::look(pid).unwrap().parent;
    // The relay goes silent: it passes no Close, no Revoke, nothing.
    stage.tunnel.connection.close(0u32.into(), b"");
    eventually(Duration::from_secs(9), "the command is ended", || (!process::lives(pid)).then_some(()));
    eventually(ANSWER, "nothing is left below its holder", || process::descendants(holder).is_empty().then_some(()));
    stage.agent.wait_for_audit(&["expired"]);
}
