//! Scans: the same checks on many servers, in waves, each with its own deadline; now, or by a plan.
//!
//! ```text
//!  somebody, a plan ──▶ Scans::start ──▶ run.rs ◀── waves.rs says whom to ask
//!                                          │
//!                        checks ◀──────────┘ one server after the other is asked, judged, kept
//!                                          │
//!                                          ▼
//!                        store: one row per server, what is not as it should be, what changed
//! ```
//!
//! Every server that was selected gets a result: an absent one is a result, not an error. A scan survives the relay's end:
//! what was asked and not answered is asked again. Never: a server that waits for another, a result that is changed, or a
//! finding that nobody signed.

mod cron;
mod result;
mod run;
mod waves;

pub use cron::{Cron, NotACron};
pub use waves::{Limits, Step, Waves};

use crate::checks::Checks;
use crate::clock;
use crate::store::{Actor, NewScan, Scan, ScanPlanRow, ScanRefused, Store, StoreError, TenantRef};
use crate::tunnels::registry::Registry;
use cloud_doctor_proto::ids::{ScanId, ScanSeed};
use cloud_doctor_proto::time::{DAY_SECS, UnixTime};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

/// Servers of a wave, unless somebody says otherwise.
pub const AT_ONCE: u32 = 128;
/// How long one server may take, unless somebody says otherwise: guard gives a run 60 s, and the way takes some.
pub const WAIT_SECS: u64 = 75;
/// How often it is looked for plans whose time has come, and for scans that nobody runs.
const LOOK: Duration = Duration::from_secs(15);
/// How long tunnels may take to come back after the relay's start, before a server counts as absent.
const COMING_BACK: Duration = Duration::from_secs(60);

/// Runs scans.
#[derive(Debug)]
pub struct Scans {
    store: Store,
    checks: Arc<Checks>,
    registry: Arc<Registry>,
    tasks: TaskTracker,
    stop: CancellationToken,
    running: Mutex<BTreeMap<(TenantRef, ScanId), CancellationToken>>,
    began: std::time::Instant,
}

impl Scans {
    /// Asks through `checks`; scans end when `stop` says so, and go on after the next start.
    #[must_use]
    pub fn new(
        store: Store,
        checks: Arc<Checks>,
        registry: Arc<Registry>,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let began = clock::instant();
        Arc::new(Self { store, checks, registry, tasks, stop, running: Mutex::default(), began })
    }

    /// Begins a scan.
    ///
    /// # Errors
    /// [`ScanRefused`]; there is no scan then.
    pub async fn start(self: &Arc<Self>, tenant: TenantRef, new: &NewScan, by: Actor<'_>) -> Result<Scan, ScanRefused> {
        let scan = self.store.of(tenant).start_scan(new, by, clock::now()).await?;
        self.launch(scan.clone());
        Ok(scan)
    }

    /// Ends a scan before its time. `false`: it has ended, or there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn cancel(&self, tenant: TenantRef, id: &ScanId, by: Actor<'_>) -> Result<bool, StoreError> {
        let was_open = self.store.of(tenant).cancel_scan(id, by, clock::now()).await?;
        if was_open && let Some(stop) = self.table().get(&(tenant, *id)) {
            stop.cancel();
        }
        Ok(was_open)
    }

    /// Runs a scan in a task of its own, unless one does already.
    fn launch(self: &Arc<Self>, scan: Scan) {
        let Some(place) = Place::take(self, (scan.tenant, scan.id)) else { return };
        let (here, scan) = (self.clone(), Arc::new(scan));
        self.tasks.spawn(async move {
            let stop = place.stop.clone();
            match run::run(&here, &scan, &stop).await {
                Ok(true) => info!(scan = %scan.id, servers = scan.servers, "scan ended"),
                // Cancelled, or the relay stops.
                Ok(false) => {}
                Err(error) => warn!(%error, scan = %scan.id, "a scan cannot go on; it is tried again"),
            }
            drop(place);
        });
    }

    /// The lock is for one look at a table.
    fn table(&self) -> std::sync::MutexGuard<'_, BTreeMap<(TenantRef, ScanId), CancellationToken>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins what plans say, and goes on with what nobody runs: after a start, or after the disk was full.
    async fn look(self: &Arc<Self>, now: UnixTime) -> Result<(), StoreError> {
        for scan in self.store.open_scans().await? {
            self.launch(scan);
        }
        for row in self.store.due_scan_plans(now).await? {
            self.begin_planned(&row, now).await?;
        }
        Ok(())
    }

    async fn begin_planned(self: &Arc<Self>, row: &ScanPlanRow, now: UnixTime) -> Result<(), StoreError> {
        let mut seed = [0; 16];
        if let Err(error) = getrandom::fill(&mut seed) {
            warn!(%error, "no randomness");
            return Ok(());
        }
        let next = Cron::parse(&row.plan.cron, now).ok().and_then(|cron| cron.next(now, chance));
        // A line that was good once and says nothing any more is looked at again tomorrow.
        let next = next.unwrap_or_else(|| now.plus_secs(DAY_SECS));
        let new = NewScan { seed: ScanSeed(seed), terms: row.plan.terms.clone() };
        match self.store.of(row.tenant).start_planned(row, &new, next, now).await {
            Ok(Some(scan)) => self.launch(scan),
            Ok(None) => {}
            Err(ScanRefused::Store(error)) => return Err(error),
            Err(refused) => warn!(%refused, plan = ?row.plan.name, "a planned scan did not begin"),
        }
        Ok(())
    }
}

/// A scan's place among those that run, free again when dropped.
struct Place {
    scans: Arc<Scans>,
    id: (TenantRef, ScanId),
    stop: CancellationToken,
}

impl Place {
    fn take(scans: &Arc<Scans>, id: (TenantRef, ScanId)) -> Option<Self> {
        let stop = scans.stop.child_token();
        let mut table = scans.table();
        if table.contains_key(&id) {
            return None;
        }
        table.insert(id, stop.clone());
        Some(Self { scans: scans.clone(), id, stop })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.scans.table().remove(&self.id);
    }
}

/// Begins planned scans, and goes on with those that a stop has left, until `stop`.
pub async fn keep_time(scans: Arc<Scans>, stop: CancellationToken) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = looks.tick() => {}
        }
        if let Err(error) = scans.look(clock::now()).await {
            error!(%error, "cannot look for scans");
        }
    }
}

/// A number below `below`.
pub(crate) fn chance(below: u64) -> u64 {
    // Without randomness all come at once, which is what this only softens.
    getrandom::u64().map_or(0, |random| if below == 0 { 0 } else { random % below })
}
