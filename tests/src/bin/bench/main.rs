//! `make bench`: figures of the product beside what people use today, taken in turn on one machine.
//!
//! It builds what it measures, says what is missing, and fails on no time. Never: a number that was not measured.

mod browser;
mod cat;
mod checks;
mod console;
mod echo;
mod footprint;
mod forecast;
mod formula;
mod metrics;
mod options;
mod ours;
mod peers;
mod place;
mod proc;
mod programs;
mod prompt;
mod rawecho;
mod relay;
mod report;
mod scans;
mod stats;
mod watched;

use anyhow::{Context as _, Result, ensure};
use options::{Options, Plan};
use ours::Ours;
use peers::OpenSsh;
use place::Place;
use report::Report;
use std::path::PathBuf;

/// Takes one group of figures.
type Measure = fn(&mut Report, &Plan, &Ours, Option<&OpenSsh>) -> Result<()>;

/// Groups by the figures that they take. Each runs only when one of them is asked for.
const GROUPS: &[(&[&str], Measure)] = &[
    (&["footprint.agent.binary"], |report, _, ours, _| footprint::measure_binary(report, ours)),
    (&["footprint.agent.pss", "footprint.agent.cpu"], |report, plan, ours, _| footprint::measure(report, plan, ours)),
    (echo::NAMES, echo::measure),
    (&["prompt.cold"], prompt::measure),
    (cat::NAMES, cat::measure),
    (cat::MEMORY_NAMES, |report, _, ours, _| cat::measure_memory(report, ours)),
    (browser::SIZES, |report, _, _, _| browser::measure_sizes(report)),
    (browser::NAMES, |report, plan, ours, _| browser::measure(report, plan, ours)),
    (checks::COSTS, |report, plan, ours, _| checks::measure(report, plan, ours)),
    (checks::PEERS, |report, plan, ours, _| checks::measure_beside(report, plan, ours)),
    (formula::NAMES, |report, plan, ours, _| formula::measure(report, plan, ours)),
    (forecast::NAMES, |report, _, _, _| forecast::measure(report)),
    (metrics::NAMES, |report, plan, ours, _| metrics::measure(report, plan, ours)),
    (metrics::HISTORY, |report, _, _, _| metrics::measure_history(report)),
    (relay::NAMES, |report, plan, ours, _| relay::measure(report, plan, ours)),
    (watched::NAMES, |report, plan, ours, _| watched::measure(report, plan, ours)),
    (scans::NAMES, |report, plan, ours, _| scans::measure(report, plan, ours)),
];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("rawecho") => rawecho::run(),
        Some(place::INSIDE) => {
            let (place, rest) = Place::parse(&arguments[1..])?;
            measure(&place, &Options::parse(rest)?)
        }
        Some(_) | None => {
            Options::parse(&arguments)?;
            place::go(&programs::build(&target()?)?, &arguments)
        }
    }
}

/// Takes what was asked for, group by group; one that fails leaves the others alone.
fn measure(place: &Place, options: &Options) -> Result<()> {
    let mut report = Report::begin(&target()?.join("bench/results.jsonl"), &options.only)?;
    if !place.agent_is_static {
        report.say("musl-gcc or Rust's musl target is missing: the agent is not the static file that is shipped.")?;
    }
    if !place.files_hidden {
        report.say("This user's shell start-up files cannot be hidden: both sides pay for them in prompt.cold.")?;
    }
    let ssh = OpenSsh::start()?;
    if ssh.is_none() {
        report.say("openssh-server is not installed (apt-get install openssh-server): its columns are empty.")?;
    }
    let ours = Ours::start(place)?;
    for (names, group) in GROUPS {
        if !names.iter().any(|name| report.wants(name)) {
            continue;
        }
        if let Err(error) = group(&mut report, &options.plan, &ours, ssh.as_ref()) {
            report.not_taken(names, &error)?;
        }
    }
    let untaken = report.untaken();
    ensure!(untaken.is_empty(), "not measured: {}", untaken.join(", "));
    Ok(())
}

/// `target`, from the place of this program in `target/release`.
fn target() -> Result<PathBuf> {
    let exe = std::env::current_exe()?;
    Ok(exe.parent().and_then(std::path::Path::parent).context("cargo put this program below target")?.to_owned())
}
