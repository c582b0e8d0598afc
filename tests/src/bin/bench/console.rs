//! The one driver of all sides: a terminal, a program in it, keys typed and answers timed by a single thread.
//!
//! It never knows whose road it drives. The clock starts before a key is written and stops when its echo was read.

use anyhow::{Context as _, Result, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for anything that a side has to show.
const PATIENCE: Duration = Duration::from_secs(20);
/// A prompt is a prompt when nothing follows it for this long.
const QUIET: Duration = Duration::from_millis(150);
/// What is kept to look for text in: more than any prompt or greeting.
const TAIL_BYTES: usize = 4096;

/// Where a program's output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// To the terminal, as with a person.
    Terminal,
    /// Into a pipe, so that this terminal is not what limits the flow.
    Pipe,
}

/// A program under a terminal. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Console {
    keyboard: OwnedFd,
    screen: OwnedFd,
    child: Child,
    started: Instant,
    tail: Vec<u8>,
    buffer: Vec<u8>,
}

impl Console {
    /// Starts `command` as the leader of a session with a new terminal of 80 times 24.
    pub(crate) fn start(command: &Command, output: Output) -> Result<Self> {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&keyboard)?;
        unlockpt(&keyboard)?;
        tcsetwinsize(&keyboard, Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 })?;
        let name = ptsname(&keyboard, Vec::new())?;
        let slave = File::from(rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?);
        let mut leader = session_leader(command);
        leader.stdin(slave.try_clone()?);
        let screen = match output {
            Output::Terminal => {
                leader.stdout(slave.try_clone()?).stderr(slave);
                keyboard.try_clone()?
            }
            Output::Pipe => {
                let (reader, writer) = std::io::pipe()?;
                leader.stdout(writer).stderr(Stdio::null());
                reader.into()
            }
        };
        let started = Instant::now();
        let child = leader.spawn().with_context(|| format!("{command:?}"))?;
        Ok(Self { keyboard, screen, child, started, tail: Vec::new(), buffer: vec![0; 64 << 10] })
    }

    /// The program's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Types.
    pub(crate) fn type_in(&self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let written = rustix::io::write(&self.keyboard, bytes)?;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    /// Waits until `text` was shown and forgets everything up to it. Returns when that was.
    pub(crate) fn wait_for(&mut self, text: &[u8]) -> Result<Instant> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.tail.windows(text.len()).position(|window| window == text) {
                let seen = Instant::now();
                self.tail.drain(..at + text.len());
                return Ok(seen);
            }
            let len = self.read_until(deadline)?.with_context(|| self.complaint(text))?;
            self.remember(len);
        }
    }

    /// Waits for the prompt of a shell. Returns the time from the program's start to the prompt's last byte.
    pub(crate) fn wait_for_prompt(&mut self) -> Result<Duration> {
        let deadline = Instant::now() + PATIENCE;
        let mut shown = None;
        loop {
            let until = shown.map_or(deadline, |at: Instant| at + QUIET);
            match self.read_until(until)? {
                Some(len) => {
                    self.remember(len);
                    shown = is_prompt(&self.tail).then(Instant::now);
                }
                None => {
                    let shown = shown.with_context(|| self.complaint(b"a prompt that ends with '$ ' or '# '"))?;
                    self.tail.clear();
                    return Ok(shown - self.started);
                }
            }
        }
    }

    /// Types one key and waits for its echo.
    pub(crate) fn echo(&mut self, key: u8) -> Result<Duration> {
        let typed = Instant::now();
        self.type_in(&[key])?;
        loop {
            let len = self.read_until(typed + PATIENCE)?.with_context(|| self.complaint(&[key]))?;
            if self.buffer[..len].contains(&key) {
                return Ok(typed.elapsed());
            }
        }
    }

    /// Reads everything until `mark` was shown. Returns the number of bytes and when the last of them came.
    pub(crate) fn count_until(&mut self, mark: &[u8]) -> Result<(usize, Instant)> {
        let mut bytes = 0;
        loop {
            let deadline = Instant::now() + PATIENCE;
            let len = self.read_until(deadline)?.with_context(|| self.complaint(mark))?;
            bytes += len;
            let overlap = self.tail.len().min(mark.len() - 1);
            self.tail.drain(..self.tail.len() - overlap);
            self.tail.extend_from_slice(&self.buffer[..len]);
            if self.tail.windows(mark.len()).any(|window| window == mark) {
                return Ok((bytes, Instant::now()));
            }
        }
    }

    /// Types `last` and waits for the program's end.
    pub(crate) fn finish(mut self, last: &[u8]) -> Result<()> {
        self.type_in(last)?;
        let deadline = Instant::now() + PATIENCE;
        while self.read_until(deadline)?.is_some() {}
        while Instant::now() < deadline {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        bail!("the program did not end {PATIENCE:?} after it was told to")
    }

    /// Reads once into the buffer; `None` at the deadline or when the program has hung up.
    fn read_until(&mut self, deadline: Instant) -> Result<Option<usize>> {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).context("a deadline of centuries")?;
        if poll(&mut [PollFd::new(&self.screen, PollFlags::IN)], Some(&left))? == 0 {
            return Ok(None);
        }
        match rustix::io::read(&self.screen, self.buffer.as_mut_slice()) {
            // A terminal whose other end is closed everywhere.
            Ok(0) | Err(rustix::io::Errno::IO) => Ok(None),
            other => Ok(Some(other?)),
        }
    }

    fn remember(&mut self, len: usize) {
        self.tail.extend_from_slice(&self.buffer[..len]);
        let surplus = self.tail.len().saturating_sub(TAIL_BYTES);
        self.tail.drain(..surplus);
    }

    fn complaint(&self, wanted: &[u8]) -> String {
        let tail = String::from_utf8_lossy(&self.tail);
        let wanted = String::from_utf8_lossy(wanted);
        format!("{wanted:?} was not shown; the last that was shown: {tail:?}")
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The same command as a session leader: `setsid --ctty` replaces itself by the program.
fn session_leader(command: &Command) -> Command {
    let mut leader = Command::new("/usr/bin/setsid");
    leader.arg("--ctty").arg(command.get_program()).args(command.get_args()).env_clear();
    leader.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = command.get_current_dir() {
        leader.current_dir(folder);
    }
    leader
}

/// The text ends as prompts of shells do, leaving colours and other escape sequences aside.
fn is_prompt(text: &[u8]) -> bool {
    let mut plain = Vec::new();
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != 0x1b {
            plain.push(byte);
        } else if bytes.next() == Some(b'[') {
            // Parameters, then one letter.
            bytes.by_ref().find(|byte| (0x40..=0x7e).contains(byte));
        }
    }
    plain.ends_with(b"$ ") || plain.ends_with(b"# ")
}

/// Types `count` different keys, one each `pace` or as soon as the last one is back.
pub(crate) fn type_keys(console: &mut Console, count: usize, pace: Duration) -> Result<Vec<Duration>> {
    let begun = Instant::now();
    let mut times = Vec::with_capacity(count);
    for (number, key) in (0..).zip((b'a'..=b'z').cycle().take(count)) {
        let due = begun + pace * number;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        times.push(console.echo(key)?);
    }
    ensure!(times.len() == count, "every key has a time");
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_told_from_greetings() {
        for prompt in ["vm:~# ", "$ ", "\x1b[?2004hroot@vm:~# ", "a\r\n\x1b[01;32mme\x1b[00m:~$ ", "~$ \x1b[0m"] {
            assert!(is_prompt(prompt.as_bytes()), "{prompt:?}");
        }
        for other in ["", "#", "Welcome to # 1\r\n", "Last login: $ \r\n"] {
            assert!(!is_prompt(other.as_bytes()), "{other:?}");
        }
    }
}
