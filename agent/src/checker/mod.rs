//! Role `checker`: looks at the host, and can do nothing else. One process per run, started by whoever wants findings.
//!
//! ```text
//!  supervisor ──order (JSON, stdin)──▶ checker: limits, privileges, Landlock, seccomp ──▶ one check after another
//!             ◀──a line each (stdout): fence, begins, ran; step, pieces, done ──────────┘
//! ```
//!
//! Checks that speak to no socket run in a process that can make none. A check that hangs or breaks takes its process
//! with it; the supervisor says so and has another one do the rest. It must never write, start a program, or raise its
//! own limits.

mod events;
pub(crate) mod kept;
mod plugin;
mod processes;
mod report;
mod seccomp;
mod supervise;

pub(crate) use events::{Wants as EventsWanted, role as events};
pub(crate) use plugin::role as plugin;
pub(crate) use processes::role as processes;
pub(crate) use report::{Answer, Wants, role as report};
pub(crate) use supervise::{gather, run, test};

use crate::fence;
use crate::metrics::past;
use cloud_doctor_checks::forecast::Ledger;
use cloud_doctor_checks::pack::{self, Heard, Sources, Tried};
use cloud_doctor_checks::report::{Piece, Step};
use cloud_doctor_checks::{Check, Host, Pending, Ran, Shares, Wanted, words};
use cloud_doctor_proto::finding::{Finding, Status, Words};
use rustix::process::{Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Memory of a checker (CHK-08).
const MEMORY_BYTES_MAX: u64 = 256 << 20;
/// Processor time of all its checks (CHK-08).
const CPU_SECS_MAX: u64 = 10;
const DESCRIPTORS_MAX: u64 = 256;
/// An order is a list of ids and numbers, 50 packs and what 32 plugins said.
const ORDER_BYTES_MAX: u64 = 32 << 20;

/// What a checker is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    /// Another root than the running host's.
    root: Option<PathBuf>,
    checks: Vec<String>,
    rto_secs: Option<f64>,
    set: Vec<(String, f64)>,
    before: Vec<(String, String, Status)>,
    /// What to gather for a report.
    #[serde(default)]
    gather: Vec<Step>,
    /// Whether sockets may be made.
    net: bool,
    /// The host's own checks.
    #[serde(default)]
    own: Sources,
    #[serde(default)]
    plugins: BTreeMap<String, Heard>,
    #[serde(default)]
    pending: Vec<(String, String, String, u64)>,
    /// Where the host's metrics are kept; read by the checker, which can do nothing but look.
    #[serde(default)]
    history: Option<PathBuf>,
    #[serde(default)]
    ledger: Ledger,
    /// Whether the own checks' tests are run, in place of checks.
    #[serde(default)]
    test: bool,
}

impl Order {
    /// An order for these checks.
    pub(crate) fn new(root: Option<PathBuf>, checks: &[&Check], wanted: &Wanted, own: &Sources, net: bool) -> Self {
        let before = wanted.before.iter().map(|((check, subject), status)| (check.clone(), subject.clone(), *status));
        Self {
            // A checker works in `/`, whoever named the root in another folder.
            root: root.map(|root| std::path::absolute(&root).unwrap_or(root)),
            checks: checks.iter().map(|check| check.id.to_owned()).collect(),
            rto_secs: wanted.rto_secs,
            set: wanted.set.iter().map(|(name, number)| (name.clone(), *number)).collect(),
            before: before.collect(),
            gather: Vec::new(),
            net,
            own: own.clone(),
            plugins: wanted.plugins.clone(),
            pending: wanted
                .pending
                .iter()
                .map(|((check, subject, level), since)| (check.clone(), subject.clone(), level.clone(), *since))
                .collect(),
            history: wanted.history_from.clone(),
            ledger: wanted.ledger.clone(),
            test: false,
        }
    }

    /// An order to gather.
    fn gathering(root: Option<PathBuf>, gather: Vec<Step>) -> Self {
        Self { gather, ..Self::new(root, &[], &Wanted::default(), &Sources::default(), false) }
    }

    /// An order for the tests of these packs.
    fn test(own: &Sources) -> Self {
        Self { test: true, ..Self::new(None, &[], &Wanted::default(), own, false) }
    }

    fn wanted(&self) -> Wanted {
        let before = self.before.iter().map(|(check, subject, status)| ((check.clone(), subject.clone()), *status));
        let pending = self
            .pending
            .iter()
            .map(|(check, subject, level, since)| ((check.clone(), subject.clone(), level.clone()), *since));
        let pending: Pending = pending.collect();
        Wanted {
            rto_secs: self.rto_secs,
            set: self.set.iter().cloned().collect(),
            before: before.collect(),
            pending,
            plugins: self.plugins.clone(),
            history_from: None,
            history: Shares::default(),
            ledger: self.ledger.clone(),
        }
    }
}

