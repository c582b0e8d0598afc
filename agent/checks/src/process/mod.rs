//! Processes: stuck, dead, short of descriptors, older than their files.

use crate::check::Check;

/// This group's checks.
pub(crate) const CHECKS: &[&Check] = &[];
