//! The timeline as events for a chart: packages, starts, services, kills for want of memory, as a relay may be shown them.
//!
//! Names and versions leave, each through the redactor; never a path, a command line, a login or a message's text.

use super::starts::{self, SAME_SECS};
use super::transactions::{Change, Transaction, Verb};
use super::units::{self, Said, Told};
use super::wtmp::{self, Record};
use super::{Confidence, is_within, kernel, packages};
use crate::host::Host;
use crate::memory::kills;
use crate::redact::Redactor;
use cloud_doctor_proto::events::{EVENT_NAMES_MAX, Event, EventKind, EventSource, Events, EventsRequest, Named};
use cloud_doctor_proto::time::UnixTime;

/// The kernel says who was killed, systemd of which service, within seconds.
const KILL_SECS: u64 = 10;
/// systemd calls a system started when all services are.
const UP_SECS: u64 = 600;
const MILLIS: u64 = 1_000;

/// What happened on this host in the time asked for. Each text passes `redactor`.
#[must_use]
pub fn events(host: &Host, asked: &EventsRequest, redactor: &mut Redactor) -> Events {
    let mut found = Found { all: Vec::new(), blind: Vec::new() };
    found.packages(host);
    found.starts(host);
    found.kills(host);
    found.services(host);
    found.all.retain(|event| is_within(UnixTime(event.at / MILLIS), host.now()));
    for event in &mut found.all {
        event.unit = redactor.text(&event.unit);
        for Named { name, before, after } in &mut event.names {
            [name, before, after].into_iter().for_each(|text| *text = redactor.text(text));
        }
    }
    let since = asked.since(host.now().0.saturating_mul(MILLIS));
    let asked = EventsRequest { from: since, to: asked.to };
    Events { since, events: found.all, left_out: 0, blind: found.blind }.bounded(&asked)
}

struct Found {
    all: Vec<Event>,
    blind: Vec<EventSource>,
}

impl Found {
    fn packages(&mut self, host: &Host) {
        let found = packages::transactions(host);
        self.blind.extend((!found.gaps.is_empty()).then_some(EventSource::Packages));
        self.all.extend(found.all.iter().flat_map(|one| Verb::ALL.map(|verb| changed(one, verb))).flatten());
    }

    fn starts(&mut self, host: &Host) {
        match wtmp::records(host) {
            Ok(records) => self.all.extend(records.iter().filter_map(recorded)),
            Err(_) => self.blind.push(EventSource::Starts),
        }
        let Some(booted) = starts::booted(host) else { return };
        if !self.has(EventKind::Booted, "", booted, SAME_SECS) {
            self.all.push(event(booted, EventKind::Booted));
        }
    }

    fn kills(&mut self, host: &Host) {
        let Ok(log) = host.kernel_log() else {
            self.blind.push(EventSource::Kernel);
            return;
        };
        let earlier = kernel::earlier(host, log);
        for kill in kills(earlier.iter().chain(&log.messages)) {
            let Some(at) = kill.message.age_secs.and_then(|age| kernel::moment(host.now(), age)) else { continue };
            let names = vec![Named { name: kill.name.to_owned(), before: String::new(), after: String::new() }];
            self.all.push(Event { names, unit: kill.service.unwrap_or_default(), ..event(at, EventKind::Killed) });
        }
    }

    /// What systemd tells, and what living processes tell besides.
    fn services(&mut self, host: &Host) {
        let journaled = units::journaled(host);
        self.blind.extend((!journaled.gaps.is_empty()).then_some(EventSource::Services));
        self.of_systemd(journaled.told);
        let Some(booted) = starts::booted(host) else { return };
        for start in starts::services(host, booted) {
            if !self.has(EventKind::Restarted, &start.name, start.at, SAME_SECS) {
                self.all.push(Event { unit: start.name, ..event(start.at, EventKind::Started) });
            }
        }
    }

