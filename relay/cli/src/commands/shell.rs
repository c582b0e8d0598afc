//! `shell`: the terminal in raw mode, tied to a login shell on the server.

use super::App;
use super::exec::{code, farewell};
use super::opening::{Opened, Wanted, open};
use crate::args::Shell;
use crate::fail::Fail;
use crate::output;
use crate::terminal::escapes::{Asked, Escapes};
use crate::terminal::pipes::{Backlog, Pipe};
use crate::terminal::status::Status;
use crate::terminal::{Raw, own_size, size};
use cloud_doctor::channel::{Channel, Event};
use cloud_doctor::messages::Id;
use cloud_doctor_proto::channel::ChannelKind;
use cloud_doctor_proto::session::{ExitStatus, FinReason, Stream};
use std::io::IsTerminal as _;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What Ctrl-C is to a terminal in raw mode.
const CTRL_C: u8 = 3;
/// One read of the keyboard: a large paste comes in few pieces.
const READ_BYTES: usize = 64 << 10;

pub(super) async fn run(app: &App, asked: Shell) -> Result<u8, Fail> {
    let wanted = Wanted { kind: ChannelKind::Shell, attach: None, argv: Vec::new(), size: own_size() };
    let opened = open(app, &asked.server, &asked.asking, wanted).await?;
    super::sessions::note(app, &opened);
    super::sessions::remind(app, &opened);
    attend(app, opened).await
}

/// How a view ended.
pub(super) enum End {
    /// With the shell, or by the server's word.
    Over(Option<ExitStatus>, FinReason),
    /// The person left; the shell lives on.
    Left,
}

/// Attends to an open shell until it or the person is done.
pub(super) async fn attend(app: &App, opened: Opened) -> Result<u8, Fail> {
    let id = opened.channel.id();
    let end = view(app, opened.channel).await;
    let end = end.inspect_err(|_| app.say(Id::MaybeAlive.with(&[&opened.target.name, &id.short()])));
    match end? {
        End::Over(exit, reason) => {
            super::sessions::forget(app, id);
            if let Some(say) = farewell(reason) {
                app.say(say);
            }
            Ok(code(app, exit))
        }
        End::Left => {
            app.say(Id::Detached.with(&[&opened.target.name, &id.short()]));
            Ok(0)
        }
    }
}

/// Ties the terminal to a channel until that or the person is done.
pub(super) async fn view(app: &App, channel: Channel) -> Result<End, Fail> {
    tie(app, channel, true).await
}

/// The same for a channel that only looks; `may_end`: whether the person may end what it looks at.
pub(super) async fn look(app: &App, channel: Channel, may_end: bool) -> Result<End, Fail> {
    tie(app, channel, may_end).await
}

async fn tie(app: &App, channel: Channel, may_end: bool) -> Result<End, Fail> {
    let stdin_is_terminal = std::io::stdin().is_terminal();
    let broken = |error: std::io::Error| Fail::system("terminal", &error);
    let raw = stdin_is_terminal.then(|| Raw::new(std::io::stdin())).transpose().map_err(broken)?;
    let end = View::new(app, channel, stdin_is_terminal, may_end).map_err(broken)?.drive().await;
    drop(raw);
    end
}

/// A terminal tied to a channel.
struct View<'a> {
    app: &'a App,
    channel: Channel,
    stdin: Option<Pipe>,
    out: Backlog,
    escapes: Option<Escapes>,
    typed: Vec<u8>,
    status: Status,
    winch: Signal,
    hup: Signal,
    term: Signal,
    exit: Option<ExitStatus>,
    left: bool,
    may_end: bool,
}

impl<'a> View<'a> {
    fn new(app: &'a App, channel: Channel, on_terminal: bool, may_end: bool) -> std::io::Result<Self> {
        Ok(Self {
            app,
            channel,
            stdin: Some(Pipe::reading(std::io::stdin())?),
            out: Backlog::new(Pipe::writing(std::io::stdout())?),
            escapes: on_terminal.then(Escapes::default),
            typed: Vec::new(),
            status: Status::new(app.language, on_terminal && std::io::stderr().is_terminal()),
            winch: signal(SignalKind::window_change())?,
            hup: signal(SignalKind::hangup())?,
            term: signal(SignalKind::terminate())?,
            exit: None,
            left: false,
            may_end,
        })
    }

