//! What the kernel says about a process: memory and CPU time. Everything is read from `/proc`, nothing is estimated.

use anyhow::{Context as _, Result};
use std::fs;

/// CPU time of a process's living threads, in seconds.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let mut nanos = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("process {pid} is gone"))? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        nanos += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
    }
    Ok(seconds_of_nanos(nanos))
}

#[expect(clippy::cast_precision_loss, reason = "52 bits of nanoseconds are 52 days of CPU time")]
fn seconds_of_nanos(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

/// CPU time of this process's children that have ended, with all that theirs had, in seconds; counted in hundredths.
pub(crate) fn waited_cpu_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name stands in parentheses and may hold anything; `cutime` and `cstime` are fields 16 and 17.
    let (_, fields) = stat.rsplit_once(") ").context("/proc/self/stat holds a name")?;
    let ticks: Vec<u32> = fields.split(' ').skip(13).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(f64::from(ticks.iter().sum::<u32>()) / 100.0)
}

/// Proportional set size in KiB: shared pages are divided among those who share them.
pub(crate) fn pss_kib(pid: u32) -> Result<f64> {
    kib_line(&format!("/proc/{pid}/smaps_rollup"), "Pss:")
}

/// Resident memory in KiB.
pub(crate) fn rss_kib(pid: u32) -> Result<f64> {
    kib_line(&format!("/proc/{pid}/smaps_rollup"), "Rss:")
}

/// Highest resident memory in KiB since the start, or since [`forget_peak`].
pub(crate) fn peak_rss_kib(pid: u32) -> Result<f64> {
    kib_line(&format!("/proc/{pid}/status"), "VmHWM:")
}

/// Lets the peak begin again at what is resident now.
pub(crate) fn forget_peak(pid: u32) -> Result<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").with_context(|| format!("process {pid}"))
}

fn kib_line(path: &str, name: &str) -> Result<f64> {
    let text = fs::read_to_string(path).with_context(|| path.to_owned())?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("{path}: no {name}"))?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
