//! `relay.*`: the cost of a fleet in the relay's memory, and of its return in the relay's time.

use anyhow::Result;
use cloud_doctor_tests::fleet::{self, Fleet, Mix, Simulated, rows};
use std::time::Duration;

use crate::options::Plan;
use crate::ours::Ours;
use crate::proc;
use crate::report::{Aim, Figure, Report};

/// Figures of this group.
pub(crate) const NAMES: &[&str] = &["relay.idle_agent.kb.1000", "relay.idle_agent.kb.5000", "relay.reconnect_10k.cpu"];
/// After the last handshake: the path's MTU is found, the first keep-alive has come and gone.
const SETTLE: Duration = Duration::from_secs(12);
/// Reconnects that the figure is about.
const RECONNECTS: u32 = 10_000;

/// Takes the figures, in a relay that has not met these agents before.
pub(crate) fn measure(report: &mut Report, plan: &Plan, ours: &Ours) -> Result<()> {
    let customer = rows::customer(&ours.relay_database())?;
    let agents = Simulated::fleet(&[1; 32], plan.fleets[1], &Mix::default(), customer.tenant);
    rows::enter(&ours.relay_database(), &customer, &agents)?;
    let called = fleet::Plan::new(ours.relay_for_agents()?, customer.trust);
    let mut fleet = Fleet::new(called, &Mix::default(), agents)?;
    let relay = ours.relay_process();
    let empty = proc::rss_kib(relay)?;
    let mut connected = 0;
    for size in plan.fleets {
        fleet.connect(connected..size)?;
        connected = size;
        std::thread::sleep(SETTLE);
        fleet.check()?;
        report.add(&Figure {
            name: format!("relay.idle_agent.kb.{size}"),
            ours: Some((proc::rss_kib(relay)? - empty) / f64::from(u32::try_from(size)?)),
            peer: None,
            unit: "kB",
            aim: Aim::AtMost(47.0),
            runs: "1".to_owned(),
        })?;
    }
    measure_reconnects(report, plan, relay, &mut fleet)
}

fn measure_reconnects(report: &mut Report, plan: &Plan, relay: u32, fleet: &mut Fleet) -> Result<()> {
    let before = proc::cpu_seconds(relay)?;
    let mut left = plan.reconnects;
    while left > 0 {
        let some = left.min(fleet.len());
        fleet.connect(0..some)?;
        left -= some;
    }
    let done = u32::try_from(plan.reconnects)?;
    let used = (proc::cpu_seconds(relay)? - before) * f64::from(RECONNECTS) / f64::from(done);
    report.add(&Figure {
        name: "relay.reconnect_10k.cpu".to_owned(),
        ours: Some(used),
        peer: None,
        unit: "s",
        aim: Aim::AtMost(10.0),
        runs: if done == RECONNECTS { "1".to_owned() } else { format!("1 of {done}, extrapolated") },
    })
}
