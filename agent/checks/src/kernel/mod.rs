//! The kernel: what it complains about, and its limits.

mod crash_dump;
mod end_of_life;
mod fault;
mod hung_task;
mod inotify;
pub(crate) mod messages;
mod open_files;
mod reboot_needed;
mod releases;
mod taint;
mod threads;
mod unexpected_reboot;
mod version;

use crate::check::Check;

/// This group's checks.
pub(crate) const CHECKS: &[&Check] = &[
    &hung_task::CHECK,
    &fault::CHECK,
    &reboot_needed::CHECK,
    &unexpected_reboot::CHECK,
    &open_files::CHECK,
    &threads::CHECK,
    &crash_dump::CHECK,
    &inotify::CHECK,
    &taint::CHECK,
    &end_of_life::CHECK,
];
