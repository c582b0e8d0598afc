//! Logs: lost, growing, or saying what is wrong.

use crate::check::Check;

/// This group's checks.
pub(crate) const CHECKS: &[&Check] = &[];
