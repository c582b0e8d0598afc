//! The supervisor of a trial: guard and tunnel as children of one process, as the current user, without systemd.
//!
//! ```text
//!  supervisor (subreaper) ─┬─ guard ── holder ── shell        guard dies: the holder is adopted, a new guard finds it
//!                          └─ tunnel                          holder dies: its shell is adopted, and killed
//! ```
//!
//! It restarts what dies, with growing pauses, and ends everything when it is told to. Killed with -9 it takes guard and
//! tunnel along and leaves the shells, which the next supervisor's guard finds. It must never kill what it did not
//! inherit. A visit without an account runs under it too, as root, with the tunnel as nobody.

use crate::guard::admin::{self, Ask};
use crate::guard::sockets::listener_pid;
use crate::session::door;
use crate::state::Places;
use crate::state::files::{self, FileError};
use cloud_doctor_proto::session::FinReason;
use rustix::process::{Pid, Signal, WaitOptions, kill_process};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

/// Between two looks for orphans: nobody tells a process that it has inherited one.
const LOOK: Duration = Duration::from_millis(500);
/// First pause before a restart; doubles up to [`PAUSE_MAX`], begins again after [`STEADY`].
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// See [`PAUSE_MIN`].
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Looks that a child must have lived through to count as running well.
const STEADY: u32 = 60;
/// Guard reads its state in this time.
const READY: Duration = Duration::from_secs(20);
/// Between two looks while everything ends.
const GLANCE: Duration = Duration::from_millis(30);
/// Shells may take this long to end.
const HOLDERS_GOODBYE: Duration = Duration::from_secs(4);
/// Roles may take this long to end.
const GOODBYE: Duration = Duration::from_secs(4);

/// What roles are started with. The program's path is asked for once: after an upgrade the kernel would name a deleted
/// file.
#[derive(Debug)]
struct Own {
    program: PathBuf,
    dir: PathBuf,
    tunnel_user: Option<u32>,
}

/// One role.
#[derive(Debug)]
struct Child {
    role: &'static str,
    pid: Option<Pid>,
    /// Looks until it is started again, while it is dead.
    wait_looks: u32,
    pause: Duration,
    looks: u32,
    /// It ended as one that has nothing more to do.
    left: bool,
}

/// Whom a supervisor runs, and as whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Roles<'a> {
    /// Where everything is kept.
    pub(crate) places: &'a Places,
    /// What the roles are given as `--state-dir`.
    pub(crate) dir: &'a Path,
    /// User and group that the tunnel becomes before it does anything; `None`: it stays who we are.
    pub(crate) tunnel_user: Option<u32>,
}

/// Runs the roles until `until` is done, which begins when guard answers. `None`: the tunnel left by itself, as it does
/// when a guest's relay has let go of it.
///
/// # Errors
/// The kernel's, or a guard that cannot begin.
pub(crate) async fn run<T>(roles: Roles<'_>, until: impl Future<Output = T>) -> io::Result<Option<T>> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    files::make_dir(&roles.places.run, 0o700).map_err(|error: FileError| io::Error::other(error.to_string()))?;
    let mut died = signal(SignalKind::child())?;
    let program = std::env::current_exe()?;
    let own = Own { program, dir: std::path::absolute(roles.dir)?, tunnel_user: roles.tunnel_user };
    let mut children = [Child::new("guard"), Child::new("tunnel")];
    let mut holders = Vec::new();
    let first = first_start(&own, &mut children).await;
    let mut until = std::pin::pin!(until);
    let ended = match first {
        Err(error) => Err(error),
        Ok(()) => loop {
            tokio::select! {
                biased;
                done = &mut until => break Ok(Some(done)),
                _ = died.recv() => reap(&mut children),
                () = sleep(LOOK) => look(&own, &mut children),
            }
            if children.iter().any(|child| child.left) {
                break Ok(None);
            }
            end_orphans(roles.places, &children, &mut holders);
        },
    };
    let left = matches!(ended, Ok(None));
    goodbye(roles.places, &mut children, if left { FinReason::Closed } else { FinReason::Ended }).await;
    ended
}

async fn first_start(own: &Own, children: &mut [Child]) -> io::Result<()> {
    for child in children {
        let stdout = child.start(own)?;
        if child.role == "guard" {
            let mut line = String::new();
            let mut reader = BufReader::new(stdout);
            let read = timeout(READY, reader.read_line(&mut line)).await;
            if !matches!(read, Ok(Ok(count)) if count > 0) {
                return Err(io::Error::other("the guard did not begin; it said why above"));
            }
        }
    }
    Ok(())
}

impl Child {
    fn new(role: &'static str) -> Self {
        Self { role, pid: None, wait_looks: 0, pause: PAUSE_MIN, looks: 0, left: false }
    }

