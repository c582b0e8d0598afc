//! How a channel ends: the program's own end, an order, or time. Then everything below the holder is killed to a
//! fixpoint, the tail and the exit status are handed over, and the process goes.
//!
//! ```text
//!  program ends ──▶ hang up what is left ──5 s──▶ kill      output drained ──▶ Exit, Fin ──▶ wait for Bye (linger)
//!  order, time  ──▶ hang up everything ──grace──▶ kill      all dead        ──▶ Exit, Fin ──▶ go
//! ```
//!
//! It must never leave a process behind without saying so, and never keep the grant's end waiting for a client.

use super::clock;
use super::door::What;
use super::holder::{Holder, Stage};
use super::kill::{self, End, Reaped};
use super::lifetime::Verdict;
use super::watchers::Watching;
use cloud_doctor_proto::session::{ExitStatus, FinReason, Notice, Stream, ToClient};
use cloud_doctor_proto::time::BootTime;
use rustix::process::{Pid, Signal};
use std::collections::HashSet;
use std::task::Context;

/// Between hang-up and kill (PTY-12).
pub(super) const GRACE_SECS: u64 = 5;
/// When the host stops, systemd waits for us: shorter.
const STOP_GRACE_SECS: u64 = 1;
/// A login shell that was busy can miss a hang-up (bash looks at it between two keys only); it gets another one.
const REPEAT_MS: u64 = 300;
/// Passes of killing follow each other in this time, and are given up after [`GIVE_UP_MS`].
const PASS_MS: u64 = 20;
/// What survives SIGKILL for so long is stuck in the kernel, or belongs to a user that we may not signal.
const GIVE_UP_MS: u64 = 10_000;
/// After the program's end, output of its children is awaited while it comes; this much silence is the end of it.
const QUIET_MS: u64 = 100;
/// A client that does not listen is not waited for longer than this when the end was ordered.
const FAREWELL_MS: u64 = 2_000;
/// A client has this long from the answer to its handshake to its first record.
pub(super) const BEGIN_MS: u64 = 20_000;
/// Events wait this long for a guard that is away.
const EVENTS_MS: u64 = 600_000;

/// How far the end is.
#[derive(Debug, Default)]
pub(super) struct Ending {
    reason: Option<FinReason>,
    status: Option<ExitStatus>,
    since: Option<BootTime>,
    ordered: bool,
    killing: Option<Killing>,
    quiet_at: Option<BootTime>,
    survivors: u64,
    /// `Ended` was told.
    told: bool,
    /// The client has the exit status, or will never come for it.
    delivered: bool,
    /// The host stops: nothing is waited for.
    hurry: bool,
}

/// Killing in progress.
#[derive(Debug)]
struct Killing {
    kill_at: BootTime,
    next: BootTime,
    stopped: HashSet<Pid>,
}

impl Ending {
    /// Whether the channel is being ended or has ended.
    pub(super) fn has_begun(&self) -> bool {
        self.reason.is_some()
    }

    /// Whether it was ended from outside: then flow control does not hold it up.
    pub(super) fn was_ordered(&self) -> bool {
        self.ordered
    }

    /// Whether nobody may attach any more. After the program's own end, tail and status can still be fetched.
    pub(super) fn refuses_clients(&self) -> bool {
        self.ordered || self.delivered
    }

    /// The program said something: its end is not quiet yet.
    pub(super) fn heard(&mut self, now: BootTime) {
        if let Some(quiet_at) = &mut self.quiet_at {
            *quiet_at = BootTime(now.0 + QUIET_MS);
        }
    }

    /// A child ended: perhaps it was the last one.
    pub(super) fn look_again(&mut self) {
        if let Some(killing) = &mut self.killing {
            killing.next = BootTime(0);
        }
    }

    fn begin_killing(&mut self, kill_at: BootTime) {
        match &mut self.killing {
            Some(killing) => {
                killing.kill_at = killing.kill_at.min(kill_at);
                killing.next = BootTime(0);
            }
            None => self.killing = Some(Killing { kill_at, next: BootTime(0), stopped: HashSet::new() }),
        }
    }

    /// Goes on killing; returns when it wants to be asked again.
    fn kill(&mut self, now: BootTime) -> Option<BootTime> {
        let killing = self.killing.as_mut()?;
        if now < killing.next {
            return Some(killing.next);
        }
        let alive =
            if now < killing.kill_at { kill::descendants().len() } else { kill::kill_pass(&mut killing.stopped) };
        if alive == 0 || now.0 > killing.kill_at.0 + GIVE_UP_MS {
            self.survivors = alive as u64;
            self.killing = None;
            return None;
        }
        let pause = if now < killing.kill_at { REPEAT_MS } else { PASS_MS };
        killing.next = BootTime(now.0 + pause);
        Some(killing.next)
    }
}

