//! Processors: what they are busy with, and who waits for them.

mod iowait;
mod load;
mod pressure;
mod softirq;
mod steal;
mod thermal_throttle;
mod throttled;
mod ticks;
pub(crate) mod usage;

use crate::check::Check;

/// This group's checks.
pub(crate) const CHECKS: &[&Check] = &[
    &usage::CHECK,
    &steal::CHECK,
    &iowait::CHECK,
    &load::CHECK,
    &pressure::CHECK,
    &softirq::CHECK,
    &throttled::CHECK,
    &thermal_throttle::CHECK,
];
