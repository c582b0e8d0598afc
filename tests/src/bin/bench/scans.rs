//! `scan.*`: a scan of a whole fleet, of which 10 % are absent, 5 % hang and 5 % answer what nobody may believe.
//!
//! The relay is real and has met none of these agents before. A figure is taken only when every server has the result that
//! it must have.

use anyhow::{Context as _, Result, ensure};
use cloud_doctor_tests::fleet::{self, Fleet, Mix, Nature, Simulated, rows};
use cloud_doctor_tests::own_relay::OwnRelay;
use cloud_doctor_tests::people::random;
use std::time::{Duration, Instant};
use tokio::runtime::Builder;

use crate::options::Plan;
use crate::ours::Ours;
use crate::proc;
use crate::report::{Aim, Figure, Report};

/// Figures of this group.
pub(crate) const NAMES: &[&str] = &["scan.1000.seconds", "scan.10000.seconds"];
/// When a scan is given up.
const PATIENCE: Duration = Duration::from_secs(1_200);

/// Takes the figures.
pub(crate) fn measure(report: &mut Report, plan: &Plan, ours: &Ours) -> Result<()> {
    for size in plan.scans {
        let name = format!("scan.{size}.seconds");
        if !report.wants(&name) {
            continue;
        }
        let (took, cpu) = scan(ours, size)?;
        let aim = if size == 1_000 { Aim::AtMost(90.0) } else { Aim::Nothing };
        let runs = format!("1, of {size} agents, {cpu:.1} s of the relay's CPU");
        report.add(&Figure { name, ours: Some(took.as_secs_f64()), peer: None, unit: "s", aim, runs })?;
    }
    Ok(())
}

/// How long a scan took, and what it cost the relay.
fn scan(ours: &Ours, size: usize) -> Result<(Duration, f64)> {
    let relay = OwnRelay::start(ours.programs(), "")?;
    let customer = rows::customer(&relay.database())?;
    let agents = Simulated::fleet(&random(), size, &Mix::SCAN, customer.tenant);
    rows::enter(&relay.database(), &customer, &agents)?;
    let mut fleet = Fleet::new(fleet::Plan::new(relay.address()?, customer.trust), &Mix::SCAN, agents)?;
    fleet.connect(0..size)?;
    let api = relay.api()?;
    let before = proc::cpu_seconds(relay.pid())?;
    let begun = Instant::now();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(api.scan(&serde_json::json!({}), PATIENCE))?;
    let took = begun.elapsed();
    let cpu = proc::cpu_seconds(relay.pid())? - before;
    let is = |like: fn(Nature) -> bool| Mix::SCAN.count(size, like);
    for (state, expected) in [
        ("report", is(|one| one == Nature::Well)),
        ("absent", is(|one| one == Nature::Absent)),
        ("silent", is(|one| one == Nature::Hanging)),
        ("dropped", is(|one| matches!(one, Nature::Garbage(_)))),
    ] {
        let counted = ended["states"][state].as_u64().unwrap_or(0);
        ensure!(counted == u64::try_from(expected)?, "{expected} servers had to be {state:?}: {}", ended["states"]);
    }
    let all = ended["states"].as_object().context("a scan has states")?.values().filter_map(serde_json::Value::as_u64);
    ensure!(all.sum::<u64>() == u64::try_from(size)?, "not every server is accounted for: {}", ended["states"]);
    fleet.check()?;
    Ok((took, cpu))
}