impl Holder {
    /// Ends the channel: hang up now, kill after `grace_secs`.
    pub(super) fn end(&mut self, reason: FinReason, grace_secs: u64) {
        let now = clock::boot_time();
        self.ending.ordered = true;
        self.ending.since.get_or_insert(now);
        match self.ending.reason {
            // The program has ended by itself meanwhile: what is left is cleaned up sooner, nothing else changes.
            Some(_) => {}
            None => self.ending.reason = Some(reason),
        }
        kill::signal_all(Signal::HUP);
        self.ending.begin_killing(now.plus_secs(grace_secs));
        match &self.stage {
            Stage::Waiting | Stage::Starting(_) => self.stage = Stage::Gone,
            Stage::Running(_) | Stage::Gone => {}
        }
        self.pending.clear();
        self.watchers.drop_pending();
    }

    /// Goes on ending; returns when it wants to be asked again.
    fn go_on_ending(&mut self, now: BootTime) -> Option<BootTime> {
        let due = self.ending.killing.as_ref().is_some_and(|killing| now >= killing.next && now < killing.kill_at);
        if let Stage::Running(program) = &self.stage
            && due
            && self.ending.ordered
            && !self.is_command()
        {
            program.signal_leader(Signal::HUP);
        }
        self.ending.kill(now)
    }

    /// The host, or its administrator, stops this process.
    pub(super) fn stop_soon(&mut self) {
        self.ending.hurry = true;
        self.end(FinReason::Ended, STOP_GRACE_SECS);
    }

    /// A child of this process ended and was collected.
    pub(super) fn child_ended(&mut self, reaped: Reaped) {
        match &mut self.stage {
            Stage::Starting(starting) => starting.child_ended(reaped),
            Stage::Running(program) if program.pid == reaped.pid => self.program_ended(reaped.end),
            Stage::Running(_) | Stage::Waiting | Stage::Gone => {}
        }
    }

    /// The user's program ended.
    pub(super) fn program_ended(&mut self, end: End) {
        let status = match end {
            End::Code(code) => ExitStatus::Code(code),
            End::Signal(signal) => ExitStatus::Signal(signal),
        };
        self.ending.quiet_at = Some(BootTime(clock::boot_time().0 + QUIET_MS));
        self.over(FinReason::Exited, Some(status));
        kill::signal_all(Signal::HUP);
    }

    /// The channel is over: what is left below this process goes.
    pub(super) fn over(&mut self, reason: FinReason, status: Option<ExitStatus>) {
        let now = clock::boot_time();
        self.ending.reason.get_or_insert(reason);
        self.ending.status = status;
        self.ending.since.get_or_insert(now);
        self.ending.begin_killing(now.plus_secs(GRACE_SECS));
    }

    /// The client has everything.
    pub(super) fn delivered(&mut self) {
        if self.ending.reason.is_some() {
            self.ending.delivered = true;
            self.view = None;
        }
    }

    /// After the program's end: notices when its output is over, and says farewell when all of it was sent.
    pub(super) fn finish_output(&mut self) {
        if self.ending.status.is_some() && self.is_drained() {
            self.stage = Stage::Gone;
        }
        let Some(reason) = self.ending.reason.filter(|_| matches!(self.stage, Stage::Gone)) else { return };
        let ends = [self.logs[0].end(), self.logs[1].end()];
        let (all_dead, ordered) = (self.ending.killing.is_none(), self.ending.ordered);
        let late = self.ending.since.is_some_and(|since| clock::boot_time().0 > since.0 + FAREWELL_MS);
        for view in self.view.iter_mut().chain(self.watchers.views()).filter(|view| !view.farewell) {
            let shown = view.next[0] >= ends[0] && view.next[1] >= ends[1];
            if (shown && (all_dead || !ordered)) || (ordered && all_dead && late) {
                if let Some(status) = &self.ending.status {
                    view.say(&ToClient::Exit(status.clone()));
                }
                view.say(&ToClient::Fin(reason));
                view.farewell = true;
            }
        }
    }

    fn is_drained(&mut self) -> bool {
        let now = clock::boot_time();
        let quiet = self.ending.quiet_at.is_none_or(|at| now >= at);
        let readable = [Stream::Out, Stream::Err].map(|stream| self.may_read(stream));
        let Stage::Running(program) = &mut self.stage else { return true };
        let over = |(stream, readable)| !program.may_say(stream) || (readable && quiet);
        [Stream::Out, Stream::Err].into_iter().zip(readable).all(over)
    }

