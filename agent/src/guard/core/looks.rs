//! What a visit may see of others: attaching to a shell as a watcher, and questions that guard answers under seal.
//!
//! It must never name a shell that no watch scope is about, and never answer before the audit says who looks.

use super::super::visits::{Claims, Visit};
use super::Core;
use super::authorise::{Route, first_message, open_for};
use crate::audit::Event;
use crate::session::door;
use cloud_doctor_proto::audit::Moment;
use cloud_doctor_proto::ceiling::Ceiling;
use cloud_doctor_proto::decide::still_trusted;
use cloud_doctor_proto::grant::Scope;
use cloud_doctor_proto::ids::ChannelId;
use cloud_doctor_proto::limits::{ANSWER_BYTES_MAX, GREETING_BYTES_MAX};
use cloud_doctor_proto::look::{Answer, LivingShell, Question, REASON_SHOWN_CHARS};
use cloud_doctor_proto::pack;
use cloud_doctor_proto::refusal::{Refusal, Refused};
use cloud_doctor_proto::session::FinReason;
use cloud_doctor_proto::trust::Role;
use cloud_doctor_proto::visit::{ChannelReply, OpenChannel};
use serde_bytes::ByteBuf;

impl Core {
    /// Whether a visit was opened by one of the customer's approvers.
    pub(super) fn is_approver(&self, visit: &Visit) -> bool {
        let signer = still_trusted(self.trust.log(), visit.engineer(), visit.scopes(), &self.agent());
        signer.is_some_and(|person| person.role == Role::Approver)
    }

    /// What the watcher of a shell may end it for: an approver for the customer, its engineer for itself.
    fn may_end(&self, watcher: &Visit, watched: &Visit) -> Option<FinReason> {
        if self.is_approver(watcher) {
            return Some(FinReason::Ended);
        }
        (watcher.note.person == watched.note.person).then_some(FinReason::Closed)
    }

    /// Lets a watcher go to a living shell's holder.
    pub(super) fn try_watch(
        &mut self,
        moment: Moment,
        request: &OpenChannel,
        seed: [u8; 32],
    ) -> Result<Route, Refused> {
        let visit = self.visits.get(&request.visit).ok_or(Refusal::NoVisit)?;
        let ceiling = self.ceiling().map_err(|reason| Refusal::Ceiling.telling(reason.told()))?;
        let asked = self.asked(visit, request, seed)?;
        let channel = self.channels.get(&request.channel).filter(|channel| channel.is_living_shell());
        // With a resume secret nobody but the holder has read who asks: then only for whoever looked before.
        let known = channel.is_some_and(|channel| channel.watchers.contains_key(&request.visit));
        if request.resume == 0 || known {
            self.within(moment, visit, &ceiling, &Scope::Watch { user: asked.user.clone() })?;
        }
        let channel = channel.filter(|channel| asked.attach && channel.user == asked.user);
        let channel = channel.filter(|_| request.resume == 0 || known).ok_or(Refusal::NoChannel)?;
        let watched = self.visits.get(&channel.visit).ok_or(Refusal::NoChannel)?;
        let watcher = door::Watcher { person: visit.note.person.clone(), ends: self.may_end(visit, watched) };
        let open = Box::new(door::Open { watcher: Some(watcher), ..open_for(visit, request, &ceiling) });
        let pass = channel.pass.clone();
        if !known {
            let event = Event::new("watch-opening")
                .with("visit", request.visit.to_string())
                .with("channel", request.channel.to_string())
                .with("person", visit.note.person.as_str())
                .with("user", asked.user.as_str())
                .with("engineer", watched.note.person.as_str())
                .with("watched-visit", channel.visit.to_string());
            self.audit.begin(moment, &event)?;
        }
        if let Some(channel) = self.channels.get_mut(&request.channel) {
            channel.watchers.entry(request.visit).or_insert(false);
        }
        Ok(Route::Attach(open, pass))
    }

    /// Answers a question under seal.
    ///
    /// # Errors
    /// Why there is no answer, already in the audit.
    pub(crate) fn ask(
        &mut self,
        moment: Moment,
        claims: &Claims,
        request: &OpenChannel,
        seed: [u8; 32],
    ) -> Result<ChannelReply, Refused> {
        let result = self.try_ask(moment, request, seed);
        if let Err(refused) = &result {
            let detail = format!("visit {} {}", request.visit, refused.detail);
            self.refused(moment, "question", claims, refused, detail.trim_end());
        }
        result
    }

