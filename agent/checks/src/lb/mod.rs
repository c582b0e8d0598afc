//! Load balancers: how long does a dead backend keep its traffic?
//!
//! Each system has a folder that reads its configuration as it is in effect into [`Pool`]s; the checks here judge pools of
//! every system alike. An interval alone says nothing: what counts is the time to detect.

mod accepted_statuses;
mod apache;
mod caddy;
mod command_line;
mod config_newer_than_process;
pub(crate) mod detect;
mod detection_time;
mod disabled_member;
pub(crate) mod each;
mod envoy;
mod fall_threshold;
mod hang_timeout;
pub(crate) mod haproxy;
mod includes;
mod interval_unit;
mod keepalived;
mod kubernetes;
mod liveness_as_readiness;
mod located;
pub(crate) mod measured;
mod model;
pub(crate) mod nginx;
mod no_active_check;
mod probe_elsewhere;
mod probe_interval;
mod probe_layer;
mod reload_cold_start;
mod remedy;
mod retry_statuses;
mod slow_start;
mod statement;
mod traefik;
mod virtual_router;

pub(crate) use accepted_statuses::Accepted;
pub(crate) use liveness_as_readiness::Liveness;
pub(crate) use model::{Active, Cadence, Fleet, Layer, Member, Origin, Place, Pool, Probe, Setting, System, Trouble};

use crate::check::Check;
use crate::found::Gap;
use crate::host::Host;
use crate::words;

/// This group's checks.
pub(crate) const CHECKS: &[&Check] = &[
    &detection_time::CHECK,
    &accepted_statuses::CHECK,
    &liveness_as_readiness::CHECK,
    &slow_start::CHECK,
    &virtual_router::CHECK,
    &probe_interval::CHECK,
    &interval_unit::CHECK,
    &no_active_check::CHECK,
    &hang_timeout::CHECK,
    &fall_threshold::CHECK,
    &probe_layer::CHECK,
    &probe_elsewhere::CHECK,
    &disabled_member::CHECK,
    &reload_cold_start::CHECK,
    &config_newer_than_process::CHECK,
    &retry_statuses::CHECK,
    &measured::CHECK,
];

/// What reads one system's configuration; nothing when the system is not on this host.
type Reader = fn(&Host) -> Option<Fleet>;

/// All systems.
const READERS: &[Reader] = &[
    envoy::read,
    traefik::read,
    kubernetes::read,
    keepalived::read,
    apache::read,
    caddy::read,
    haproxy::read,
    nginx::read,
];

/// The load balancers of this host.
///
/// # Errors
/// [`Gap::NotHere`] when there are none.
pub(crate) fn fleet(host: &Host) -> Result<&Fleet, Gap> {
    let fleet = host.memo.fleet.get_or_init(|| {
        let mut all: Option<Fleet> = None;
        for read in READERS.iter().filter_map(|read| read(host)) {
            all.get_or_insert_default().extend(read);
        }
        all
    });
    fleet.as_ref().ok_or_else(|| Gap::NotHere(words!("no load balancer is installed here", "此主机未安装负载均衡器")))
}
