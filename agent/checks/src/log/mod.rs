//! Logs: what they say, and whether they are kept.

pub(crate) mod deleted;
mod journal_conf;
pub(crate) mod kept;
mod logrotate;
pub(crate) mod lost;
pub(crate) mod signatures;
pub(crate) mod text_logs;
pub(crate) mod unrotated;

use crate::check::Check;

/// This group's checks.
pub(crate) const CHECKS: &[&Check] =
    &[&signatures::CHECK, &lost::CHECK, &unrotated::CHECK, &kept::CHECK, &deleted::CHECK];
