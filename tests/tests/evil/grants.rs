//! opening a visit without, with another's, or with a changed grant.

use super::stage::{Stage, commands, enrol, shells};
use cloud_doctor_proto::channel::{ChannelKind, Secret};
use cloud_doctor_proto::frame::Kind;
use cloud_doctor_proto::grant::{Grant, Scope};
use cloud_doctor_proto::ids::{AgentId, ChannelId, ExchangeKey, Hash, KeyId, TenantId};
use cloud_doctor_proto::refusal::{Refusal, Refused};
use cloud_doctor_proto::signer::{NAMESPACE_GRANT, NAMESPACE_LOG, NAMESPACE_SECOND};
use cloud_doctor_proto::time::UnixTime;
use cloud_doctor_proto::visit::{OpenVisit, Second, Signed};
use cloud_doctor_tests::eventually::{SOON, eventually};
use cloud_doctor_tests::people::{Person, random};
use cloud_doctor_tests::scale;
use cloud_doctor_tests::visitor::{self, ANSWER, Answer, Plan, Visit, borrowed, request};
use serde_bytes::ByteBuf;
use std::time::Duration;

#[test]
fn r_01_a_shell_without_a_grant_is_refused() {
    let stage = Stage::new();
    // A visit that only the attacker knows of, with keys of its own.
    let visit = Visit::of(stage.plan());
    for kind in [ChannelKind::Shell, ChannelKind::Exec] {
        let argv: &[&str] = if kind == ChannelKind::Shell { &[] } else { &["/bin/touch", "/tmp/cd-owned"] };
        let refused = visit.channel(stage.tunnel.open(), kind, ChannelId(random()), None, &request("root", argv));
        assert_eq!(refused.unwrap_err().code, Refusal::NoVisit);
    }
    // Sealed records, a channel's answer and an opened visit out of nowhere.
    for kind in [Kind::Record, Kind::ChannelReply, Kind::VisitOpened, Kind::Second, Kind::BindTransport] {
        let mut road = stage.tunnel.open();
        road.send(&cloud_doctor_proto::frame::encode(kind, b"\x01open a shell"));
        let refused = road.next(ANSWER).message::<Refused>(Kind::Refused);
        assert!(refused.is_none_or(|refused| refused.code == Refusal::Malformed), "{kind:?}");
    }
    stage.nothing_but_audited(&["no-visit"]);
}

#[test]
fn r_02_a_grant_signed_with_the_relays_keys_is_refused() {
    let stage = Stage::new();
    let relay = Person::new("relay");
    let mut plan = stage.plan();
    plan.grant.engineer = relay.id();
    assert_eq!(stage.refusal(&plan.message(&relay)), Refusal::UnknownEngineer);
    let plan = stage.plan();
    let grant = plan.grant.to_bytes();
    // The engineer's name with the relay's signature, the engineer's for another purpose, and an approver's.
    let forged = [
        borrowed(&stage.engineer, &relay, NAMESPACE_GRANT, &grant),
        stage.engineer.signed(NAMESPACE_LOG, &grant),
        stage.engineer.signed(NAMESPACE_SECOND, &grant),
        borrowed(&stage.engineer, &stage.approver, NAMESPACE_GRANT, &grant),
    ];
    for engineer in forged {
        let message = OpenVisit { engineer, ..plan.message(&stage.engineer) };
        assert_eq!(stage.refusal(&message), Refusal::Signature);
    }
    let approver =
        OpenVisit { engineer: stage.approver.signed(NAMESPACE_GRANT, &grant), ..plan.message(&stage.engineer) };
    assert_eq!(stage.refusal(&approver), Refusal::Signature, "the grant names the engineer");
    let mut plan = stage.plan();
    plan.grant.engineer = stage.approver.id();
    assert_eq!(stage.refusal(&plan.message(&stage.approver)), Refusal::ApproverScope, "it does more than look");
    stage.nothing_but_audited(&["approver-scope"]);
    stage.nothing_but_audited(&["\"signature\""]);
}

