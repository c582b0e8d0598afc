//! Guard's sockets, tasks and clock ticks. One thread; the state is borrowed for the length of a call, never across a
//! wait.

use super::admission::{GREETING, Taken};
use super::core::{Core, Damaged, Host};
use super::sockets::{self, Sockets, TunnelUser};
use super::visits::Claims;
use super::{admission, damaged, link};
use crate::session::clock;
use crate::session::door;
use crate::state::Places;
use crate::state::files::{FileError, Lock};
use crate::stop::Stop;
use cloud_doctor_proto::audit::Moment;
use cloud_doctor_proto::refusal::Refused;
use cloud_doctor_proto::session::FinReason;
use sd_notify::NotifyState;
use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio::task::{JoinSet, LocalSet};

/// Between two looks at deadlines while something waits for one.
const TICK_BUSY: Duration = Duration::from_secs(1);
/// The first one, and the next after somebody asked for something: by then whoever did, a tunnel at its start for one,
/// has asked for the rest too, and the code for it can go.
const TICK_SOON: Duration = Duration::from_secs(5);
/// The same while nothing does.
const TICK_IDLE: Duration = Duration::from_secs(60);

/// Shells of a guest may take this long to end, since the last that was heard of one.
const GOODBYE: Duration = Duration::from_secs(2);

/// Guard could not begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GuardError {
    /// A directory or socket.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another guard runs on the same state.
    #[error("{}: another guard runs on this state", .0.display())]
    Running(PathBuf),
    /// Socket paths have at most 107 bytes.
    #[error("{}: this path is too long for sockets; choose a state directory with a shorter one", .0.display())]
    LongPath(PathBuf),
    /// The kernel has no room for a signal handler or socket.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What all tasks share.
#[derive(Debug)]
pub(super) struct Guard {
    core: RefCell<Core>,
    pub(super) places: Places,
    pub(super) program: PathBuf,
    pub(super) tunnel: TunnelUser,
    pub(super) places_taken: Taken,
    tasks: RefCell<JoinSet<()>>,
    /// Something new waits for time to pass: the loop is to look again how long it may sleep.
    pub(super) sooner: Notify,
}

impl Guard {
    fn new(core: Core, places: Places, program: PathBuf, tunnel: TunnelUser) -> Self {
        Self {
            core: RefCell::new(core),
            places,
            program,
            tunnel,
            places_taken: Taken::default(),
            tasks: RefCell::new(JoinSet::new()),
            sooner: Notify::new(),
        }
    }

    /// Decides something, now.
    pub(super) fn with<R>(&self, decide: impl FnOnce(&mut Core, Moment) -> R) -> R {
        decide(&mut self.core.borrow_mut(), now())
    }

    /// Writes a refusal that no decision made.
    pub(super) fn refused(&self, claims: &Claims, what: &'static str, refused: &Refused) {
        self.with(|core, moment| core.refused_frame(moment, what, claims, refused));
    }

    /// Starts a task that the main loop joins.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.tasks.borrow_mut().spawn_local(task);
    }
}

/// Both clocks.
pub(crate) fn now() -> Moment {
    Moment { at: clock::unix_time(), boot: clock::boot_time() }
}

/// Randomness from the kernel.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the kernel gives randomness to everybody once it has booted");
    bytes
}

/// Runs the role until SIGTERM.
///
/// # Errors
/// [`GuardError`] when it cannot begin.
pub(crate) async fn run(places: &Places, ready: impl FnOnce()) -> Result<(), GuardError> {
    if !places.run_is_short_enough() {
        return Err(GuardError::LongPath(places.run.clone()));
    }
    // Keys live in this process: no core file, no look from outside.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable).map_err(io::Error::from)?;
    let _lock = Lock::take(&places.guard).map_err(|error| {
        let held = error.source.kind() == io::ErrorKind::WouldBlock;
        if held { GuardError::Running(places.guard.clone()) } else { error.into() }
    })?;
    let tunnel = TunnelUser::find(places)?;
    let sockets = sockets::listen(places, tunnel)?;
    let program = std::env::current_exe()?;
    let mut stop = Stop::usual()?;
    let core = Core::load(places, host(), !tunnel.is_us(), now());
    let tasks = LocalSet::new();
    let serve = tasks.run_until(async {
        match core {
            Ok(core) => serve(core, places, program, tunnel, sockets, ready, &mut stop).await,
            Err(Damaged(reason)) => {
                tracing::error!(%reason, "the state is damaged: nobody is trusted");
                notify(&[NotifyState::Ready, NotifyState::Status(&format!("trusts nobody: {reason}"))]);
                ready();
                tokio::select! {
                    () = stop.asked() => {}
                    () = damaged::serve(sockets, tunnel, &reason) => {}
                }
            }
        }
    });
    serve.await;
    notify(&[NotifyState::Stopping]);
    Ok(())
}

