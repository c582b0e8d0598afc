//! A program while it is being started: from the client's first record until exec has succeeded or failed.
//!
//! ```text
//!  shell:    holder ──▶ pty-child ──(master, pid)──▶ holder      both:  shell-exec ──(why not, or end)──▶ report
//!  command:  holder ──▶ shell-exec on three pipes
//! ```
//!
//! The report socket has a path, because portable-pty closes inherited descriptors. It must never leave a start
//! undecided: each way ends in a program or in a sentence for the engineer.

use super::exhausted;
use super::kill::{End, Reaped};
use super::program::{Program, Streams};
use super::pty;
use super::shell_exec::{FAILURE, NOTICE, ShellExec};
use super::wire::receive_with_descriptors;
use cloud_doctor_proto::told::{Tell, Told};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::Pid;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::task::{Context, Poll, ready};
use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};

/// A few sentences fit; what is longer is cut.
const REPORT_BYTES_MAX: usize = 4096;

/// A start that is not decided yet.
#[derive(Debug)]
pub(crate) struct Starting {
    listener: UnixListener,
    socket: PathBuf,
    report: Option<UnixStream>,
    lines: Vec<u8>,
    /// The way to `pty-child`, until it has answered.
    helper: Option<UnixStream>,
    /// The process that becomes the program, and the ways to it.
    program: Option<(Pid, Streams)>,
    /// Children that ended meanwhile: one of them may be the program.
    ended: Vec<Reaped>,
}

/// The terminal of a shell, in cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) cols: u16,
    pub(crate) rows: u16,
}

/// What came of a start.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The program runs.
    Started {
        /// It.
        program: Program,
        /// How it ended, when it did already.
        ended: Option<End>,
        /// What the engineer should know about its start.
        notice: Option<Told>,
    },
    /// It does not; why, for the engineer.
    Failed(Told),
}

impl Starting {
    /// Begins to start a login shell (`size` given) or a command.
    ///
    /// # Errors
    /// The kernel's: no process or descriptor is left.
    pub(crate) fn begin(exec: &ShellExec, size: Option<Size>) -> io::Result<Self> {
        remove(&exec.report);
        let listener = UnixListener::bind(&exec.report)?;
        let mut starting = Self {
            listener,
            socket: exec.report.clone(),
            report: None,
            lines: Vec::new(),
            helper: None,
            program: None,
            ended: Vec::new(),
        };
        match size {
            Some(size) => starting.helper = Some(spawn_shell(exec, size)?),
            None => starting.program = Some(spawn_command(exec)?),
        }
        Ok(starting)
    }

    /// A child of the holder ended.
    pub(crate) fn child_ended(&mut self, reaped: Reaped) {
        self.ended.push(reaped);
    }

    /// Moves the start on; ready once, when it is decided.
    pub(crate) fn poll_outcome(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let outcome =
            ready!(self.poll_decide(cx)).unwrap_or_else(|error| Outcome::Failed(Tell::NoProcess.with(&[&error])));
        Poll::Ready(outcome)
    }

    fn poll_decide(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Outcome>> {
        if let Some(helper) = &self.helper {
            match ready!(poll_helper(helper, cx))? {
                Ok((pid, master)) => self.program = Some((pid, Streams::terminal(master)?)),
                Err(reason) => return Poll::Ready(Ok(Outcome::Failed(reason))),
            }
            self.helper = None;
        }
        let Some((pid, _)) = &self.program else { return Poll::Ready(Err(io::ErrorKind::NotFound.into())) };
        let (pid, end) = (*pid, self.end_of(*pid));
        match self.poll_report(cx, pid) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            // A dead process has said all that it will ever say.
            Poll::Pending if end.is_some() => {
                return Poll::Ready(Ok(Outcome::Failed(Tell::EndedEarly.with(&[]))));
            }
            Poll::Pending => return Poll::Pending,
        }
        if let Some(reason) = self.reported(FAILURE) {
            return Poll::Ready(Ok(Outcome::Failed(reason)));
        }
        let (pid, streams) = self.program.take().expect("it was there a moment ago");
        let (program, notice) = (Program::new(pid, streams), self.reported(NOTICE));
        Poll::Ready(Ok(Outcome::Started { program, ended: end, notice }))
    }

