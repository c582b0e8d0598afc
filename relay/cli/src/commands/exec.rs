//! `exec`: one command, its streams kept apart, its exit status ours.

use super::App;
use super::opening::{Wanted, open};
use super::signals::Signals;
use crate::args::Exec;
use crate::fail::{Fail, ROAD};
use crate::terminal::pipes::{Backlog, Pipe};
use crate::terminal::status::Status;
use cloud_doctor::channel::{Channel, Event};
use cloud_doctor::messages::{Id, Say};
use cloud_doctor_proto::channel::ChannelKind;
use cloud_doctor_proto::session::{ExitStatus, FinReason, Signal, Stream};
use cloud_doctor_proto::told::Tell;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

/// The status of a command that does not exist, as shells have it.
const NOT_FOUND: u8 = 127;
/// The status of a command that may not be run, as shells have it.
const NOT_RUNNABLE: u8 = 126;
/// One read of standard input.
const READ_BYTES: usize = 64 << 10;

pub(super) async fn run(app: &App, asked: Exec) -> Result<u8, Fail> {
    let argv = asked.argv.into_iter().map(OsStringExt::into_vec).collect();
    let wanted = Wanted { kind: ChannelKind::Exec, attach: None, argv, size: (0, 0) };
    let opened = open(app, &asked.server, &asked.asking, wanted).await?;
    drive(app, opened.channel, asked.stdin).await
}

/// The command's streams, tied to ours.
struct Streams {
    stdin: Option<Pipe>,
    out: Backlog,
    err: Backlog,
    /// Read from standard input, not yet taken by the channel.
    typed: Vec<u8>,
    exit: Option<ExitStatus>,
    /// Nobody reads the output any more, and the command was told so.
    unread: bool,
}

impl Streams {
    fn new(forward_stdin: bool) -> std::io::Result<Self> {
        Ok(Self {
            stdin: forward_stdin.then(|| Pipe::reading(std::io::stdin())).transpose()?,
            out: Backlog::new(Pipe::writing(std::io::stdout())?),
            err: Backlog::new(Pipe::writing(std::io::stderr())?),
            typed: Vec::new(),
            exit: None,
            unread: false,
        })
    }

    fn backlog(&mut self, stream: Stream) -> &mut Backlog {
        match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        }
    }
}

/// Moves bytes until the command is over; returns its exit status. `sessions attach` uses it too.
pub(super) async fn drive(app: &App, mut channel: Channel, forward_stdin: bool) -> Result<u8, Fail> {
    let broken = |error: std::io::Error| Fail::system("stdio", &error);
    let mut streams = Streams::new(forward_stdin).map_err(broken)?;
    let mut signals = Signals::new().map_err(broken)?;
    let mut status = Status::new(app.language, false);
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let mut buffer = vec![0; READ_BYTES];
    if streams.stdin.is_none() {
        channel.end_input();
    }
    loop {
        let reading = streams.stdin.is_some() && streams.typed.is_empty() && channel.room() > 0;
        tokio::select! {
            biased;
            event = channel.event() => {
                if let Some(reason) = take(app, &mut channel, &mut streams, &mut status, event?) {
                    return finish(app, &mut streams, reason).await;
                }
            }
            signal = signals.next() => {
                // Twice while nobody listens means: let me go.
                if status.is_cut() {
                    return Ok(128 + number(signal));
                }
                channel.signal(signal);
            }
            count = streams.out.drain() => channel.took(Stream::Out, count),
            count = streams.err.drain() => channel.took(Stream::Err, count),
            read = read(&streams.stdin, &mut buffer), if reading => match read {
                Ok(count) if count > 0 => streams.typed.extend_from_slice(&buffer[..count]),
                Ok(_) | Err(_) => {
                    streams.stdin = None;
                    channel.end_input();
                }
            },
            _ = tick.tick() => status.tick(),
        }
        let taken = channel.input(&streams.typed);
        streams.typed.drain(..taken);
    }
}

async fn read(stdin: &Option<Pipe>, buffer: &mut [u8]) -> std::io::Result<usize> {
    match stdin {
        Some(stdin) => stdin.read(buffer).await,
        None => std::future::pending().await,
    }
}

/// Does what an event says; returns why the channel is over, when it is.
fn take(
    app: &App,
    channel: &mut Channel,
    streams: &mut Streams,
    status: &mut Status,
    event: Event,
) -> Option<FinReason> {
    match event {
        Event::Output { stream, data } => {
            let backlog = streams.backlog(stream);
            let done = backlog.push(&data);
            channel.took(stream, done);
            if backlog.is_closed() && !streams.unread {
                // As with a pipe on one machine: who writes to nobody is ended.
                streams.unread = true;
                channel.close();
            }
        }
        Event::Skipped { stream, bytes } => {
            streams.backlog(stream).skipped();
            app.say(Id::SkippedBytes.with(&[&bytes]));
        }
        Event::Cut(_) => status.cut(),
        Event::Welcome { welcome, again } => {
            status.back();
            if let Some(notice) = welcome.notice.filter(|_| !again) {
                app.say(Id::ServerNotice.with(&[]).and(|language| notice.text(language)));
            }
        }
        Event::Notice(notice) => app.say(Id::EndsIn.with(&[&crate::output::ago(notice.ends_in_secs)])),
        Event::Exit(how) => streams.exit = Some(how),
        Event::Applied(_) | Event::RoundTrip(_) | Event::Size(..) | Event::Watchers(_) => {}
        Event::Fin(reason) => return Some(reason),
    }
    None
}

/// Writes what still waits, and says how it ended.
async fn finish(app: &App, streams: &mut Streams, reason: FinReason) -> Result<u8, Fail> {
    while !streams.out.is_empty() {
        streams.out.drain().await;
    }
    while !streams.err.is_empty() {
        streams.err.drain().await;
    }
    if let Some(say) = farewell(reason) {
        app.say(say);
    }
    Ok(code(app, streams.exit.take()))
}

/// The exit status for a program's end; without one it was not the program that ended.
pub(super) fn code(app: &App, exit: Option<ExitStatus>) -> u8 {
    match exit {
        Some(ExitStatus::Code(code)) => code,
        Some(ExitStatus::Signal(signal)) => 128u8.saturating_add(signal),
        Some(ExitStatus::NotStarted(why)) => {
            app.say(Id::NotStarted.with(&[]).and(|language| why.text(language)));
            not_started(why.code)
        }
        None => ROAD,
    }
}

fn not_started(why: Tell) -> u8 {
    if why == Tell::NoCommand {
        NOT_FOUND
    } else if why == Tell::NotExecutable {
        NOT_RUNNABLE
    } else {
        ROAD
    }
}

/// What to say about the end, unless it is the usual one.
pub(super) fn farewell(reason: FinReason) -> Option<Say> {
    let id = match reason {
        FinReason::Exited | FinReason::Closed => return None,
        FinReason::Expired => Id::FinExpired,
        FinReason::Detached => Id::FinDetached,
        FinReason::Idle => Id::FinIdle,
        FinReason::Ended => Id::FinEnded,
        FinReason::Revoked => Id::FinRevoked,
        FinReason::TakenOver => Id::FinTakenOver,
        FinReason::Compromised => Id::FinCompromised,
        FinReason::Unknown => Id::FinUnknown,
    };
    Some(id.into())
}

fn number(signal: Signal) -> u8 {
    match signal {
        Signal::Hup => 1,
        Signal::Int => 2,
        Signal::Quit => 3,
        Signal::Kill => 9,
        Signal::Usr1 => 10,
        Signal::Usr2 => 12,
        Signal::Term => 15,
    }
}
