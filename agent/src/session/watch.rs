//! What a holder does for those who look at its shell.
//!
//! ```text
//!  Open (guard) ──handshake answered──▶ pending ──Look──▶ Welcome, Size, the last output ──▶ all that the writer sees
//! ```
//!
//! A watcher may say that it has seen something, ask for a sign of life, leave, and, where guard says so, end the shell.
//! Everything else cuts its view. It must never reach the program, slow it, or slow its writer: what it does not take
//! waits in the byte log until that is full, and is then skipped.

use super::admit::{both_ways, random};
use super::clock;
use super::door::{Open, Refusal, Reply, What};
use super::finish::{BEGIN_MS, GRACE_SECS};
use super::holder::{Holder, Stage};
use super::view::{View, ViewEnd};
use super::visits::Seeds;
use super::watchers::{Key, Watching};
use cloud_doctor_proto::channel::ChannelKind;
use cloud_doctor_proto::ids::VisitId;
use cloud_doctor_proto::session::{FinReason, ToClient, ToHolder, Watchers as Named, Welcome};
use cloud_doctor_proto::time::BootTime;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

/// Records of one watcher per turn: it has little to say.
const RECORDS_PER_TURN: usize = 8;

impl Holder {
    /// Lets a watcher in whose stream guard passed on.
    pub(super) fn open_watch(&mut self, open: &Open, stream: OwnedFd) -> Reply {
        let Err(refusal) = self.admit_watcher(open, stream) else { return Reply::Opened };
        let visit = open.visit.visit;
        match refusal {
            // Somebody has a copy of the watcher's secret. Guard ends that visit; the shell is another one's.
            Refusal::DeadSecret => {
                self.tell_of(Some(visit), What::DeadSecret);
                self.unwatch(visit, FinReason::Compromised);
            }
            Refusal::Replay => self.tell_of(Some(visit), What::Replayed),
            Refusal::Broken
            | Refusal::UnknownSecret
            | Refusal::Misfit
            | Refusal::Ended
            | Refusal::Busy
            | Refusal::NoStream
            | Refusal::Watched => {}
        }
        Reply::Refused(refusal)
    }

    fn admit_watcher(&mut self, open: &Open, stream: OwnedFd) -> Result<(), Refusal> {
        if self.ending.has_begun() {
            return Err(Refusal::Ended);
        }
        let (Some(who), Some(wanted)) = (&open.watcher, &self.wanted) else { return Err(Refusal::Misfit) };
        if open.channel != self.channel || wanted.kind != ChannelKind::Shell {
            return Err(Refusal::Misfit);
        }
        if !matches!(self.stage, Stage::Running(_)) {
            return Err(Refusal::Busy);
        }
        let stream = both_ways(stream)?;
        let seeds = Seeds { ephemeral: random()?, resume: random()? };
        let (now, user) = (clock::boot_time(), &wanted.request.user);
        let admitted = self.watchers.admit(open, seeds, now, |request| request.attach && request.user == *user)?;
        let view = View::new(stream, admitted, open, now);
        self.watchers.all.push(Watching { view, who: who.clone(), begun: false, told: false });
        Ok(())
    }

    /// Reads what watchers say, and shows them what the shell said.
    pub(super) fn poll_watchers(&mut self, cx: &mut Context<'_>) -> bool {
        let mut worked = false;
        for key in self.watchers.keys() {
            if let Err(end) = self.poll_watcher(cx, key, &mut worked) {
                worked = true;
                self.watcher_gone(key, &end);
            }
        }
        worked
    }

    fn poll_watcher(&mut self, cx: &mut Context<'_>, key: Key, worked: &mut bool) -> Result<(), ViewEnd> {
        for _ in 0..RECORDS_PER_TURN {
            let Some(watching) = self.watchers.get(key) else { return Ok(()) };
            let Poll::Ready(outcome) = watching.view.poll_record(cx, &mut self.record, &mut self.buffer) else { break };
            outcome?;
            *worked = true;
            let record = std::mem::take(&mut self.record);
            let done = ToHolder::decode(&record).map_err(|error| ViewEnd::Misbehaved(error.to_string()));
            let done = done.and_then(|message| self.take_from_watcher(key, &message));
            self.record = record;
            done?;
        }
        let Some(watching) = self.watchers.get(key) else { return Ok(()) };
        let log = &self.logs[0];
        *worked |= watching.show(log);
        while let Poll::Ready(flushed) = watching.view.poll_flush(cx) {
            flushed?;
            // There is room again: perhaps for more of the log.
            if !watching.show(log) {
                break;
            }
            *worked = true;
        }
        Ok(())
    }