    fn try_ask(&mut self, moment: Moment, request: &OpenChannel, seed: [u8; 32]) -> Result<ChannelReply, Refused> {
        self.not_locked()?;
        self.sweep(moment);
        let visit = self.visits.get(&request.visit).ok_or(Refusal::NoVisit)?;
        if request.resume != 0 {
            return Err(Refusal::Malformed.with("a question has no secret"));
        }
        let read = first_message(visit, request, seed)?;
        let question: Question = pack::from_bytes(&read.payload, GREETING_BYTES_MAX)
            .map_err(|error| Refusal::Malformed.with(error.to_string()))?;
        let ceiling = self.ceiling().map_err(|reason| Refusal::Ceiling.telling(reason.told()))?;
        let answer = match question {
            Question::Shells {} => Answer::Shells { shells: self.shells(moment, visit, &ceiling)? },
            Question::Audit { file, offset } => {
                self.within(moment, visit, &ceiling, &Scope::Audit {})?;
                self.note_reader(moment, request)?;
                let page = self.audit.page(file, offset);
                Answer::Audit(page.map_err(|error| Refusal::AuditUnread.with(error.to_string()))?)
            }
        };
        let answer = pack::to_bytes(&answer);
        if answer.len() > ANSWER_BYTES_MAX {
            return Err(Refusal::TooMany.with(answer.len().to_string()));
        }
        let (second, _no_records) = read.reply(&answer).map_err(|_| Refusal::Handshake)?;
        if let Some(visit) = self.visits.get_mut(&request.visit) {
            visit.used_at = moment.boot;
        }
        Ok(ChannelReply { second: ByteBuf::from(second) })
    }

    /// Living shells of the users that this visit may watch now.
    fn shells(&self, moment: Moment, visit: &Visit, ceiling: &Ceiling) -> Result<Vec<LivingShell>, Refused> {
        let mut users = Vec::new();
        let mut refused = Refusal::Ceiling.with("watch");
        for scope in visit.scopes().iter().filter(|scope| matches!(scope, Scope::Watch { .. })) {
            match self.within(moment, visit, ceiling, scope) {
                Ok(()) => users.extend(scope.user()),
                Err(why) => refused = why,
            }
        }
        if users.is_empty() {
            return Err(refused);
        }
        let living = self.channels.iter().filter(|(_, channel)| channel.is_living_shell());
        let of_users = living.filter(|(_, channel)| users.contains(&channel.user.as_str()));
        let mut shells: Vec<LivingShell> =
            of_users.filter_map(|(id, channel)| self.living_shell(moment, visit, *id, channel)).collect();
        shells.sort_by_key(|shell| std::cmp::Reverse(shell.age_secs));
        Ok(shells)
    }

    fn living_shell(
        &self,
        moment: Moment,
        watcher: &Visit,
        id: ChannelId,
        channel: &super::Channel,
    ) -> Option<LivingShell> {
        let watched = self.visits.get(&channel.visit)?;
        let info = channel.info(id, moment.at);
        Some(LivingShell {
            channel: id,
            user: info.user,
            person: watched.note.person.clone(),
            reason: watched.grant.reason.chars().take(REASON_SHOWN_CHARS).collect(),
            ticket: watched.grant.ticket.clone(),
            age_secs: info.age_secs,
            ends_in_secs: moment.boot.millis_until(watched.door.ends_at) / 1000,
            attached: info.attached,
            watchers: channel.watchers.values().filter(|attached| **attached).count() as u64,
            may_end: self.may_end(watcher, watched).is_some(),
        })
    }

    /// Who reads the audit stands in it before the first page leaves; once, or reading it would never end.
    fn note_reader(&mut self, moment: Moment, request: &OpenChannel) -> Result<(), Refused> {
        let Some(visit) = self.visits.get_mut(&request.visit).filter(|visit| !visit.reads_audit) else {
            return Ok(());
        };
        let event = Event::new("audit-read").with("visit", request.visit.to_string());
        self.audit.begin(moment, &event.with("person", visit.note.person.as_str()))?;
        visit.reads_audit = true;
        Ok(())
    }
}
