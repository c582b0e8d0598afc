//! Memory: how much is left, and who waits for it.

use crate::check::Check;

/// This group's checks.
pub(crate) const CHECKS: &[&Check] = &[];
