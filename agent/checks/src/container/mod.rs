//! Containers: which fail, which start again and again, and what they use up.

pub(crate) mod docker;
pub(crate) mod log_size;
pub(crate) mod memory_limit;
pub(crate) mod mixed_filters;
pub(crate) mod restarts;
pub(crate) mod state;

use crate::check::Check;

/// This group's checks.
pub(crate) const CHECKS: &[&Check] =
    &[&state::CHECK, &restarts::CHECK, &memory_limit::CHECK, &log_size::CHECK, &mixed_filters::CHECK];
