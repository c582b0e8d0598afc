//! Disks and file systems: space, inodes, errors, hung mounts.

use crate::check::Check;

/// This group's checks.
pub(crate) const CHECKS: &[&Check] = &[];
