//! What time does to visits: a day passes in a moment.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests read the clock")]

use super::{Core, Host, Opening, Seeds, VISITS_MAX};
use crate::customer::{Customer, EVE, key_id, now, signed};
use crate::guard::visits::Claims;
use crate::state::Places;
use crate::state::config::{Config, Relay};
use crate::state::trust::TrustStore;
use crate::state::{files, identity};
use cloud_doctor_proto::audit::Moment;
use cloud_doctor_proto::channel::Secret;
use cloud_doctor_proto::grant::{Challenge, Grant, Scope};
use cloud_doctor_proto::ids::{BootId, ExchangeKey, Nonce, VisitId};
use cloud_doctor_proto::limits::PENDING_MAX;
use cloud_doctor_proto::pin::Pin;
use cloud_doctor_proto::refusal::{Refusal, Refused};
use cloud_doctor_proto::signer::NAMESPACE_GRANT;
use cloud_doctor_proto::time::BootTime;
use cloud_doctor_proto::visit::{ChallengeRequest, OpenVisit};
use serde_bytes::ByteBuf;

const ALLOW: &str = "version=1\n[[rule]]\nscope='shell'\nmode='allow'\nusers=['root']\n[end]";
const ASK: &str = "version=1\n[[rule]]\nscope='shell'\nmode='ask'\nusers=['root']\n[end]";

/// A guard without sockets, and the time that it believes.
struct Stage {
    core: Core,
    customer: Customer,
    secs: u64,
    _dir: tempfile::TempDir,
}

impl Stage {
    fn new(ceiling: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let customer = Customer::new();
        let places = Places::new(Some(dir.path()));
        for folder in [&places.etc, &places.guard] {
            files::make_dir(folder, 0o700).unwrap();
        }
        identity::create(&places.guard, &customer.identity).unwrap();
        TrustStore::create(&places.guard, &customer.log).unwrap();
        let relay = Relay { url: "r:1".into(), pins: vec![Pin([1; 32])] };
        Config::new(customer.log.tenant(), "web", &[relay]).save(&places.config()).unwrap();
        files::create(&places.ceiling(), files::PUBLIC, ceiling.as_bytes()).unwrap();
        let host = Host { name: "web".into(), boot: BootId([1; 16]), zone_secs: || 0 };
        let core = Core::load(&places, host, true, Moment { at: now(), boot: BootTime(0) }).unwrap();
        Self { core, customer, secs: 0, _dir: dir }
    }

    fn moment(&self) -> Moment {
        Moment { at: now().plus_secs(self.secs), boot: BootTime(self.secs * 1000) }
    }

    fn pass(&mut self, secs: u64) {
        self.secs += secs;
        let moment = self.moment();
        self.core.sweep(moment);
    }

    /// Eve opens a visit with a challenge of its own, a second after the last one.
    fn open(&mut self, number: u16) -> Result<(VisitId, Opening), Refused> {
        let request = self.request(number)?;
        let opening = self.core.open_visit(self.moment(), &Claims::default(), &request)?;
        Ok((Grant::visit(&request.grant), opening))
    }

    /// What Eve opens a visit with.
    fn request(&mut self, number: u16) -> Result<OpenVisit, Refused> {
        self.secs += 1;
        let moment = self.moment();
        let mut nonce = [0; 16];
        nonce[..2].copy_from_slice(&number.to_be_bytes());
        let seeds = Seeds { nonce: Nonce(nonce), secret: Secret([7; 32]) };
        let ask = ChallengeRequest { proto_min: 1, proto_max: 1, trust_seq: 100 };
        let reply = self.core.challenge(moment, &Claims::default(), &ask, seeds)?;
        let grant = Grant {
            version: 1,
            tenant: self.customer.log.tenant(),
            agent: self.customer.agent(),
            challenge: Challenge::hash(&reply.challenge),
            client_key: ExchangeKey([8; 32]),
            engineer: key_id(EVE),
            scopes: vec![Scope::Shell { user: "root".into() }],
            ttl_secs: 7200,
            reason: String::new(),
            ticket: String::new(),
            trust_seq: self.customer.log.head().seq,
            trust_head: self.customer.log.head().hash,
            at: moment.at,
        };
        let bytes = grant.to_bytes();
        let engineer = signed(EVE, NAMESPACE_GRANT, &bytes);
        Ok(OpenVisit { grant: ByteBuf::from(bytes), engineer, second: None, entries: Vec::new() })
    }
}

#[test]
fn a_visit_that_nobody_uses_ends_after_ten_minutes() {
    let mut stage = Stage::new(ALLOW);
    let (visit, opening) = stage.open(1).unwrap();
    assert!(matches!(opening, Opening::Opened(_)));
    stage.pass(599);
    assert!(stage.core.visits.contains_key(&visit));
    stage.pass(1);
    assert!(stage.core.visits.is_empty());
    assert!(!stage.core.is_busy());
}

