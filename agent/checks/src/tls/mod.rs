//! Certificates: on disk and as they are served.

use crate::check::Check;

/// This group's checks.
pub(crate) const CHECKS: &[&Check] = &[];
