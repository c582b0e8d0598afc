//! Disks and file systems: space, inodes, errors, hung mounts.

mod activity;
mod busy;
mod deleted_open;
mod ext4_errors;
mod fills_up;
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
    &fills_up::CHECK,
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