/// Every field with another value, as an attacker would want it.
fn changed_fields(grant: &Grant) -> Vec<(&'static str, Grant)> {
    let g = || grant.clone();
    vec![
        ("version", Grant { version: 2, ..g() }),
        ("tenant", Grant { tenant: TenantId([1; 32]), ..g() }),
        ("agent", Grant { agent: AgentId([1; 32]), ..g() }),
        ("challenge", Grant { challenge: Hash([1; 32]), ..g() }),
        ("client_key", Grant { client_key: Secret(random()).exchange_key(), ..g() }),
        ("engineer", Grant { engineer: KeyId([1; 32]), ..g() }),
        ("scopes", Grant { scopes: shells(), ..g() }),
        ("scopes", Grant { scopes: [commands(), shells()].concat(), ..g() }),
        ("scopes", Grant { scopes: vec![Scope::Exec { user: "daemon".to_owned() }], ..g() }),
        ("ttl_secs", Grant { ttl_secs: grant.ttl_secs + 1, ..g() }),
        ("reason", Grant { reason: String::new(), ..g() }),
        ("ticket", Grant { ticket: "1".to_owned(), ..g() }),
        ("trust_seq", Grant { trust_seq: 0, ..g() }),
        ("trust_head", Grant { trust_head: Hash([1; 32]), ..g() }),
        ("at", Grant { at: UnixTime(grant.at.0 + 1), ..g() }),
    ]
}