    fn of_systemd(&mut self, told: Vec<Told>) {
        for Told { unit, said, at, count, .. } in told {
            let kind = match said {
                Said::Failed => EventKind::Failed,
                Said::Restarted => EventKind::Restarted,
                Said::OutOfMemory if self.is_of(&unit, at) => continue,
                Said::OutOfMemory => EventKind::Killed,
                // A host without a record of starts has this alone, and it is said when all services are up.
                Said::Up => {
                    if !self.has(EventKind::Booted, "", at, UP_SECS) {
                        self.all.push(Event { count, guessed: true, ..event(at, EventKind::Booted) });
                    }
                    continue;
                }
            };
            self.all.push(Event { unit, count, ..event(at, kind) });
        }
    }

    /// Whether a kill that the kernel told of is the one that systemd means. Of one kill alone, without a service of its
    /// own, systemd then says whose it was.
    fn is_of(&mut self, unit: &str, at: UnixTime) -> bool {
        if self.has(EventKind::Killed, unit, at, KILL_SECS) {
            return true;
        }
        let near = |event: &&mut Event| {
            event.kind == EventKind::Killed && UnixTime(event.at / MILLIS).distance_secs(at) < KILL_SECS
        };
        let mut kills = self.all.iter_mut().filter(near);
        match (kills.next(), kills.next()) {
            (Some(kill), None) if kill.unit.is_empty() => {
                unit.clone_into(&mut kill.unit);
                true
            }
            (Some(_) | None, _) => false,
        }
    }

    /// Whether the same is known already from elsewhere.
    fn has(&self, kind: EventKind, unit: &str, at: UnixTime, within_secs: u64) -> bool {
        let same = |event: &Event| event.kind == kind && event.unit == unit;
        let near = |event: &Event| UnixTime(event.at / MILLIS).distance_secs(at) < within_secs;
        self.all.iter().any(|event| same(event) && near(event))
    }
}

fn event(at: UnixTime, kind: EventKind) -> Event {
    let at = at.0.saturating_mul(MILLIS);
    Event { at, kind, count: 1, names: Vec::new(), unit: String::new(), guessed: false }
}

fn recorded(record: &Record) -> Option<Event> {
    match record {
        Record::Boot(at) => Some(event(*at, EventKind::Booted)),
        Record::Shutdown(at) => Some(event(*at, EventKind::ShutDown)),
        Record::Login(..) => None,
    }
}

/// What of a transaction is one verb; nothing when that is nothing.
fn changed(one: &Transaction, verb: Verb) -> Option<Event> {
    let of = || one.changes.iter().filter(|change| change.verb == verb);
    let kind = match verb {
        Verb::Installed | Verb::Reinstalled => EventKind::Installed,
        Verb::Upgraded => EventKind::Upgraded,
        Verb::Downgraded => EventKind::Downgraded,
        Verb::Removed => EventKind::Removed,
    };
    let count = u32::try_from(of().count()).unwrap_or(u32::MAX);
    let names = of().take(EVENT_NAMES_MAX).map(named).collect();
    let guessed = one.confidence == Confidence::Low;
    (count > 0).then(|| Event { count, names, guessed, ..event(UnixTime(one.at), kind) })
}

/// Red Hat's logs have name and version in one: `nginx-1:1.20.1-1.el8.x86_64`, or with the epoch in front.
fn named(change: &Change) -> Named {
    let Change { verb, name, before, after } = change;
    let mut named = Named { name: name.clone(), before: before.clone(), after: after.clone() };
    if !before.is_empty() || !after.is_empty() {
        return named;
    }
    let mut parts = name.rsplitn(3, '-');
    if let (Some(release), Some(version), Some(rest)) = (parts.next(), parts.next(), parts.next()) {
        let release = release.rsplit_once('.').map_or(release, |(release, _architecture)| release);
        let bare = rest.split_once(':').filter(|(epoch, _)| epoch.bytes().all(|byte| byte.is_ascii_digit()));
        named.name = bare.map_or(rest, |(_, name)| name).to_owned();
        let version = format!("{version}-{release}");
        if *verb == Verb::Removed { named.before = version } else { named.after = version }
    }
    named
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
