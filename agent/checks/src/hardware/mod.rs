//! Hardware, as far as the kernel tells of it in files: memory, disks, temperatures, power.

mod disk_errors;
mod disk_state;
mod machine_check;
mod memory_corrupted;
mod memory_errors;
mod nvme_state;
mod power_supply;
mod temperature;
mod thermal_zone;

use crate::check::Check;

/// This group's checks.
pub(crate) const CHECKS: &[&Check] = &[
    &memory_errors::CHECK,
    &machine_check::CHECK,
    &memory_corrupted::CHECK,
    &disk_state::CHECK,
    &disk_errors::CHECK,
    &nvme_state::CHECK,
    &temperature::CHECK,
    &thermal_zone::CHECK,
    &power_supply::CHECK,
];
