//! Role `holder`: one process per shell or command. It ends the sealed channel, owns the PTY and the byte log, and ends
//! everything that it started when the grant is over.
//!
//! ```text
//!            Open (guard)          first valid record              program ends, or End
//!  Waiting ───────────────▶ Waiting ────────────────▶ Starting ──▶ Running ─────────────▶ Gone ──▶ process ends
//! ```
//!
//! One task, no queue between socket and PTY: [`Holder::poll`] asks every source in order (signals, clients, program,
//! guards, time) until none has anything. Input is served before output, so an interrupt overtakes what is on its way.
//! It must never start anything before a client's first valid record, never outlive its grant, and never take a hang-up
//! of guard or client for an end.

use super::audit_queue::AuditQueue;
use super::bytelog::ByteLog;
use super::clock::{self, Timer};
use super::door::{self, Limits, Phase, Reply, Request, Status, What};
use super::finish::Ending;
use super::input::InputLog;
use super::kill;
use super::lifetime::Lifetime;
use super::program::Program;
use super::start::Starting;
use super::view::View;
use super::visits::Visits;
use super::watchers::Watchers;
use super::wire::Wire;
use cloud_doctor_proto::channel::ChannelKind;
use cloud_doctor_proto::ids::{ChannelId, VisitId};
use cloud_doctor_proto::limits::{BYTE_LOG_BYTES, INPUT_BUFFER_BYTES};
use cloud_doctor_proto::session::OpenRequest;
use cloud_doctor_proto::time::{BootTime, UnixTime};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::task::{Context, Poll};
use tokio::net::UnixListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Guards that may be connected at once: one, its successor, and a look from `status`.
const GUARDS_MAX: usize = 4;
/// One read of a program.
pub(super) const READ_BYTES: usize = 16 << 10;

/// What the channel is, from the first handshake on.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) kind: ChannelKind,
    pub(super) request: OpenRequest,
    pub(super) limits: Limits,
}

/// How far the program is.
#[derive(Debug)]
pub(super) enum Stage {
    Waiting,
    Starting(Box<Starting>),
    Running(Program),
    Gone,
}

/// A guard's connection.
#[derive(Debug)]
struct Guard {
    wire: Wire,
    subscribed: bool,
}

/// One channel.
#[derive(Debug)]
pub(crate) struct Holder {
    pub(super) channel: ChannelId,
    pub(super) folder: PathBuf,
    listener: UnixListener,
    guards: Vec<Guard>,
    children: Signal,
    stop: Signal,
    pub(super) timer: Timer,
    pub(super) events: AuditQueue,

    pub(super) wanted: Option<Wanted>,
    pub(super) visits: Visits,
    /// The client that works in the channel.
    pub(super) view: Option<View>,
    /// Clients whose first record has not come.
    pub(super) pending: Vec<View>,
    /// Those who only look.
    pub(super) watchers: Watchers,

    pub(super) stage: Stage,
    pub(super) pid: u32,
    /// Standard output (or the terminal) and standard error.
    pub(super) logs: [ByteLog; 2],
    pub(super) input: InputLog,
    pub(super) life: Option<Lifetime>,
    pub(super) ending: Ending,
    pub(super) began_at: UnixTime,
    /// When this process began to wait for its first client.
    pub(super) born: BootTime,
    pub(super) duties: super::serve::Duties,
    /// Scratch: the plain form of a record, and one read of the program or of a client.
    pub(super) record: Vec<u8>,
    pub(super) buffer: Box<[u8]>,
}

/// Runs the role: `holder RUN_DIR CHANNEL`.
pub(crate) fn run(mut arguments: impl Iterator<Item = std::ffi::OsString>) -> ExitCode {
    let run = arguments.next().map(PathBuf::from);
    let channel = arguments.next().and_then(|text| text.to_str()?.parse().ok());
    let (Some(run), Some(channel)) = (run, channel) else { return ExitCode::from(2) };
    match hold(&run, channel) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Guard reads it, or the journal does; without either there is nobody to tell.
            writeln!(io::stderr(), "holder: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

fn hold(run: &Path, channel: ChannelId) -> io::Result<()> {
    // It fails when this process leads a session already, which is what is wanted.
    rustix::process::setsid().ok();
    std::env::set_current_dir("/")?;
    rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o077));
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let mut holder = Holder::new(run, channel)?;
        say_ready();
        std::future::poll_fn(|cx| holder.poll(cx)).await;
        Ok(())
    })
}

/// Others must not be able to put a socket of their own, or a link, in our place.
fn must_be_private(folder: &Path) -> io::Result<()> {
    let metadata = std::fs::symlink_metadata(folder)?;
    let private = metadata.is_dir()
        && metadata.permissions().mode() & 0o077 == 0
        && metadata.uid() == rustix::process::geteuid().as_raw();
    if private {
        return Ok(());
    }
    let reason = format!("{} must be a folder of this user with mode 0700", folder.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, reason))
}

/// Whoever started this process may connect now: one line for a parent, `READY=1` for systemd.
fn say_ready() {
    // A parent that does not listen connects when it sees the socket.
    writeln!(io::stdout(), "ready").ok();
    sd_notify::notify(&[sd_notify::NotifyState::Ready]).ok();
}

