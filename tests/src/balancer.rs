//! Real load balancers under test: what our checks say about their configuration, what a user gets through them, and when
//! they take a member out or back.
//!
//! No time is judged from above here: machines are noisy. Probes are counted instead, and times only shown.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::backend::{Backend, Behaviour};

/// What `check --json` says.
#[derive(Debug, Deserialize)]
pub struct Findings {
    findings: Vec<Finding>,
    /// Checks that had nothing to look at, and why.
    #[serde(default)]
    pub absent: BTreeMap<String, String>,
}

/// One of its findings.
#[derive(Debug, Deserialize)]
pub struct Finding {
    /// Id of the check.
    pub check: String,
    /// What it is about.
    pub subject: String,
    /// `ok`, `warning`, `critical`, `unknown`.
    pub status: String,
    /// It is advice.
    #[serde(default)]
    pub note: bool,
    /// Its number.
    pub value: Option<f64>,
    /// What is the case.
    pub summary: String,
    details: BTreeMap<String, serde_json::Value>,
}

/// Worst cases that `lb.detection-time` predicts, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Predicted {
    /// A member that refuses, or answers with an error, is out.
    pub refused: f64,
    /// A member that hangs is out.
    pub hanging: f64,
    /// A member that lives again is back.
    pub back: f64,
}

impl Findings {
    /// Reads what was written.
    ///
    /// # Panics
    /// When it is something else.
    #[must_use]
    pub fn read(json: &[u8]) -> Self {
        serde_json::from_slice(json).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(json)))
    }

    /// The finding of one check about one thing.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    #[track_caller]
    pub fn about(&self, check: &str, subject: &str) -> &Finding {
        let found = self.findings.iter().find(|finding| finding.check == check && finding.subject == subject);
        found.unwrap_or_else(|| panic!("{check} says nothing about {subject:?}: {self:#?}"))
    }

    /// The finding of one check about one thing, and nothing else.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    #[track_caller]
    pub fn take(mut self, check: &str, subject: &str) -> Finding {
        let at = self.findings.iter().position(|finding| finding.check == check && finding.subject == subject);
        self.findings.swap_remove(at.unwrap_or_else(|| panic!("{check} says nothing about {subject:?}: {self:#?}")))
    }

    /// Whether one check says anything about one thing.
    #[must_use]
    pub fn has(&self, check: &str, subject: &str) -> bool {
        self.findings.iter().any(|finding| finding.check == check && finding.subject == subject)
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }

    /// What is predicted for a member.
    ///
    /// # Panics
    /// When nothing is.
    #[must_use]
    #[track_caller]
    pub fn predicted(&self, subject: &str) -> Predicted {
        let finding = self.about("lb.detection-time", subject);
        let detail = |name: &str| finding.details.get(name).and_then(serde_json::Value::as_f64);
        Predicted {
            refused: detail("refused_s").expect("lb.detection-time says refused_s"),
            hanging: finding.value.expect("lb.detection-time has a value"),
            back: detail("return_s").expect("lb.detection-time says return_s"),
        }
    }
}

/// What a user got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Of HTTP.
    pub status: u16,
    /// Of ours it is the backend's name.
    pub body: String,
}

/// One user's request, on a connection of its own.
///
/// # Errors
/// Nobody listens, or nothing came within the time.
pub fn ask(port: u16, path: &str, within: Duration) -> Result<Answer, io::ErrorKind> {
    let ask = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(within))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
        let mut text = Vec::new();
        stream.read_to_end(&mut text)?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
        let (_, body) = text.split_once("\r\n\r\n").unwrap_or_default();
        Ok(Answer { status: status.ok_or(io::ErrorKind::UnexpectedEof)?, body: body.to_owned() })
    };
    ask().map_err(|error: io::Error| error.kind())
}

/// A server as HAProxy's socket for operators shows it.
#[derive(Debug, Clone)]
pub struct Row(BTreeMap<String, String>);

impl Row {
    /// A column, like `status` or `chkfail`.
    #[must_use]
    pub fn get(&self, column: &str) -> &str {
        self.0.get(column).map_or("", String::as_str)
    }

    /// It gets traffic: also on its way down, and when nobody checks it.
    #[must_use]
    pub fn is_in(&self) -> bool {
        self.get("status").starts_with("UP") || self.get("status") == "no check"
    }
}

/// Asks HAProxy about a server of a backend. Nothing while it does not answer.
#[must_use]
pub fn haproxy_row(stats: &Path, pool: &str, server: &str) -> Option<Row> {
    let mut stream = UnixStream::connect(stats).ok()?;
    stream.write_all(b"show stat\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next()?.trim_start_matches("# ").split(',').collect();
    let rows = lines.map(|line| names.iter().map(|name| (*name).to_owned()).zip(line.split(',').map(str::to_owned)));
    let mut rows = rows.map(|row| Row(row.collect()));
    rows.find(|row| row.get("pxname") == pool && row.get("svname") == server)
}

/// A port that was free a moment ago: balancers cannot be asked which one they took.
///
/// # Panics
/// When this machine has none.
#[must_use]
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|one| one.local_addr()).expect("loopback has a free port").port()
}

/// A member that went out or came back, as it was seen from outside.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// From the switch of the backend's behaviour until it was first seen as it should be.
    pub took: Duration,
    /// From the last look that found it as before to that one.
    pub gap: Duration,
    /// Probes that had met the new behaviour before the last look that found the member as it was.
    pub probes_before: usize,
    /// Probes that had met it after the look that found it changed.
    pub probes_after: usize,
}

/// Switches the backend to `to`, and looks until `is_in` says `wanted`.
///
/// # Errors
/// It does not within `within`.
pub fn turn(
    backend: &Backend,
    to: Behaviour,
    wanted: bool,
    within: Duration,
    mut is_in: impl FnMut() -> bool,
) -> Result<Turn, String> {
    let (begun, met) = (Instant::now(), backend.probes(to));
    backend.behave(to);
    let (mut last, mut probes_before) = (begun, 0);
    loop {
        let (at, probes) = (Instant::now(), backend.probes(to) - met);
        if is_in() == wanted {
            let now = Instant::now();
            let probes_after = backend.probes(to) - met;
            return Ok(Turn { took: now - begun, gap: now - last, probes_before, probes_after });
        }
        (last, probes_before) = (at, probes);
        if begun.elapsed() > within {
            return Err(format!(
                "{to:?}: not {} within {within:?}, {probes} probes",
                if wanted { "in" } else { "out" }
            ));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} s, {} probes (seen within {:.0?})", self.took.as_secs_f64(), self.probes_after, self.gap)
    }
}
