//! The instance of a cloud: what its vendor put here, and what costs money for nothing. Metadata services are never asked.

pub(crate) mod clock_source;
pub(crate) mod idle_disks;
pub(crate) mod vendor_agents;

use crate::check::Check;

/// This group's checks.
pub(crate) const CHECKS: &[&Check] = &[&vendor_agents::CHECK, &clock_source::CHECK, &idle_disks::CHECK];
