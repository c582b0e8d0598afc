//! What becomes of channels: holders' events, deaths, and what living holders tell a new guard.

use super::super::channels::{Channel, Ends};
use super::super::visits::Visit;
use super::authorise::{COMMAND_CHARS_MAX, kind_word};
use super::{Core, brief};
use crate::audit::Event;
use crate::session::door::{self, Refusal as DoorRefusal, What};
use cloud_doctor_proto::audit::Moment;
use cloud_doctor_proto::ids::{ChannelId, VisitId};
use cloud_doctor_proto::limits::WATCHERS_MAX;
use cloud_doctor_proto::refusal::{Refusal, Refused};
use cloud_doctor_proto::session::{ExitStatus, FinReason};

impl Core {
    /// Writes what a holder says has happened; when this returns it is on disk.
    pub(crate) fn holder_says(&mut self, moment: Moment, id: ChannelId, event: &door::Event) {
        let base = |name| {
            let visit = event.visit.map(|visit| visit.to_string()).unwrap_or_default();
            let lost = (event.lost > 0).then_some(event.lost);
            let base = Event::new(name).with("channel", id.to_string()).with("visit", visit);
            let base = base.with("holder-at", cloud_doctor_proto::audit::rfc3339(event.at));
            lost.map_or(base.clone(), |lost| base.with("lost-events", lost))
        };
        match &event.what {
            What::Began { pid, user, argv } => {
                self.serves(id, event.visit);
                let began = base("channel-began").with("pid", *pid).with("user", user.as_str());
                let command = brief(&argv.join(" "), COMMAND_CHARS_MAX);
                self.audit.note(moment, &began.with("argv", command).with("argc", argv.len()));
            }
            What::NotStarted { reason } => {
                self.audit.note(moment, &base("channel-not-started").with("why", reason.as_str()));
            }
            What::Attached => {
                self.serves(id, event.visit);
                self.attached(moment, id, true, "channel-attached", base("channel-attached"));
            }
            What::TakenOver => {
                self.serves(id, event.visit);
                self.attached(moment, id, true, "channel-taken-over", base("channel-taken-over"));
            }
            What::Detached => self.attached(moment, id, false, "channel-detached", base("channel-detached")),
            What::WatcherCame { person } => self.watcher(moment, id, event.visit, true, base("watcher-came"), person),
            What::WatcherWent { person } => self.watcher(moment, id, event.visit, false, base("watcher-went"), person),
            What::EndedBy { person, reason } => {
                let ended = base("channel-ended-by-watcher").with("person", person.as_str());
                self.audit.note(moment, &ended.with("reason", fin_reason(*reason)));
                self.ended_by_watcher(moment, id, *reason);
            }
            What::Integrity => self.audit.note_counted(moment, "integrity", base("integrity-failure")),
            What::Misbehaved { rule } => {
                let event = base("view-misbehaved").with("rule", rule.as_str());
                self.audit.note_counted(moment, "view-misbehaved", event);
            }
            What::DeadSecret => self.audit.note(moment, &base("dead-secret-used")),
            What::Replayed => self.audit.note_counted(moment, "replayed", base("handshake-replayed")),
            What::Ended { reason, status, bytes_in, bytes_out, survivors } => {
                let ended = base("channel-ended")
                    .with("reason", fin_reason(*reason))
                    .with("status", exit_status(status.as_ref()))
                    .with("bytes-in", *bytes_in)
                    .with("bytes-out", *bytes_out);
                let ended = if *survivors > 0 { ended.with("survivors", *survivors) } else { ended };
                self.audit.note(moment, &ended);
                if let Some(channel) = self.channels.get_mut(&id) {
                    channel.over = true;
                    channel.attached = false;
                }
            }
        }
    }

