//! Processes that a test starts: their output goes to files of the world, and all of them end with it.
//!
//! The test is a subreaper, so whatever its programs leave behind becomes its own child: ending "every descendant"
//! ends exactly what the test started and nothing else. Never: a process found by its name alone.

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus};
use std::time::Duration;

use crate::eventually::{SOON, eventually};

/// A program started by a test. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    pub(crate) child: Child,
    /// Its name in the logs.
    pub name: String,
    /// What it writes to stdout.
    pub out: PathBuf,
    /// What it writes to stderr.
    pub err: PathBuf,
}

impl Process {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to stdout.
    #[must_use]
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.out).unwrap_or_default()).into_owned()
    }

    /// What it has written to stderr.
    #[must_use]
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.err).unwrap_or_default()).into_owned()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end within `within`.
    #[track_caller]
    pub fn wait(&mut self, within: Duration) -> ExitStatus {
        let what = format!("{} ends", self.name);
        eventually(within, &what, || self.child.try_wait().expect("a child can be waited for"))
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    /// Its standard input, when that is a pipe.
    pub fn stdin(&mut self) -> Option<&mut ChildStdin> {
        self.child.stdin.as_mut()
    }

    /// Ends its standard input.
    pub fn close_stdin(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Its standard output, when that is a pipe that nobody reads yet.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// `kill -9`, and its end.
    #[track_caller]
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait(SOON);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.signal(Signal::KILL);
            drop(self.child.wait());
        }
    }
}

/// Sends a signal to a process that may be gone.
pub fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _gone = kill_process(pid, signal);
    }
}

/// One process as `/proc` shows it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its id.
    pub pid: u32,
    /// Its parent.
    pub parent: u32,
    /// `R`, `S`, `Z` and so on.
    pub state: char,
    /// Its arguments; empty for a zombie.
    pub argv: Vec<String>,
}

impl Seen {
    /// Has not ended.
    #[must_use]
    pub fn lives(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }

    /// Runs `program` (the end of its path) as `role`.
    #[must_use]
    pub fn is(&self, program: &str, role: &str) -> bool {
        let [first, rest @ ..] = self.argv.as_slice() else { return false };
        first.ends_with(program) && rest.first().is_some_and(|second| second == role)
    }
}

/// One process, if there is one with this id.
#[must_use]
pub fn look(pid: u32) -> Option<Seen> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold anything.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let argv = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let argv = argv.split(|byte| *byte == 0).filter(|part| !part.is_empty());
    let argv = argv.map(|part| String::from_utf8_lossy(part).into_owned()).collect();
    Some(Seen { pid, parent, state, argv })
}

/// Whether a process with this id lives.
#[must_use]
pub fn lives(pid: u32) -> bool {
    look(pid).is_some_and(|seen| seen.lives())
}

/// Every living process below `root`, without `root`.
#[must_use]
pub fn descendants(root: u32) -> Vec<Seen> {
    let mut children: BTreeMap<u32, Vec<Seen>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").expect("/proc is mounted").flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(seen) = pid.and_then(look).filter(Seen::lives) {
            children.entry(seen.parent).or_default().push(seen);
        }
    }
    let mut found = Vec::new();
    let mut next = vec![root];
    while let Some(parent) = next.pop() {
        for seen in children.remove(&parent).unwrap_or_default() {
            next.push(seen.pid);
            found.push(seen);
        }
    }
    found
}

/// Ends everything below this process, also what is started meanwhile, and buries it.
pub(crate) fn end_all() {
    for _ in 0..500 {
        let living = descendants(std::process::id());
        for seen in &living {
            send(seen.pid, Signal::KILL);
        }
        while let Ok(Some(_)) = waitpid(None, WaitOptions::NOHANG) {}
        if living.is_empty() {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