    /// Does what is due, and sets the timer for what comes next. True when something was done.
    pub(super) fn poll_time(&mut self, cx: &mut Context<'_>) -> bool {
        let now = clock::boot_time();
        let mut next = [self.do_duties(now), self.live(now), self.go_on_ending(now), self.drop_late(now), None, None];
        let watchers = self.see_watchers_out(now);
        if self.ending.has_begun() {
            self.tell_the_end();
            next[4] = self.ending.quiet_at.filter(|at| *at > now && matches!(self.stage, Stage::Running(_)));
            next[5] = self.patience(now);
        }
        if let Some(at) = next.into_iter().chain([watchers]).flatten().min() {
            self.timer.wake_at(at);
        }
        self.timer.poll_rang(cx).is_ready()
    }

    /// The grant's clock.
    fn live(&mut self, now: BootTime) -> Option<BootTime> {
        loop {
            if self.ending.has_begun() {
                return self.stop_waiting_for_client(now);
            }
            let life = self.life.as_mut()?;
            match life.verdict(now) {
                Verdict::Wait(at) => return Some(at),
                Verdict::Warn(ends_in_secs) => self.say(&ToClient::Notice(Notice { ends_in_secs })),
                Verdict::End(reason) => self.end(reason, GRACE_SECS),
            }
        }
    }

    /// Output of a program that ended waits for its client, but not for ever.
    fn stop_waiting_for_client(&mut self, now: BootTime) -> Option<BootTime> {
        let undrained = matches!(self.stage, Stage::Running(_)) && self.ending.status.is_some();
        let until = self.client_until(now).filter(|_| undrained && !self.ending.ordered)?;
        if now < until {
            return Some(until);
        }
        // From here on output is drained whether anybody takes it or not.
        self.end(FinReason::Exited, 0);
        None
    }

    /// Until when tail and status wait: for a client that is fetching them as long as its grant holds.
    fn client_until(&self, now: BootTime) -> Option<BootTime> {
        let since = self.ending.since?;
        let linger = self.wanted.as_ref().map_or(0, |wanted| wanted.limits.linger_secs);
        let grant = self.life.as_ref().map_or(now, super::lifetime::Lifetime::ends_at);
        let fetching = self.view.as_ref().is_some_and(|view| !view.farewell);
        Some(if fetching { grant } else { grant.min(since.plus_secs(linger)) })
    }

    /// Clients that were answered and never began.
    fn drop_late(&mut self, now: BootTime) -> Option<BootTime> {
        self.pending.retain(|view| now.0 < view.since.0 + BEGIN_MS);
        let nobody_came = matches!(self.stage, Stage::Waiting) && !self.ending.has_begun();
        let waiting = nobody_came.then_some(BootTime(self.born.0 + BEGIN_MS)).filter(|at| *at > now);
        let first = self.pending.iter().map(|view| BootTime(view.since.0 + BEGIN_MS)).min();
        [waiting, first].into_iter().flatten().min()
    }

    fn tell_the_end(&mut self) {
        if self.ending.told || self.ending.killing.is_some() || !matches!(self.stage, Stage::Gone) {
            return;
        }
        let Some(reason) = self.ending.reason else { return };
        self.ending.told = true;
        // Whoever looked has seen the end. This process does not wait for their streams to close, and has to say so now.
        let went: Vec<_> = self.watchers.all.iter_mut().filter_map(Watching::goes).collect();
        for (visit, went) in went {
            self.tell_of(Some(visit), went);
        }
        self.tell(What::Ended {
            reason,
            status: self.ending.status.clone(),
            bytes_in: self.input.applied_to(),
            bytes_out: self.logs.iter().map(super::bytelog::ByteLog::end).sum(),
            survivors: self.ending.survivors,
        });
    }

    /// Until when this process stays for its client and its guard, both of which may be away for a while.
    fn patience(&self, now: BootTime) -> Option<BootTime> {
        let since = self.ending.since?;
        let client = if self.ending.delivered {
            None
        } else if self.ending.ordered || self.ending.hurry {
            self.view
                .as_ref()
                .filter(|view| !view.farewell || view.waiting() > 0)
                .map(|_| since.0 + FAREWELL_MS + GIVE_UP_MS)
        } else {
            self.client_until(now).map(|until| until.0)
        };
        let guard = if self.events.is_empty() {
            None
        } else if self.ending.hurry {
            self.is_heard().then_some(since.0 + FAREWELL_MS)
        } else {
            Some(since.0 + EVENTS_MS)
        };
        // Watchers get their last words, but nobody waits for them any longer.
        let watchers = self.watchers.are_waiting().then_some(since.0 + FAREWELL_MS);
        client.max(guard).max(watchers).map(BootTime).filter(|at| *at > now)
    }

    /// Whether this process has nothing left to do.
    pub(super) fn is_over(&self) -> bool {
        let now = clock::boot_time();
        if !self.ending.has_begun() {
            let waiting = matches!(self.stage, Stage::Waiting) && self.pending.is_empty();
            return waiting && now.0 >= self.born.0 + BEGIN_MS;
        }
        self.ending.told && self.patience(now).is_none()
    }
}
