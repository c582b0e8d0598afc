//! COD-07 and COD-09: a sealed channel in the attacker's hands.

use super::stage::{Stage, commands, enrol};
use cloud_doctor_proto::channel::ChannelKind;
use cloud_doctor_proto::control::HelloAck;
use cloud_doctor_proto::frame::{self, Kind};
use cloud_doctor_proto::limits::ALPN_TUNNEL;
use cloud_doctor_proto::refusal::{Refusal, Refused};
use cloud_doctor_proto::session::{OpenRequest, Stream, ToClient, ToHolder};
use cloud_doctor_proto::time::UnixTime;
use cloud_doctor_proto::trust::Role;
use cloud_doctor_proto::visit::{ChallengeRequest, OpenVisit};
use cloud_doctor_tests::people::{Person, now, random};
use cloud_doctor_tests::road::Next;
use cloud_doctor_tests::scale;
use cloud_doctor_tests::visitor::{self, ANSWER, Answer, Channel, Plan, Visit, request};
use serde_bytes::ByteBuf;

/// What is done to one record on its way.
#[derive(Debug, Clone, Copy)]
enum Attack {
    Drop,
    Duplicate,
    Swap,
    Flip,
    Truncate,
    Inject,
}

/// A `cat` whose client sends single letters, one record each.
struct Cat<'a> {
    stage: &'a Stage,
    visit: &'a Visit,
    channel: Channel,
    /// What the honest client has sent and the holder has acknowledged.
    typed: Vec<u8>,
}

impl Cat<'_> {
    /// The next letters as sealed records.
    fn records(&mut self, count: usize) -> Vec<Vec<u8>> {
        let letter = |at: usize| b'a' + u8::try_from(at % 26).unwrap();
        let from = self.typed.len();
        (from..from + count)
            .map(|at| self.channel.seal(&ToHolder::Input { offset: at as u64, data: &[letter(at)] }))
            .collect()
    }

    /// Takes the channel back as an honest client does; learns what was applied.
    fn return_to_it(&mut self) -> u64 {
        let ask = OpenRequest { attach: true, ..request("root", &["/bin/cat"]) };
        let (id, handed) = (self.channel.id, self.channel.handed.clone());
        self.channel =
            self.visit.channel(self.stage.tunnel.open(), ChannelKind::Exec, id, Some(&handed), &ask).unwrap();
        self.channel.hear_until(visitor::welcome).input_applied
    }
}

/// The records as they arrive when the one at `index` was attacked.
fn attacked(records: &[Vec<u8>], index: usize, attack: Attack) -> Vec<Vec<u8>> {
    let mut sent = records.to_vec();
    match attack {
        Attack::Drop => drop(sent.remove(index)),
        Attack::Duplicate => sent.insert(index, records[index].clone()),
        Attack::Swap => sent.swap(index, index + 1),
        Attack::Flip => *sent[index].last_mut().unwrap() ^= 1,
        Attack::Truncate => sent[index] = frame::encode(Kind::Record, &records[index][7..records[index].len() - 1]),
        Attack::Inject => sent.insert(index, frame::encode(Kind::Record, &random::<33>())),
    }
    sent
}

#[test]
fn r_09_a_changed_stream_of_records_ends_and_types_nothing() {
    let mut stage = Stage::new();
    let visit = stage.visit();
    let mut channel = stage.command(&visit, &["/bin/cat"]).unwrap();
    channel.hear_until(visitor::welcome);
    stage.mark();
    let mut cat = Cat { stage: &stage, visit: &visit, channel, typed: Vec::new() };
    let attacks = [Attack::Drop, Attack::Duplicate, Attack::Swap, Attack::Flip, Attack::Truncate, Attack::Inject];
    let (frames, step) = scale::pick((48, 12), (200, 1));
    for attack in attacks {
        for index in (0..frames).step_by(step) {
            let records = cat.records(frames + 1);
            for record in attacked(&records, index, attack) {
                cat.channel.road.send(&record);
            }
            let ended =
                std::iter::from_fn(|| Some(cat.channel.road.next(ANSWER))).find(|n| !matches!(n, Next::Frame(_)));
            assert_eq!(ended, Some(Next::Ended), "{attack:?} at {index}: the channel goes on");
            let applied = usize::try_from(cat.return_to_it()).unwrap();
            let genuine = index + usize::from(matches!(attack, Attack::Duplicate));
            let most = cat.typed.len() + genuine;
            assert!(applied <= most, "{attack:?} at {index}: {applied} of {most}");
            let from = cat.typed.len();
            cat.typed.extend((from..applied).map(|at| b'a' + u8::try_from(at % 26).unwrap()));
        }
    }
    // What came out is what was typed, from the first byte on, and nothing else.
    let total = cat.typed.len() as u64;
    cat.channel.say(&ToHolder::Eof { offset: total });
    let mut shown = Vec::new();
    cat.channel.hear_until(|message| {
        if let ToClient::Output { stream: Stream::Out, offset, data } = message {
            assert_eq!(*offset, shown.len() as u64);
            shown.extend_from_slice(data);
        }
        visitor::exit(message)
    });
    assert_eq!(shown, cat.typed);
    assert_eq!(stage.strange(), []);
}

#[test]
fn r_11_guard_refuses_versions_that_it_does_not_speak() {
    let stage = Stage::new();
    for (proto_min, proto_max) in [(0, 0), (2, 9), (9, 2)] {
        let mut road = stage.tunnel.open();
        road.say(Kind::ChallengeRequest, &ChallengeRequest { proto_min, proto_max, trust_seq: 0 });
        let refused: Refused = road.next(ANSWER).message(Kind::Refused).unwrap();
        assert_eq!(refused.code, Refusal::Version);
    }
    let mut plan = stage.plan();
    plan.grant.version = 0;
    assert_eq!(stage.refusal(&plan.message(&stage.engineer)), Refusal::Version);
    stage.nothing_but_audited(&["\"version\""]);
}

