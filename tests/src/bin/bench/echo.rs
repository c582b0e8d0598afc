//! `echo.*`: from a key to its echo, typed at our road and at ssh's in turn.
//!
//! Paced is what a typist feels: processors sleep between keys. Closed is what the software costs.

use anyhow::{Context as _, Result};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::console::{Console, Output, type_keys};
use crate::options::Plan;
use crate::ours::Ours;
use crate::peers::OpenSsh;
use crate::rawecho;
use crate::report::{Aim, Beside, Figure, Report};
use crate::stats::{median, percentile_us};

/// Figures of this group.
pub(crate) const NAMES: &[&str] = &[
    "echo.paced.p50",
    "echo.paced.p99",
    "echo.closed.p50",
    "echo.paced.p50.jump",
    "echo.paced.p99.jump",
    "echo.closed.p50.jump",
    BOUND,
];
/// The least that so many processes take to wake one another, whatever they do: what remains of the first figure when all
/// of our own work is taken away.
const BOUND: &str = "echo.paced.p50.bound";
/// Processes that a key wakes on our road: client, relay, tunnel, holder, the program, and all but it once more.
const WOKEN: usize = 9;
/// Between two keys of a fast typist with several fingers.
const PACE: Duration = Duration::from_millis(20);
/// Keys before the first that counts.
const WARM_UP: usize = 20;

/// What one session showed, in microseconds.
#[derive(Debug, Clone, Copy)]
struct Session {
    paced_p50: f64,
    paced_p99: f64,
    closed_p50: f64,
}

/// All sessions of one side.
type Side = Vec<Session>;

/// Takes the figures.
pub(crate) fn measure(report: &mut Report, plan: &Plan, ours: &Ours, ssh: Option<&OpenSsh>) -> Result<()> {
    let (mut us, mut direct, mut jump) = (Side::new(), Side::new(), Side::new());
    let echo = ours.bench_program();
    for _ in 0..plan.echo_runs {
        us.push(session(&ours.shell(), echo, plan).context("our side")?);
        if let Some(ssh) = ssh {
            direct.push(session(&ssh.direct(), echo, plan).context("ssh")?);
            jump.push(session(&ssh.through_jump(), echo, plan).context("ssh -J")?);
        }
    }
    let sides = [("", "openssh", &direct), (".jump", "openssh through a jump host", &jump)];
    for (suffix, peer, theirs) in sides {
        let paced = Aim::RatioAtMost(if suffix.is_empty() { 1.2 } else { 0.8 });
        let mut add = |name: &str, keys: usize, aim: Aim, of: fn(&Session) -> f64| {
            let middle = |side: &Side| median(&side.iter().map(of).collect::<Vec<_>>());
            report.add(&Figure {
                name: format!("echo.{name}{suffix}"),
                ours: middle(&us),
                peer: Some(Beside { name: peer, value: middle(theirs) }),
                unit: "us",
                aim,
                runs: format!("{} of {keys} keys", us.len()),
            })
        };
        add("paced.p50", plan.keys_paced, paced, |session| session.paced_p50)?;
        add("paced.p99", plan.keys_paced, Aim::Nothing, |session| session.paced_p99)?;
        add("closed.p50", plan.keys_closed, Aim::Nothing, |session| session.closed_p50)?;
    }
    let direct: Vec<f64> = direct.iter().map(|session| session.paced_p50).collect();
    if report.wants(BOUND) { measure_bound(report, plan, median(&direct)) } else { Ok(()) }
}

/// A chain of programs that only pass a key on, each woken by the one before.
fn measure_bound(report: &mut Report, plan: &Plan, direct: Option<f64>) -> Result<()> {
    let script = format!("stty raw -echo; printf 'READY\r\n'; exec {}", ["cat"; WOKEN].join(" | "));
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(script).env("PATH", "/usr/bin:/bin");
    let mut times = Vec::new();
    for _ in 0..plan.echo_runs {
        let mut console = Console::start(&command, Output::Terminal)?;
        console.wait_for(rawecho::READY)?;
        type_keys(&mut console, WARM_UP, PACE)?;
        let paced = type_keys(&mut console, plan.keys_paced, PACE)?;
        times.push(percentile_us(&paced, 50).context("no key was typed")?);
    }
    report.add(&Figure {
        name: BOUND.to_owned(),
        ours: median(&times),
        peer: Some(Beside { name: "openssh", value: direct }),
        unit: "us",
        aim: Aim::Nothing,
        runs: format!("{} of {} keys; a bare chain of {WOKEN} processes", times.len(), plan.keys_paced),
    })
}

/// A login shell that becomes the echo program; then keys.
fn session(command: &Command, echo: &Path, plan: &Plan) -> Result<Session> {
    let mut console = Console::start(command, Output::Terminal)?;
    console.wait_for_prompt()?;
    console.type_in(format!("exec '{}' rawecho\r", echo.display()).as_bytes())?;
    console.wait_for(rawecho::READY)?;
    type_keys(&mut console, WARM_UP, PACE)?;
    let paced = type_keys(&mut console, plan.keys_paced, PACE)?;
    let closed = type_keys(&mut console, plan.keys_closed, Duration::ZERO)?;
    console.finish(&[rawecho::END])?;
    let percentile = |times, percent| percentile_us(times, percent).context("no key was typed");
    Ok(Session {
        paced_p50: percentile(&paced, 50)?,
        paced_p99: percentile(&paced, 99)?,
        closed_p50: percentile(&closed, 50)?,
    })
}
