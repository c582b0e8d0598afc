//! What a holder does for its clients and its program: admits, attaches, types, shows.
//!
//! The path of a keystroke is [`Holder::poll_clients`] (read, open), [`Holder::poll_program`] (write the PTY, read what
//! it says, seal, write the stream), in one turn of one task. It must never wait in one direction for the other.

use super::clock;
use super::door::{Open, Refusal, Reply, What};
use super::holder::{Holder, READ_BYTES, Stage, Wanted, argv_for_people};
use super::lifetime::Lifetime;
use super::program::Program;
use super::shell_exec::ShellExec;
use super::start::{Outcome, Size, Starting};
use super::view::{View, ViewEnd, slot};
use super::visits::Seeds;
use cloud_doctor_proto::channel::ChannelKind;
use cloud_doctor_proto::limits::{ARGV_BYTES_MAX, BYTE_LOG_BYTES, COLS, OUTPUT_WINDOW_BYTES, ROWS};
use cloud_doctor_proto::session::{Begin, ExitStatus, FinReason, OpenRequest, Stream, ToClient, ToHolder, Welcome};
use cloud_doctor_proto::time::BootTime;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream as StdStream;
use std::task::{Context, Poll};
use tokio::net::UnixStream;

/// Clients that may have been answered and not begun.
const PENDING_MAX: usize = 4;
/// Records of one client per turn, so that output and guards get theirs.
const RECORDS_PER_TURN: usize = 32;
/// Applied input is acknowledged at once when this much waits; less goes with the next output.
const ACK_BYTES: u64 = 32 << 10;
/// Applied input is acknowledged after this time when no output takes it along.
const ACK_DELAY_MS: u64 = 100;
/// Sizes of a terminal are applied at most once in this time (PTY-03).
const RESIZE_MS: u64 = 50;

/// What is to be done for the view a little later.
#[derive(Debug, Default)]
pub(super) struct Duties {
    /// Acknowledge input at this time.
    pub(super) ack_at: Option<BootTime>,
    /// The size that the client wants and that the terminal has not got.
    size: Option<Size>,
    /// Not before this time.
    resize_at: Option<BootTime>,
}

