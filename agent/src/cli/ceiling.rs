//! `ceiling check`: whether a ceiling would be accepted, and what it would allow.

use super::own_checks::OwnChecks;
use super::{Exit, say};
use crate::messages::{Message, language};
use crate::policy::{self, NoCeiling};
use crate::session::clock;
use crate::state::Places;
use cloud_doctor_proto::ceiling::ScopeName;
use std::path::Path;

/// Scopes of the schema that this build cannot open.
fn is_later(scope: ScopeName) -> bool {
    match scope {
        ScopeName::Shell
        | ScopeName::Exec
        | ScopeName::Watch
        | ScopeName::Audit
        | ScopeName::Checks
        | ScopeName::Metrics => false,
        ScopeName::FilesRead | ScopeName::FilesWrite | ScopeName::Remedy => true,
    }
}

/// `ceiling check`.
pub(super) fn check(places: &Places, file: Option<&Path>) -> Exit {
    let path = file.map_or_else(|| places.ceiling(), Path::to_path_buf);
    match policy::load(&path) {
        Ok(ceiling) => {
            say::tell(Message::CeilingGood, &[&path.display().to_string(), &ceiling.rules.len().to_string()]);
            for rule in ceiling.rules.iter().filter(|rule| is_later(rule.scope)) {
                say::tell(Message::CeilingLater, &[&rule.scope.to_string()]);
            }
            OwnChecks::of(places, &ceiling, clock::unix_time()).tell();
            Exit::Done
        }
        Err(NoCeiling::File { source, .. }) if source.kind() == std::io::ErrorKind::PermissionDenied => {
            say::problem(Message::NotPermitted, &[&format!("{}: {source}", path.display())]);
            Exit::NoPermission
        }
        Err(problem) => {
            say::problem(Message::CeilingBad, &[&problem.told().text(language())]);
            Exit::Config
        }
    }
}