    /// Does what a watcher says. There is no way from here to the program's input, size or signals.
    fn take_from_watcher(&mut self, key: Key, message: &ToHolder<'_>) -> Result<(), ViewEnd> {
        let Some(watching) = self.watchers.get(key) else { return Ok(()) };
        let misbehaved = |rule: &str| Err(ViewEnd::Misbehaved(rule.to_owned()));
        let has_begun = watching.begun;
        match message {
            ToHolder::Look { from, last } if !has_begun => self.begin_watching(key, *from, *last),
            ToHolder::Ack { out, err: 0 } if has_begun && *out <= watching.view.next[0] => {
                watching.view.acked[0] = watching.view.acked[0].max(*out);
                Ok(())
            }
            ToHolder::Ping(number) if has_begun => {
                watching.view.say(&ToClient::Pong(*number));
                Ok(())
            }
            ToHolder::Bye if has_begun => Err(ViewEnd::Gone),
            ToHolder::End if has_begun => match watching.who.ends {
                Some(reason) => {
                    let person = watching.who.person.clone();
                    self.end_for_watcher(key, person, reason);
                    Ok(())
                }
                None => misbehaved("a watcher wants to end a shell that it may not end"),
            },
            ToHolder::Begin(_)
            | ToHolder::Input { .. }
            | ToHolder::Resize { .. }
            | ToHolder::Signal(_)
            | ToHolder::Eof { .. }
            | ToHolder::Close => misbehaved("a watcher wants to do more than look"),
            ToHolder::Look { .. } | ToHolder::Ack { .. } | ToHolder::Ping(_) | ToHolder::Bye | ToHolder::End => {
                misbehaved("a watcher's message is out of place")
            }
        }
    }

    /// A watcher's first valid record: it sees the shell from here on.
    fn begin_watching(&mut self, key: Key, from: u64, last: u64) -> Result<(), ViewEnd> {
        let end = self.logs[0].end();
        if from > end {
            return Err(ViewEnd::Misbehaved("it claims output that was never written".to_owned()));
        }
        if self.ending.has_begun() || !self.watchers.confirm(key) {
            return Err(ViewEnd::Gone);
        }
        let (pid, size) = (self.pid, self.duties.terminal());
        let Some(watching) = self.watchers.get(key) else { return Ok(()) };
        watching.begun = true;
        let ends_in_secs = clock::boot_time().millis_until(watching.view.ends_at) / 1000;
        // What is typed is nothing that a watcher is told about.
        let welcome = Welcome { pid, input_applied: 0, out_end: end, err_end: 0, ends_in_secs, notice: None };
        watching.view.say(&ToClient::Welcome(welcome));
        if let Some(size) = size {
            watching.view.say(&ToClient::Size { cols: size.cols, rows: size.rows });
        }
        watching.view.next = [from, 0];
        watching.view.acked = [from, 0];
        watching.skip_to(from.max(end.saturating_sub(last)));
        let person = watching.who.person.clone();
        self.tell_of(Some(key.0), What::WatcherCame { person });
        while let Some(old) = self.watchers.take(|one| one.view.visit == key.0 && one.view.handed < key.1) {
            self.see_out(old, FinReason::TakenOver);
        }
        self.name_watchers(false);
        Ok(())
    }

    /// Says good-bye to a watcher that was taken off the list.
    fn see_out(&mut self, mut old: Watching, reason: FinReason) {
        if let Some((visit, went)) = old.goes() {
            self.tell_of(Some(visit), went);
            old.view.say_and_leave(&ToClient::Fin(reason));
        }
    }

    fn end_for_watcher(&mut self, key: Key, person: String, reason: FinReason) {
        self.tell_of(Some(key.0), What::EndedBy { person, reason });
        // The customer does not wait.
        let grace_secs = if reason == FinReason::Ended { 0 } else { GRACE_SECS };
        self.end(reason, grace_secs);
    }

    /// A watcher's visit is over: its view goes, the shell lives on.
    pub(super) fn unwatch(&mut self, visit: VisitId, reason: FinReason) {
        self.watchers.forget(visit);
        while let Some(old) = self.watchers.take(|one| one.view.visit == visit) {
            self.see_out(old, reason);
        }
        self.name_watchers(false);
    }

    fn watcher_gone(&mut self, key: Key, end: &ViewEnd) {
        let Some(mut gone) = self.watchers.take(|one| one.key() == key) else { return };
        let visit = Some(key.0);
        match end {
            ViewEnd::Gone => {}
            ViewEnd::Integrity => self.tell_of(visit, What::Integrity),
            ViewEnd::Misbehaved(rule) => self.tell_of(visit, What::Misbehaved { rule: rule.clone() }),
        }
        if let Some((visit, went)) = gone.goes() {
            self.tell_of(Some(visit), went);
            self.name_watchers(false);
        }
    }

    /// Tells the writer who looks, when that has changed or it has just come.
    pub(super) fn name_watchers(&mut self, has_just_come: bool) {
        let people = self.watchers.names();
        let changed = self.watchers.named != people;
        if (changed || (has_just_come && !people.is_empty()))
            && let Some(view) = self.view.as_mut().filter(|view| !view.farewell)
        {
            view.say(&ToClient::Watchers(Named { people: people.clone() }));
        }
        self.watchers.named = people;
    }

    /// Watchers whose own time is over, or who never began; returns when it wants to be asked again.
    pub(super) fn see_watchers_out(&mut self, now: BootTime) -> Option<BootTime> {
        let late = |one: &Watching| !one.begun && now.0 >= one.view.since.0 + BEGIN_MS;
        while self.watchers.take(late).is_some() {}
        let over = |one: &Watching| one.begun && now >= one.view.ends_at;
        while let Some(visit) = self.watchers.all.iter().find(|one| over(one)).map(|one| one.view.visit) {
            self.unwatch(visit, FinReason::Expired);
        }
        let until = |one: &Watching| {
            let begins = BootTime(one.view.since.0 + BEGIN_MS);
            if one.begun { one.view.ends_at } else { begins }
        };
        self.watchers.all.iter().map(until).min()
    }
}
