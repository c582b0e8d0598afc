//! `metrics.agent.*` and `history.*`: what sampling this host each second costs, beside node-exporter scraped each second and
//! netdata, and how small and quick the history is.
//!
//! The history is measured with the agent's own source files, built into this program, because the agent offers nobody
//! fourteen days in a moment. What is put into it are real values of this host.

#[path = "../../../../agent/src/metrics/catalog.rs"]
#[allow(dead_code, reason = "of the agent's room the bench uses what it measures")]
mod catalog;
#[path = "../../../../agent/src/metrics/clock.rs"]
#[allow(dead_code, reason = "of the agent's room the bench uses what it measures")]
mod clock;
#[path = "../../../../agent/src/metrics/history/mod.rs"]
#[allow(dead_code, clippy::disallowed_methods, reason = "of the agent's room the bench uses what it measures")]
mod history;
#[path = "../../../../agent/src/metrics/kept.rs"]
#[allow(dead_code, reason = "of the agent's room the bench uses what it measures")]
mod kept;
#[path = "../../../../agent/src/metrics/parse.rs"]
#[allow(dead_code, reason = "of the agent's room the bench uses what it measures")]
mod parse;
#[path = "../../../../agent/src/metrics/slow.rs"]
#[allow(dead_code, clippy::disallowed_methods, reason = "of the agent's room the bench uses what it measures")]
mod slow;
#[path = "../../../../agent/src/metrics/source/mod.rs"]
#[allow(dead_code, clippy::disallowed_methods, reason = "of the agent's room the bench uses what it measures")]
mod source;
#[path = "../../../../agent/src/metrics/table.rs"]
#[allow(dead_code, reason = "of the agent's room the bench uses what it measures")]
mod table;

use anyhow::{Context as _, Result};
use clock::Moment;
use cloud_doctor_proto::metrics::RangeRequest;
use cloud_doctor_tests::process::descendants;
use history::{Answer, History};
use kept::Buffer;
use rustix::time::{ClockId, clock_gettime};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};
use table::Table;

use crate::options::Plan;
use crate::ours::Ours;
use crate::peers::{self, Exporter};
use crate::proc;
use crate::report::{Aim, Beside, Figure, Report};
use crate::stats::median;

/// Figures of sampling.
pub(crate) const NAMES: &[&str] =
    &["metrics.agent.cpu", "metrics.agent.cpu.alone", "metrics.agent.cpu.bound", "metrics.agent.pss"];
/// Figures of the history.
pub(crate) const HISTORY: &[&str] = &["history.bytes_per_point", "history.range_14d"];

/// After the start, so that connecting is not counted as sampling.
const SETTLE: Duration = Duration::from_secs(10);
/// What the sampler reads each second while nobody looks.
const EACH_SECOND: [&str; 7] = [
    "/proc/stat",
    "/proc/pressure/cpu",
    "/proc/pressure/memory",
    "/proc/pressure/io",
    "/proc/meminfo",
    "/proc/diskstats",
    "/proc/net/dev",
];
/// Real seconds that are recorded, and played again until fourteen days are full.
const RECORDED: usize = 120;
const DAYS: u64 = 14;

