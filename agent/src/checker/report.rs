//! A run for guard: an order on standard input, what was found on standard output, ready to leave the host.
//!
//! It must never pass on a secret: what leaves goes through the redactor, whoever asked.

use super::run;
use crate::own::Own;
use cloud_doctor_checks::host::{boot_time, unix_time};
use cloud_doctor_checks::redact::Redactor;
use cloud_doctor_checks::{Host, Wanted, apart, by_id};
use cloud_doctor_proto::checks::Report;
use serde::{Deserialize, Serialize};
use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;

/// What guard wants.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Wants {
    /// Ids of checks.
    pub(crate) checks: Vec<String>,
    /// What secrets' tokens are made under, so that they are the same from run to run.
    pub(crate) redaction: [u8; 32],
}

/// Ids of all checks are far below it.
const ORDER_BYTES_MAX: u64 = 1 << 20;

/// Runs the role.
pub(crate) fn role() -> ExitCode {
    match answer() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(io::stderr(), "{error}").ok();
            ExitCode::FAILURE
        }
    }
}

fn answer() -> io::Result<()> {
    let mut order = Vec::new();
    io::stdin().take(ORDER_BYTES_MAX).read_to_end(&mut order)?;
    let wants: Wants = serde_json::from_slice(&order)?;
    let checks: Vec<_> = wants.checks.iter().filter_map(|id| by_id(id)).collect();
    let since = boot_time();
    let ended = run(None, &checks, &Wanted::default(), &Own::default());
    let mut redactor = Redactor::new(wants.redaction);
    let (mut findings, absent) = apart(ended.ran);
    findings.iter_mut().for_each(|finding| redactor.finding(finding));
    findings.sort_by_key(|finding| (std::cmp::Reverse(finding.status), !finding.note));
    let report = Report {
        millis: since.millis_until(boot_time()),
        findings,
        absent,
        sandbox_open: ended.open,
        ..Report::empty(Host::live()?.name(), env!("CARGO_PKG_VERSION").to_owned(), unix_time())
    };
    serde_json::to_writer(io::stdout().lock(), &report)?;
    Ok(())
}