    /// The line of the report that begins so.
    fn reported(&self, first: u8) -> Option<Told> {
        let mut lines = self.lines.split(|byte| *byte == b'\n');
        let line = lines.find_map(|line| line.strip_prefix(&[first]))?;
        Some(read(line))
    }

    fn end_of(&self, pid: Pid) -> Option<End> {
        self.ended.iter().find(|reaped| reaped.pid == pid).map(|reaped| reaped.end)
    }

    /// Reads the report to its end; only the process that becomes the program may give one.
    fn poll_report(&mut self, cx: &mut Context<'_>, pid: Pid) -> Poll<io::Result<()>> {
        loop {
            let Some(report) = &self.report else {
                let (stream, _) = ready!(self.listener.poll_accept(cx))?;
                if stream.peer_cred()?.pid() == Some(pid.as_raw_nonzero().get()) {
                    remove(&self.socket);
                    self.report = Some(stream);
                }
                continue;
            };
            ready!(report.poll_read_ready(cx))?;
            let mut buffer = [0; 512];
            match report.try_read(&mut buffer) {
                Ok(0) => return Poll::Ready(Ok(())),
                Ok(count) if self.lines.len() < REPORT_BYTES_MAX => {
                    self.lines.extend_from_slice(&buffer[..count]);
                }
                Ok(_) => return Poll::Ready(Ok(())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        remove(&self.socket);
    }
}

fn remove(socket: &Path) {
    // Usually it is gone already.
    std::fs::remove_file(socket).ok();
}

#[expect(clippy::disallowed_methods, reason = "our own binary with an empty environment")]
fn own_program() -> Command {
    let mut command = Command::new(pty::OWN_PROGRAM);
    command.arg0("cloud-doctor-agent").env_clear().current_dir("/");
    command
}

fn spawn_shell(exec: &ShellExec, size: Size) -> io::Result<UnixStream> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    let mut command = own_program();
    command.arg("pty-child").args([size.cols, size.rows].map(|cells| cells.to_string())).args(exec.arguments());
    command.stdin(Stdio::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(exhausted::named)?;
    let ours = StdStream::from(ours);
    ours.set_nonblocking(true)?;
    UnixStream::from_std(ours)
}

fn spawn_command(exec: &ShellExec) -> io::Result<(Pid, Streams)> {
    let mut command = own_program();
    command.args(exec.arguments());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(exhausted::named)?;
    let missing = || io::Error::from(io::ErrorKind::BrokenPipe);
    let stdin = OwnedFd::from(child.stdin.take().ok_or_else(missing)?);
    let stdout = OwnedFd::from(child.stdout.take().ok_or_else(missing)?);
    let stderr = OwnedFd::from(child.stderr.take().ok_or_else(missing)?);
    Ok((Pid::from_child(&child), Streams::pipes(stdin, stdout, stderr)?))
}

/// What our own programs report; one that was cut off is still a failure.
fn read(told: &[u8]) -> Told {
    serde_json::from_slice(told).unwrap_or_else(|_| Tell::EndedEarly.with(&[]))
}

/// The message of `pty-child`: process id and master, or a reason. It is small enough to come in one piece.
fn poll_helper(helper: &UnixStream, cx: &mut Context<'_>) -> Poll<io::Result<Result<(Pid, OwnedFd), Told>>> {
    loop {
        ready!(helper.poll_read_ready(cx))?;
        let mut buffer = [0; REPORT_BYTES_MAX];
        let received = helper.try_io(Interest::READABLE, || receive_with_descriptors(helper.as_fd(), &mut buffer));
        let (count, descriptors) = match received {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Poll::Ready(Err(error)),
        };
        return Poll::Ready(Ok(match (&buffer[..count], descriptors.into_iter().next()) {
            ([pty::STARTED, a, b, c, d], Some(master)) => match Pid::from_raw(i32::from_be_bytes([*a, *b, *c, *d])) {
                Some(pid) => Ok((pid, master)),
                None => Err(Tell::NoProcess.with(&[&"no process id"])),
            },
            ([pty::FAILED, reason @ ..], _) => Err(read(reason)),
            (_, _) => Err(Tell::EndedEarly.with(&[])),
        }));
    }
}