/// The tunnel, which samples, beside the others over the same time.
pub(crate) fn measure(report: &mut Report, plan: &Plan, ours: &Ours) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("cd-netdata-").tempdir_in("/tmp")?;
    let (exporter, netdata) = (peers::start_exporter()?, peers::start_netdata(folder.path())?);
    for (is_there, package) in [(exporter.is_some(), "prometheus-node-exporter"), (netdata.is_some(), "netdata-core")] {
        if !is_there {
            report.say(&format!("{package} is not installed (apt-get install {package}): its column is empty."))?;
        }
    }
    let idle = ours.start_idle_agent()?;
    let [_guard, tunnel] = idle.pids();
    std::thread::sleep(SETTLE);
    let exporter_cpu = || exporter.as_ref().map(|exporter| proc::cpu_seconds(exporter.pid())).transpose();
    let (begun, before, theirs) = (Instant::now(), proc::cpu_seconds(tunnel)?, exporter_cpu()?);
    let bare = std::thread::scope(|scope| {
        let bare = scope.spawn(|| read_each_second(begun, plan.idle));
        scrape(exporter.as_ref(), begun, plan.idle)?;
        Ok::<_, anyhow::Error>(bare.join().expect("it reads and does nothing else"))
    })?;
    let hours = begun.elapsed().as_secs_f64() / 3_600.0;
    let used = (proc::cpu_seconds(tunnel)? - before) / hours;
    let theirs = exporter_cpu()?.zip(theirs).map(|(now, before)| (now - before) / hours);
    let runs = format!("1 of {} s, extrapolated; the whole tunnel", plan.idle.as_secs());
    let figure = |name: &str, ours, peer, unit, aim| Figure {
        name: name.to_owned(),
        ours: Some(ours),
        peer,
        unit,
        aim,
        runs: runs.clone(),
    };
    let beside = Beside { name: "node-exporter scraped each second", value: theirs };
    report.add(&figure(NAMES[0], used, Some(beside), "s/h", Aim::RatioAtMost(0.1)))?;
    report.add(&figure(NAMES[1], used, None, "s/h", Aim::AtMost(0.5)))?;
    let bound = figure(NAMES[2], bare? / hours, None, "s/h", Aim::Nothing);
    let runs = format!("1 of {} s, extrapolated; a bare loop that only reads the files", plan.idle.as_secs());
    report.add(&Figure { runs, ..bound })?;
    let memory = netdata.map(|netdata| {
        let below = descendants(netdata.pid()).into_iter().map(|seen| seen.pid);
        // What has just ended has no memory.
        below.chain([netdata.pid()]).filter_map(|pid| proc::pss_kib(pid).ok()).sum()
    });
    let beside = Beside { name: "netdata with its plugins", value: memory };
    report.add(&figure(NAMES[3], proc::pss_kib(tunnel)?, Some(beside), "kB", Aim::RatioAtMost(0.1)))
}

/// Reads the files that the sampler reads, as cheaply as the kernel gives them, and does nothing with them; returns the
/// thread's seconds of processor time. A second of history for an hour costs no less.
fn read_each_second(begun: Instant, time: Duration) -> Result<f64> {
    let files = EACH_SECOND.iter().filter_map(|path| std::fs::File::open(path).ok()).collect::<Vec<_>>();
    let used = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime));
    let (before, mut buffer, mut next) = (used()?, vec![0; 64 << 10], begun);
    while begun.elapsed() < time {
        for file in &files {
            file.read_at(&mut buffer, 0)?;
        }
        next += Duration::from_secs(1);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok((used()? - before).as_secs_f64())
}

