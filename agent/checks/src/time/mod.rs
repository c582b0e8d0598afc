//! The clock: synchronised, and by one daemon.

use crate::check::Check;

/// This group's checks.
pub(crate) const CHECKS: &[&Check] = &[];
