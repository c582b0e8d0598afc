//! Certificates: those in files and those that are served.

mod certificate;
mod chain;
mod expiry;
mod key_mode;
mod known;
mod name;
mod named;
mod renewal;
mod stale_served;

pub(crate) use known::Known;

use crate::check::Check;

/// This group's checks.
pub(crate) const CHECKS: &[&Check] =
    &[&expiry::CHECK, &stale_served::CHECK, &chain::CHECK, &name::CHECK, &key_mode::CHECK, &renewal::CHECK];
