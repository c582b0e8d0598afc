//! Backups: is there one, is it fresh, is it whole, does it lie elsewhere?

mod age;
mod cron;
mod data;
mod folders;
mod log_archive;
mod same_disk;
mod size;
mod sources;

pub(crate) use sources::Backups;

use crate::check::Check;

/// This group's checks.
pub(crate) const CHECKS: &[&Check] = &[&age::CHECK, &size::CHECK, &same_disk::CHECK, &log_archive::CHECK];
