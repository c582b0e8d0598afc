//! Processes: stuck, dead, short of descriptors, older than their files.

pub(crate) mod agent;
pub(crate) mod blocked;
pub(crate) mod open_files;
pub(crate) mod replaced;
pub(crate) mod zombies;

use crate::check::Check;
use crate::found::Gap;
use crate::host::{Host, Process};
use crate::words;

/// This group's checks.
pub(crate) const CHECKS: &[&Check] =
    &[&zombies::CHECK, &blocked::CHECK, &open_files::CHECK, &replaced::CHECK, &agent::CHECK];

/// The processes of this host, those of other users included.
///
/// # Errors
/// [`Gap::Unknown`] where they cannot be seen.
pub(crate) fn all(host: &Host) -> Result<&[Process], Gap> {
    host.must_live()?;
    let processes = host.processes();
    // Process 1 is root's: with /proc mounted hidepid, others see only their own.
    if processes.first().is_some_and(|process| process.pid == 1) {
        return Ok(processes);
    }
    Err(Gap::Unknown(words!(
        "/proc does not show all processes to this user; run it as root",
        "当前用户无法通过 /proc 查看全部进程；请以 root 运行"
    )))
}

/// Seconds since boot, from `/proc/uptime`.
///
/// # Errors
/// [`Gap::Unknown`] when it cannot be read.
pub(crate) fn uptime_secs(host: &Host) -> Result<f64, Gap> {
    let text = host.must_read("/proc/uptime")?;
    let secs = text.split_ascii_whitespace().next().and_then(|secs| secs.parse::<f64>().ok());
    secs.filter(|secs| secs.is_finite()).ok_or_else(|| {
        Gap::Unknown(words!("/proc/uptime does not say how long this host runs", "/proc/uptime 未给出运行时长"))
    })
}
