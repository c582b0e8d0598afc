//! The user's program while it lives: its process id and the descriptors that lead to it.
//!
//! A shell has one descriptor for both directions (the PTY's master), a command has three pipes. Reads and writes never
//! wait; an end of output is an end, whether the kernel calls it EOF or EIO. It must never close a direction that the
//! client has not closed while the program runs.

use crate::flow::{Inlet, Outlet, both};
use cloud_doctor_proto::session::{Signal as SessionSignal, Stream};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use rustix::termios::{Winsize, tcgetpgrp, tcsetwinsize};
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

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
    Terminal(Option<(Inlet, Outlet)>),
    /// A command's pipes, each `None` when that direction is over.
    Pipes { stdin: Option<Outlet>, stdout: Option<Inlet>, stderr: Option<Inlet> },
}

impl Streams {
    /// A terminal's master.
    ///
    /// # Errors
    /// The kernel's, when no more descriptors can be watched.
    pub(crate) fn terminal(master: OwnedFd) -> io::Result<Self> {
        Ok(Self::Terminal(Some(both(non_blocking(master)?)?)))
    }

    /// Our ends of a command's three pipes.
    ///
    /// # Errors
    /// The kernel's, when no more descriptors can be watched.
    pub(crate) fn pipes(stdin: OwnedFd, stdout: OwnedFd, stderr: OwnedFd) -> io::Result<Self> {
        Ok(Self::Pipes {
            stdin: Some(Outlet::new(non_blocking(stdin)?)),
            stdout: Some(Inlet::new(non_blocking(stdout)?)?),
            stderr: Some(Inlet::new(non_blocking(stderr)?)?),
        })
    }
}

fn non_blocking(fd: OwnedFd) -> io::Result<OwnedFd> {
    fcntl_setfl(&fd, fcntl_getfl(&fd)? | OFlags::NONBLOCK)?;
    Ok(fd)
}

impl Program {
    /// A program that has just been started.
    pub(crate) fn new(pid: Pid, streams: Streams) -> Self {
        Self { pid, streams }
    }

    /// Whether this stream may still say something.
    pub(crate) fn may_say(&self, stream: Stream) -> bool {
        match (&self.streams, stream) {
            (Streams::Terminal(terminal), Stream::Out) => terminal.is_some(),
            (Streams::Terminal(_), Stream::Err) => false,
            (Streams::Pipes { stdout, .. }, Stream::Out) => stdout.is_some(),
            (Streams::Pipes { stderr, .. }, Stream::Err) => stderr.is_some(),
        }
    }

    /// Whether the program can still be given input.
    pub(crate) fn takes_input(&self) -> bool {
        match &self.streams {
            Streams::Terminal(terminal) => terminal.is_some(),
            Streams::Pipes { stdin, .. } => stdin.is_some(),
        }
    }

    /// Gives the program bytes; returns how many it took. An error means that it will never take any.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let input = match &mut self.streams {
            Streams::Terminal(terminal) => terminal.as_mut().map(|(_, outlet)| outlet),
            Streams::Pipes { stdin, .. } => stdin.as_mut(),
        };
        match input {
            Some(input) => input.poll_write(cx, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// Reads what the program says into `buffer`; zero bytes mean that this stream is over.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, stream: Stream, buffer: &mut [u8]) -> Poll<usize> {
        let output = match (&self.streams, stream) {
            (Streams::Terminal(terminal), Stream::Out) => terminal.as_ref().map(|(inlet, _)| inlet),
            (Streams::Terminal(_), Stream::Err) => None,
            (Streams::Pipes { stdout, .. }, Stream::Out) => stdout.as_ref(),
            (Streams::Pipes { stderr, .. }, Stream::Err) => stderr.as_ref(),
        };
        let Some(output) = output else { return Poll::Ready(0) };
        match ready!(output.poll_read(cx, buffer)) {
            Ok(count) if count > 0 => Poll::Ready(count),
            // EIO is how a PTY says that nobody has it open any more.
            Ok(_) | Err(_) => {
                self.close_output(stream);
                Poll::Ready(0)
            }
        }
    }

    fn close_output(&mut self, stream: Stream) {
        match (&mut self.streams, stream) {
            (Streams::Terminal(terminal), Stream::Out) => *terminal = None,
            (Streams::Terminal(_), Stream::Err) => {}
            (Streams::Pipes { stdout, .. }, Stream::Out) => *stdout = None,
            (Streams::Pipes { stderr, .. }, Stream::Err) => *stderr = None,
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
        if let Streams::Terminal(Some((master, _))) = &self.streams {
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
            Streams::Terminal(Some((master, _))) => tcgetpgrp(master).unwrap_or(self.pid),
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
