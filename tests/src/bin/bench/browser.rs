//! Figures of the console: what a browser fetches, and keys, texts and first prompts in a real Chromium, beside the
//! terminal page that one writes in an afternoon (node-pty, ws, xterm.js of the same version; its packages lie below
//! `target`). What is timed is in `relay/web/e2e-browser/figures.mjs`.

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::cat::{MARK, Texts};
use crate::options::Plan;
use crate::ours::Ours;
use crate::report::{Aim, Beside, Figure, Report};
use crate::stats::median;
use cloud_doctor_tests::children::run;

/// What is fetched.
pub(crate) const SIZES: &[&str] = &["console.first_load.kb", "console.terminal.kb"];
/// What is timed.
pub(crate) const NAMES: &[&str] = &[
    "echo.browser.paced.p50",
    "echo.browser.paced.p99",
    "echo.browser.answered.p50",
    "cat.browser",
    "cat.browser.gap",
    "interrupt.browser",
    "console.click_to_prompt",
];
/// The peer's name in the report.
const PEER: &str = "node-pty, ws, xterm.js";
const NODE_PTY: &str = "1.1.0";
/// A page that draws this often is one that answers, in milliseconds: what RAIL has for the answer to an input
/// (<https://web.dev/articles/rail>).
const GAP_MS: f64 = 100.0;
/// A Ctrl-C is told to the program this much later at most, in milliseconds; the round trip, here a few, is counted in.
const INTERRUPT_MS: f64 = 50.0;

/// What was measured on both sides: what each run said.
#[derive(Debug, Deserialize)]
struct Sides<T> {
    ours: Vec<T>,
    peer: Vec<T>,
}

/// One text.
#[derive(Debug, Deserialize)]
struct Shown {
    ms: f64,
    #[serde(rename = "gapMs")]
    gap_ms: f64,
}

/// All that a browser measured, in milliseconds.
#[derive(Debug, Deserialize)]
struct Measured {
    echo: Option<Sides<Vec<f64>>>,
    answered: Option<Sides<Vec<f64>>>,
    cat: Option<Sides<Shown>>,
    interrupt: Option<Sides<f64>>,
    prompt: Option<Sides<f64>>,
    cols: u16,
    rows: u16,
}

/// Takes the sizes.
pub(crate) fn measure_sizes(report: &mut Report) -> Result<()> {
    let said = run(node()?.args(["size.mjs", "--json"]))?;
    let sizes: Value = serde_json::from_str(&said)?;
    for (name, key, aim) in [(SIZES[0], "first", 90.0), (SIZES[1], "whole", 200.0)] {
        let ours = Some(sizes[key].as_f64().context("size.mjs says numbers")?);
        let (unit, aim, runs) = ("kB", Aim::AtMost(aim), "gzipped, fonts apart".to_owned());
        report.add(&Figure { name: name.to_owned(), ours, peer: None, unit, aim, runs })?;
    }
    Ok(())
}

/// Takes the times that were asked for.
pub(crate) fn measure(report: &mut Report, plan: &Plan, ours: &Ours) -> Result<()> {
    let peer = Peer::start(ours)?;
    let wanted = [
        ("echo", &NAMES[..2]),
        ("answered", &NAMES[2..3]),
        ("cat", &NAMES[3..5]),
        ("interrupt", &NAMES[5..6]),
        ("prompt", &NAMES[6..]),
    ];
    let wanted = wanted.into_iter().filter(|(_, names)| names.iter().any(|name| report.wants(name)));
    let figures: Vec<&str> = wanted.map(|(what, _)| what).collect();
    let text = if figures.contains(&"cat") { Texts::write(ours.folder())?.whole } else { PathBuf::new() };
    let visitor = ours.visitor()?;
    let [echo_runs, keys] = plan.browser_echo;
    let settings = json!({
        "figures": figures, "url": visitor.url, "account": visitor.account, "password": visitor.password,
        "words": visitor.words, "user": visitor.user, "reason": "measuring", "peer": peer.url,
        "echo": ours.bench_program(), "echoRuns": echo_runs, "keys": keys,
        "text": text, "mark": MARK, "catRuns": plan.browser_runs, "promptRuns": 2 * plan.browser_runs,
    });
    let measured = drive(ours, &settings)?;
    add_echo(report, &measured, keys)?;
    add_cat(report, &measured)?;
    add_interrupt(report, &measured)?;
    add_prompt(report, &measured)
}

fn add_echo(report: &mut Report, measured: &Measured, keys: usize) -> Result<()> {
    for (sides, name, percent, aim) in [
        (&measured.echo, NAMES[0], 50, Aim::RatioAtMost(1.0)),
        (&measured.echo, NAMES[1], 99, Aim::Nothing),
        (&measured.answered, NAMES[2], 50, Aim::Nothing),
    ] {
        let Some(echo) = sides else { continue };
        let of = |sessions: &[Vec<f64>]| {
            median(&sessions.iter().filter_map(|session| percentile(session, percent)).collect::<Vec<_>>())
        };
        add(report, name, [of(&echo.ours), of(&echo.peer)], aim, format!("{} of {keys} keys", echo.ours.len()))?;
    }
    Ok(())
}

