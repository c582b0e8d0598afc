//! Processors: what they are busy with, and who waits for them.

pub(crate) mod usage;

use crate::check::Check;

/// This group's checks.
pub(crate) const CHECKS: &[&Check] = &[&usage::CHECK];
