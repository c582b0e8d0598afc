//! Load balancers: how long does a dead backend keep its traffic?
//!
//! Each system has a folder that reads its configuration as it is in effect into [`Pool`]s; the checks here judge pools of
//! every system alike. An interval alone says nothing: what counts is the time to detect.

pub(crate) mod detect;
mod detection_time;
pub(crate) mod measured;
mod model;
pub(crate) mod nginx;
mod retry_statuses;

pub(crate) use model::{Active, Cadence, Fleet, Layer, Member, Origin, Place, Pool, Probe, Setting, System, Trouble};

use crate::check::Check;
use crate::found::Gap;
use crate::host::Host;
use crate::words;

/// This group's checks.
pub(crate) const CHECKS: &[&Check] = &[&detection_time::CHECK, &retry_statuses::CHECK, &measured::CHECK];

/// What reads one system's configuration; nothing when the system is not on this host.
type Reader = fn(&Host) -> Option<Fleet>;

/// All systems.
const READERS: &[Reader] = &[nginx::read];

/// The load balancers of this host.
///
/// # Errors
/// [`Gap::NotHere`] when there are none.
pub(crate) fn fleet(host: &Host) -> Result<&Fleet, Gap> {
    let fleet = host.memo.fleet.get_or_init(|| {
        let mut all: Option<Fleet> = None;
        for read in READERS.iter().filter_map(|read| read(host)) {
            let all = all.get_or_insert_default();
            all.pools.extend(read.pools);
            all.troubles.extend(read.troubles);
        }
        all
    });
    fleet.as_ref().ok_or_else(|| Gap::NotHere(words!("no load balancer is installed here", "此主机未安装负载均衡器")))
}
