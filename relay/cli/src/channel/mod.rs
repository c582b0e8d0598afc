//! A shell or command on a server, as one thing that survives its connections.
//!
//! ```text
//!  Up ──cut──▶ Waiting(jitter ≤ 1 s) ──▶ Dialling ──handshake, Begin──▶ Up
//!   │                 ▲────── failed ──────┘│
//!   └─Fin─▶ Over ◀──── refused for good ────┘
//! ```
//!
//! One task drives it: [`Channel::event`] moves bytes both ways, reconnects, and returns what happened. A stream that
//! ends before `Fin` was cut, whatever the relay says about it (R-10). Never: output out of order or twice, input
//! forgotten before the server applied it, or an acknowledgement of bytes that the consumer has not taken.

mod event;
mod link;
mod offsets;

pub use event::{ChannelError, Event};
pub(crate) use link::{Cut, Link, Passage};

use crate::clock;
use crate::stream::StreamError;
use cloud_doctor_proto::channel::{ChannelKind, Handed};
use cloud_doctor_proto::ids::ChannelId;
use cloud_doctor_proto::limits::{VISIT_SECS_MAX, WATCH_TAIL_BYTES};
use cloud_doctor_proto::refusal::Refusal;
use cloud_doctor_proto::session::{Begin, FinReason, Signal, Stream, ToClient, ToHolder, Welcome};
use link::read;
use offsets::{Gap, Input, Output};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::time::{Interval, MissedTickBehavior, Sleep, interval, sleep};

/// How often the link's pulse is felt.
const PULSE: Duration = Duration::from_secs(1);
/// After this much silence a ping is sent.
const QUIET: Duration = Duration::from_secs(2);
/// After this much silence the link is dead.
const DEAD: Duration = Duration::from_secs(6);
/// Reconnects are at most this far apart.
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// Reconnecting goes on this long after the visit should have ended: the server's clock decides, not ours.
const GRACE: Duration = Duration::from_secs(60);

impl From<Gap> for Cut {
    fn from(gap: Gap) -> Self {
        Cut::Final(gap.into())
    }
}

type Dialling = Pin<Box<dyn Future<Output = Result<(Link, Handed), Cut>> + Send>>;

enum State {
    Up(Box<Link>),
    Waiting(Pin<Box<Sleep>>),
    Dialling(Dialling),
    Over,
}

/// A shell or command.
pub struct Channel {
    passage: Passage,
    state: State,
    secret: Option<Handed>,
    size: (u16, u16),
    input: Input,
    output: Output,
    signals: VecDeque<Signal>,
    resized: bool,
    close: bool,
    welcomed: bool,
    /// The first byte that this view types is number `input_applied` of the first welcome.
    joins: bool,
    awaits_welcome: bool,
    exited: bool,
    pulse: Interval,
    heard: Instant,
    pinged: Option<(u64, Instant)>,
    pings: u64,
    attempts: u32,
    ends_at: Instant,
    events: VecDeque<Event>,
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel").field("channel", &self.passage.binding.channel).finish_non_exhaustive()
    }
}

impl Channel {
    /// A channel whose first handshake was answered. `size` is the terminal's, or zeroes; `joins` when somebody else
    /// may have typed before.
    pub(crate) fn start(passage: Passage, link: (Link, Handed), size: (u16, u16), joins: bool, ends_in: u64) -> Self {
        let mut pulse = interval(PULSE);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pulse.reset();
        let mut channel = Self {
            passage,
            state: State::Over,
            secret: None,
            size,
            input: Input::default(),
            output: Output::default(),
            signals: VecDeque::new(),
            resized: false,
            close: false,
            welcomed: false,
            joins,
            awaits_welcome: joins,
            exited: false,
            pulse,
            heard: clock::now(),
            pinged: None,
            pings: 0,
            attempts: 0,
            ends_at: clock::now() + visit_time(ends_in),
            events: VecDeque::new(),
        };
        channel.up(link);
        channel
    }