#[test]
fn r_03_a_grant_with_any_change_is_refused() {
    let stage = Stage::new();
    let plan = stage.plan();
    let honest = plan.message(&stage.engineer);
    for (field, grant) in changed_fields(&plan.grant) {
        let message = OpenVisit { grant: ByteBuf::from(grant.to_bytes()), ..honest.clone() };
        assert_eq!(stage.refusal(&message), Refusal::Signature, "{field}");
    }
    let step = scale::pick(13, 1);
    for bit in (0..honest.grant.len() * 8).step_by(step) {
        let mut message = honest.clone();
        message.grant[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(stage.refusal(&message), Refusal::Signature, "bit {bit} of the grant");
    }
    for bit in (0..honest.engineer.sshsig.len() * 8).step_by(step) {
        let mut message = honest.clone();
        message.engineer.sshsig[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(stage.refusal(&message), Refusal::Signature, "bit {bit} of the signature");
    }
    stage.nothing_but_audited(&["\"signature\""]);
    // It was the changes that were refused: unchanged, the same grant opens.
    assert!(matches!(stage.offer(&honest), Answer::Opened(_)));
}

#[test]
fn r_04_a_genuine_opening_counts_once() {
    let mut stage = Stage::new();
    let plan = stage.plan();
    let opening = plan.message(&stage.engineer);
    assert!(matches!(stage.offer(&opening), Answer::Opened(_)));
    let visit = Visit::of(plan);
    let (channel, ask) = (ChannelId(random()), request("root", &["/bin/true"]));
    let (initiator, knock) = visit.knock(ChannelKind::Exec, channel, None, &ask);
    let mut running = visitor::Channel::answer(stage.tunnel.open(), initiator, &knock, channel).unwrap();
    let begin = running.seal(&visitor::begin());
    running.road.send(&begin);
    running.hear_until(visitor::exit);
    stage.mark();

    for wait in [Duration::ZERO, Duration::from_secs(1)] {
        std::thread::sleep(wait);
        assert_eq!(stage.refusal(&opening), Refusal::Challenge);
    }
    // The whole conversation again, byte by byte: message 1 and the first record.
    let mut road = stage.tunnel.open();
    road.say(Kind::OpenChannel, &knock);
    road.send(&begin);
    let refused: Refused = road.next(ANSWER).message(Kind::Refused).unwrap();
    assert!(matches!(refused.code, Refusal::NoChannel | Refusal::Handshake), "{refused:?}");
    stage.nothing_but_audited(&["\"challenge\""]);
}

#[test]
fn r_05_a_genuine_opening_dies_with_the_agents_memory() {
    let mut stage = Stage::new();
    let plan = stage.plan();
    let opening = plan.message(&stage.engineer);
    stage.agent.kill("guard");
    let code = eventually(SOON, "guard answers again", || {
        let mut road = stage.tunnel.open();
        road.say(Kind::OpenVisit, &opening);
        let refused = road.next(ANSWER).message::<Refused>(Kind::Refused)?;
        (refused.code != Refusal::GuardAway).then_some(refused.code)
    });
    assert_eq!(code, Refusal::Challenge);
    stage.agent.wait_for_audit(&["\"challenge\""]);
    // And every other process of it.
    stage.agent.stop();
    stage.agent.run_traced();
    stage.tunnel = stage.relay.tunnel();
    stage.challenge();
    stage.mark();
    assert_eq!(stage.refusal(&opening), Refusal::Challenge);
    stage.nothing_but_audited(&["\"challenge\""]);
}

#[test]
fn r_06_an_opening_for_one_server_opens_no_other() {
    let mut stage = Stage::new();
    let mut other = enrol(&stage.world, &stage.relay, &mut stage.customer, &stage.batch, "web-2", "own");
    other.run_traced();
    let tunnel = stage.relay.tunnel();
    assert_ne!(tunnel.claim.identity, stage.tunnel.claim.identity);
    visitor::challenge(&mut tunnel.open()).unwrap();
    let mark = other.trace().mark();

    let mut asked = tunnel.open();
    let theirs = visitor::challenge(&mut asked).unwrap();
    let opening = stage.plan().message(&stage.engineer);
    let answer = visitor::open(&mut tunnel.open(), &opening);
    assert!(matches!(&answer, Answer::Refused(r) if r.code == Refusal::Challenge), "{answer:?}");
    // A grant for the first server that answers the second one's challenge: the engineer was deceived.
    let mut plan = Plan::honest(theirs, &stage.engineer, stage.head(), commands());
    plan.grant.agent = AgentId::of(&stage.tunnel.claim.identity);
    let answer = visitor::open(&mut tunnel.open(), &plan.message(&stage.engineer));
    assert!(matches!(&answer, Answer::Refused(r) if r.code == Refusal::OtherServer), "{answer:?}");
    other.wait_for_audit(&["other-server"]);
    let (audit, run) = (other.state.join("guard/audit"), other.state.join("run"));
    assert_eq!(other.trace().strange(mark, &[&audit, &run]), []);
}

#[test]
fn r_07_a_swapped_client_key_opens_nothing() {
    let stage = Stage::new();
    let plan = stage.plan();
    let mut mine = plan.clone();
    mine.secret = Secret(random());
    mine.grant.client_key = mine.secret.exchange_key();
    let message = OpenVisit { grant: ByteBuf::from(mine.grant.to_bytes()), ..plan.message(&stage.engineer) };
    assert_eq!(stage.refusal(&message), Refusal::Signature);
    // The genuine grant, then a channel with the attacker's key under it.
    assert!(matches!(stage.offer(&plan.message(&stage.engineer)), Answer::Opened(_)));
    let mut thief = plan.clone();
    thief.secret = Secret(random());
    let refused = stage.command(&Visit::of(thief), &["/bin/touch", "/tmp/cd-owned"]).unwrap_err();
    assert_eq!(refused.code, Refusal::Handshake);
    // And with the agent's key swapped for the attacker's: the attacker cannot answer for the holder.
    let mut fooled = plan;
    fooled.challenged.challenge.agent_key = ExchangeKey(Secret(random()).exchange_key().0);
    let refused = stage.command(&Visit::of(fooled), &["/bin/touch", "/tmp/cd-owned"]).unwrap_err();
    assert_eq!(refused.code, Refusal::Handshake);
    stage.nothing_but_audited(&["\"handshake\""]);
}

#[test]
fn r_08_a_stripped_second_signature_is_missed() {
    let stage = Stage::with("vendor", |_| {});
    let relay = Person::new("relay");
    let plan = stage.plan();
    let grant = plan.grant.to_bytes();
    let mut road = stage.tunnel.open();
    let answer = visitor::open(&mut road, &plan.message(&stage.engineer));
    assert!(matches!(answer, Answer::NeedSecond(_)), "{answer:?}");
    let refused = stage.command(&Visit::of(plan.clone()), &["/bin/true"]).unwrap_err();
    assert_eq!(refused.code, Refusal::NoVisit);
    road.say(Kind::Second, &Second { second: relay.signed(NAMESPACE_SECOND, &grant) });
    assert!(matches!(visitor::answer(&mut road), Answer::Refused(_)));

    let cases: [(Signed, Refusal); 4] = [
        (relay.signed(NAMESPACE_SECOND, &grant), Refusal::SecondSignature),
        (stage.engineer.signed(NAMESPACE_SECOND, &grant), Refusal::SamePerson),
        (borrowed(&stage.approver, &relay, NAMESPACE_SECOND, &grant), Refusal::SecondSignature),
        (stage.approver.signed(NAMESPACE_SECOND, b"another grant"), Refusal::SecondSignature),
    ];
    for (second, expected) in cases {
        let plan = stage.plan();
        let second = if expected == Refusal::SamePerson {
            stage.engineer.signed(NAMESPACE_SECOND, &plan.grant.to_bytes())
        } else {
            second
        };
        let message = OpenVisit { second: Some(second), ..plan.message(&stage.engineer) };
        assert_eq!(stage.refusal(&message), expected);
    }
    stage.nothing_but_audited(&["second-signature"]);
    stage.nothing_but_audited(&["same-person"]);
}
