//! `checks.*`: what one look at this host costs, beside what people run today to learn the state of a server.
//!
//! The programs are taken in turn, never at once. It must leave nothing on the host: their logs and reports go to a folder
//! that goes away.

use anyhow::{Context as _, Result, bail};
use cloud_doctor_tests::process::{Seen, descendants, look};
use rustix::process::{Pid, WaitOptions, set_child_subreaper, waitpid};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::options::Plan;
use crate::ours::Ours;
use crate::proc;
use crate::report::{Aim, Beside, Figure, Report};
use crate::stats::median;

/// Figures of one whole run of `check`.
pub(crate) const COSTS: &[&str] = &["checks.all.cpu", "checks.all.memory"];
/// Figures beside others.
pub(crate) const PEERS: &[&str] = &["checks.vs_lynis", "checks.vs_sos"];

const LYNIS: &str = "/usr/sbin/lynis";
const SOS: &str = "/usr/bin/sos";
/// A peer that takes longer than this is not waited for.
const PATIENCE_SECS: &str = "600";
/// How often a run's memory is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// Processor time and memory of `check`, with everything that it starts.
pub(crate) fn measure(report: &mut Report, plan: &Plan, ours: &Ours) -> Result<()> {
    // A checker may end after who started it; what it used is then ours to be told.
    set_child_subreaper(Some(rustix::process::getpid()))?;
    let (mut cpu, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..plan.check_runs {
        let (used, peak) = look_at_one(check(ours))?;
        cpu.push(used * 1e3);
        memory.push(peak / 1e3);
    }
    let runs = format!("{}; `check`, supervisor and checkers", plan.check_runs);
    let figure = |name: &str, ours, unit, aim| {
        let runs = runs.clone();
        Figure { name: name.to_owned(), ours, peer: None, unit, aim: Aim::AtMost(aim), runs }
    };
    report.add(&figure(COSTS[0], median(&cpu), "ms", 300.0))?;
    report.add(&figure(COSTS[1], median(&memory), "MB", 40.0))
}

/// Every check, on this host.
fn check(ours: &Ours) -> Command {
    let mut command = Command::new(ours.agent_program());
    command.args(["check", "--json", "--all", "--lang", "en", "--state-dir"]).arg(ours.folder());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Seconds of processor time of a command and all that it starts, and the sum of their highest memory in kB.
fn look_at_one(mut command: Command) -> Result<(f64, f64)> {
    let before = proc::waited_cpu_seconds()?;
    let mut child = command.spawn().with_context(|| format!("{command:?}"))?;
    let mut peaks: BTreeMap<u32, f64> = BTreeMap::new();
    loop {
        let below = descendants(child.id());
        for pid in below.iter().map(|seen| seen.pid).chain([child.id()]) {
            // One that has just ended tells nothing.
            if let Ok(peak) = proc::peak_rss_kib(pid) {
                peaks.insert(pid, peak);
            }
        }
        if child.try_wait()?.is_some() {
            break;
        }
        std::thread::sleep(LOOK);
    }
    for pid in peaks.keys().filter(|pid| **pid != child.id()) {
        bury(*pid)?;
    }
    Ok((proc::waited_cpu_seconds()? - before, peaks.values().sum()))
}

/// Waits for a process that has become ours.
fn bury(pid: u32) -> Result<()> {
    let is_ours = |seen: Seen| seen.parent == std::process::id();
    if look(pid).is_some_and(is_ours) {
        let id = i32::try_from(pid).ok().and_then(Pid::from_raw);
        waitpid(id, WaitOptions::empty())?;
    }
    Ok(())
}

/// Wall time beside lynis and sos.
pub(crate) fn measure_beside(report: &mut Report, plan: &Plan, ours: &Ours) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("cd-peer-").tempdir_in("/tmp")?;
    let path = |name: &str| folder.path().join(name);
    let mut lynis = peer(LYNIS, &["audit", "system", "--quick", "--no-colors", "--log-file"]);
    lynis.arg(path("lynis.log")).arg("--report-file").arg(path("lynis.dat"));
    let mut sos = peer(SOS, &["report", "--batch", "--tmp-dir"]);
    sos.arg(folder.path());
    // The second takes minutes.
    for (name, program, package, mut command, runs) in
        [(PEERS[0], LYNIS, "lynis", lynis, plan.check_runs.min(3)), (PEERS[1], SOS, "sosreport", sos, 1)]
    {
        if !report.wants(name) {
            continue;
        }
        let is_there = Path::new(program).exists();
        if !is_there {
            report.say(&format!("{package} is not installed (apt-get install {package}): its column is empty."))?;
        }
        let (mut mine, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..runs {
            mine.push(timed(&mut check(ours))?);
            if is_there {
                theirs.push(timed(&mut command).with_context(|| package.to_owned()));
            }
        }
        let theirs: Result<Vec<_>> = theirs.into_iter().collect();
        if let Err(error) = &theirs {
            report.say(&format!("{error:#}: its column is empty."))?;
        }
        let value = median(&theirs.unwrap_or_default());
        report.add(&Figure {
            name: name.to_owned(),
            ours: median(&mine),
            peer: Some(Beside {
                name: if name == PEERS[0] { "lynis audit system --quick" } else { "sos report --batch" },
                value,
            }),
            unit: "s",
            aim: Aim::RatioAtMost(0.1),
            runs: format!("{runs} in turn"),
        })?;
    }
    // What they have written may be large.
    Ok(fs::remove_dir_all(folder.path())?)
}

/// A program that is ended, with all that it has started, when it takes too long.
fn peer(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("/usr/bin/timeout");
    command.args([PATIENCE_SECS, program]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Seconds until the end. What is found is no failure: 1 and more tell only that something was.
fn timed(command: &mut Command) -> Result<f64> {
    let begun = Instant::now();
    let status = command.status().with_context(|| format!("{command:?}"))?;
    // timeout(1) uses these when it ends a program, or cannot start it.
    if status.code().is_none_or(|code| code >= 124) {
        bail!("did not run to its end within {PATIENCE_SECS} s ({status})");
    }
    Ok(begun.elapsed().as_secs_f64())
}