    fn attached(&mut self, moment: Moment, id: ChannelId, attached: bool, key: &'static str, event: Event) {
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.attached = attached;
        }
        self.audit.note_often(moment, key, event);
    }

    fn watcher(
        &mut self,
        moment: Moment,
        id: ChannelId,
        visit: Option<VisitId>,
        attached: bool,
        event: Event,
        person: &str,
    ) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        if let Some(watcher) = visit.and_then(|visit| channel.watchers.get_mut(&visit)) {
            *watcher = attached;
        }
        let event = event.with("person", person).with("watched-visit", channel.visit.to_string());
        self.audit.note_often(moment, if attached { "watcher-came" } else { "watcher-went" }, event);
    }

    /// The customer's word ends all that the engineer's visit opened; an engineer's own ends the shell that it was about.
    fn ended_by_watcher(&mut self, moment: Moment, id: ChannelId, reason: FinReason) {
        let visit = self.channels.get(&id).map(|channel| channel.visit);
        if let Some(visit) = visit.filter(|_| reason == FinReason::Ended) {
            self.end_visit(moment, visit, reason);
        }
    }

    /// A channel belongs to the visit whose client its holder really serves, not to the one that asked last.
    fn serves(&mut self, id: ChannelId, visit: Option<VisitId>) {
        if let (Some(channel), Some(visit)) = (self.channels.get_mut(&id), visit) {
            channel.visit = visit;
        }
    }

    /// A holder would not have the client; what the client is told. A dead secret ends the visit.
    pub(crate) fn holder_refused(
        &mut self,
        moment: Moment,
        id: ChannelId,
        visit: VisitId,
        refusal: DoorRefusal,
    ) -> Refused {
        let refused: Refused = match refusal {
            DoorRefusal::Broken | DoorRefusal::Replay | DoorRefusal::UnknownSecret => Refusal::Handshake.into(),
            DoorRefusal::DeadSecret => Refusal::Compromised.into(),
            DoorRefusal::Misfit => Refusal::NoChannel.into(),
            DoorRefusal::Ended => Refusal::NoChannel.into(),
            DoorRefusal::Busy => Refusal::Busy.into(),
            DoorRefusal::Watched => Refusal::Watched.with(WATCHERS_MAX.to_string()),
            DoorRefusal::NoStream => Refusal::NotStarted.with(refusal.to_string()),
        };
        let event = Event::new("refused")
            .with("what", "handshake")
            .with("code", refused.code.id())
            .with("detail", refusal.to_string())
            .with("channel", id.to_string())
            .with("visit", visit.to_string());
        self.audit.note_counted(moment, "handshake-refused", event);
        if refusal == DoorRefusal::DeadSecret {
            self.end_visit(moment, visit, FinReason::Compromised);
        }
        refused
    }

    /// A holder could not be started.
    pub(crate) fn not_started(&mut self, moment: Moment, id: ChannelId, why: &str) -> Refused {
        self.channels.remove(&id);
        let event = Event::new("channel-not-started").with("channel", id.to_string()).with("why", why);
        self.audit.note(moment, &event);
        Refusal::NotStarted.with(why)
    }

    /// A holder has hung up: it is dead.
    pub(crate) fn holder_died(&mut self, moment: Moment, id: ChannelId) {
        let Some(channel) = self.channels.remove(&id) else { return };
        if !channel.over {
            let event = Event::new("holder-died").with("channel", id.to_string());
            self.audit.note(moment, &event.with("visit", channel.visit.to_string()));
        }
    }

    /// Takes a living holder's memory after a restart. `None`: it runs under nothing that this guard could trust.
    pub(crate) fn learn(&mut self, moment: Moment, status: &door::Status) -> Option<Ends> {
        let kind = status.kind?;
        let door = status.visit.clone()?;
        let id = door.visit;
        let visit = match Visit::learn(door, moment.boot) {
            Ok(visit) => visit,
            Err(error) => {
                let event = Event::new("holder-not-believed").with("channel", status.channel.to_string());
                self.audit.note(moment, &event.with("why", error.to_string()));
                return None;
            }
        };
        let event = Event::new("channel-found")
            .with("channel", status.channel.to_string())
            .with("visit", id.to_string())
            .with("engineer", visit.note.person.as_str())
            .with("kind", kind_word(kind))
            .with("user", status.user.as_str());
        self.audit.note(moment, &event);
        let (mut channel, ends) = Channel::new(kind, &status.user, *visit.engineer(), id, status.began_at);
        channel.attached = status.attached;
        channel.over = status.phase == door::Phase::Over;
        for watcher in &status.watchers {
            self.learn_watcher(moment, &mut channel, watcher);
        }
        self.channels.insert(status.channel, channel);
        // One that is being ended must not bring its visit back.
        if status.phase != door::Phase::Ending {
            self.visits.entry(id).or_insert(visit).used.insert(status.channel);
        }
        Some(ends)
    }

    /// A watcher's visit that a holder remembers: it goes on, and ends, as if guard had never been away.
    fn learn_watcher(&mut self, moment: Moment, channel: &mut Channel, watcher: &door::WatcherStatus) {
        let id = watcher.visit.visit;
        match Visit::learn(watcher.visit.clone(), moment.boot) {
            Ok(visit) => {
                self.visits.entry(id).or_insert(visit);
                channel.watchers.insert(id, watcher.attached);
            }
            Err(error) => tracing::warn!(visit = %id, %error, "a watcher's visit in a holder is not believed"),
        }
    }

    /// After all living holders were found: those that may not go on are ended.
    pub(crate) fn learned(&mut self, moment: Moment) {
        if self.locked {
            for channel in self.channels.values() {
                channel.end(FinReason::Ended);
            }
            self.visits.clear();
        }
        self.sweep(moment);
    }
}

/// A reason for the audit.
pub(crate) fn fin_reason(reason: FinReason) -> &'static str {
    match reason {
        FinReason::Exited => "exited",
        FinReason::Closed => "closed",
        FinReason::Expired => "expired",
        FinReason::Detached => "detached",
        FinReason::Idle => "idle",
        FinReason::Ended => "ended-by-customer",
        FinReason::Revoked => "revoked",
        FinReason::TakenOver => "taken-over",
        FinReason::Compromised => "compromised",
        FinReason::Unknown => "unknown",
    }
}

fn exit_status(status: Option<&ExitStatus>) -> String {
    match status {
        None => "none".to_owned(),
        Some(ExitStatus::Code(code)) => format!("code {code}"),
        Some(ExitStatus::Signal(signal)) => format!("signal {signal}"),
        Some(ExitStatus::NotStarted(why)) => format!("not started: {why}"),
    }
}
