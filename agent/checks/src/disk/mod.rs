//! Disks and file systems: space, inodes, errors, hung mounts.

mod activity;
mod busy;
mod deleted_open;
mod ext4_errors;
mod fstab;
mod hung_mount;
mod inodes;
mod latency;
mod not_grown;
mod queue;
mod raid;
mod read_only;
mod space;

use crate::check::Check;
use crate::found::{Found, Gap};
use crate::host::{Host, Mount, Space};
use cloud_doctor_proto::finding::Status;

/// This group's checks. The one that may hang is the last.
pub(crate) const CHECKS: &[&Check] = &[
    &space::CHECK,
    &inodes::CHECK,
    &read_only::CHECK,
    &ext4_errors::CHECK,
    &raid::CHECK,
    &busy::CHECK,
    &queue::CHECK,
    &latency::CHECK,
    &deleted_open::CHECK,
    &not_grown::CHECK,
    &fstab::CHECK,
    &hung_mount::CHECK,
];

/// What `judge` finds on each local file system that can be written to; why not where its space cannot be asked.
///
/// # Errors
/// The mounts cannot be read.
fn each_local(host: &Host, judge: impl Fn(&Mount, &Space) -> Option<Found>) -> Result<Vec<Found>, Gap> {
    let look = |mount: &Mount| match host.space(&mount.point) {
        Ok(space) => judge(mount, &space),
        Err(Gap::NotHere(why) | Gap::Unknown(why)) => Some(Found::new(&mount.point, Status::Unknown, why)),
    };
    Ok(host.local_mounts(true)?.iter().filter_map(look).collect())
}

/// Bytes for people: `1.5 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "a size for people")]
    let mut number = bytes as f64 / 1024.0;
    let mut unit = 0;
    while number >= 1000.0 && unit + 1 < UNITS.len() {
        number /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(number < 100.0);
    format!("{number:.digits$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_written_for_people() {
        for (bytes, text) in
            [(512, "512 B"), (1536, "1.5 KiB"), (20 << 30, "20.0 GiB"), (999 << 20, "999 MiB"), (1 << 40, "1.0 TiB")]
        {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(size(u64::MAX), "16384 PiB");
    }
}
