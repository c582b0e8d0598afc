//! The clock: synchronised, and by one daemon.

pub(crate) mod daemons;
pub(crate) mod jumps;
pub(crate) mod offset;
pub(crate) mod synchronised;

use crate::check::Check;

/// This group's checks.
pub(crate) const CHECKS: &[&Check] = &[&synchronised::CHECK, &offset::CHECK, &daemons::CHECK, &jumps::CHECK];
