//! What happened on this host, for guard: a time on standard input, events as JSON on standard output.
//!
//! Closed in as every checker is. It must never pass on a secret: each text goes through the redactor.

use super::{close_in, ended};
use cloud_doctor_checks::redact::Redactor;
use cloud_doctor_checks::{Host, report};
use cloud_doctor_proto::events::EventsRequest;
use serde::{Deserialize, Serialize};
use std::io::{self, Read as _};
use std::process::ExitCode;

/// What guard wants.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Wants {
    /// Which time.
    pub(crate) asked: EventsRequest,
    /// What secrets' tokens are made under, so that they are the same from look to look.
    pub(crate) redaction: [u8; 32],
}

/// Two numbers and a key.
const ORDER_BYTES_MAX: u64 = 1 << 10;

/// Runs the role.
pub(crate) fn role() -> ExitCode {
    ended(answer())
}

fn answer() -> io::Result<()> {
    let mut order = Vec::new();
    io::stdin().take(ORDER_BYTES_MAX).read_to_end(&mut order)?;
    let Wants { asked, redaction } = serde_json::from_slice(&order)?;
    close_in(None, false);
    let found = report::events(&Host::live()?, &asked, &mut Redactor::new(redaction));
    serde_json::to_writer(io::stdout().lock(), &found)?;
    Ok(())
}