impl Holder {
    /// Lets a client in whose stream guard passed on.
    pub(super) fn open(&mut self, open: &Open, stream: OwnedFd) -> Reply {
        match self.admit(open, stream) {
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
                    | Refusal::NoStream => {}
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
        let stream = StdStream::from(stream);
        let stream = stream.set_nonblocking(true).and_then(|()| UnixStream::from_std(stream));
        let stream = stream.map_err(|_| Refusal::NoStream)?;
        let seeds = Seeds { ephemeral: random()?, resume: random()? };
        let wanted = &self.wanted;
        let fits = |request: &OpenRequest| match wanted {
            Some(wanted) => wanted.request.user == request.user,
            None => could_start(open.kind, request),
        };
        let admitted = self.visits.admit(open, seeds, fits)?;
        self.wanted.get_or_insert(Wanted { kind: open.kind, request: admitted.request, limits: open.limits });
        let (visit, now) = (open.visit.visit, clock::boot_time());
        let ends_at = open.visit.ends_at;
        let mut view = View::new(stream, admitted.sealed, visit, admitted.handed, admitted.reply, now, ends_at);
        view.already_read(&open.already_read);
        self.pending.push(view);
        Ok(())
    }

    /// Reads what clients say, and sends what waits for them.
    pub(super) fn poll_clients(&mut self, cx: &mut Context<'_>) -> bool {
        let mut worked = self.poll_pending(cx);
        for _ in 0..RECORDS_PER_TURN {
            let Some(view) = &mut self.view else { break };
            let Poll::Ready(outcome) = view.poll_record(cx, &mut self.record) else { break };
            worked = true;
            if let Err(end) = outcome.and_then(|()| self.take_record()) {
                self.cut(&end);
            }
        }
        if let Some(view) = &mut self.view
            && let Poll::Ready(Err(end)) = view.poll_flush(cx)
        {
            self.cut(&end);
        }
        worked
    }

    fn poll_pending(&mut self, cx: &mut Context<'_>) -> bool {
        let mut worked = false;
        let mut index = 0;
        while index < self.pending.len() {
            let view = &mut self.pending[index];
            let flushed = view.poll_flush(cx);
            match view.poll_record(cx, &mut self.record) {
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
            Stage::Running(_) | Stage::Gone => self.welcome(),
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
        let size = match wanted.kind {
            ChannelKind::Shell => Some(size),
            ChannelKind::Exec => None,
        };
        self.began_at = clock::unix_time();
        match Starting::begin(&exec, size) {
            Ok(starting) => self.stage = Stage::Starting(Box::new(starting)),
            Err(error) => self.not_started(format!("no process can be started: {error}")),
        }
    }

    /// Waits for a start to be decided.
    pub(super) fn poll_start(&mut self, cx: &mut Context<'_>) -> bool {
        let Stage::Starting(starting) = &mut self.stage else { return false };
        let Poll::Ready(outcome) = starting.poll_outcome(cx) else { return false };
        match outcome {
            Outcome::Failed(reason) => self.not_started(reason),
            Outcome::Started(program, ended) => {
                self.pid = program.pid.as_raw_nonzero().get().unsigned_abs();
                self.stage = Stage::Running(program);
                let request = &self.wanted.as_ref().expect("something was wanted, for it started").request;
                let (user, argv) = (request.user.clone(), argv_for_people(request));
                self.tell(What::Began { pid: self.pid, user, argv });
                self.welcome();
                if let Some(end) = ended {
                    self.program_ended(end);
                }
            }
        }
        true
    }

    fn not_started(&mut self, reason: String) {
        self.stage = Stage::Gone;
        self.tell(What::NotStarted { reason: reason.clone() });
        self.welcome();
        self.over(FinReason::Exited, Some(ExitStatus::NotStarted(reason)));
    }

    fn welcome(&mut self) {
        let welcome = Welcome {
            pid: self.pid,
            input_applied: self.input.applied_to(),
            out_end: self.logs[0].end(),
            err_end: self.logs[1].end(),
            ends_in_secs: self.life.as_ref().map_or(0, |life| clock::boot_time().millis_until(life.ends_at()) / 1000),
            notice: None,
        };
        if let Some(view) = &mut self.view {
            view.say(&ToClient::Welcome(welcome));
        }
        self.show();
    }

    /// Does what the record in `self.record` says.
    fn take_record(&mut self) -> Result<(), ViewEnd> {
        let record = std::mem::take(&mut self.record);
        let outcome = ToHolder::decode(&record)
            .map_err(|error| ViewEnd::Misbehaved(error.to_string()))
            .and_then(|message| self.take_message(&message));
        self.record = record;
        outcome
    }

    fn take_message(&mut self, message: &ToHolder<'_>) -> Result<(), ViewEnd> {
        match message {
            ToHolder::Begin(_) => return Err(ViewEnd::Misbehaved("a second Begin".to_owned())),
            ToHolder::Input { offset, data } => {
                self.input.accept(*offset, data).map_err(|error| ViewEnd::Misbehaved(error.to_string()))?;
                if let Some(life) = &mut self.life {
                    life.typed(clock::boot_time());
                }
            }
            ToHolder::Ack { out, err } => self.acknowledged([*out, *err])?,
            ToHolder::Resize { cols, rows } => self.want_size(*cols, *rows),
            ToHolder::Signal(signal) => {
                if let Stage::Running(program) = &self.stage {
                    program.signal(*signal);
                }
            }
            ToHolder::Eof { offset } => {
                self.input.end_at(*offset).map_err(|error| ViewEnd::Misbehaved(error.to_string()))?;
            }
            ToHolder::Ping(number) => self.say(&ToClient::Pong(*number)),
            ToHolder::Close => self.end(FinReason::Closed, super::finish::GRACE_SECS),
            ToHolder::Bye => self.delivered(),
        }
        Ok(())
    }

    fn acknowledged(&mut self, upto: [u64; 2]) -> Result<(), ViewEnd> {
        let is_command = self.is_command();
        let Some(view) = &mut self.view else { return Ok(()) };
        for (index, log) in self.logs.iter_mut().enumerate() {
            if upto[index] > view.next[index] {
                return Err(ViewEnd::Misbehaved("it acknowledges output that it was not sent".to_owned()));
            }
            view.acked[index] = view.acked[index].max(upto[index]);
            log.ack(upto[index]);
            if is_command {
                log.forget_acked();
            }
        }
        self.show();
        Ok(())
    }

    /// A command's output is read once, so that acknowledged bytes are dropped and the rest is never skipped.
    pub(super) fn is_command(&self) -> bool {
        self.wanted.as_ref().is_some_and(|wanted| wanted.kind == ChannelKind::Exec)
    }

    pub(super) fn say(&mut self, message: &ToClient<'_>) {
        if let Some(view) = &mut self.view {
            view.say(message);
        }
    }

    fn cut(&mut self, end: &ViewEnd) {
        self.view = None;
        self.duties.ack_at = None;
        if let Some(life) = &mut self.life {
            life.detached(clock::boot_time());
        }
        match end {
            ViewEnd::Gone => {}
            ViewEnd::Integrity => self.tell(What::Integrity),
            ViewEnd::Misbehaved(rule) => self.tell(What::Misbehaved { rule: rule.clone() }),
        }
        self.tell(What::Detached);
    }

    /// Moves bytes between program and view.
    pub(super) fn poll_program(&mut self, cx: &mut Context<'_>) -> bool {
        let mut worked = self.poll_input(cx);
        for stream in [Stream::Out, Stream::Err] {
            worked |= self.poll_output(cx, stream);
        }
        worked |= self.show();
        self.finish_output();
        while let Some(view) = &mut self.view {
            match view.poll_flush(cx) {
                // There is room again: perhaps for more of the log.
                Poll::Ready(Ok(())) if self.show() => worked = true,
                Poll::Ready(Ok(())) | Poll::Pending => break,
                Poll::Ready(Err(end)) => self.cut(&end),
            }
        }
        worked
    }

    fn poll_input(&mut self, cx: &mut Context<'_>) -> bool {
        let Stage::Running(program) = &mut self.stage else { return false };
        let before = self.input.applied_to();
        while !self.input.front().is_empty() {
            match program.poll_write(cx, self.input.front()) {
                Poll::Ready(Ok(count)) => self.input.applied(count),
                Poll::Ready(Err(_)) => self.input.abandon(),
                Poll::Pending => break,
            }
        }
        if self.input.is_finished() && program.takes_input() {
            program.close_input();
        }
        let applied = self.input.applied_to();
        if let Some(view) = &mut self.view {
            if applied - view.input_acked >= ACK_BYTES {
                view.input_acked = applied;
                view.say(&ToClient::InputAck { offset: applied });
                self.duties.ack_at = None;
            } else if applied > before && self.duties.ack_at.is_none() {
                self.duties.ack_at = Some(BootTime(clock::boot_time().0 + ACK_DELAY_MS));
            }
        }
        applied > before
    }

    fn poll_output(&mut self, cx: &mut Context<'_>, stream: Stream) -> bool {
        if !self.may_read(stream) {
            return false;
        }
        let Stage::Running(program) = &mut self.stage else { return false };
        if !program.may_say(stream) {
            return false;
        }
        match program.poll_read(cx, stream, &mut self.buffer) {
            Poll::Pending => false,
            Poll::Ready(0) => true,
            Poll::Ready(count) => {
                self.logs[slot(stream)].append(&self.buffer[..count]);
                self.ending.heard(clock::boot_time());
                true
            }
        }
    }

    /// Flow control: a writer that falls behind stops the program; nobody's absence stops a shell.
    pub(super) fn may_read(&self, stream: Stream) -> bool {
        if self.ending.was_ordered() {
            return true;
        }
        let log = &self.logs[slot(stream)];
        match &self.view {
            Some(view) if !view.farewell => log.end().saturating_sub(view.acked[slot(stream)]) < OUTPUT_WINDOW_BYTES,
            Some(_) | None if self.is_command() => log.unacked() + READ_BYTES as u64 <= BYTE_LOG_BYTES as u64,
            Some(_) | None => true,
        }
    }

    /// Seals output for the view; input that was applied meanwhile is acknowledged along with it.
    pub(super) fn show(&mut self) -> bool {
        let Some(view) = &mut self.view else { return false };
        if matches!(self.stage, Stage::Starting(_) | Stage::Waiting) || view.farewell {
            return false;
        }
        let mut worked = view.pump(Stream::Out, &self.logs[0]);
        worked |= view.pump(Stream::Err, &self.logs[1]);
        if worked && self.duties.ack_at.take().is_some() {
            view.input_acked = self.input.applied_to();
            view.say(&ToClient::InputAck { offset: view.input_acked });
        }
        worked
    }

    /// Acknowledges and resizes what is due; returns when it wants to be asked again.
    pub(super) fn do_duties(&mut self, now: BootTime) -> Option<BootTime> {
        if self.duties.ack_at.is_some_and(|at| now >= at) {
            self.duties.ack_at = None;
            let offset = self.input.applied_to();
            if let Some(view) = &mut self.view {
                view.input_acked = offset;
                view.say(&ToClient::InputAck { offset });
            }
        }
        let resize = self.resize(now);
        [self.duties.ack_at, resize].into_iter().flatten().min()
    }

    fn want_size(&mut self, cols: u16, rows: u16) {
        self.duties.size = Some(size_of(cols, rows));
        self.resize(clock::boot_time());
    }

    fn resize(&mut self, now: BootTime) -> Option<BootTime> {
        let size = self.duties.size?;
        let Stage::Running(program) = &self.stage else { return None };
        if self.duties.resize_at.is_some_and(|at| now < at) {
            return self.duties.resize_at;
        }
        Program::resize(program, size.cols, size.rows);
        self.duties.size = None;
        self.duties.resize_at = Some(BootTime(now.0 + RESIZE_MS));
        None
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
            | ToHolder::Bye,
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

fn size_of(cols: u16, rows: u16) -> Size {
    Size { cols: cols.clamp(COLS.0, COLS.1), rows: rows.clamp(ROWS.0, ROWS.1) }
}

fn random() -> Result<[u8; 32], Refusal> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|_| Refusal::Busy)?;
    Ok(seed)
}