    async fn drive(mut self) -> Result<End, Fail> {
        let mut buffer = vec![0; READ_BYTES];
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            let reading = self.typed.is_empty() && (self.channel.room() > 0 || self.channel.watches());
            tokio::select! {
                biased;
                event = self.channel.event() => if let Some(end) = self.take(event?).await {
                    return Ok(end);
                },
                read = read(&self.stdin, &mut buffer), if reading => self.key(read.map(|count| &buffer[..count])),
                count = self.out.drain() => self.channel.took(Stream::Out, count),
                _ = self.winch.recv() => if let Some((cols, rows)) = size(std::io::stdout()) {
                    self.channel.resize(cols, rows);
                },
                _ = self.hup.recv() => self.left = true,
                _ = self.term.recv() => self.left = true,
                _ = tick.tick() => self.status.tick(),
            }
            if self.left {
                self.channel.detach().await;
                return Ok(End::Left);
            }
            let taken = self.channel.input(&self.typed);
            self.typed.drain(..taken);
            if self.channel.watches() {
                // Nothing that a watcher types goes anywhere.
                self.typed.clear();
            }
        }
    }

    fn key(&mut self, read: std::io::Result<&[u8]>) {
        let typed = match read {
            Ok(typed) if !typed.is_empty() => typed,
            // A terminal that was closed is no end of input: the shell waits for its engineer.
            Ok(_) | Err(_) if self.escapes.is_some() => {
                self.left = true;
                return;
            }
            Ok(_) | Err(_) => {
                self.stdin = None;
                self.channel.end_input();
                return;
            }
        };
        if self.channel.watches() && typed.contains(&CTRL_C) {
            self.left = true;
            return;
        }
        let Some(escapes) = &mut self.escapes else {
            self.typed.extend_from_slice(typed);
            return;
        };
        match escapes.feed(typed, &mut self.typed) {
            Some(Asked::Detach) => self.left = true,
            Some(Asked::End) if self.may_end => self.channel.close(),
            Some(Asked::End) => self.remark(&self.app.words(Id::WatchMayNotEnd)),
            Some(Asked::Help) => {
                let keys = if self.channel.watches() { Id::WatchKeys } else { Id::EscapeHelp };
                self.remark(&self.app.words(keys));
            }
            None => {}
        }
    }

    /// Says something beside the shell's output. The terminal is in raw mode: lines, which `|` parts, need both ends.
    fn remark(&self, text: &str) {
        output::say(&format!("\r\n{}\r", text.replace('|', "\r\n")));
    }

    fn take_watchers(&self, people: &[String]) {
        let say = match people {
            [] => Id::WatchedNoMore.into(),
            some => Id::WatchedBy.with(&[&some.join(", ")]),
        };
        self.remark(&format!("[{}]", say.text(self.app.language)).replace('|', " "));
    }

    /// A terminal that is smaller than the engineer's shows their screen wrongly.
    fn take_size(&self, cols: u16, rows: u16) {
        let Some(ours) = size(std::io::stdout()) else { return };
        if ours.0 < cols || ours.1 < rows {
            let say = Id::WatchSmall.with(&[&cols, &rows, &ours.0, &ours.1]);
            self.remark(&format!("[{}]", say.text(self.app.language)));
        }
    }

    async fn take(&mut self, event: Event) -> Option<End> {
        match event {
            Event::Output { stream, data } => {
                let done = self.out.push(&data);
                self.channel.took(stream, done);
            }
            Event::Skipped { bytes, .. } => {
                self.out.skipped();
                let text = Id::SkippedBytes.with(&[&bytes]).text(self.app.language);
                output::say(&format!("\r\n{text}\r"));
            }
            Event::Exit(status) => self.exit = Some(status),
            Event::Cut(_) => self.status.cut(),
            Event::Welcome { welcome, again } => {
                self.status.back();
                if let Some(notice) = welcome.notice.filter(|_| !again) {
                    let said = Id::ServerNotice.with(&[]).and(|language| notice.text(language));
                    output::say(&format!("{}\r", said.text(self.app.language)));
                }
            }
            Event::Notice(notice) => {
                let text = Id::EndsIn.with(&[&output::ago(notice.ends_in_secs)]).text(self.app.language);
                output::say(&format!("\r\n[{text}]\r"));
            }
            Event::Watchers(people) => self.take_watchers(&people),
            Event::Size(cols, rows) => self.take_size(cols, rows),
            Event::Applied(_) | Event::RoundTrip(_) => {}
            Event::Fin(reason) => {
                while !self.out.is_empty() {
                    self.out.drain().await;
                }
                return Some(End::Over(self.exit.take(), reason));
            }
        }
        None
    }
}

async fn read(stdin: &Option<Pipe>, buffer: &mut [u8]) -> std::io::Result<usize> {
    match stdin {
        Some(stdin) => stdin.read(buffer).await,
        None => std::future::pending().await,
    }
}
