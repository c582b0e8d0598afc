//! Memory: how much is left, who waits for it, and who was killed for lack of it.

mod available;
mod commit_limit;
mod fills_up;
mod huge_pages;
mod kernel_slab;
mod major_faults;
mod meminfo;
mod oom_kill;
mod pressure;
mod service_limit;
mod swap_used;
mod swapping;
mod vmstat;

pub(crate) use meminfo::Meminfo;
pub(crate) use oom_kill::kills;

use crate::check::Check;

/// This group's checks.
pub(crate) const CHECKS: &[&Check] = &[
    &available::CHECK,
    &fills_up::CHECK,
    &oom_kill::CHECK,
    &pressure::CHECK,
    &service_limit::CHECK,
    &major_faults::CHECK,
    &swap_used::CHECK,
    &swapping::CHECK,
    &kernel_slab::CHECK,
    &huge_pages::CHECK,
    &commit_limit::CHECK,
];
