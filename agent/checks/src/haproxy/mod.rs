//! HAProxy beyond what all load balancers share: its runtime socket and its own traps.

use crate::check::Check;

/// This group's checks.
pub(crate) const CHECKS: &[&Check] = &[];
