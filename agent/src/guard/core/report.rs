//! What guard says about itself: to root's commands, and to systemd in one line.

use super::super::admin::{ChannelLine, PendingLine, Status, VisitLine};
use super::super::visits::{Claims, Pending, Visit};
use super::Core;
use super::authorise::kind_word;
use super::grants::scopes;
use crate::policy::NoCeiling;
use cloud_doctor_proto::audit::Moment;
use cloud_doctor_proto::ids::VisitId;
use cloud_doctor_proto::refusal::{Refused, one_line};
use cloud_doctor_proto::signer::SignerKind;
use cloud_doctor_proto::words::words;

/// Characters of a stranger's text on one line.
const TEXT_CHARS: usize = 500;

impl Core {
    /// How things are, for root.
    pub(crate) fn status(&self, moment: Moment) -> Status {
        let ceiling = self.ceiling();
        let head = self.trust.log().head();
        Status {
            agent: self.agent().to_string(),
            build: env!("CARGO_PKG_VERSION").to_owned(),
            tenant: self.trust.log().tenant().to_string(),
            log_entry: head.seq,
            log_head: head.hash.to_string(),
            ceiling_problem: ceiling.as_ref().err().map(ToString::to_string),
            ceiling_told: ceiling.as_ref().err().map(NoCeiling::told),
            ceiling: ceiling.ok().map(|ceiling| preset(&ceiling.preset)),
            locked_down: self.is_locked(),
            local_signer: self.local_signer,
            fork_proofs: super::fork_proofs(&self.places.guard).iter().map(|path| path.display().to_string()).collect(),
            audit_line: self.audit.newest(),
            relays: self.tunnel.as_ref().map(|tunnel| tunnel.relays.clone()),
            visits: self.visits.values().map(|visit| visit_line(visit, moment)).collect(),
            channels: self.channel_lines(moment),
            pending: self.pending.iter().map(|(id, pending)| self.pending_line(*id, pending, moment)).collect(),
        }
    }

    fn channel_lines(&self, moment: Moment) -> Vec<ChannelLine> {
        let line = |(id, channel): (&_, &super::Channel)| {
            let info = channel.info(*id, moment.at);
            ChannelLine {
                channel: info.channel.to_string(),
                visit: channel.visit.to_string(),
                kind: kind_word(info.kind).to_owned(),
                user: one_line(&info.user, TEXT_CHARS),
                age_secs: info.age_secs,
                attached: info.attached,
                over: channel.over,
                watchers: self.watching(channel),
            }
        };
        self.channels.iter().map(line).collect()
    }

    /// Names of those who watch a channel now.
    fn watching(&self, channel: &super::Channel) -> Vec<String> {
        let attached = channel.watchers.iter().filter(|(_, attached)| **attached);
        let visits = attached.filter_map(|(id, _)| self.visits.get(id));
        visits.map(|visit| one_line(&visit.note.person, TEXT_CHARS)).collect()
    }

    fn pending_line(&self, id: VisitId, pending: &Pending, moment: Moment) -> PendingLine {
        let (permit, grant) = (&pending.permit, &pending.permit.grant);
        let accepted = permit.second.as_ref().is_some_and(|kinds| kinds.contains(&SignerKind::Local));
        PendingLine {
            visit: id.to_string(),
            engineer: one_line(&permit.person, TEXT_CHARS),
            key: grant.engineer.to_string(),
            // Whole: what root signs must not end where a line does.
            scopes: one_line(&scopes(&grant.scopes), usize::MAX),
            minutes: grant.ttl_secs.div_ceil(60),
            reason: one_line(&grant.reason, TEXT_CHARS),
            ticket: one_line(&grant.ticket, TEXT_CHARS),
            waits_secs: moment.boot.millis_until(pending.deadline) / 1000,
            words: words(&permit.grant_hash),
            local: accepted && self.local_signer,
        }
    }

    /// `3 visits, 4 shells, ceiling vendor, log entry 17`.
    pub(crate) fn status_line(&mut self) -> String {
        let running = self.channels.values().filter(|channel| !channel.over).count();
        // Asked for at every turn of guard's loop, this must not parse the file; what decides something reads it anew.
        if self.ceiling_watch.is_changed() {
            self.ceiling_shown = match self.ceiling() {
                Ok(ceiling) => format!("ceiling {}", preset(&ceiling.preset)),
                Err(_) => "no valid ceiling, so nothing is allowed".to_owned(),
            };
        }
        let ceiling = &self.ceiling_shown;
        let locked = if self.is_locked() { "LOCKED DOWN, " } else { "" };
        let waits = if self.pending.is_empty() {
            String::new()
        } else {
            format!(", {} waiting for a second signature", self.pending.len())
        };
        let log = self.trust.log().head().seq;
        format!("{locked}{} visits, {running} shells, {ceiling}, log entry {log}{waits}", self.visits.len())
    }

    /// Writes a refusal that no decision made: a frame that is none, a peer that may not speak.
    pub(crate) fn refused_frame(&mut self, moment: Moment, what: &'static str, claims: &Claims, refused: &Refused) {
        self.refused(moment, what, claims, refused, "");
    }
}

fn visit_line(visit: &Visit, moment: Moment) -> VisitLine {
    VisitLine {
        visit: visit.door.visit.to_string(),
        engineer: one_line(&visit.note.person, TEXT_CHARS),
        key: visit.grant.engineer.to_string(),
        second: one_line(&visit.note.second, TEXT_CHARS),
        scopes: one_line(&scopes(&visit.grant.scopes), TEXT_CHARS),
        reason: one_line(&visit.grant.reason, TEXT_CHARS),
        ticket: one_line(&visit.grant.ticket, TEXT_CHARS),
        ends_in_secs: moment.boot.millis_until(visit.door.ends_at) / 1000,
    }
}

fn preset(name: &str) -> String {
    if name.is_empty() { "of your own".to_owned() } else { one_line(name, 40) }
}
