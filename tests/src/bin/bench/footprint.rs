//! `footprint.agent.*`: what the agent costs a server while nobody visits.

use anyhow::Result;
use std::fs;
use std::time::{Duration, Instant};

use crate::options::Plan;
use crate::ours::Ours;
use crate::peers;
use crate::proc;
use crate::report::{Aim, Beside, Figure, Report};

/// After the start, so that connecting is not counted as idling.
const SETTLE: Duration = Duration::from_secs(5);

/// Memory and CPU time of tunnel and guard over the same idle time.
pub(crate) fn measure(report: &mut Report, plan: &Plan, ours: &Ours) -> Result<()> {
    let exporter = peers::start_exporter()?;
    if exporter.is_none() {
        report
            .say("node-exporter is not installed (apt-get install prometheus-node-exporter): its column is empty.")?;
    }
    let idle = ours.start_idle_agent()?;
    let pids = idle.pids();
    std::thread::sleep(SETTLE);
    let cpu = || pids.iter().map(|pid| proc::cpu_seconds(*pid)).sum::<Result<f64>>();
    let (begun, before) = (Instant::now(), cpu()?);
    std::thread::sleep(plan.idle);
    let (took, used) = (begun.elapsed(), cpu()? - before);
    let memory = pids.iter().map(|pid| proc::pss_kib(*pid)).sum::<Result<f64>>()?;
    let theirs = exporter.map(|exporter| proc::pss_kib(exporter.pid())).transpose()?;
    report.add(&Figure {
        name: "footprint.agent.pss".to_owned(),
        ours: Some(memory),
        peer: Some(Beside { name: "node-exporter, idle after one scrape", value: theirs }),
        unit: "kB",
        aim: Aim::RatioAtMost(0.25),
        runs: "1; tunnel and guard".to_owned(),
    })?;
    report.add(&Figure {
        name: "footprint.agent.cpu".to_owned(),
        ours: Some(used / took.as_secs_f64() * 3600.0),
        peer: None,
        unit: "s/h",
        aim: Aim::AtMost(0.2),
        runs: format!("1 of {} s, extrapolated", took.as_secs()),
    })
}

/// Size of the file that is installed.
pub(crate) fn measure_binary(report: &mut Report, ours: &Ours) -> Result<()> {
    let bytes = u32::try_from(fs::metadata(ours.agent_program())?.len())?;
    report.add(&Figure {
        name: "footprint.agent.binary".to_owned(),
        ours: Some(f64::from(bytes) / 1e6),
        peer: None,
        unit: "MB",
        aim: Aim::AtMost(5.0),
        runs: ours.agent_kind().to_owned(),
    })
}