/// A line of a checker.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    /// What could not be closed around it; empty when all is.
    Fence(Vec<String>),
    /// A check begins.
    Begins(String),
    /// A check found something.
    Found(Vec<Finding>),
    /// A check has nothing to look at here.
    NotHere(Words),
    /// The step with this place in the order begins.
    Step(usize),
    /// Something of the step that has begun.
    Piece(Piece),
    /// The step that has begun is done.
    Done,
    /// How tests of packs went.
    Tried(Vec<Tried>),
}

/// Runs the role: an order on standard input, lines on standard output.
pub(crate) fn role() -> ExitCode {
    ended(look())
}

/// How a process of this room ends: one that failed says why to whoever started it.
fn ended(done: io::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(io::stderr(), "{error}").ok();
            ExitCode::FAILURE
        }
    }
}

fn look() -> io::Result<()> {
    let mut order = Vec::new();
    io::stdin().take(ORDER_BYTES_MAX).read_to_end(&mut order)?;
    let order: Order = serde_json::from_slice(&order)?;
    let open = close_in(order.root.as_deref(), order.net);
    say(&Line::Fence(open))?;
    pack::install(&order.own);
    if order.test {
        return say(&Line::Tried(pack::test()));
    }
    let mut host = order.root.as_deref().map_or_else(Host::live, Host::image)?;
    let mut wanted = order.wanted();
    if let Some(folder) = order.history.as_deref().filter(|_| order.checks.iter().any(|id| by_history(id))) {
        wanted.history = past::shares(folder, host.now().0);
    }
    let checks = order.checks.iter().filter_map(|id| cloud_doctor_checks::by_id(id));
    // Rates need time between two readings: what needs none goes first.
    let (later, first): (Vec<_>, Vec<_>) = checks.partition(|check| check.needs.rates);
    if !later.is_empty() {
        host.begin_rates();
    }
    for check in first.into_iter().chain(later) {
        say(&Line::Begins(check.id.to_owned()))?;
        say(&match cloud_doctor_checks::run(check, &host, &wanted) {
            Ran::Findings(findings) => Line::Found(findings),
            Ran::NotHere(why) => Line::NotHere(why),
        })?;
    }
    for (place, step) in order.gather.iter().enumerate() {
        say(&Line::Step(place))?;
        cloud_doctor_checks::report::gather(step, &host, &mut |piece| say(&Line::Piece(piece)))?;
        say(&Line::Done)?;
    }
    Ok(())
}

/// Whether a check reads the history of metrics.
fn by_history(id: &str) -> bool {
    cloud_doctor_checks::by_id(id).is_some_and(|check| check.needs.history)
}

fn say(line: &Line) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    io::stdout().write_all(&text)
}

/// Gives up everything that looking does not need. Returns what could not be given up.
fn close_in(root: Option<&Path>, net: bool) -> Vec<String> {
    let mut open = Vec::new();
    let mut note = |what: &str, done: io::Result<()>| {
        if let Err(error) = done {
            open.push(format!("{what}: {error}"));
        }
    };
    // On a server that is in trouble already, we are the last to be served.
    rustix::process::nice(10).ok();
    for (what, resource, most) in [
        ("memory", Resource::As, MEMORY_BYTES_MAX),
        ("cpu", Resource::Cpu, CPU_SECS_MAX),
        ("file size", Resource::Fsize, 0),
        ("core", Resource::Core, 0),
        ("descriptors", Resource::Nofile, DESCRIPTORS_MAX),
    ] {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        note(what, rustix::process::setrlimit(resource, limit).map_err(Into::into));
    }
    note("new privileges", rustix::thread::set_no_new_privs(true).map_err(Into::into));
    note("capabilities", keep_only_looking().map_err(Into::into));
    note("Landlock", fence::raise_read_only(root.unwrap_or(Path::new("/"))));
    note("seccomp", seccomp::close(net));
    open
}

/// Of root's powers, those to read.
fn keep_only_looking() -> rustix::io::Result<()> {
    let had = rustix::thread::capabilities(None)?;
    let looking = CapabilitySet::DAC_READ_SEARCH | CapabilitySet::SYS_PTRACE | CapabilitySet::SYSLOG;
    let kept = had.effective & looking;
    rustix::thread::set_capabilities(
        None,
        CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() },
    )
}

/// Why a check has no result.
fn given_up(why: &str) -> Words {
    words!("the check was given up: {why}", "检查已被放弃：{why}")
}
