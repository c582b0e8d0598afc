//! nginx beyond what all load balancers share: workers, limits, and its own traps.

use crate::check::Check;

/// This group's checks.
pub(crate) const CHECKS: &[&Check] = &[];
