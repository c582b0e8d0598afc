//! Findings for every member or pool, but never thousands of them.

use super::{Active, Fleet, Member, Pool, Probe, fleet};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::many::many;

/// One finding for each member that is probed.
///
/// # Errors
/// There is no load balancer.
pub(super) fn probed(host: &Host, judge: impl Fn(&Pool, &Member, &Active) -> Found) -> Outcome {
    let fleet = fleet(host)?;
    let mut found = Vec::new();
    for pool in &fleet.pools {
        found.extend(pool.active().map(|(member, probe)| judge(pool, member, probe)));
    }
    told(fleet, found)
}

/// What was found; that nothing was is no good news where something could not be read.
///
/// # Errors
/// Nothing was found, and something was not understood.
pub(super) fn told(fleet: &Fleet, found: Vec<Found>) -> Outcome {
    let unclear = fleet.pools.iter().flat_map(|pool| &pool.members).find_map(|member| match &member.probe {
        Probe::Unresolved(why) => Some(why),
        Probe::Active(_) | Probe::Passive { .. } | Probe::Never | Probe::Tracks(_) => None,
    });
    match fleet.troubles.first().map(|trouble| &trouble.why).or(unclear) {
        Some(why) if found.is_empty() => Err(Gap::Unknown(why.clone())),
        Some(_) | None => Ok(many(found)),
    }
}