    /// Whether it only looks at somebody else's shell.
    #[must_use]
    pub fn watches(&self) -> bool {
        self.passage.binding.kind == ChannelKind::Watch
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> ChannelId {
        self.passage.binding.channel
    }

    /// Bytes of input that may be added now.
    #[must_use]
    pub fn room(&self) -> usize {
        if self.watches() || (self.awaits_welcome && !self.welcomed) { 0 } else { self.input.room() }
    }

    /// Adds input; returns how much was taken. The rest has room after [`Event::Applied`].
    pub fn input(&mut self, bytes: &[u8]) -> usize {
        if self.room() == 0 { 0 } else { self.input.push(bytes) }
    }

    /// Input ends here. A watcher has none.
    pub fn end_input(&mut self) {
        if !self.watches() {
            self.input.end();
        }
    }

    /// The terminal has another size. A watcher's is its own matter.
    pub fn resize(&mut self, cols: u16, rows: u16) {
        self.resized |= self.size != (cols, rows) && !self.watches();
        self.size = (cols, rows);
    }

    /// Sends a signal to the command.
    pub fn signal(&mut self, signal: Signal) {
        // What a person or a program repeats before it was sent is one signal.
        if !self.signals.contains(&signal) {
            self.signals.push_back(signal);
        }
    }

    /// Ends the shell or command, not only this view. A watcher's server must have said that it may.
    pub fn close(&mut self) {
        self.close = true;
    }

    /// `len` more bytes of a stream are really shown.
    pub fn took(&mut self, stream: Stream, len: usize) {
        self.output.took(stream, len);
    }

    /// Output bytes received so far: standard output, standard error.
    #[must_use]
    pub fn received(&self) -> (u64, u64) {
        self.output.wanted()
    }

    /// Moves bytes until something happens. May be given up at any point without losing anything.
    ///
    /// # Errors
    /// [`ChannelError`]: the channel is of no further use to this client.
    pub async fn event(&mut self) -> Result<Event, ChannelError> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Leaves the shell alone and goes.
    pub async fn detach(mut self) {
        if let State::Up(link) = std::mem::replace(&mut self.state, State::Over) {
            link.stream.leave().await;
        }
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, ChannelError>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(Ok(event));
            }
            match &mut self.state {
                State::Over => return Poll::Ready(Err(ChannelError::Over)),
                State::Up(_) => {
                    if let Err(cut) = ready!(self.poll_up(cx)) {
                        self.lost(cut)?;
                    }
                }
                State::Waiting(sleep) => {
                    ready!(sleep.as_mut().poll(cx));
                    self.dial();
                }
                State::Dialling(dialling) => match ready!(dialling.as_mut().poll(cx)) {
                    Ok(link) => self.up(link),
                    Err(cut) => self.lost(cut)?,
                },
            }
        }
    }

    /// One turn of an open link: says what is due, then takes one record. Ready when something may have happened.
    fn poll_up(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cut>> {
        let mut tell_now = false;
        while self.pulse.poll_tick(cx).is_ready() {
            tell_now = true;
            self.feel_pulse()?;
        }
        self.say_what_is_due(tell_now);
        let State::Up(link) = &mut self.state else { return Poll::Ready(Ok(())) };
        if let Poll::Ready(Err(error)) = link.stream.poll_flush(cx) {
            return Poll::Ready(Err(error.into()));
        }
        let plain = ready!(link.poll_record(cx))?;
        self.heard = clock::now();
        Poll::Ready(self.take(&plain))
    }

    fn feel_pulse(&mut self) -> Result<(), Cut> {
        let silent = clock::now().saturating_duration_since(self.heard);
        if silent >= DEAD {
            return Err(StreamError::Lost(format!("nothing was heard for {} s", silent.as_secs())).into());
        }
        if silent >= QUIET
            && let State::Up(link) = &mut self.state
        {
            self.pings += 1;
            self.pinged = Some((self.pings, clock::now()));
            link.say(&ToHolder::Ping(self.pings));
        }
        Ok(())
    }

    fn say_what_is_due(&mut self, tell_now: bool) {
        let State::Up(link) = &mut self.state else { return };
        if let Some((out, err)) = self.output.due_ack(tell_now) {
            link.say(&ToHolder::Ack { out, err });
        }
        while let Some(signal) = self.signals.pop_front() {
            link.say(&ToHolder::Signal(signal));
        }
        if std::mem::take(&mut self.resized) {
            link.say(&ToHolder::Resize { cols: self.size.0, rows: self.size.1 });
        }
        while link.stream.has_room()
            && let Some((offset, data)) = self.input.next()
        {
            link.say(&ToHolder::Input { offset, data: &data });
        }
        if let Some(offset) = self.input.next_end() {
            link.say(&ToHolder::Eof { offset });
        }
        if std::mem::take(&mut self.close) {
            link.say(if self.passage.binding.kind == ChannelKind::Watch { &ToHolder::End } else { &ToHolder::Close });
        }
    }

    fn take(&mut self, plain: &[u8]) -> Result<(), Cut> {
        let event = match read(plain)? {
            ToClient::Welcome(welcome) => self.welcome(welcome)?,
            ToClient::Output { stream, offset, data } => {
                self.output.arrived(stream, offset, data.len())?;
                Event::Output { stream, data: data.to_vec() }
            }
            ToClient::InputAck { offset } => {
                self.input.applied(offset)?;
                Event::Applied(offset)
            }
            ToClient::Skipped { stream, from, to } => {
                self.output.skipped(stream, from, to)?;
                Event::Skipped { stream, bytes: to - from }
            }
            ToClient::Exit(status) => {
                self.exited = true;
                if let State::Up(link) = &mut self.state {
                    link.say(&ToHolder::Bye);
                }
                Event::Exit(status)
            }
            ToClient::Notice(notice) => Event::Notice(notice),
            ToClient::Pong(number) => match self.pinged.take_if(|pinged| pinged.0 == number) {
                Some((_, at)) => Event::RoundTrip(clock::now().saturating_duration_since(at)),
                None => return Ok(()),
            },
            ToClient::Fin(reason) => {
                self.state = State::Over;
                Event::Fin(reason)
            }
            ToClient::Size { cols, rows } => Event::Size(cols, rows),
            ToClient::Watchers(watchers) => Event::Watchers(watchers.people),
            // Of a newer server: it only informs.
            ToClient::Unknown { .. } => return Ok(()),
        };
        self.events.push_back(event);
        Ok(())
    }

    fn welcome(&mut self, welcome: Welcome) -> Result<Event, Gap> {
        if self.joins && !self.welcomed {
            self.input.begin_at(welcome.input_applied);
        } else {
            self.input.applied(welcome.input_applied)?;
        }
        let again = self.welcomed;
        self.welcomed = true;
        self.attempts = 0;
        self.passage.request.attach = true;
        self.passage.welcomed();
        self.ends_at = clock::now() + visit_time(welcome.ends_in_secs);
        Ok(Event::Welcome { welcome, again })
    }

    /// A handshake was answered: the newest secret counts, and the first record says where to go on.
    fn up(&mut self, (mut link, handed): (Link, Handed)) {
        self.secret = Some(handed);
        self.heard = clock::now();
        self.pinged = None;
        self.input.rewind();
        self.output.rewind();
        self.resized = false;
        let (out_from, err_from) = self.output.wanted();
        link.say(&match self.watches() {
            true => ToHolder::Look { from: out_from, last: WATCH_TAIL_BYTES },
            false => ToHolder::Begin(Begin { out_from, err_from, cols: self.size.0, rows: self.size.1 }),
        });
        self.state = State::Up(Box::new(link));
    }

    /// The link is gone: try again soon, unless that cannot help.
    fn lost(&mut self, cut: Cut) -> Result<(), ChannelError> {
        let was_up = matches!(self.state, State::Up(_));
        match cut {
            Cut::Final(ChannelError::Refused(refused)) if self.exited && is_gone(refused.code) => {
                // The exit status came sealed; only the last word after it was lost.
                self.state = State::Over;
                self.events.push_back(Event::Fin(FinReason::Exited));
            }
            Cut::Final(error) => {
                self.state = State::Over;
                return Err(error);
            }
            Cut::Passing(why) if clock::now() > self.ends_at + GRACE => {
                self.state = State::Over;
                return Err(ChannelError::LostForGood(why));
            }
            Cut::Passing(why) => {
                let longest = Duration::from_millis(50).saturating_mul(1 << self.attempts.min(5)).min(BACKOFF_MAX);
                self.attempts += 1;
                self.state = State::Waiting(Box::pin(sleep(clock::jitter(longest))));
                if was_up {
                    self.events.push_back(Event::Cut(why));
                }
            }
        }
        Ok(())
    }

    fn dial(&mut self) {
        self.state = State::Dialling(Box::pin(self.passage.clone().dial(self.secret.clone())));
    }
}

/// How long a visit lasts, whatever a peer says: no grant is longer.
fn visit_time(secs: u64) -> Duration {
    Duration::from_secs(secs.min(VISIT_SECS_MAX))
}

fn is_gone(code: Refusal) -> bool {
    code == Refusal::NoChannel || code == Refusal::NoVisit
}
