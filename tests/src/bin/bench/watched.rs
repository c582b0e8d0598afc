//! `relay.unwatched.cpu`, `relay.watched.cpu`: what a fleet costs a relay in processor time while nobody looks, and while
//! ten browsers look at each second of a thousand servers.
//!
//! Shares of one core. Watchers speak TLS and WebSocket as browsers do, and count what they get: a relay that saved time by
//! leaving out samples would fail here.

use anyhow::{Context as _, Result, ensure};
use cloud_doctor_proto::ids::AgentId;
use cloud_doctor_tests::api::Api;
use cloud_doctor_tests::fleet::{self, Fleet, Mix, Simulated, rows};
use cloud_doctor_tests::own_relay::OwnRelay;
use cloud_doctor_tests::people::random;
use futures_util::StreamExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::options::Plan;
use crate::ours::Ours;
use crate::proc;
use crate::report::{Aim, Figure, Report};

/// Figures of this group.
pub(crate) const NAMES: &[&str] = &["relay.unwatched.cpu", "relay.watched.cpu"];
/// Servers of the two figures.
const UNWATCHED: usize = 5_000;
const WATCHED: usize = 1_000;
/// Browsers that share the watched ones.
const BROWSERS: usize = 10;
/// One account opens all these streams at once, from one address.
const SETTINGS: &str = "[limits]\nopens_per_minute = 100000\nconnections = 8192\nconnections_per_network = 8192\n";
/// After the last handshake: the path's MTU is found, the first keep-alive has come and gone.
const SETTLE: Duration = Duration::from_secs(12);
/// Between two streams that are opened: a relay takes twenty calls a second from one account.
const PACE: Duration = Duration::from_millis(55);
/// Of the samples that were due, so many must arrive: the first second of a stream has none.
const ARRIVED: f64 = 0.9;

/// Takes the figures.
pub(crate) fn measure(report: &mut Report, plan: &Plan, ours: &Ours) -> Result<()> {
    if report.wants(NAMES[0]) {
        let (_relay, fleet, pid, _) = connected(ours, UNWATCHED)?;
        std::thread::sleep(SETTLE);
        let share = share(pid, plan.idle)?;
        fleet.check()?;
        add(report, NAMES[0], share, 0.05, format!("{UNWATCHED} agents, {:?}", plan.idle))?;
    }
    if report.wants(NAMES[1]) {
        let (relay, fleet, pid, agents) = connected(ours, WATCHED)?;
        let browsers = Browsers::open(&relay.api()?, &agents)?;
        std::thread::sleep(SETTLE);
        let before = browsers.samples();
        let begun = Instant::now();
        let share = share(pid, plan.idle)?;
        let (got, took) = (browsers.samples() - before, begun.elapsed().as_secs_f64());
        let due = took * f64::from(u32::try_from(WATCHED)?);
        let arrived = f64::from(u32::try_from(got)?) / due;
        fleet.check()?;
        ensure!(arrived >= ARRIVED, "only {got} of {due:.0} samples arrived in {took:.1} s");
        let runs =
            format!("{WATCHED} agents, {BROWSERS} browsers, {:?}, {:.1} % of samples", plan.idle, arrived * 100.0);
        add(report, NAMES[1], share, 0.5, runs)?;
    }
    Ok(())
}

fn add(report: &mut Report, name: &str, share: f64, aim: f64, runs: String) -> Result<()> {
    let (name, aim) = (name.to_owned(), Aim::AtMost(aim));
    report.add(&Figure { name, ours: Some(share), peer: None, unit: "cores", aim, runs })
}

/// A relay of its own, with that many agents.
fn connected(ours: &Ours, size: usize) -> Result<(OwnRelay, Fleet, u32, Vec<AgentId>)> {
    let relay = OwnRelay::start(ours.programs(), SETTINGS)?;
    let customer = rows::customer(&relay.database())?;
    let agents = Simulated::fleet(&random(), size, &Mix::default(), customer.tenant);
    rows::enter(&relay.database(), &customer, &agents)?;
    let ids = agents.iter().map(|agent| agent.agent).collect();
    let mut fleet = Fleet::new(fleet::Plan::new(relay.address()?, customer.trust), &Mix::default(), agents)?;
    fleet.connect(0..size)?;
    let pid = relay.pid();
    Ok((relay, fleet, pid, ids))
}

/// The share of one core that a process uses over a while.
fn share(pid: u32, during: Duration) -> Result<f64> {
    let (before, begun) = (proc::cpu_seconds(pid)?, Instant::now());
    std::thread::sleep(during);
    Ok((proc::cpu_seconds(pid)? - before) / begun.elapsed().as_secs_f64())
}

/// People who look, each at a part of the fleet.
struct Browsers {
    runtime: Runtime,
    tasks: TaskTracker,
    stop: CancellationToken,
    samples: Arc<AtomicU64>,
}

impl Browsers {
    fn open(api: &Api, agents: &[AgentId]) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (tasks, stop, samples) = (TaskTracker::new(), CancellationToken::new(), Arc::new(AtomicU64::new(0)));
        runtime.block_on(async {
            let mut pace = tokio::time::interval(PACE);
            for browser in agents.chunks(agents.len().div_ceil(BROWSERS)) {
                for agent in browser {
                    pace.tick().await;
                    let mut socket = api.watch(agent).await.with_context(|| format!("watching {}", agent.short()))?;
                    let (stop, samples) = (stop.clone(), samples.clone());
                    tasks.spawn(async move {
                        loop {
                            tokio::select! {
                                biased;
                                () = stop.cancelled() => return,
                                message = socket.next() => match message {
                                    // One message is one frame; the first ones tell which series there are.
                                    Some(Ok(message)) if message.is_binary() => samples.fetch_add(1, Ordering::Relaxed),
                                    Some(Ok(_)) => 0,
                                    Some(Err(_)) | None => return,
                                },
                            };
                        }
                    });
                }
            }
            Ok::<_, anyhow::Error>(())
        })?;
        Ok(Self { runtime, tasks, stop, samples })
    }

    fn samples(&self) -> u64 {
        self.samples.load(Ordering::Relaxed)
    }
}

impl Drop for Browsers {
    fn drop(&mut self) {
        self.stop.cancel();
        self.tasks.close();
        self.runtime.block_on(self.tasks.wait());
    }
}
