//! Letting clients in, and starting what they want: from guard's [`Open`] to `Welcome`.
//!
//! ```text
//!  Open ──handshake answered──▶ pending ──first valid record──▶ the view, the old one leaves ──▶ start, Welcome
//! ```
//!
//! It must never start anything, or replace anybody, before that first record.

use super::clock;
use super::door::{Open, Refusal, Reply, What};
use super::holder::{Holder, Stage, Wanted, argv_for_people};
use super::lifetime::Lifetime;
use super::serve::size_of;
use super::shell_exec::ShellExec;
use super::start::{Outcome, Size, Starting};
use super::view::{View, ViewEnd};
use super::visits::Seeds;
use crate::flow::{Inlet, Outlet, both};
use cloud_doctor_proto::channel::ChannelKind;
use cloud_doctor_proto::limits::ARGV_BYTES_MAX;
use cloud_doctor_proto::session::{Begin, ExitStatus, FinReason, OpenRequest, ToClient, ToHolder, Welcome};
use cloud_doctor_proto::told::{Tell, Told};
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream as StdStream;
use std::task::{Context, Poll};

/// Clients that may have been answered and not begun.
const PENDING_MAX: usize = 4;

impl Holder {
    /// Lets a client in whose stream guard passed on.
    pub(super) fn open(&mut self, open: &Open, stream: OwnedFd) -> Reply {
        let admitted = match open.kind {
            ChannelKind::Shell | ChannelKind::Exec => self.admit(open, stream),
            ChannelKind::Watch => return self.open_watch(open, stream),
            // Guard answers questions itself.
            ChannelKind::Ask => Err(Refusal::Misfit),
        };
        match admitted {
            Ok(()) => Reply::Opened,
            Err(refusal) => {
                match refusal {
                    Refusal::DeadSecret => {
                        self.tell(What::DeadSecret);
                        self.end(FinReason::Compromised, 0);
                    }
                    Refusal::Replay => self.tell(What::Replayed),
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
        }
    }

    fn admit(&mut self, open: &Open, stream: OwnedFd) -> Result<(), Refusal> {
        if self.ending.refuses_clients() {
            return Err(Refusal::Ended);
        }
        if self.pending.len() == PENDING_MAX {
            return Err(Refusal::Busy);
        }
        if open.channel != self.channel || self.wanted.as_ref().is_some_and(|wanted| wanted.kind != open.kind) {
            return Err(Refusal::Misfit);
        }
        let stream = both_ways(stream)?;
        let seeds = Seeds { ephemeral: random()?, resume: random()? };
        let wanted = &self.wanted;
        let fits = |request: &OpenRequest| match wanted {
            Some(wanted) => wanted.request.user == request.user,
            None => could_start(open.kind, request),
        };
        let admitted = self.visits.admit(open, seeds, fits)?;
        let wanted = Wanted { kind: open.kind, request: admitted.request.clone(), limits: open.limits };
        self.wanted.get_or_insert(wanted);
        self.pending.push(View::new(stream, admitted, open, clock::boot_time()));
        Ok(())
    }

    /// Waits for first records.
    pub(super) fn poll_pending(&mut self, cx: &mut Context<'_>) -> bool {
        let mut worked = false;
        let mut index = 0;
        while index < self.pending.len() {
            let view = &mut self.pending[index];
            let flushed = view.poll_flush(cx);
            match view.poll_record(cx, &mut self.record, &mut self.buffer) {
                Poll::Pending if matches!(flushed, Poll::Ready(Err(_))) => drop(self.pending.remove(index)),
                Poll::Pending => index += 1,
                Poll::Ready(outcome) => {
                    worked = true;
                    let view = self.pending.remove(index);
                    let begin = outcome.and_then(|()| first_record(&self.record));
                    match begin.and_then(|begin| self.begin(view, begin)) {
                        Ok(()) | Err(ViewEnd::Gone) => {}
                        Err(ViewEnd::Integrity) => self.tell(What::Integrity),
                        Err(ViewEnd::Misbehaved(rule)) => self.tell(What::Misbehaved { rule }),
                    }
                }
            }
        }
        worked
    }

    /// A client's first valid record: from here on the channel is its, and what is wanted may start.
    fn begin(&mut self, mut view: View, begin: Begin) -> Result<(), ViewEnd> {
        if begin.out_from > self.logs[0].end() || begin.err_from > self.logs[1].end() {
            return Err(ViewEnd::Misbehaved("it claims output that was never written".to_owned()));
        }
        if self.ending.refuses_clients() || !self.visits.confirm(view.visit, view.handed) {
            return Err(ViewEnd::Gone);
        }
        let now = clock::boot_time();
        let limits = self.wanted.as_ref().expect("a view was admitted, so it is known what is wanted").limits;
        let life = self.life.get_or_insert_with(|| Lifetime::new(now, view.ends_at, limits));
        life.extend_to(now, view.ends_at);
        life.attached();
        view.next = [begin.out_from, begin.err_from];
        view.acked = view.next;
        view.input_acked = self.input.applied_to();
        self.pending.retain(|pending| pending.visit == view.visit && pending.handed > view.handed);
        match self.view.replace(view) {
            Some(old) => {
                old.say_and_leave(&ToClient::Fin(FinReason::TakenOver));
                self.tell(What::TakenOver);
            }
            None => self.tell(What::Attached),
        }
        match &self.stage {
            Stage::Waiting => self.start(size_of(begin.cols, begin.rows)),
            Stage::Starting(_) => {}
            Stage::Running(_) | Stage::Gone => self.welcome(None),
        }
        self.want_size(begin.cols, begin.rows);
        Ok(())
    }

    fn start(&mut self, size: Size) {
        let wanted = self.wanted.as_ref().expect("a view was admitted, so it is known what is wanted");
        let request = &wanted.request;
        let mut report = self.channel.to_string();
        report.truncate(16);
        let exec = ShellExec {
            report: self.folder.join(format!("{report}-x")),
            user: request.user.clone(),
            term: request.term.clone(),
            lang: request.lang.clone(),
            argv: request.argv.iter().map(|argument| OsString::from_vec(argument.to_vec())).collect(),
        };
        let size = (wanted.kind == ChannelKind::Shell).then_some(size);
        self.duties.begins_with(size);
        self.began_at = clock::unix_time();
        match Starting::begin(&exec, size) {
            Ok(starting) => self.stage = Stage::Starting(Box::new(starting)),
            Err(error) => self.not_started(Tell::NoProcess.with(&[&error])),
        }
    }

    /// Waits for a start to be decided.
    pub(super) fn poll_start(&mut self, cx: &mut Context<'_>) -> bool {
        let Stage::Starting(starting) = &mut self.stage else { return false };
        let Poll::Ready(outcome) = starting.poll_outcome(cx) else { return false };
        match outcome {
            Outcome::Failed(reason) => self.not_started(reason),
            Outcome::Started { program, ended, notice } => {
                self.pid = program.pid.as_raw_nonzero().get().unsigned_abs();
                self.stage = Stage::Running(program);
                let request = &self.wanted.as_ref().expect("something was wanted, for it started").request;
                let (user, argv) = (request.user.clone(), argv_for_people(request));
                self.tell(What::Began { pid: self.pid, user, argv });
                self.welcome(notice);
                if let Some(end) = ended {
                    self.program_ended(end);
                }
            }
        }
        true
    }

    fn not_started(&mut self, reason: Told) {
        self.stage = Stage::Gone;
        self.tell(What::NotStarted { reason: reason.to_string() });
        self.welcome(None);
        self.over(FinReason::Exited, Some(ExitStatus::NotStarted(reason)));
    }

    fn welcome(&mut self, notice: Option<Told>) {
        let welcome = Welcome {
            pid: self.pid,
            input_applied: self.input.applied_to(),
            out_end: self.logs[0].end(),
            err_end: self.logs[1].end(),
            ends_in_secs: self.life.as_ref().map_or(0, |life| clock::boot_time().millis_until(life.ends_at()) / 1000),
            notice,
        };
        if let Some(view) = &mut self.view {
            view.say(&ToClient::Welcome(welcome));
        }
        self.name_watchers(true);
        self.show();
    }
}

fn first_record(record: &[u8]) -> Result<Begin, ViewEnd> {
    match ToHolder::decode(record) {
        Ok(ToHolder::Begin(begin)) => Ok(begin),
        Ok(
            ToHolder::Input { .. }
            | ToHolder::Ack { .. }
            | ToHolder::Resize { .. }
            | ToHolder::Signal(_)
            | ToHolder::Eof { .. }
            | ToHolder::Ping(_)
            | ToHolder::Close
            | ToHolder::Bye
            | ToHolder::Look { .. }
            | ToHolder::End,
        ) => Err(ViewEnd::Misbehaved("the first record is not Begin".to_owned())),
        Err(error) => Err(ViewEnd::Misbehaved(error.to_string())),
    }
}

fn could_start(kind: ChannelKind, request: &OpenRequest) -> bool {
    let bytes: usize = request.argv.iter().map(|argument| argument.len() + 1).sum();
    let clean = request.argv.iter().all(|argument| !argument.contains(&0))
        && [&request.user, &request.term, &request.lang].iter().all(|text| !text.contains('\0'));
    let has_program = request.argv.first().is_some_and(|program| !program.is_empty());
    !request.attach && clean && bytes <= ARGV_BYTES_MAX && has_program == (kind == ChannelKind::Exec)
}

/// A client's stream, ready for both directions.
pub(super) fn both_ways(stream: OwnedFd) -> Result<(Inlet, Outlet), Refusal> {
    let stream = StdStream::from(stream);
    let stream = stream.set_nonblocking(true).and_then(|()| both(stream.into()));
    stream.map_err(|_| Refusal::NoStream)
}

pub(super) fn random() -> Result<[u8; 32], Refusal> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|_| Refusal::Busy)?;
    Ok(seed)
}