impl Holder {
    fn new(run: &Path, channel: ChannelId) -> io::Result<Self> {
        let socket = door::socket_path(run, channel);
        must_be_private(&door::folder(run))?;
        let listener = UnixListener::bind(&socket)?;
        Ok(Self {
            channel,
            folder: door::folder(run),
            listener,
            guards: Vec::new(),
            children: signal(SignalKind::child())?,
            stop: signal(SignalKind::terminate())?,
            timer: Timer::new()?,
            events: AuditQueue::default(),
            wanted: None,
            visits: Visits::default(),
            view: None,
            pending: Vec::new(),
            watchers: Watchers::default(),
            stage: Stage::Waiting,
            pid: 0,
            logs: [ByteLog::new(BYTE_LOG_BYTES), ByteLog::new(BYTE_LOG_BYTES)],
            input: InputLog::new(INPUT_BUFFER_BYTES),
            life: None,
            ending: Ending::default(),
            began_at: clock::unix_time(),
            born: clock::boot_time(),
            duties: super::serve::Duties::default(),
            record: Vec::new(),
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
        })
    }

    /// Serves everybody until the channel is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut worked = self.poll_signals(cx);
            worked |= self.poll_clients(cx);
            worked |= self.poll_start(cx);
            worked |= self.poll_program(cx);
            worked |= self.poll_watchers(cx);
            worked |= self.poll_guards(cx);
            worked |= self.poll_time(cx);
            if self.is_over() {
                return Poll::Ready(());
            }
            if !worked {
                return Poll::Pending;
            }
        }
    }

    fn poll_signals(&mut self, cx: &mut Context<'_>) -> bool {
        let mut worked = false;
        while self.children.poll_recv(cx).is_ready() {
            worked = true;
            while let Some(reaped) = kill::reap() {
                self.child_ended(reaped);
            }
            self.ending.look_again();
        }
        while self.stop.poll_recv(cx).is_ready() {
            worked = true;
            self.stop_soon();
        }
        worked
    }

    fn poll_guards(&mut self, cx: &mut Context<'_>) -> bool {
        let mut worked = false;
        while let Poll::Ready(accepted) = self.listener.poll_accept(cx) {
            // A stranger, or no descriptors left: the connection closes, the holder goes on.
            let Some(wire) = accepted.and_then(|(stream, _)| Wire::new(stream)).ok() else { break };
            if self.guards.len() == GUARDS_MAX {
                self.guards.remove(0);
            }
            self.guards.push(Guard { wire, subscribed: false });
            worked = true;
        }
        let mut index = 0;
        while index < self.guards.len() {
            if self.poll_guard(cx, index, &mut worked) {
                index += 1;
            } else {
                self.guards.remove(index);
            }
        }
        worked
    }

    /// Serves one guard; false when its connection is over.
    fn poll_guard(&mut self, cx: &mut Context<'_>, index: usize, worked: &mut bool) -> bool {
        while let Poll::Ready(request) = self.guards[index].wire.poll_message(cx) {
            let Ok(request) = request else { return false };
            *worked = true;
            self.answer(index, request);
        }
        !matches!(self.guards[index].wire.poll_flush(cx), Poll::Ready(Err(_)))
    }

    fn answer(&mut self, index: usize, request: Request) {
        let reply = match request {
            Request::Open(open) => match self.guards[index].wire.take_descriptor() {
                Some(stream) => self.open(&open, stream),
                None => Reply::Refused(door::Refusal::NoStream),
            },
            Request::Status => Reply::Status(Box::new(self.status())),
            Request::End { reason, grace_secs } => {
                self.end(reason, grace_secs);
                Reply::Ending
            }
            Request::Subscribe => {
                let guard = &mut self.guards[index];
                guard.subscribed = true;
                for event in self.events.unwritten() {
                    guard.wire.queue(&Reply::Event(event.clone()));
                }
                return;
            }
            Request::EventsWritten(seq) => return self.events.written(seq),
            Request::Unwatch { visit, reason } => return self.unwatch(visit, reason),
        };
        self.guards[index].wire.queue(&reply);
    }

    fn status(&self) -> Status {
        let request = self.wanted.as_ref().map(|wanted| &wanted.request);
        Status {
            channel: self.channel,
            kind: self.wanted.as_ref().map(|wanted| wanted.kind),
            user: request.map(|request| request.user.clone()).unwrap_or_default(),
            argv: request.map(argv_for_people).unwrap_or_default(),
            phase: match (&self.stage, self.ending.has_begun()) {
                (Stage::Waiting, false) => Phase::Waiting,
                (Stage::Starting(_) | Stage::Running(_), false) => Phase::Running,
                (Stage::Waiting | Stage::Starting(_) | Stage::Running(_), true) => Phase::Ending,
                (Stage::Gone, _) => Phase::Over,
            },
            attached: self.view.is_some(),
            began_at: self.began_at,
            pid: self.pid,
            holder_pid: std::process::id(),
            visit: self.visits.holding().cloned(),
            watchers: self.watchers.status(),
        }
    }

    /// Whether a guard listens to events.
    pub(super) fn is_heard(&self) -> bool {
        self.guards.iter().any(|guard| guard.subscribed)
    }

    /// Tells every guard that listens, and keeps it until one has written it.
    pub(super) fn tell(&mut self, what: What) {
        self.tell_of(self.visits.holding().map(|visit| visit.visit), what);
    }

    /// The same about another visit: a watcher's.
    pub(super) fn tell_of(&mut self, visit: Option<VisitId>, what: What) {
        let event = self.events.push(clock::unix_time(), visit, what);
        for guard in self.guards.iter_mut().filter(|guard| guard.subscribed) {
            guard.wire.queue(&Reply::Event(event.clone()));
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // Nobody can find this holder any more; without a socket there is nothing to remove.
        std::fs::remove_file(door::socket_path(self.folder.parent().unwrap_or(Path::new("/")), self.channel)).ok();
    }
}

/// A command line as people read it; the exact bytes stay in the request.
pub(super) fn argv_for_people(request: &OpenRequest) -> Vec<String> {
    request.argv.iter().map(|argument| String::from_utf8_lossy(argument).into_owned()).collect()
}
