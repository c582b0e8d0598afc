//! Services: units of systemd that failed, restart, or have no tasks left, and scheduled jobs that no longer run.

pub(crate) mod failed;
pub(crate) mod restarts;
pub(crate) mod scheduled;
pub(crate) mod tasks;

use crate::check::Check;

/// This group's checks.
pub(crate) const CHECKS: &[&Check] = &[&failed::CHECK, &restarts::CHECK, &scheduled::CHECK, &tasks::CHECK];

/// Where what systemd says comes from.
const SOURCE: &str = "systemd (D-Bus)";
