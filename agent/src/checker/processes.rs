//! The busiest processes for guard: a number on standard input, what was found as JSON on standard output.
//!
//! It looks twice, a second apart, closed in as every checker is; it must never read a command line.

use super::{close_in, ended};
use cloud_doctor_checks::host::{boot_time, unix_millis};
use cloud_doctor_checks::{Host, Used, busiest};
use cloud_doctor_proto::metrics::PROCESSES_MAX;
use std::io::{self, Read as _};
use std::process::ExitCode;
use std::time::Duration;

/// Between the two looks.
const APART: Duration = Duration::from_secs(1);
/// A number.
const ORDER_BYTES_MAX: u64 = 16;

/// Runs the role.
pub(crate) fn role() -> ExitCode {
    ended(answer())
}

#[expect(clippy::disallowed_methods, reason = "a second of use takes a second")]
fn answer() -> io::Result<()> {
    let mut order = String::new();
    io::stdin().take(ORDER_BYTES_MAX).read_to_string(&mut order)?;
    let count: usize = order.trim().parse().map_err(io::Error::other)?;
    close_in(None, false);
    let since = boot_time();
    let before = Used::look(&Host::live()?);
    std::thread::sleep(APART);
    let elapsed = u32::try_from(since.millis_until(boot_time())).unwrap_or(u32::MAX);
    let found = busiest(&before, &Host::live()?, unix_millis(), elapsed, count.min(PROCESSES_MAX));
    serde_json::to_writer(io::stdout().lock(), &found)?;
    Ok(())
}
