//! The person's terminal: questions, passwords, raw mode, and the three standard streams without blocking.

pub(crate) mod escapes;
mod filter;
pub(crate) mod pipes;
pub(crate) mod status;

use crate::fail::Fail;
use crate::output;
use cloud_doctor::messages::{Id, Say};
use cloud_doctor::signer::Person;
use cloud_doctor_proto::refusal::Language;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use zeroize::Zeroizing;

/// Longest line that a question takes as its answer.
const ANSWER_BYTES_MAX: u64 = 4096;

/// The person at this terminal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seat {
    pub(crate) language: Language,
}

impl Person for Seat {
    fn tell(&mut self, say: Say) {
        output::tell(&say.text(self.language));
    }

    fn passphrase(&mut self, file: &Path) -> Option<Zeroizing<String>> {
        let question = Id::AskPassphrase.with(&[&file.display()]).text(self.language);
        ask_hidden(&question).ok()
    }
}

fn tty() -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/tty")
}

/// Asks on the terminal, whatever the standard streams are.
pub(crate) fn ask(question: &str) -> Result<String, Fail> {
    let ask = || {
        let mut tty = tty()?;
        // What was typed before the question was there is no answer to it.
        rustix::termios::tcflush(&tty, rustix::termios::QueueSelector::IFlush)?;
        write!(tty, "{} ", question.trim_end())?;
        read_line(&tty)
    };
    ask().map(|line| line.trim().to_owned()).map_err(|error| Fail::system("/dev/tty", &error))
}

/// Asks without showing what is typed.
pub(crate) fn ask_hidden(question: &str) -> Result<Zeroizing<String>, Fail> {
    let ask = || {
        let mut tty = tty()?;
        let quiet = Quiet::new(&tty)?;
        write!(tty, "{} ", question.trim_end())?;
        let line = read_line(&tty);
        drop(quiet);
        writeln!(tty)?;
        line.map(Zeroizing::new)
    };
    let line = ask().map_err(|error: std::io::Error| Fail::system("/dev/tty", &error))?;
    Ok(Zeroizing::new(line.trim_end_matches(['\n', '\r']).to_owned()))
}

fn read_line(tty: &File) -> std::io::Result<String> {
    let mut line = String::new();
    match std::io::Read::take(BufReader::new(tty), ANSWER_BYTES_MAX).read_line(&mut line)? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(line),
    }
}

/// A terminal whose settings are put back when this is dropped.
#[derive(Debug)]
struct Restored {
    tty: OwnedFd,
    before: Termios,
}

impl Restored {
    fn new(tty: impl AsFd, change: impl FnOnce(&mut Termios)) -> std::io::Result<Self> {
        let tty = tty.as_fd().try_clone_to_owned()?;
        let before = tcgetattr(&tty)?;
        let mut after = before.clone();
        change(&mut after);
        tcsetattr(&tty, OptionalActions::Drain, &after)?;
        Ok(Self { tty, before })
    }
}

impl Drop for Restored {
    fn drop(&mut self) {
        // A terminal that is gone needs no settings.
        tcsetattr(&self.tty, OptionalActions::Drain, &self.before).ok();
    }
}

/// A terminal that does not show what is typed.
struct Quiet(#[expect(dead_code, reason = "held for its drop")] Restored);

impl Quiet {
    fn new(tty: &File) -> std::io::Result<Self> {
        Restored::new(tty, |modes| modes.local_modes.remove(LocalModes::ECHO)).map(Self)
    }
}

/// A terminal that passes every key on. Put back on every way out, also by a panic.
#[derive(Debug)]
pub(crate) struct Raw(#[expect(dead_code, reason = "held for its drop")] Restored);

impl Raw {
    pub(crate) fn new(tty: impl AsFd) -> std::io::Result<Self> {
        Restored::new(tty, Termios::make_raw).map(Self)
    }
}

/// Columns and rows when there is no terminal.
const SIZE_DEFAULT: (u16, u16) = (80, 24);

/// Columns and rows of this program's terminal.
pub(crate) fn own_size() -> (u16, u16) {
    size(std::io::stdout()).or_else(|| size(std::io::stdin())).unwrap_or(SIZE_DEFAULT)
}

/// Columns and rows of a terminal.
pub(crate) fn size(tty: impl AsFd) -> Option<(u16, u16)> {
    let size = tcgetwinsize(tty).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}
