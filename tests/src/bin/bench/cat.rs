//! `cat.*`: 100 MB of text shown by the remote terminal, how fast and at what cost in memory.
//!
//! The clients write into a pipe that this program empties, so both acknowledge as fast as they can and neither waits
//! for a second terminal; `cat.throughput.terminal` is the same with a terminal at this end as well.

use anyhow::{Context as _, Result};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::console::{Console, Output};
use crate::options::Plan;
use crate::ours::Ours;
use crate::peers::OpenSsh;
use crate::proc;
use crate::report::{Aim, Beside, Figure, Report};
use crate::stats::median;

/// Figures of [`measure`].
pub(crate) const NAMES: &[&str] = &["cat.throughput", "cat.throughput.terminal", BOUND];
/// What a terminal of this machine gives whoever reads it with nothing in between: no road carries more.
const BOUND: &str = "cat.throughput.bound";
/// Figures of [`measure_memory`].
pub(crate) const MEMORY_NAMES: &[&str] =
    &["cat.memory.relay", "cat.memory.tunnel", "cat.memory.guard", "cat.memory.holder", "cat.memory.client"];
/// Size of the text; the terminal adds a carriage return to each line.
const TEXT_BYTES: usize = 100_000_000;
/// Shown before, so that buffers and the byte log have their size when the growth is measured.
const WARM_UP_BYTES: usize = 20_000_000;
/// What tells the end of the text from the command line that asks for it.
pub(crate) const MARK: &str = "text-ends-here";
/// A process that has not grown by more than this is flat: the windows of one connection, full now and empty before.
const FLAT_KIB: f64 = 2048.0;

/// Two files of text.
#[derive(Debug)]
pub(crate) struct Texts {
    warm_up: PathBuf,
    /// 100 MB.
    pub(crate) whole: PathBuf,
}

/// Takes the throughput.
pub(crate) fn measure(report: &mut Report, plan: &Plan, ours: &Ours, ssh: Option<&OpenSsh>) -> Result<()> {
    let texts = Texts::write(ours.folder())?;
    let views = [
        ("cat.throughput", Output::Pipe, Aim::RatioAtLeast(1.5)),
        ("cat.throughput.terminal", Output::Terminal, Aim::Nothing),
    ];
    let mut local = Command::new("/bin/bash");
    local.arg("--norc").env("TERM", "xterm-256color");
    let bound = (BOUND, Output::Terminal, Aim::Nothing);
    for (name, output, aim) in views.into_iter().chain([bound]) {
        if !report.wants(name) {
            continue;
        }
        let mine = if name == BOUND { &local } else { &ours.shell() };
        let (mut us, mut them) = (Vec::new(), Vec::new());
        for _ in 0..plan.cat_runs {
            us.push(megabytes_per_second(mine, output, &texts.whole).context("our side")?);
            if let Some(ssh) = ssh {
                them.push(megabytes_per_second(&ssh.direct(), output, &texts.whole).context("ssh")?);
            }
        }
        report.add(&Figure {
            name: name.to_owned(),
            ours: median(&us),
            peer: Some(Beside { name: "openssh", value: median(&them) }),
            unit: "MB/s",
            aim,
            runs: us.len().to_string(),
        })?;
    }
    Ok(())
}

/// Takes the memory: what each process grew by at most while the text was shown, after a shorter one was.
pub(crate) fn measure_memory(report: &mut Report, ours: &Ours) -> Result<()> {
    let texts = Texts::write(ours.folder())?;
    let mut console = Console::start(&ours.shell(), Output::Pipe)?;
    console.wait_for_prompt()?;
    show(&mut console, &texts.warm_up)?;
    let mut processes = ours.processes()?;
    processes.push(("client", console.pid()));
    let mut before = Vec::new();
    for (_, pid) in &processes {
        proc::forget_peak(*pid)?;
        before.push(proc::rss_kib(*pid)?);
    }
    show(&mut console, &texts.whole)?;
    for ((name, pid), before) in processes.into_iter().zip(before) {
        let grown = proc::peak_rss_kib(pid)? - before;
        report.add(&Figure {
            name: format!("cat.memory.{name}"),
            ours: Some(grown.max(0.0)),
            peer: None,
            unit: "kB",
            aim: Aim::AtMost(FLAT_KIB),
            runs: format!("1; from {before} kB resident"),
        })?;
    }
    console.finish(b"exit\r")
}

fn megabytes_per_second(command: &Command, output: Output, text: &Path) -> Result<f64> {
    let mut console = Console::start(command, output)?;
    console.wait_for_prompt()?;
    let (bytes, took) = show(&mut console, text)?;
    console.finish(b"exit\r")?;
    Ok(f64::from(u32::try_from(bytes).context("the text has about 100 MB")?) / 1e6 / took.as_secs_f64())
}

/// Has a text shown; returns how many bytes came and in which time.
fn show(console: &mut Console, text: &Path) -> Result<(usize, Duration)> {
    console.type_in(format!("cat '{}'\r", text.display()).as_bytes())?;
    let begun = Instant::now();
    let (bytes, ended) = console.count_until(MARK.as_bytes())?;
    Ok((bytes, ended - begun))
}

impl Texts {
    /// Writes both into a folder.
    pub(crate) fn write(folder: &Path) -> Result<Self> {
        let texts = Self { warm_up: folder.join("text-20-mb"), whole: folder.join("text-100-mb") };
        write_text(&texts.warm_up, WARM_UP_BYTES)?;
        write_text(&texts.whole, TEXT_BYTES)?;
        Ok(texts)
    }
}

/// Lines as a log has them, of different lengths, with the mark as the last.
fn write_text(path: &Path, size: usize) -> Result<()> {
    const LINE: &str =
        "warn load balancer 10.0.3.4 health check interval 300 s target lb-7 GET /api/v1/status 200 in 12 ms ";
    let mut file = BufWriter::new(File::create(path).with_context(|| path.display().to_string())?);
    let mut written = 0;
    for number in 0_usize.. {
        let line = &LINE[..20 + number * 37 % 80];
        written += line.len() + 1;
        writeln!(file, "{line}")?;
        if written >= size {
            break;
        }
    }
    file.write_all(MARK.as_bytes())?;
    file.write_all(b"\n")?;
    Ok(file.flush()?)
}