fn add_cat(report: &mut Report, measured: &Measured) -> Result<()> {
    let Some(cat) = &measured.cat else { return Ok(()) };
    let runs = format!("{}; {} times {} cells", cat.ours.len(), measured.cols, measured.rows);
    let of = |side: &[Shown], of: fn(&Shown) -> f64| median(&side.iter().map(of).collect::<Vec<_>>());
    for (name, value, aim) in [
        (NAMES[3], (|shown| shown.ms) as fn(&Shown) -> f64, Aim::RatioAtMost(1.0)),
        (NAMES[4], |shown| shown.gap_ms, Aim::AtMost(GAP_MS)),
    ] {
        add(report, name, [of(&cat.ours, value), of(&cat.peer, value)], aim, runs.clone())?;
    }
    Ok(())
}

fn add_interrupt(report: &mut Report, measured: &Measured) -> Result<()> {
    let Some(interrupt) = &measured.interrupt else { return Ok(()) };
    let values = [median(&interrupt.ours), median(&interrupt.peer)];
    add(report, NAMES[5], values, Aim::AtMost(INTERRUPT_MS), interrupt.ours.len().to_string())
}

fn add_prompt(report: &mut Report, measured: &Measured) -> Result<()> {
    let Some(prompt) = &measured.prompt else { return Ok(()) };
    let values = [median(&prompt.ours), median(&prompt.peer)];
    add(report, NAMES[6], values, Aim::AtMost(300.0), prompt.ours.len().to_string())
}

fn add(report: &mut Report, name: &str, [ours, peer]: [Option<f64>; 2], aim: Aim, runs: String) -> Result<()> {
    let peer = Some(Beside { name: PEER, value: peer });
    report.add(&Figure { name: name.to_owned(), ours, peer, unit: "ms", aim, runs })
}

/// The smallest value that at least `percent` of all do not exceed.
fn percentile(values: &[f64], percent: usize) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get((sorted.len() * percent).div_ceil(100).max(1) - 1).copied()
}

/// Runs the browser; the customer lets its key in when it asks.
fn drive(ours: &Ours, settings: &Value) -> Result<Measured> {
    let file = ours.folder().join("browser.json");
    fs::write(&file, serde_json::to_vec(settings)?)?;
    let mut command = node()?;
    command.arg("e2e-browser/figures.mjs").arg(file).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut browser = Running(command.spawn()?);
    let mut answers = browser.0.stdin.take().context("its input is a pipe")?;
    let said = BufReader::new(browser.0.stdout.take().context("its output is a pipe")?);
    for line in said.lines() {
        let line = line?;
        match line.split_once(' ') {
            Some(("key", key)) => ours.let_in(key)?,
            Some(("measured", what)) => return Ok(serde_json::from_str(what)?),
            _ => bail!("the browser said: {line}"),
        }
        writeln!(answers, "done")?;
    }
    bail!("the browser ended: {}", browser.0.wait()?)
}

/// A program that ends with this value; it is let go when it is done by itself.
#[derive(Debug)]
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The peer's server.
#[derive(Debug)]
struct Peer {
    url: String,
    _process: Running,
}

impl Peer {
    fn start(ours: &Ours) -> Result<Self> {
        let packages = install_peer()?;
        let mut command = node()?;
        command.arg("e2e-browser/peer.mjs").arg(packages).args(ours.certificate()).stdout(Stdio::piped());
        // As little of this user's own shell as our side has.
        let mut process = Running(command.stdin(Stdio::null()).spawn()?);
        let mut line = String::new();
        BufReader::new(process.0.stdout.take().context("its output is a pipe")?).read_line(&mut line)?;
        let port = line.trim().strip_prefix("port ").with_context(|| format!("the peer said: {line}"))?;
        Ok(Self { url: format!("https://localhost:{port}"), _process: process })
    }
}

/// Has npm fetch and build the peer's packages, once, and never for the product.
fn install_peer() -> Result<PathBuf> {
    let exe = std::env::current_exe()?;
    let folder = exe.parent().and_then(Path::parent).context("below target")?.join("bench/web-peer");
    let ours: Value = serde_json::from_slice(&fs::read(web()?.join("package.json"))?)?;
    let (xterm, ws) = (&ours["dependencies"]["@xterm/xterm"], &ours["devDependencies"]["ws"]);
    let packages =
        json!({ "private": true, "dependencies": { "@xterm/xterm": xterm, "ws": ws, "node-pty": NODE_PTY } });
    let manifest = folder.join("package.json");
    let packages = serde_json::to_vec_pretty(&packages)?;
    if fs::read(&manifest).ok().as_ref() == Some(&packages) {
        return Ok(folder);
    }
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder)?;
    fs::write(&manifest, &packages)?;
    let mut install = Command::new("npm");
    install.args(["install", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(&folder);
    let built = run(&mut install);
    if built.is_err() {
        // The next run tries again.
        fs::remove_file(&manifest)?;
    }
    built.map(|_| folder)
}

/// Node.js in the console's folder.
fn node() -> Result<Command> {
    let web = web()?;
    for needed in ["dist/index.html", "node_modules/playwright-core"] {
        ensure!(web.join(needed).exists(), "the console is not built (make web)");
    }
    let mut node = Command::new("node");
    node.current_dir(web);
    Ok(node)
}

fn web() -> Result<PathBuf> {
    Ok(fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../relay/web"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks() {
        let values: Vec<f64> = (1..=200_u8).rev().map(f64::from).collect();
        assert_eq!(percentile(&values, 50), Some(100.0));
        assert_eq!(percentile(&values, 99), Some(198.0));
        assert_eq!(percentile(&[], 50), None);
    }
}