#[test]
fn r_09_a_dead_secret_used_again_ends_the_visit() {
    let mut stage = Stage::new();
    let visit = stage.visit();
    let mut channel = stage.command(&visit, &["/bin/cat"]).unwrap();
    channel.hear(ANSWER).unwrap();
    let stolen = channel.handed.clone();
    let (id, ask) = (channel.id, OpenRequest { attach: true, ..request("root", &["/bin/cat"]) });
    let mut again = visit.channel(stage.tunnel.open(), ChannelKind::Exec, id, Some(&stolen), &ask).unwrap();
    again.hear(ANSWER).unwrap();
    stage.mark();
    // An exact replay is refused and harms nobody; a new handshake with the dead secret is a thief.
    let refused = visit.channel(stage.tunnel.open(), ChannelKind::Exec, id, Some(&stolen), &ask).unwrap_err();
    assert_eq!(refused.code, Refusal::Compromised);
    while again.hear(ANSWER).is_some() {}
    let refused = stage.command(&visit, &["/bin/true"]).unwrap_err();
    assert_eq!(refused.code, Refusal::NoVisit);
    stage.nothing_but_audited(&["compromised"]);
}

#[test]
fn r_11_a_tunnel_takes_no_version_that_it_did_not_offer() {
    for proto in [0, 2] {
        let stage = Stage::new();
        stage.tunnel.connection.close(0u32.into(), b"");
        let connection = stage.relay.accept(ALPN_TUNNEL);
        let mut control = stage.relay.first_stream(&connection);
        control.next(ANSWER);
        control.say(Kind::HelloAck, &HelloAck { proto, build: "old".to_owned(), now: now() });
        stage.relay.closed(&connection);
        assert_eq!(stage.strange(), []);
    }
}

/// A colleague's visit on the same server, opened with the log entry that made the colleague one.
fn colleagues_visit(stage: &mut Stage) -> Visit {
    let colleague = Person::new("carl");
    let entry = stage.customer.add(&colleague, Role::Engineer);
    let plan = Plan::honest(stage.challenge(), &colleague, stage.head(), commands());
    let message = OpenVisit { entries: vec![ByteBuf::from(entry)], ..plan.message(&colleague) };
    assert!(matches!(stage.offer(&message), Answer::Opened(_)));
    Visit::of(plan)
}

#[test]
fn cod_07_a_channel_of_another_visit_or_server_is_refused_and_audited() {
    let mut stage = Stage::new();
    let visit = stage.visit();
    let mut channel = stage.command(&visit, &["/bin/cat"]).unwrap();
    channel.hear_until(visitor::welcome);
    let colleague = colleagues_visit(&mut stage);
    let (id, exec) = (channel.id, ChannelKind::Exec);
    let (fresh, attach) = (request("root", &["/bin/cat"]), OpenRequest { attach: true, ..request("root", &[]) });
    stage.mark();
    // A colleague attaches to it, opens one of its name, and names the visit that it belongs to.
    for ask in [&attach, &fresh] {
        let refused = colleague.channel(stage.tunnel.open(), exec, id, None, ask).unwrap_err();
        assert_eq!(refused.code, Refusal::NoChannel, "{ask:?}");
        let (initiator, mut message) = colleague.knock(exec, id, None, ask);
        message.visit = visit.id;
        let refused = Channel::answer(stage.tunnel.open(), initiator, &message, id).unwrap_err();
        assert_eq!(refused.code, Refusal::Handshake, "{ask:?}");
        let refused = colleague.channel(stage.tunnel.open(), exec, id, Some(&channel.handed), ask).unwrap_err();
        assert!(matches!(refused.code, Refusal::NoChannel | Refusal::Handshake), "{refused:?}");
    }
    stage.nothing_but_audited(&["refused", "no-channel"]);
    stage.nothing_but_audited(&["refused", "handshake"]);

    // Another server of the same customer knows neither the channel nor the visit.
    let Stage { world, relay, customer, batch, .. } = &mut stage;
    let mut second = enrol(world, relay, customer, batch, "web-2", "own");
    second.run();
    let tunnel = relay.tunnel();
    for ask in [&attach, &fresh] {
        let refused = visit.channel(tunnel.open(), exec, id, None, ask).unwrap_err();
        assert_eq!(refused.code, Refusal::NoVisit, "{ask:?}");
    }
    second.wait_for_audit(&["refused", "no-visit"]);

    // None of it did anything to the one who works there.
    channel.say(&ToHolder::Input { offset: 0, data: b"still here" });
    channel.hear_until(|message| matches!(message, ToClient::Output { data: b"still here", .. }).then_some(()));
}

/// A relay's clock is nobody's.
#[test]
fn cod_09_a_relay_whose_clock_is_at_the_end_of_time_changes_nothing() {
    let mut stage = Stage::new();
    for clock in [0, i64::MAX as u64, u64::MAX] {
        stage.tunnel.connection.close(0u32.into(), b"");
        let connection = stage.relay.accept(ALPN_TUNNEL);
        let mut control = stage.relay.first_stream(&connection);
        control.next(ANSWER);
        control.say(Kind::HelloAck, &HelloAck { proto: 1, build: "odd".to_owned(), now: UnixTime(clock) });
        stage.tunnel = stage.relay.adopt(&stage.tunnel, connection, control);
        stage.visit();
    }
}
