//! Words for the person at the terminal: results on standard output, problems on standard error.
//!
//! Writing can fail (a closed pipe); then nobody reads, and the exit code says the rest.

use super::Exit;
use crate::guard::admin::Answer;
use crate::messages::{Message, language};
use crate::state::Places;
use crate::state::files::FileError;
use std::io::{self, Write};

/// A line of the result.
pub(super) fn line(text: &str) {
    writeln!(io::stdout(), "{text}").ok();
}

/// A sentence of the result.
pub(super) fn tell(message: Message, values: &[&str]) {
    // The last value may be empty.
    line(message.text(language(), values).trim_end());
}

/// A sentence about a problem.
pub(super) fn problem(message: Message, values: &[&str]) {
    writeln!(io::stderr(), "cloud-doctor-agent: {}", message.text(language(), values)).ok();
}

/// A result for programs: one line of JSON.
pub(super) fn json<T: serde::Serialize>(value: &T) -> Exit {
    match serde_json::to_string(value) {
        Ok(text) => {
            line(&text);
            Exit::Done
        }
        Err(error) => {
            problem(Message::Failed, &[&error.to_string()]);
            Exit::Failed
        }
    }
}

/// An answer of guard that is not the one that was hoped for.
pub(super) fn answer(answer: &Answer) -> Exit {
    let text = match answer {
        Answer::Refused(refused) => refused.text(language()),
        Answer::Failed(why) => why.clone(),
        Answer::Status(_) | Answer::Done(_) => "the guard is of another build; restart it".to_owned(),
    };
    problem(Message::Failed, &[&text]);
    Exit::Failed
}

/// Guard cannot be asked.
pub(super) fn guard_away(places: &Places, error: &io::Error) -> Exit {
    let text = format!("{}: {error}", places.admin_socket().display());
    if error.kind() == io::ErrorKind::PermissionDenied {
        problem(Message::NotPermitted, &[&text]);
        Exit::NoPermission
    } else {
        problem(Message::GuardAway, &[&text]);
        Exit::Failed
    }
}

/// A question; anything but yes is no.
pub(super) fn ask(message: Message) -> bool {
    prompt(message);
    let mut answer = String::new();
    if io::stdin().read_line(&mut answer).is_err() {
        return false;
    }
    is_yes(&answer)
}

/// A question whose answer comes another way.
pub(super) fn prompt(message: Message) {
    let mut stdout = io::stdout();
    write!(stdout, "{}", message.text(language(), &[])).ok();
    stdout.flush().ok();
}

/// Whether an answer is a yes.
pub(super) fn is_yes(answer: &str) -> bool {
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
