//! Second signatures ahead: entries that give and end them, good and bad.

use super::log::{NOW, Tried, device, id, named, passkey, person, verify_key};
use cloud_doctor_proto::grant::Scope;
use cloud_doctor_proto::ids::AgentId;
use cloud_doctor_proto::time::{DAY_SECS, UnixTime};
use cloud_doctor_proto::trust::{Ahead, Role, What};

fn shell(user: &str) -> Scope {
    Scope::Shell { user: user.to_owned() }
}

/// A root shell on web-1 for Eve (5), in the next hour.
fn wish() -> Ahead {
    Ahead {
        agent: AgentId::of(&verify_key(20)),
        engineer: id(5),
        scopes: vec![shell("root")],
        from: NOW,
        until: NOW.plus_secs(3600),
        note: "tonight".to_owned(),
    }
}

fn with(change: impl FnOnce(&mut Ahead)) -> What {
    let mut ahead = wish();
    change(&mut ahead);
    What::SignAhead { ahead }
}

/// Carl (50), Eve's other key (51), a passkey's (52), one whose time is over soon (53), and a browser's key.
fn approvers(tried: &mut Tried) {
    tried.say(1, person(50, "carl", Role::Approver, 30));
    tried.say(1, person(51, "eve", Role::Approver, 30));
    tried.say(1, What::RemovePerson { key: device("").key.id() });
    for (key, secs) in [(passkey(52, "pat"), 9 * DAY_SECS), (device("dora"), DAY_SECS), (named(53, "gus"), 60)] {
        tried.say(1, What::AddPerson { key, role: Role::Approver, until: NOW.plus_secs(secs) });
    }
}

fn signers(tried: &mut Tried) {
    for seed in [50, 1, 51, 53, 5, 2, 9] {
        tried.say(seed, with(|_| ()));
    }
    tried.touch(52, with(|_| ()));
    tried.by_device(with(|_| ()));
    tried.at(53, NOW.plus_secs(61), with(|_| ()));
}

fn bounds(tried: &mut Tried) {
    let hours = |from: UnixTime, until: UnixTime| with(|it| (it.from, it.until) = (from, until));
    let (day, week) = (DAY_SECS, 7 * DAY_SECS);
    for what in [
        hours(NOW, NOW.plus_secs(day)),
        hours(NOW, NOW.plus_secs(day + 1)),
        hours(NOW, NOW),
        hours(UnixTime(NOW.0 - 60), NOW),
        hours(UnixTime(NOW.0 - 60), NOW.plus_secs(1)),
        hours(NOW.plus_secs(week), NOW.plus_secs(week + day)),
        hours(NOW.plus_secs(week + 1), NOW.plus_secs(week + 2)),
    ] {
        tried.say(50, what);
    }
    let (sam, dollar) = (Scope::Exec { user: "sam".to_owned() }, "\u{ff04}");
    for scopes in [
        vec![],
        vec![shell("a"), shell("b"), sam.clone()],
        vec![sam, shell("a")],
        vec![shell("b"), shell("a")],
        vec![shell("a"), shell("a")],
        // Sorted by bytes, which is not how every language sorts text.
        vec![shell(dollar), shell("\u{1f980}")],
        vec![shell("\u{1f980}"), shell(dollar)],
        ('a'..='h').map(|user| shell(&user.to_string())).collect(),
        ('a'..='i').map(|user| shell(&user.to_string())).collect(),
        vec![Scope::Watch { user: "root".to_owned() }],
        vec![Scope::Audit {}],
    ] {
        tried.say(50, with(|it| it.scopes = scopes));
    }
    tried.say(50, with(|it| it.note = "\u{1f980}".repeat(500)));
    tried.say(50, with(|it| it.note = "\u{1f980}".repeat(501)));
    tried.say(50, with(|it| it.note = "a\u{202e}b".to_owned()));
    tried.say(50, with(|it| it.agent = AgentId::of(&verify_key(21))));
    tried.say(50, with(|it| it.engineer = id(50)));
}

fn ends(tried: &mut Tried) {
    let oldest = |tried: &Tried| What::EndAhead { seq: *tried.log.ahead.keys().next().unwrap() };
    tried.say(1, What::EndAhead { seq: 0 });
    for seed in [9, 2, 51, 5, 50, 1] {
        let what = oldest(tried);
        tried.say(seed, what);
    }
    // What is over by the log's own clock is forgotten, also when it comes late, and so are those who might have signed.
    let tomorrow = |it: &mut Ahead| (it.from, it.until) = (NOW.plus_secs(DAY_SECS), NOW.plus_secs(2 * DAY_SECS));
    tried.at(1, NOW.plus_secs(3600), with(tomorrow));
    for seed in [1, 53] {
        tried.say(seed, with(|_| ()));
    }
    tried.say(1, What::RemovePerson { key: id(50) });
    tried.say(50, with(|_| ()));
}

/// Steps of the log that are about second signatures ahead.
pub(crate) fn signed_ahead(tried: &mut Tried) {
    approvers(tried);
    signers(tried);
    bounds(tried);
    ends(tried);
}
