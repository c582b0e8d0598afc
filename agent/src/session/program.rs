//! The user's program while it lives: its process id and the descriptors that lead to it.
//!
//! A shell has one descriptor for both directions (the PTY's master), a command has three pipes. Reads and writes never
//! wait; an end of output is an end, whether the kernel calls it EOF or EIO. It must never close a direction that the
//! client has not closed while the program runs.

use super::sys;
use cloud_doctor_proto::session::{Signal as SessionSignal, Stream};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use rustix::termios::{Winsize, tcgetpgrp, tcsetwinsize};
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A running program.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) pid: Pid,
    streams: Streams,
}

/// The ways to a program.
#[derive(Debug)]
pub(crate) enum Streams {
    /// A shell's terminal; `None` when its last process has closed it.
    Terminal(Option<AsyncFd<OwnedFd>>),
    /// A command's pipes, each `None` when that direction is over.
    Pipes { stdin: Option<AsyncFd<OwnedFd>>, stdout: Option<AsyncFd<OwnedFd>>, stderr: Option<AsyncFd<OwnedFd>> },
}

impl Streams {
    /// A terminal's master.
    ///
    /// # Errors
    /// The kernel's, when no more descriptors can be watched.
    pub(crate) fn terminal(master: OwnedFd) -> io::Result<Self> {
        Ok(Self::Terminal(Some(watched(master, Interest::READABLE | Interest::WRITABLE)?)))
    }

    /// Our ends of a command's three pipes.
    ///
    /// # Errors
    /// The kernel's, when no more descriptors can be watched.
    pub(crate) fn pipes(stdin: OwnedFd, stdout: OwnedFd, stderr: OwnedFd) -> io::Result<Self> {
        Ok(Self::Pipes {
            stdin: Some(watched(stdin, Interest::WRITABLE)?),
            stdout: Some(watched(stdout, Interest::READABLE)?),
            stderr: Some(watched(stderr, Interest::READABLE)?),
        })
    }
}

fn watched(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    fcntl_setfl(&fd, fcntl_getfl(&fd)? | OFlags::NONBLOCK)?;
    sys::watch(fd, interest)
}

impl Program {
    /// A program that has just been started.
    pub(crate) fn new(pid: Pid, streams: Streams) -> Self {
        Self { pid, streams }
    }

    fn input(&self) -> Option<&AsyncFd<OwnedFd>> {
        match &self.streams {
            Streams::Terminal(master) => master.as_ref(),
            Streams::Pipes { stdin, .. } => stdin.as_ref(),
        }
    }

    fn output(&mut self, stream: Stream) -> Option<&mut Option<AsyncFd<OwnedFd>>> {
        match (&mut self.streams, stream) {
            (Streams::Terminal(master), Stream::Out) => Some(master),
            (Streams::Terminal(_), Stream::Err) => None,
            (Streams::Pipes { stdout, .. }, Stream::Out) => Some(stdout),
            (Streams::Pipes { stderr, .. }, Stream::Err) => Some(stderr),
        }
    }

    /// Whether this stream may still say something.
    pub(crate) fn may_say(&mut self, stream: Stream) -> bool {
        self.output(stream).is_some_and(|output| output.is_some())
    }

    /// Whether the program can still be given input.
    pub(crate) fn takes_input(&self) -> bool {
        self.input().is_some()
    }

    /// Gives the program bytes; returns how many it took. An error means that it will never take any.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Some(input) = self.input() else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        loop {
            let mut guard = ready!(input.poll_write_ready(cx))?;
            match guard.try_io(|fd| Ok(rustix::io::write(fd, bytes)?)) {
                Ok(written) => return Poll::Ready(written),
                Err(_would_block) => {}
            }
        }
    }

    /// Reads what the program says into `buffer`; zero bytes mean that this stream is over.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, stream: Stream, buffer: &mut [u8]) -> Poll<usize> {
        let Some(slot) = self.output(stream) else { return Poll::Ready(0) };
        let Some(output) = slot else { return Poll::Ready(0) };
        loop {
            let Ok(mut guard) = ready!(output.poll_read_ready(cx)) else { return Poll::Ready(0) };
            match guard.try_io(|fd| Ok(rustix::io::read(fd, &mut *buffer)?)) {
                Ok(Ok(count)) if count > 0 => return Poll::Ready(count),
                // EIO is how a PTY says that nobody has it open any more.
                Ok(Ok(_) | Err(_)) => {
                    *slot = None;
                    return Poll::Ready(0);
                }
                Err(_would_block) => {}
            }
        }
    }

    /// Closes a command's standard input. A terminal has no such thing: its client hangs up instead.
    pub(crate) fn close_input(&mut self) {
        match &mut self.streams {
            Streams::Pipes { stdin, .. } => *stdin = None,
            Streams::Terminal(_) => {}
        }
    }

    /// Tells the terminal its size.
    pub(crate) fn resize(&self, cols: u16, rows: u16) {
        if let Streams::Terminal(Some(master)) = &self.streams {
            let size = Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
            // It fails only when the terminal is going away.
            tcsetwinsize(master, size).ok();
        }
    }

    /// Signals the program itself.
    pub(crate) fn signal_leader(&self, signal: Signal) {
        // It fails only when it is gone already.
        kill_process(self.pid, signal).ok();
    }

    /// Signals a command's process group, or the group in a terminal's foreground.
    pub(crate) fn signal(&self, signal: SessionSignal) {
        let group = match &self.streams {
            Streams::Terminal(Some(master)) => tcgetpgrp(master).unwrap_or(self.pid),
            Streams::Terminal(None) | Streams::Pipes { .. } => self.pid,
        };
        // It fails only when the group is gone already.
        kill_process_group(group, kernel_signal(signal)).ok();
    }
}

fn kernel_signal(signal: SessionSignal) -> Signal {
    match signal {
        SessionSignal::Hup => Signal::HUP,
        SessionSignal::Int => Signal::INT,
        SessionSignal::Quit => Signal::QUIT,
        SessionSignal::Kill => Signal::KILL,
        SessionSignal::Term => Signal::TERM,
        SessionSignal::Usr1 => Signal::USR1,
        SessionSignal::Usr2 => Signal::USR2,
    }
}
