//! Words for the person at the terminal: results on standard output, problems on standard error.
//!
//! Writing can fail (a closed pipe); then nobody reads, and the exit code says the rest.

use super::Exit;
use crate::messages::{Message, language};
use crate::state::files::FileError;
use std::io::{self, Write};

/// A line of the result.
pub(super) fn line(text: &str) {
    writeln!(io::stdout(), "{text}").ok();
}

/// A sentence of the result.
pub(super) fn tell(message: Message, values: &[&str]) {
    line(&message.text(language(), values));
}

/// A sentence about a problem.
pub(super) fn problem(message: Message, values: &[&str]) {
    writeln!(io::stderr(), "cloud-doctor-agent: {}", message.text(language(), values)).ok();
}

/// A question; anything but yes is no.
pub(super) fn ask(message: Message) -> bool {
    let mut stdout = io::stdout();
    write!(stdout, "{}", message.text(language(), &[])).ok();
    stdout.flush().ok();
    let mut answer = String::new();
    if io::stdin().read_line(&mut answer).is_err() {
        return false;
    }
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes" | "是")
}

/// A file that could not be read or written: who can act depends on why.
pub(super) fn file_problem(error: &FileError) -> Exit {
    if error.source.kind() == io::ErrorKind::PermissionDenied {
        problem(Message::NotPermitted, &[&error.to_string()]);
        Exit::NoPermission
    } else {
        problem(Message::Failed, &[&error.to_string()]);
        Exit::Failed
    }
}
