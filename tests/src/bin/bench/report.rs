//! Figures as people and programs read them: a table on standard output, lines of JSON in a file.
//!
//! A figure that could not be taken is `null` with a sentence that says why. Never a number that was not measured.

use anyhow::{Context as _, Result};
use serde::Serialize;
use std::fs::{self, File};
use std::io::{Write as _, stdout};
use std::path::Path;

/// What a figure should reach. Nothing fails when it does not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Aim {
    /// The ratio to the peer should be at most this.
    RatioAtMost(f64),
    /// The ratio to the peer should be at least this.
    RatioAtLeast(f64),
    /// Our own number should be at most this.
    AtMost(f64),
    /// Shown for comparison only.
    Nothing,
}

/// What we are compared with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Beside {
    /// Its name, with what has to be said about it.
    pub(crate) name: &'static str,
    /// Its number; `None` when it is not installed or failed.
    pub(crate) value: Option<f64>,
}

/// One figure.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figure {
    /// Its name, for example `echo.paced.p50`.
    pub(crate) name: String,
    /// Our number, the median over the runs.
    pub(crate) ours: Option<f64>,
    /// The peer's number in the same session of measurements.
    pub(crate) peer: Option<Beside>,
    /// Of both numbers.
    pub(crate) unit: &'static str,
    /// What it should be.
    pub(crate) aim: Aim,
    /// How often and how long was measured.
    pub(crate) runs: String,
}

/// A line of `results.jsonl`.
#[derive(Debug, Serialize)]
struct Line<'a> {
    figure: &'a str,
    ours: Option<f64>,
    peer: Option<f64>,
    peer_name: Option<&'a str>,
    unit: &'a str,
    ratio: Option<f64>,
    aim: Option<f64>,
    runs: &'a str,
}

impl Figure {
    fn ratio(&self) -> Option<f64> {
        let peer = self.peer.as_ref()?.value?;
        (peer != 0.0).then_some(())?;
        Some(self.ours? / peer)
    }

    /// `None`: not known.
    fn reached(&self) -> Option<bool> {
        match self.aim {
            Aim::RatioAtMost(aim) => Some(self.ratio()? <= aim),
            Aim::RatioAtLeast(aim) => Some(self.ratio()? >= aim),
            Aim::AtMost(aim) => Some(self.ours? <= aim),
            Aim::Nothing => None,
        }
    }

    fn line(&self) -> Line<'_> {
        let aim = match self.aim {
            Aim::RatioAtMost(aim) | Aim::RatioAtLeast(aim) | Aim::AtMost(aim) => Some(aim),
            Aim::Nothing => None,
        };
        Line {
            figure: &self.name,
            ours: self.ours.map(rounded),
            peer: self.peer.as_ref().and_then(|peer| peer.value).map(rounded),
            peer_name: self.peer.as_ref().map(|peer| peer.name),
            unit: self.unit,
            ratio: self.ratio().map(rounded),
            aim,
            runs: &self.runs,
        }
    }
}

/// Four digits are more than a measurement holds.
fn rounded(value: f64) -> f64 {
    if value == 0.0 {
        return 0.0;
    }
    let digits = (3.0 - value.abs().log10().floor()).max(0.0);
    let scale = 10_f64.powf(digits);
    (value * scale).round() / scale
}

/// Where figures go as they are taken.
#[derive(Debug)]
pub(crate) struct Report {
    file: File,
    only: String,
    taken: Vec<String>,
    untaken: Vec<String>,
}

