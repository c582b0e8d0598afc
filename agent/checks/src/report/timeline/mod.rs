//! What changed in the last seven days: packages, configuration, restarts, the kernel's complaints, logins as numbers.
//!
//! Every row has its moment in UTC and says where it comes from and how sure that is. A row never has a command line or a
//! user's name in it.

mod configuration;
mod events;
mod kernel;
mod packages;
mod starts;
mod transactions;
mod units;
mod wtmp;

pub use events::events;

use super::gather::Step;
use crate::check::Text;
use crate::host::Host;
use crate::words;
use cloud_doctor_proto::finding::Words;
use cloud_doctor_proto::time::UnixTime;
use serde::{Deserialize, Serialize};

/// How far back it goes.
pub(super) const WINDOW_SECS: u64 = 7 * 86_400;
/// What is newer stands first.
pub(super) const RECENT_SECS: u64 = 86_400;
/// Rows of a report.
pub(super) const ROWS_MAX: usize = 1500;
/// Rows of one source.
const ROWS_OF_ONE_MAX: usize = 300;

/// What a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowKind {
    /// Something was installed, upgraded or removed.
    Package,
    /// A configuration file has changed.
    Configuration,
    /// The kernel or a service started.
    Restart,
    /// The kernel complained.
    Kernel,
    /// Somebody logged in.
    Login,
}

impl RowKind {
    /// For people.
    #[must_use]
    pub fn title(self) -> Text {
        match self {
            RowKind::Package => Text { en: "package", zh: "软件包" },
            RowKind::Configuration => Text { en: "configuration", zh: "配置" },
            RowKind::Restart => Text { en: "restart", zh: "重启" },
            RowKind::Kernel => Text { en: "kernel", zh: "内核" },
            RowKind::Login => Text { en: "login", zh: "登录" },
        }
    }
}

/// How sure a row's moment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// It stands there in UTC, or with its zone.
    High,
    /// It was read with the host's zone, or counted back from now.
    Medium,
    /// The year, the zone, or which of two hours was guessed.
    Low,
}

impl Confidence {
    /// For people.
    #[must_use]
    pub fn title(self) -> Text {
        match self {
            Confidence::High => Text { en: "high", zh: "高" },
            Confidence::Medium => Text { en: "medium", zh: "中" },
            Confidence::Low => Text { en: "low", zh: "低" },
        }
    }
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// When it happened.
    pub at: UnixTime,
    /// What it is about.
    pub kind: RowKind,
    /// What happened.
    pub what: Words,
    /// Where that stands: a file, with its line where it is known.
    pub evidence: String,
    /// How sure its moment is.
    pub confidence: Confidence,
}

/// Rows of one source, and what it could not tell.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) rows: Vec<Row>,
    pub(super) gaps: Vec<Words>,
}

/// Looks for the rows of one step.
pub(super) fn look(step: &Step, host: &Host) -> Seen {
    let mut seen = match step {
        Step::Packages => packages::look(host),
        Step::Configuration => configuration::look(host),
        Step::Starts => {
            let (mut seen, units) = (starts::look(host), units::look(host));
            seen.rows.extend(units.rows);
            seen.gaps.extend(units.gaps);
            seen
        }
        Step::Kernel => kernel::look(host),
        Step::Logins => wtmp::logins(host),
        Step::System | Step::FileSystems | Step::LoadBalancers | Step::ConfigFiles | Step::KernelLog | Step::Log(_) => {
            Seen::default()
        }
    };
    let now = host.now();
    // An hour ahead: clocks differ. What claims to be later is a lie or a mistake.
    seen.rows.retain(|row| is_within(row.at, now));
    seen.rows.sort_by_key(|row| std::cmp::Reverse(row.at));
    if seen.rows.len() > ROWS_OF_ONE_MAX {
        let left = seen.rows.len() - ROWS_OF_ONE_MAX;
        let name = step.name();
        let (en, zh) = (name.en, name.zh);
        seen.gaps.push(words!(
            "{en}: {left} older rows of the timeline are left out",
            "{zh}：时间线中较早的 {left} 行已省略"
        ));
        seen.rows.truncate(ROWS_OF_ONE_MAX);
    }
    seen
}

/// Whether a moment is in the window.
fn is_within(at: UnixTime, now: UnixTime) -> bool {
    at.0 <= now.0.saturating_add(3600) && at.0.saturating_add(WINDOW_SECS) >= now.0
}
