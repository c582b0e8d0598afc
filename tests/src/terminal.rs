//! A terminal with a person at it: a real PTY whose slave is a program's controlling terminal.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::File;
use std::io::{BufRead as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::eventually::{SOON, eventually};
use crate::process::Process;
use crate::world::World;

/// A program under a terminal. Hung up and killed when dropped.
#[derive(Debug)]
pub struct Terminal {
    master: Arc<OwnedFd>,
    program: Process,
    screen: Arc<Mutex<Vec<u8>>>,
    over: Arc<AtomicBool>,
    seen: usize,
}

impl Terminal {
    /// Starts `command` as the leader of a session of its own with a new terminal of this size.
    ///
    /// # Panics
    /// When there is no terminal or program.
    #[track_caller]
    pub fn start(world: &World, name: &str, command: &Command, cols: u16, rows: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a free PTY");
        grantpt(&master).expect("the PTY is ours");
        unlockpt(&master).expect("the PTY is ours");
        resize(&master, cols, rows);
        let slave = ptsname(&master, Vec::new()).expect("the PTY has a name");
        let slave = rustix::fs::open(slave, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty());
        let slave = File::from(slave.expect("the PTY's other end can be opened"));
        let (out, err) = world.log_files(name);
        let mut leader = with_terminal(command);
        leader.stdin(slave.try_clone().expect("a descriptor can be copied"));
        leader.stdout(slave.try_clone().expect("a descriptor can be copied")).stderr(slave);
        let child = leader.spawn().unwrap_or_else(|e| panic!("{name} ({leader:?}): {e}"));
        drop(leader);
        let program = Process { child, name: name.to_owned(), out: out.clone(), err };
        let terminal =
            Self { master: Arc::new(master), program, screen: Arc::default(), over: Arc::default(), seen: 0 };
        terminal.read_into(File::create(out).expect("a log can be written"));
        terminal
    }

    /// Types.
    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn type_in(&self, text: &str) {
        let mut left = text.as_bytes();
        while !left.is_empty() {
            let written = rustix::io::write(&*self.master, left).expect("the terminal takes what is typed");
            left = &left[written..];
        }
    }

    /// Gives the terminal another size.
    pub fn resize(&self, cols: u16, rows: u16) {
        resize(&self.master, cols, rows);
    }

    /// Everything that was shown so far.
    #[must_use]
    pub fn shown(&self) -> Vec<u8> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `text` is shown after whatever was waited for before.
    ///
    /// # Panics
    /// When it is not shown in time.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        self.wait_for_within(text, SOON);
    }

    /// As [`Self::wait_for`], with another deadline.
    ///
    /// # Panics
    /// When it is not shown in time.
    #[track_caller]
    pub fn wait_for_within(&mut self, text: &str, within: Duration) {
        let what = format!("{text:?} on the terminal of {}", self.program.name);
        let mut from = self.seen;
        self.seen = eventually(within, &what, || {
            let shown = self.screen.lock().unwrap_or_else(PoisonError::into_inner);
            let found = find(&shown[from..], text.as_bytes());
            let end = found.map(|at| from + at + text.len());
            // Looked at once; only a text that has begun may go on.
            from = from.max(shown.len().saturating_sub(text.len()));
            end
        });
    }

    /// The program in it.
    #[must_use]
    pub fn program(&mut self) -> &mut Process {
        &mut self.program
    }

    /// Waits for the program's end and for the last of what it showed.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn finish(&mut self) -> ExitStatus {
        let status = self.program.wait(SOON);
        eventually(SOON, "the last output is read", || self.over.load(Ordering::Acquire).then_some(()));
        status
    }

    fn read_into(&self, mut log: File) {
        let (master, screen, over) = (Arc::clone(&self.master), Arc::clone(&self.screen), Arc::clone(&self.over));
        let reader = move || {
            let mut buffer = [0; 16 << 10];
            // An error is the terminal's hang-up: nobody has the other end open any more.
            while let Ok(len @ 1..) = read_when_ready(&master, &mut buffer) {
                screen.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..len]);
                drop(log.write_all(&buffer[..len]));
            }
            over.store(true, Ordering::Release);
        };
        std::thread::Builder::new().name("terminal".to_owned()).spawn(reader).expect("a thread can be started");
    }
}

/// Where `text` is. Goes from one of its last bytes to the next by the library's own search, which is fast also in a build
/// for development: a minute of output has hundreds of megabytes.
fn find(shown: &[u8], text: &[u8]) -> Option<usize> {
    let last = *text.last()?;
    let mut rest = shown;
    while rest.skip_until(last).ok()? > 0 {
        let until_here = &shown[..shown.len() - rest.len()];
        if until_here.ends_with(text) {
            return Some(until_here.len() - text.len());
        }
    }
    None
}

fn read_when_ready(master: &OwnedFd, buffer: &mut [u8]) -> rustix::io::Result<usize> {
    poll(&mut [PollFd::new(master, PollFlags::IN)], None)?;
    rustix::io::read(master.as_fd(), buffer)
}

fn resize(master: &OwnedFd, cols: u16, rows: u16) {
    let size = Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(master, size).expect("a terminal has a size");
}

/// The same command as a session leader: `setsid --ctty` replaces itself by the program.
fn with_terminal(command: &Command) -> Command {
    let mut leader = Command::new("/usr/bin/setsid");
    leader.arg("--ctty").arg(command.get_program()).args(command.get_args()).env_clear();
    leader.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = command.get_current_dir() {
        leader.current_dir(folder);
    }
    debug_assert!(!command.get_program().as_bytes().is_empty());
    leader
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn texts_are_found_where_they_begin() {
        assert_eq!(find(b"a2 alive 2 alive 2", b"alive 2"), Some(3));
        assert_eq!(find(b"alive 22", b"alive 2"), Some(0));
        assert_eq!(find(b"alive ", b"alive 2"), None);
        assert_eq!(find(b"", b"2"), None);
    }
}