    /// Starts the role. It takes a session of its own first of all, so that Ctrl-C is ours alone to handle and no role can
    /// type into our terminal; a tunnel that is nobody cannot even write to it.
    #[expect(clippy::disallowed_methods, reason = "our own binary")]
    fn start(&mut self, own: &Own) -> io::Result<pipe::Receiver> {
        let (ours, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let tunnel_user = own.tunnel_user.filter(|_| self.role == "tunnel");
        let mut command = Command::new(&own.program);
        if tunnel_user.is_some() {
            command.stderr(Stdio::null());
        }
        let child = command
            .args([self.role, "--supervised", "--state-dir"])
            .arg(&own.dir)
            .args(tunnel_user.iter().flat_map(|uid| ["--become".to_owned(), uid.to_string()]))
            .env_clear()
            .envs(environment())
            .stdin(Stdio::null())
            .stdout(theirs)
            .spawn()?;
        self.pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        self.looks = 0;
        pipe::Receiver::from_owned_fd(ours)
    }
}

/// The few variables that our own roles read, for a child whose environment is empty besides.
pub(crate) fn environment() -> impl Iterator<Item = (&'static str, OsString)> {
    ["RUST_LOG", "TZ"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)))
}

/// Takes the status of everything that has ended, ours and inherited.
fn reap(children: &mut [Child]) {
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        for child in children.iter_mut().filter(|child| child.pid == Some(pid)) {
            child.pid = None;
            child.left = status.exit_status() == Some(0);
            if child.left {
                continue;
            }
            tracing::warn!(role = child.role, ?status, "a role ended and will be started again");
            child.pause = if child.looks >= STEADY { PAUSE_MIN } else { (child.pause * 2).min(PAUSE_MAX) };
            child.wait_looks = u32::try_from(child.pause.as_millis() / LOOK.as_millis()).unwrap_or(u32::MAX);
        }
    }
}

/// Starts again what is due.
fn look(own: &Own, children: &mut [Child]) {
    reap(children);
    for child in children {
        child.looks = child.looks.saturating_add(1);
        if child.pid.is_some() {
            continue;
        }
        if child.wait_looks > 0 {
            child.wait_looks -= 1;
        } else if let Err(error) = child.start(own) {
            tracing::error!(role = child.role, %error, "a role cannot be started");
        }
    }
}

/// Kills what a dead holder left: everything inherited that is no holder.
fn end_orphans(places: &Places, children: &[Child], holders: &mut Vec<Pid>) {
    let inherited: Vec<Pid> = inherited(children);
    holders.retain(|holder| inherited.contains(holder));
    if inherited.iter().any(|pid| !holders.contains(pid)) {
        *holders = living_holders(places);
    }
    for pid in inherited.into_iter().filter(|pid| !holders.contains(pid)) {
        tracing::warn!(pid = pid.as_raw_nonzero().get(), "a process without a holder is killed");
        kill(pid, Signal::KILL);
    }
}

/// Our children that we did not start.
fn inherited(children: &[Child]) -> Vec<Pid> {
    let own = rustix::process::getpid().as_raw_nonzero();
    let list = std::fs::read_to_string(format!("/proc/self/task/{own}/children")).unwrap_or_default();
    let pids = list.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?));
    pids.filter(|pid| children.iter().all(|child| child.pid != Some(*pid))).collect()
}

fn holder_sockets(places: &Places) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(door::folder(&places.run)).into_iter().flatten();
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "sock"))
        .collect()
}

/// Ends shells while guard can still write their ends to the audit, then roles, then whatever is left of them.
async fn goodbye(places: &Places, children: &mut [Child], reason: FinReason) {
    if reason == FinReason::Closed {
        // A guard that cannot be told takes it for the customer's word, as it does any other end of a visit.
        admin::ask(&places.admin_socket(), &Ask::EndedThere).ok();
    }
    for socket in holder_sockets(places) {
        crate::guard::end_holder(&socket, reason).await;
    }
    wait_until(HOLDERS_GOODBYE, || living_holders(places).is_empty()).await;
    for pid in living_holders(places) {
        kill(pid, Signal::KILL);
    }
    for pid in children.iter().filter_map(|child| child.pid) {
        kill(pid, Signal::TERM);
    }
    if wait_until(GOODBYE, || !any_left(children)).await {
        return;
    }
    while any_left(children) {
        for pid in children.iter().filter_map(|child| child.pid).chain(inherited(children)) {
            kill(pid, Signal::KILL);
        }
        sleep(GLANCE).await;
    }
}

/// Looks until it is so, at most this long.
async fn wait_until(limit: Duration, mut so: impl FnMut() -> bool) -> bool {
    let wait = async {
        while !so() {
            sleep(GLANCE).await;
        }
    };
    timeout(limit, wait).await.is_ok()
}

/// Holders of this state, whoever started them.
fn living_holders(places: &Places) -> Vec<Pid> {
    holder_sockets(places).iter().filter_map(|socket| listener_pid(socket)).collect()
}

fn any_left(children: &mut [Child]) -> bool {
    reap(children);
    children.iter().any(|child| child.pid.is_some()) || !inherited(children).is_empty()
}

fn kill(pid: Pid, signal: Signal) {
    if let Err(error) = kill_process(pid, signal)
        && error != rustix::io::Errno::SRCH
    {
        tracing::warn!(pid = pid.as_raw_nonzero().get(), %error, "a process could not be told to end");
    }
}
