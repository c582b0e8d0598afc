//! `audit`: the host's own log, verified line by line while it is shown.

use super::{Exit, events, say};
use crate::audit::segments;
use crate::messages::Message;
use crate::state::{Places, identity};
use cloud_doctor_proto::audit::{Payload, Verifier};
use std::fs::File;
use std::io::{BufRead, BufReader};

/// `audit`. With `json` the lines are shown as they are on disk, signatures included.
pub(super) fn run(places: &Places, json: bool) -> Exit {
    let mut lines = 0u64;
    let each = |line: &str, payload: &Payload| {
        lines += 1;
        match json {
            true => say::line(line),
            false => say::line(&events::line(payload)),
        }
    };
    match read(places, each) {
        // Nothing verifies, but nothing is shown by it either.
        Ok(None) if lines == 0 => {
            say::problem(Message::AuditEmpty, &[]);
            Exit::Failed
        }
        Ok(None) => Exit::Done,
        Ok(Some(fault)) => {
            say::problem(Message::AuditBad, &[&fault]);
            Exit::Failed
        }
        Err(exit) => exit,
    }
}

/// Reads and verifies all lines; `Some` names the first bad one, after which nothing is believed.
pub(super) fn read(places: &Places, mut each: impl FnMut(&str, &Payload)) -> Result<Option<String>, Exit> {
    let key = match identity::load(&places.guard) {
        Ok(key) => identity::public(&key),
        Err(identity::IdentityError::File(error)) => return Err(say::file_problem(&error)),
        Err(error @ identity::IdentityError::Damaged(_)) => {
            say::problem(Message::TrustBroken, &[&error.to_string()]);
            return Err(Exit::Config);
        }
    };
    let mut verifier = Verifier::new(key);
    for path in segments(&places.audit()).map_err(|error| say::file_problem(&error))? {
        let failed = crate::state::files::FileError::at(&path);
        let file = File::open(&path).map_err(|error| say::file_problem(&failed(error)))?;
        for (number, line) in BufReader::new(file).split(b'\n').enumerate() {
            let line = line.map_err(|error| say::file_problem(&crate::state::files::FileError::at(&path)(error)))?;
            let line = String::from_utf8_lossy(&line);
            match verifier.line(&line) {
                Ok(payload) => each(&line, &payload),
                Err(fault) => return Ok(Some(format!("{} line {}: {fault}", path.display(), number + 1))),
            }
        }
    }
    Ok(None)
}
