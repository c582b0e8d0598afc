//! Role `pty-child`: opens a PTY, starts `shell-exec` on it, hands the master to the holder and leaves.
//!
//! The only file that imports portable-pty 0.9, because of what that crate does besides:
//! 1. Dropping its *writer* types a newline and EOT into the shell, so a half-typed command would run. We never take a
//!    writer: the holder writes to a duplicate of the master's descriptor.
//! 2. Children inherit the whole environment. The holder starts this process with an empty one, and the builder is
//!    cleared again.
//! 3. An exec that fails is not reported: its pre-exec hook closes the descriptor that would tell. We start only our own
//!    binary, and `shell-exec` reports on a socket with a path.
//! 4. `kill` may block for 200 ms and signals one process. It is never called; the holder kills.
//! 5. It allocates between fork and exec, which may deadlock with other threads. This process has one thread.
//!
//! The shell becomes the holder's child when this process ends, because the holder is a subreaper; so the holder reaps
//! it itself and no third process stays. It must never live longer than it takes to start the shell.

use super::sys;
use cloud_doctor_proto::told::{Tell, Told};
use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::ffi::OsString;
use std::io::IoSlice;
use std::os::fd::{AsFd, OwnedFd};

/// Our own program, also while the file is being replaced by an upgrade.
pub(crate) const OWN_PROGRAM: &str = "/proc/self/exe";
/// First byte of a message to the holder: the shell's process id follows and the master travels with it.
pub(crate) const STARTED: u8 = 1;
/// First byte of a message to the holder: what to tell follows as JSON.
pub(crate) const FAILED: u8 = 2;

/// Runs the role: `pty-child COLS ROWS shell-exec …`, standard input being a socket to the holder.
pub(crate) fn run(arguments: impl IntoIterator<Item = OsString>) {
    let holder = std::io::stdin();
    let sent = match start(arguments) {
        Ok((pid, master)) => {
            let [a, b, c, d] = pid.to_be_bytes();
            send(holder.as_fd(), &[STARTED, a, b, c, d], Some(&master))
        }
        Err(reason) => {
            let told = serde_json::to_vec(&reason).unwrap_or_default();
            send(holder.as_fd(), &[&[FAILED], told.as_slice()].concat(), None)
        }
    };
    // A holder that is gone has closed the master with it; the shell gets its hang-up from the kernel.
    sent.ok();
}

/// Returns the shell's process id and a duplicate of the master.
fn start(arguments: impl IntoIterator<Item = OsString>) -> Result<(u32, OwnedFd), Told> {
    let closed = |what: &str| Tell::NoTerminal.with(&[&what]);
    let mut arguments = arguments.into_iter();
    let (Some(cols), Some(rows)) = (number(arguments.next()), number(arguments.next())) else {
        return Err(closed("pty-child is started by the agent only"));
    };
    let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
    let pair = native_pty_system().openpty(size).map_err(|error| Tell::NoTerminal.with(&[&error]))?;
    let master = pair.master.as_raw_fd().ok_or_else(|| closed("no descriptor"))?;
    let master = sys::duplicate(master).map_err(|error| Tell::NoTerminal.with(&[&error]))?;

    let mut command = CommandBuilder::new(OWN_PROGRAM);
    command.env_clear();
    // Set, so that portable-pty asks no user database for them; shell-exec clears them.
    command.env("HOME", "/");
    command.env("SHELL", "/bin/sh");
    command.args(arguments);
    let child = pair.slave.spawn_command(command).map_err(|error| Tell::NoProcess.with(&[&error]))?;
    let pid = child.process_id().ok_or_else(|| Tell::NoProcess.with(&[&"no process id"]))?;
    Ok((pid, master))
}

fn number(argument: Option<OsString>) -> Option<u16> {
    argument?.into_string().ok()?.parse().ok()
}

fn send(holder: impl AsFd, message: &[u8], descriptor: Option<&OwnedFd>) -> rustix::io::Result<usize> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors: Vec<_> = descriptor.iter().map(AsFd::as_fd).collect();
    if !descriptors.is_empty() {
        let pushed = control.push(SendAncillaryMessage::ScmRights(&descriptors));
        debug_assert!(pushed, "the space was made for one descriptor");
    }
    sendmsg(holder, &[IoSlice::new(message)], &mut control, SendFlags::NOSIGNAL)
}