/// Lets the time pass; node-exporter is asked each second.
fn scrape(exporter: Option<&Exporter>, begun: Instant, time: Duration) -> Result<()> {
    let mut next = begun;
    while begun.elapsed() < time {
        exporter.map(Exporter::scrape).transpose()?;
        next += Duration::from_secs(1);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

/// This host, sampled as the agent does it.
struct Host {
    table: Table,
    buffer: Buffer,
    cpu: source::cpu::Cpu,
    pressure: source::cpu::Pressure,
    memory: source::memory::Memory,
    disks: source::disks::Disks,
    network: source::network::Network,
    protocols: source::protocols::Protocols,
    services: source::services::Services,
    slow: slow::Slow,
}

impl Host {
    fn new() -> Self {
        let (mut table, root) = (Table::default(), Path::new("/"));
        Self {
            cpu: source::cpu::Cpu::new(root, &mut table),
            pressure: source::cpu::Pressure::new(root, &mut table),
            memory: source::memory::Memory::new(root, &mut table),
            disks: source::disks::Disks::new(root, &mut table),
            network: source::network::Network::new(root, &mut table),
            protocols: source::protocols::Protocols::new(root, &mut table),
            services: source::services::Services::new(root),
            slow: slow::Slow::new(root, &mut table),
            buffer: Buffer::default(),
            table,
        }
    }

    fn sample(&mut self, now: Moment, elapsed: u64) {
        let (table, buffer) = (&mut self.table, &mut self.buffer);
        table.begin(true);
        self.cpu.sample(table, buffer, now.boot, 1);
        self.pressure.sample(table, buffer, elapsed);
        self.memory.sample(table, buffer, 1);
        self.disks.sample(table, buffer, elapsed);
        self.network.sample(table, buffer);
        self.protocols.sample(table, buffer, 1);
        self.services.sample(table, buffer, now.boot);
        self.slow.sample(table, true);
    }
}

/// Fourteen days of this host, packed, and one series of them read.
pub(crate) fn measure_history(report: &mut Report) -> Result<()> {
    let mut host = Host::new();
    let mut recorded = Vec::new();
    let (mut begun, mut before) = (Instant::now(), clock::now());
    for _ in 0..RECORDED {
        let now = clock::now();
        host.sample(now, now.boot - before.boot);
        recorded.push(host.table.values.to_vec());
        before = now;
        begun += Duration::from_secs(1);
        std::thread::sleep(begun.saturating_duration_since(Instant::now()));
    }
    // The first one has no counters.
    recorded.remove(0);
    let folder = tempfile::Builder::new().prefix("cd-history-").tempdir_in("/tmp")?;
    let history = History::new(folder.path());
    history.find();
    let end = play(&history, &mut host.table, &recorded, before);
    let known = recorded.iter().flatten().filter(|value| value.is_finite()).count() / recorded.len();
    let [seconds, tens] = ["1s-", "10s-"].map(|tier| bytes(folder.path(), tier));
    let [fine, coarse] = points(known)?;
    let (seconds, tens) = (seconds?, tens?);
    let runs = format!(
        "{RECORDED} s of this host, {known} series, played for {DAYS} days; seconds {:.2}, tens of seconds {:.2} bytes",
        seconds / fine,
        tens / coarse
    );
    let figure =
        |name: &str, ours, unit, aim| Figure { name: name.into(), ours, peer: None, unit, aim, runs: runs.clone() };
    report.add(&figure(HISTORY[0], Some((seconds + tens) / (fine + coarse)), "bytes", Aim::AtMost(1.5)))?;
    let name = "system.cpu.utilization".to_owned();
    let request = RangeRequest { from: end - DAYS * 86_400_000, to: end, points: 2_000, names: vec![name] };
    let mut times = Vec::new();
    for _ in 0..11 {
        let (begun, mut series) = (Instant::now(), 0.0);
        history.range(&request, &mut |answer| {
            series += f64::from(u8::from(matches!(answer, Answer::Range(_))));
            true
        });
        times.push(begun.elapsed().as_secs_f64() * 1e3 / series);
    }
    report.add(&figure(HISTORY[1], median(&times), "ms", Aim::AtMost(50.0)))
}

/// Plays the recorded seconds until the days are full; the last moment.
fn play(history: &History, table: &mut Table, recorded: &[Vec<f32>], began: Moment) -> u64 {
    let mut now = began;
    // Pieces of different length come after one another, so that no hour is like the one before.
    let mut place = 0;
    for second in 0..DAYS * 86_400 {
        place = if second % 47 == 0 { (place * 7 + 13) % recorded.len() } else { (place + 1) % recorded.len() };
        table.values.clone_from(&recorded[place]);
        history.push(table, now, 1_000_000);
        now = Moment { wall: now.wall + 1_000, boot: now.boot + 1_000_000 };
    }
    history.flush();
    now.wall
}

/// Bytes of all files of a tier.
fn bytes(folder: &Path, tier: &str) -> Result<f64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(tier) {
            bytes += entry.metadata()?.len();
        }
    }
    exact(bytes)
}

/// Points of both tiers: one of ten seconds, with its three values, is one.
fn points(series: usize) -> Result<[f64; 2]> {
    let series = u64::try_from(series)?;
    Ok([exact(series * 2 * 3_600)?, exact(series * DAYS * 8_640)?])
}

fn exact(number: u64) -> Result<f64> {
    u32::try_from(number).map(f64::from).context("far less than 4 GB")
}
