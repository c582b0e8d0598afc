//! `cloud-doctor-fleet`: agents that do not exist, against a relay of one's own or a given one, to see what it bears.
//!
//! It prints what the fleet does each second and ends with Ctrl-C. Never: a relay that was not asked for by its pin.

#![expect(clippy::print_stdout, reason = "a program that shows what it does")]

mod kept;
mod options;

use anyhow::{Context as _, Result, bail};
use cloud_doctor_proto::control::TrustHead;
use cloud_doctor_proto::token::Token;
use cloud_doctor_tests::fleet::{Enrolment, Fleet, Plan, Simulated, enrol, rows};
use cloud_doctor_tests::own_relay::{ACCOUNT, OwnRelay, PASSWORD};
use cloud_doctor_tests::people::random;
use kept::Kept;
use options::{Options, Relay, USAGE};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs;
use std::io::{IsTerminal as _, Write as _, stdout};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

/// Descriptors besides sockets: output, the runtime, its own relay's files.
const DESCRIPTORS: u64 = 128;
/// Agents that share a socket on this machine's loopback; twice as many sockets live while a fleet churns.
const AGENTS_PER_SOCKET: u64 = 50;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match Options::parse(&arguments).and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cloud-doctor-fleet: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    make_room(options)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (plan, agents, own) = match &options.relay {
        Relay::Own { programs } => own(options, programs)?,
        Relay::Given { .. } => given(options, &runtime)?,
    };
    let mut fleet = Fleet::new(plan, &options.mix, agents)?;
    fleet.start(fleet.len());
    runtime.block_on(show(options, &fleet))?;
    drop(fleet);
    drop(own);
    Ok(())
}

/// As many descriptors as the fleet needs, if this user may have them.
fn make_room(options: &Options) -> Result<()> {
    let needed = DESCRIPTORS + u64::try_from(options.agents)?.div_ceil(AGENTS_PER_SOCKET);
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if limit.maximum.is_some_and(|most| most < needed) {
        let most = limit.maximum.unwrap_or_default();
        bail!(
            "{} agents need {needed} descriptors and this shell allows {most}: type `ulimit -Hn {needed}` as root before, \
             or take fewer agents",
            options.agents
        );
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum: limit.maximum })
        .with_context(|| format!("the limit of descriptors cannot be raised: type `ulimit -n {needed}` before"))
}

/// A relay that is started for this fleet, which is written into its database.
fn own(options: &Options, programs: &std::path::Path) -> Result<(Plan, Vec<Simulated>, Option<OwnRelay>)> {
    for name in ["cloud-doctor-relay", "cloud-doctor"] {
        let program = programs.join(name);
        if !program.is_file() {
            bail!("there is no {}: build it (`make relay`), or say where it is with --programs", program.display());
        }
    }
    let relay = OwnRelay::start(programs, "[limits]\nopens_per_minute = 100000\n")?;
    let customer = rows::customer(&relay.database())?;
    let agents = Simulated::fleet(&random(), options.agents, &options.mix, customer.tenant);
    rows::enter(&relay.database(), &customer, &agents)?;
    let plan = planned(options, relay.address()?, customer.trust);
    if !options.json {
        println!("relay    {} (process {}), account {ACCOUNT:?}, password {PASSWORD:?}", relay.clients, relay.pid());
        println!("It goes away with this program, with all that it keeps.");
    }
    Ok((plan, agents, Some(relay)))
}

/// A relay that somebody runs: agents are enrolled there, unless they were before.
fn given(options: &Options, runtime: &Runtime) -> Result<(Plan, Vec<Simulated>, Option<OwnRelay>)> {
    let Relay::Given { address, pin, token } = &options.relay else { bail!("{USAGE}") };
    let relay = resolve(address)?;
    let kept = options.keep.as_deref().map(Kept::read).transpose()?.flatten();
    let (agents, trust) = match (kept, token) {
        (Some(kept), _) => (kept.agents(options)?, kept.trust),
        (None, None) => {
            bail!("a new fleet needs an install token: --token-file FILE (cloud-doctor tenant token --max N)")
        }
        (None, Some(file)) => {
            let line = fs::read_to_string(file).with_context(|| file.display().to_string())?;
            let token = Token::parse(&line).with_context(|| file.display().to_string())?;
            let (seed, tenant) = (random(), token.tenant);
            let agents = Simulated::fleet(&seed, options.agents, &options.mix, tenant);
            let to = Enrolment { relay, pins: vec![*pin], token };
            let trust = runtime.block_on(enrol(&to, &agents, |done| enrolled(options, done)))?;
            if let Some(file) = &options.keep {
                Kept { seed, agents: options.agents, tenant, trust }.write(file)?;
            }
            (agents, trust)
        }
    };
    let plan = Plan { pins: vec![*pin], ..planned(options, relay, trust) };
    Ok((plan, agents, None))
}

fn enrolled(options: &Options, done: usize) {
    if !options.json && stdout().is_terminal() {
        print!("\renrolled {done} of {}", options.agents);
        if done == options.agents {
            println!();
        }
        drop(stdout().flush());
    }
}

fn planned(options: &Options, relay: SocketAddr, trust: TrustHead) -> Plan {
    let plan = Plan::new(relay, trust);
    let per_second = options.per_second.unwrap_or(plan.per_second);
    Plan { checks: options.checks, series: options.series, per_second, ..plan }
}

fn resolve(address: &str) -> Result<SocketAddr> {
    let name = address.strip_prefix("quic://").unwrap_or(address);
    let found = name.to_socket_addrs().with_context(|| format!("{address}: write it as quic://NAME:PORT"))?;
    { found }.next().with_context(|| format!("{address}: no such host"))
}

/// Shows what the fleet does until its time is over or somebody ends it.
async fn show(options: &Options, fleet: &Fleet) -> Result<()> {
    let begun = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    loop {
        let over = tokio::select! {
            biased;
            _ = interrupt.recv() => true,
            _ = terminate.recv() => true,
            _ = ticks.tick() => options.duration.is_some_and(|duration| begun.elapsed() >= duration),
        };
        tell(options, fleet, begun.elapsed(), over)?;
        if over {
            return Ok(());
        }
    }
}

fn tell(options: &Options, fleet: &Fleet, since: Duration, over: bool) -> Result<()> {
    let counts = fleet.counts();
    let mut out = stdout().lock();
    if options.json {
        let line = serde_json::json!({
            "schema": "cloud-doctor/fleet/v1", "seconds": since.as_secs(), "over": over, "agents": fleet.len(),
            "present": fleet.present(), "counts": counts, "trouble": fleet.trouble(),
        });
        writeln!(out, "{line}")?;
        return Ok(out.flush()?);
    }
    let line = format!(
        "{:>5} s  connected {} of {}  handshakes {} (failed {}, lost {})  asked {}: {} reports, {} silent, {} lies  \
         watched {}, samples {}, summaries {}",
        since.as_secs(),
        counts.connected,
        fleet.present(),
        counts.handshakes,
        counts.failed,
        counts.lost,
        counts.asked,
        counts.reports,
        counts.unanswered,
        counts.garbage,
        counts.live,
        counts.samples,
        counts.summaries,
    );
    if stdout().is_terminal() && !over {
        write!(out, "\r\x1b[K{line}")?;
    } else {
        writeln!(out, "{}{line}", if stdout().is_terminal() { "\r\x1b[K" } else { "" })?;
    }
    if let Some(why) = fleet.trouble().filter(|_| over) {
        writeln!(out, "The last agent that was not let in, or was cut off: {why}")?;
    }
    Ok(out.flush()?)
}