impl Report {
    /// A report of the figures whose name starts with `only`, with its lines in `path`.
    pub(crate) fn begin(path: &Path, only: &str) -> Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = File::create(path).with_context(|| path.display().to_string())?;
        let report = Self { file, only: only.to_owned(), taken: Vec::new(), untaken: Vec::new() };
        let head = ["figure", "ours", "peer", "unit", "ratio", "aim", "", "peer's name; runs"];
        report.row(&head.map(str::to_owned))?;
        Ok(report)
    }

    /// This figure was asked for.
    pub(crate) fn wants(&self, name: &str) -> bool {
        name.starts_with(&self.only)
    }

    /// Writes down a figure, if it was asked for.
    pub(crate) fn add(&mut self, figure: &Figure) -> Result<()> {
        if !self.wants(&figure.name) {
            return Ok(());
        }
        let list = if figure.ours.is_some() { &mut self.taken } else { &mut self.untaken };
        list.push(figure.name.clone());
        let mut line = serde_json::to_vec(&figure.line())?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.row(&cells(figure))
    }

    /// Says a sentence between the rows.
    pub(crate) fn say(&self, sentence: &str) -> Result<()> {
        let mut out = stdout().lock();
        writeln!(out, "  {sentence}")?;
        Ok(out.flush()?)
    }

    /// Writes down that figures could not be taken, and why.
    pub(crate) fn not_taken(&mut self, names: &[&str], why: &anyhow::Error) -> Result<()> {
        self.say(&format!("{}: {why:#}", names.join(", ")))?;
        for name in names {
            if self.taken.iter().all(|taken| taken != name) {
                let (aim, runs) = (Aim::Nothing, "0".to_owned());
                self.add(&Figure { name: (*name).to_owned(), ours: None, peer: None, unit: "", aim, runs })?;
            }
        }
        Ok(())
    }

    /// Names of the figures that were asked for and are `null` on our side.
    pub(crate) fn untaken(&self) -> &[String] {
        &self.untaken
    }

    fn row(&self, cells: &[String; 8]) -> Result<()> {
        let [name, ours, peer, unit, ratio, aim, reached, rest] = cells;
        let mut out = stdout().lock();
        writeln!(out, "{name:<26} {ours:>9} {peer:>9} {unit:<7} {ratio:>6} {aim:>9} {reached:<6} {rest}")?;
        Ok(out.flush()?)
    }
}

fn cells(figure: &Figure) -> [String; 8] {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| short(rounded(value)));
    let aim = match figure.aim {
        Aim::RatioAtMost(aim) => format!("≤ {aim} x"),
        Aim::RatioAtLeast(aim) => format!("≥ {aim} x"),
        Aim::AtMost(aim) => format!("≤ {aim}"),
        Aim::Nothing => String::new(),
    };
    let reached = match figure.reached() {
        Some(true) => "yes",
        Some(false) => "missed",
        None => "",
    };
    let rest = match &figure.peer {
        Some(peer) => format!("{}; {}", peer.name, figure.runs),
        None => figure.runs.clone(),
    };
    let ratio = figure.ratio().map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
    let numbers = (number(figure.ours), number(figure.peer.as_ref().and_then(|peer| peer.value)));
    [figure.name.clone(), numbers.0, numbers.1, figure.unit.to_owned(), ratio, aim, reached.to_owned(), rest]
}

fn short(value: f64) -> String {
    if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(ours: Option<f64>, peer: Option<f64>) -> Figure {
        let peer = Some(Beside { name: "openssh", value: peer });
        let aim = Aim::RatioAtMost(1.2);
        Figure { name: "echo.paced.p50".to_owned(), ours, peer, unit: "us", aim, runs: "5 runs".to_owned() }
    }

    #[test]
    fn a_line_has_the_promised_fields() {
        let line = serde_json::to_string(&figure(Some(300.123_456), Some(250.0)).line()).unwrap();
        let wanted = r#"{"figure":"echo.paced.p50","ours":300.1,"peer":250.0,"peer_name":"openssh","unit":"us","ratio":1.2,"aim":1.2,"runs":"5 runs"}"#;
        assert_eq!(line, wanted);
    }

    #[test]
    fn what_is_missing_is_null_and_reaches_nothing() {
        let missing = figure(Some(300.0), None);
        assert!(serde_json::to_string(&missing.line()).unwrap().contains(r#""peer":null"#));
        assert_eq!((missing.ratio(), missing.reached()), (None, None));
        assert_eq!(figure(None, Some(1.0)).reached(), None);
        assert_eq!(figure(Some(300.0), Some(250.0)).reached(), Some(true));
        assert_eq!(figure(Some(301.0), Some(250.0)).reached(), Some(false));
    }

    #[test]
    fn four_digits_are_kept() {
        assert_eq!(rounded(0.012_345_6), 0.012_35);
        assert_eq!(rounded(123_456.7), 123_457.0);
        assert_eq!(rounded(0.0), 0.0);
    }
}