/// Serves until it is told to stop. Holders live on, but those of a guest: nobody would look after them.
async fn serve(
    core: Core,
    places: &Places,
    program: PathBuf,
    tunnel: TunnelUser,
    sockets: Sockets,
    ready: impl FnOnce(),
    stop: &mut Stop,
) {
    let guard = Rc::new(Guard::new(core, places.clone(), program, tunnel));
    learn(&guard).await;
    let mut status = guard.with(|core, _| core.status_line());
    notify(&[NotifyState::Ready, NotifyState::Status(&status)]);
    ready();
    // Set once per pause and asked before the sockets: whoever connects without end cannot keep it from ringing.
    let mut timer = std::pin::pin!(tokio::time::sleep(TICK_SOON));
    let mut rhythm = Rhythm::new();
    let (mut stopping, mut idle) = (false, false);
    loop {
        if stopping && guard.with(|core, _| core.is_deserted()) {
            return;
        }
        if let Some(tick) = rhythm.sooner(guard.with(|core, _| core.is_busy())) {
            timer.set(tokio::time::sleep(tick));
        }
        tokio::select! {
            biased;
            () = stop.asked(), if !stopping => {
                stopping = true;
                guard.with(|core, moment| core.leave(moment, FinReason::Ended));
            }
            () = tokio::time::sleep(GOODBYE), if stopping => return,
            () = guard.sooner.notified() => {}
            done = join_next(&guard) => {
                crate::tasks::resume(done);
                rhythm.asked = true;
            }
            () = timer.as_mut() => {
                rhythm.rang();
                guard.with(|core, moment| core.sweep(moment));
                notify(&[NotifyState::Watchdog]);
                idle = !guard.with(|core, _| core.is_busy());
            }
            accepted = sockets.admin.accept() => {
                rhythm.asked = true;
                admit(&guard, accepted, admission::root).await;
            }
            // Some stay open for as long as a tunnel does.
            accepted = sockets.guard.accept() => {
                rhythm.asked = true;
                admit(&guard, accepted, admission::peer).await;
            }
        }
        let line = guard.with(|core, _| core.status_line());
        if line != status {
            notify(&[NotifyState::Status(&line)]);
            status = line;
        }
        // Last, so that what this turn has used goes too.
        if std::mem::take(&mut idle) {
            crate::image::give_back();
        }
    }
}

/// How long until the next look at deadlines.
struct Rhythm {
    /// The pause that runs.
    pause: Duration,
    /// Somebody asked for something since the last look.
    asked: bool,
    watchdog: Option<Duration>,
}

impl Rhythm {
    fn new() -> Self {
        let watchdog = sd_notify::watchdog_enabled().map(|limit| limit / 2);
        Self { pause: TICK_SOON, asked: false, watchdog }
    }

    /// The pause that should run, when it is shorter than the one that does.
    fn sooner(&mut self, is_busy: bool) -> Option<Duration> {
        let tick = match (is_busy, self.asked) {
            (true, _) => TICK_BUSY,
            (false, true) => TICK_SOON,
            (false, false) => TICK_IDLE,
        };
        let tick = self.watchdog.map_or(tick, |watchdog| watchdog.min(tick));
        (tick < self.pause).then(|| {
            self.pause = tick;
            tick
        })
    }

    fn rang(&mut self) {
        (self.pause, self.asked) = (Duration::MAX, false);
    }
}

/// Takes in who connected.
async fn admit<A>(guard: &Rc<Guard>, accepted: io::Result<(UnixStream, A)>, admit: fn(&Rc<Guard>, UnixStream)) {
    match accepted {
        Ok((stream, _)) => admit(guard, stream),
        Err(error) => accept_failed(&error).await,
    }
}

/// The next task that ended. Pending while there is none: the loop's other arms wake it often enough.
async fn join_next(guard: &Guard) -> Result<(), tokio::task::JoinError> {
    std::future::poll_fn(|cx| match guard.tasks.borrow_mut().poll_join_next(cx) {
        std::task::Poll::Ready(Some(done)) => std::task::Poll::Ready(done),
        std::task::Poll::Ready(None) | std::task::Poll::Pending => std::task::Poll::Pending,
    })
    .await
}

/// The kernel has no descriptor or memory left: a moment later it may.
pub(super) async fn accept_failed(error: &io::Error) {
    tracing::warn!(%error, "a connection could not be accepted");
    tokio::time::sleep(Duration::from_millis(100)).await;
}

/// Finds the holders that lived on while guard was away.
async fn learn(guard: &Rc<Guard>) {
    let Ok(entries) = std::fs::read_dir(door::folder(&guard.places.run)) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if !path.to_string_lossy().ends_with("-v1.sock") {
            continue;
        }
        let Some(mut guardian) = link::connect(&path).await else {
            if let Err(error) = crate::state::files::remove(&path) {
                tracing::warn!(%error, "a dead holder's socket stays");
            }
            continue;
        };
        let status = tokio::time::timeout(GREETING, guardian.status()).await;
        let known = status.ok().and_then(Result::ok).and_then(|status| {
            let ends = guard.with(|core, moment| core.learn(moment, &status))?;
            Some((status.channel, ends))
        });
        match known {
            Some((channel, ends)) => guard.spawn(link::run(guard.clone(), channel, guardian, ends)),
            None => link::end(&path, FinReason::Ended).await,
        }
    }
    guard.with(|core, moment| core.learned(moment));
}

fn host() -> Host {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    // Without /proc every start of guard counts as a boot: challenges do not outlive it anyway.
    let boot = boot.trim().replace('-', "").parse().unwrap_or_else(|_| cloud_doctor_proto::ids::BootId(random()));
    Host { name, boot, zone_secs: crate::zone::offset_secs }
}

/// Tells systemd; without systemd nobody listens, which is no error.
pub(super) fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd could not be told");
    }
}