#[test]
fn r_04_a_genuine_opening_counts_once_also_eleven_minutes_and_a_day_later() {
    let mut stage = Stage::new(ALLOW);
    let (used, unused) = (stage.request(1).unwrap(), stage.request(2).unwrap());
    let open = |stage: &mut Stage, request| stage.core.open_visit(stage.moment(), &Claims::default(), request);
    assert!(matches!(open(&mut stage, &used), Ok(Opening::Opened(_))));
    // The engineer's key is good for a day, so this one is some minutes short.
    for wait in [0, 1, 11 * 60, 85_000] {
        stage.pass(wait);
        assert_eq!(open(&mut stage, &used).unwrap_err().code, Refusal::Challenge, "after {wait} s");
    }
    // Kept back by a relay and never used: its challenge has died of age.
    assert_eq!(open(&mut stage, &unused).unwrap_err().code, Refusal::Challenge);
    assert!(stage.core.visits.is_empty(), "the one visit was not used, and ended");
    assert!(stage.open(3).is_ok(), "the engineer's key is still good: only the replays were refused");
}

#[test]
fn visits_are_bounded_and_the_longest_unused_one_goes_first() {
    let mut stage = Stage::new(ALLOW);
    let mut visits = Vec::new();
    // One per second: later ones would be ended for not being used before the bound is met.
    for number in 0..=u16::try_from(VISITS_MAX).unwrap() {
        visits.push(stage.open(number).unwrap().0);
    }
    assert_eq!(stage.core.visits.len(), VISITS_MAX);
    assert!(!stage.core.visits.contains_key(&visits[0]));
    assert!(stage.core.visits.contains_key(&visits[1]));
}

#[test]
fn grants_wait_for_ten_minutes_and_at_most_sixteen_do() {
    let mut stage = Stage::new(ASK);
    let mut answers = Vec::new();
    for number in 0..u16::try_from(PENDING_MAX).unwrap() {
        match stage.open(number).unwrap().1 {
            Opening::Waits(need, answer) => {
                assert!(need.local && need.remote);
                answers.push(answer);
            }
            Opening::Opened(opened) => panic!("{opened:?}"),
        }
    }
    assert_eq!(stage.open(100).unwrap_err().code, Refusal::Busy);
    stage.pass(600);
    for mut answer in answers {
        assert_eq!(answer.try_recv().unwrap().unwrap_err().code, Refusal::NoAnswer);
    }
    assert!(stage.open(101).is_ok());
}

#[test]
fn aud_11_a_clock_that_falls_back_prolongs_nobodys_time() {
    let mut stage = Stage::new(ALLOW);
    let (visit, _) = stage.open(1).unwrap();
    // The engineer's key is good for a day; a clock a year behind does not change what the boot clock says.
    let year_ago = Moment { at: cloud_doctor_proto::time::UnixTime(now().0 - 365 * 86_400), boot: BootTime(7_300_000) };
    stage.core.sweep(year_ago);
    assert!(!stage.core.visits.contains_key(&visit));
    let year_ahead = Moment { at: now().plus_secs(365 * 86_400), boot: BootTime(7_301_000) };
    assert!(!stage.core.trusts(year_ahead, &key_id(EVE), &[]));
    assert!(stage.core.trusts(year_ago, &key_id(EVE), &[]));
}

#[test]
fn m_13_a_channel_belongs_to_the_visit_that_its_holder_serves() {
    use crate::guard::channels::Channel;
    use crate::session::door::{Event, What};
    use cloud_doctor_proto::channel::ChannelKind;
    use cloud_doctor_proto::ids::ChannelId;
    let mut stage = Stage::new(ALLOW);
    let (first, _) = stage.open(1).unwrap();
    let (second, _) = stage.open(2).unwrap();
    let id = ChannelId([1; 16]);
    let (channel, _ends) = Channel::new(ChannelKind::Shell, "root", key_id(EVE), first, now());
    stage.core.channels.insert(id, channel);
    let event = |visit, what| Event { seq: 1, at: now(), visit: Some(visit), lost: 0, what };
    stage.core.holder_says(stage.moment(), id, &event(second, What::TakenOver));
    assert_eq!(stage.core.channels[&id].visit, second);
    stage.core.holder_says(stage.moment(), id, &event(first, What::Replayed));
    assert_eq!(stage.core.channels[&id].visit, second, "a replay moves nothing");
}

#[test]
fn a_visit_whose_watcher_looks_is_used_and_ends_with_its_view_cut() {
    use crate::guard::channels::Channel;
    use cloud_doctor_proto::channel::ChannelKind;
    use cloud_doctor_proto::ids::ChannelId;
    use cloud_doctor_proto::session::FinReason;
    let mut stage = Stage::new(ALLOW);
    let (watched, _) = stage.open(1).unwrap();
    let (watching, _) = stage.open(2).unwrap();
    let (gone, _) = stage.open(3).unwrap();
    let (mut channel, ends) = Channel::new(ChannelKind::Shell, "root", key_id(EVE), watched, now());
    channel.watchers.extend([(watching, true), (gone, false)]);
    stage.core.channels.insert(ChannelId([1; 16]), channel);
    stage.pass(700);
    assert!(stage.core.visits.contains_key(&watching));
    assert!(!stage.core.visits.contains_key(&gone), "whoever only looked once has gone home");
    assert_eq!(*ends.unwatched.borrow(), [(gone, FinReason::Idle)].into());
    stage.core.end_visit(stage.moment(), watching, FinReason::Ended);
    assert_eq!(ends.unwatched.borrow().get(&watching), Some(&FinReason::Ended));
    assert_eq!(*ends.end.borrow(), None, "the shell lives");
}
