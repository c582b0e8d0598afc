//! What a holder does for its clients and its program: types, shows, keeps to the window.
//!
//! The path of a keystroke is [`Holder::poll_clients`] (read, open), [`Holder::poll_program`] (write the PTY, read what
//! it says, seal, write the stream), in one turn of one task. It must never wait in one direction for the other.

use super::clock;
use super::door::What;
use super::holder::{Holder, READ_BYTES, Stage};
use super::start::Size;
use super::view::{ViewEnd, slot};
use cloud_doctor_proto::channel::ChannelKind;
use cloud_doctor_proto::limits::{BYTE_LOG_BYTES, COLS, OUTPUT_WINDOW_BYTES, ROWS};
use cloud_doctor_proto::session::{FinReason, Stream, ToClient, ToHolder};
use cloud_doctor_proto::time::BootTime;
use std::task::{Context, Poll};

/// Records of one client per turn, so that output and guards get theirs.
const RECORDS_PER_TURN: usize = 32;
/// Pieces of output taken in one turn: the kernel gives at most 4 KiB of a terminal's at once, and a record holds four.
const PIECES_PER_TURN: usize = 8;
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
    /// The size that the terminal has.
    has: Option<Size>,
}

impl Duties {
    /// The size that a shell's terminal is opened with.
    pub(super) fn begins_with(&mut self, size: Option<Size>) {
        self.has = size;
    }

    /// The size of the terminal; `None` when there is none.
    pub(super) fn terminal(&self) -> Option<Size> {
        self.has
    }
}

impl Holder {
    /// Reads what clients say, and sends what waits for them.
    pub(super) fn poll_clients(&mut self, cx: &mut Context<'_>) -> bool {
        let mut worked = self.poll_pending(cx);
        for _ in 0..RECORDS_PER_TURN {
            let Some(view) = &mut self.view else { break };
            let Poll::Ready(outcome) = view.poll_record(cx, &mut self.record, &mut self.buffer) else { break };
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
            ToHolder::Look { .. } | ToHolder::End => {
                return Err(ViewEnd::Misbehaved("a watcher's message from a writer".to_owned()));
            }
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

    /// Takes what the program says, several pieces at a time, so that they travel as few large records.
    fn poll_output(&mut self, cx: &mut Context<'_>, stream: Stream) -> bool {
        let mut worked = false;
        for _ in 0..PIECES_PER_TURN {
            if !self.may_read(stream) {
                break;
            }
            let Stage::Running(program) = &mut self.stage else { break };
            if !program.may_say(stream) {
                break;
            }
            match program.poll_read(cx, stream, &mut self.buffer) {
                Poll::Pending => break,
                Poll::Ready(0) => return true,
                Poll::Ready(count) => {
                    self.logs[slot(stream)].append(&self.buffer[..count]);
                    self.ending.heard(clock::boot_time());
                    worked = true;
                }
            }
        }
        worked
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

    pub(super) fn want_size(&mut self, cols: u16, rows: u16) {
        self.duties.size = Some(size_of(cols, rows));
        self.resize(clock::boot_time());
    }

    fn resize(&mut self, now: BootTime) -> Option<BootTime> {
        let size = self.duties.size?;
        let Stage::Running(program) = &self.stage else { return None };
        if self.duties.resize_at.is_some_and(|at| now < at) {
            return self.duties.resize_at;
        }
        program.resize(size.cols, size.rows);
        self.duties.size = None;
        if self.duties.has.replace(size) != Some(size) {
            self.watchers.resized(size);
        }
        self.duties.resize_at = Some(BootTime(now.0 + RESIZE_MS));
        None
    }
}

/// A size that every program can draw in.
pub(super) fn size_of(cols: u16, rows: u16) -> Size {
    Size { cols: cols.clamp(COLS.0, COLS.1), rows: rows.clamp(ROWS.0, ROWS.1) }
}
