//! Packages that were changed together, as one row: an upgrade of 300 packages is one event.

use super::{Confidence, Row, RowKind};
use crate::words;
use cloud_doctor_proto::finding::Words;
use cloud_doctor_proto::refusal::one_line;
use cloud_doctor_proto::time::UnixTime;

/// Packages that a row names, for each thing that was done to them.
const NAMED_MAX: usize = 6;
const NAME_CHARS_MAX: usize = 120;
/// Single changes that follow each other this fast belong together.
const TOGETHER_SECS: u64 = 120;

/// What was done to a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verb {
    Installed,
    Upgraded,
    Downgraded,
    Reinstalled,
    Removed,
}

impl Verb {
    pub(super) const ALL: [Verb; 5] =
        [Verb::Installed, Verb::Upgraded, Verb::Downgraded, Verb::Reinstalled, Verb::Removed];

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Verb::Installed => ("installed", "安装"),
            Verb::Upgraded => ("upgraded", "升级"),
            Verb::Downgraded => ("downgraded", "降级"),
            Verb::Reinstalled => ("reinstalled", "重新安装"),
            Verb::Removed => ("removed", "卸载"),
        }
    }
}

/// One package's change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) verb: Verb,
    /// With its version and architecture where a log writes them in one.
    pub(super) name: String,
    /// Versions; empty where there is none, or the log does not say.
    pub(super) before: String,
    pub(super) after: String,
}

impl Change {
    fn told(&self) -> String {
        let Self { name, before, after, .. } = self;
        match (before.as_str(), after.as_str()) {
            ("", "") => name.clone(),
            ("", version) | (version, "") => format!("{name} {version}"),
            (before, after) => format!("{name} {before} => {after}"),
        }
    }
}

/// Changes that were made together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Transaction {
    pub(super) at: u64,
    pub(super) until: u64,
    pub(super) confidence: Confidence,
    /// What made them: `apt-get`, `dpkg`, `dnf`.
    pub(super) tool: String,
    pub(super) changes: Vec<Change>,
    pub(super) evidence: String,
}

impl Transaction {
    /// Adds one change by itself to the last transaction, when it follows closely.
    pub(super) fn add(all: &mut Vec<Self>, change: Self) {
        match all.last_mut() {
            Some(last) if change.at >= last.at && change.at <= last.until.saturating_add(TOGETHER_SECS) => {
                last.until = last.until.max(change.at);
                if change.confidence == Confidence::Low {
                    last.confidence = Confidence::Low;
                }
                last.changes.extend(change.changes);
            }
            Some(_) | None => all.push(change),
        }
    }

    /// As a row.
    pub(super) fn row(&self) -> Row {
        let (mut en, mut zh) = (Vec::new(), Vec::new());
        for verb in Verb::ALL {
            let names: Vec<_> = self.changes.iter().filter(|change| change.verb == verb).map(Change::told).collect();
            if names.is_empty() {
                continue;
            }
            let more = names.len().saturating_sub(NAMED_MAX);
            let named =
                names.iter().take(NAMED_MAX).map(|name| one_line(name, NAME_CHARS_MAX)).collect::<Vec<_>>().join(", ");
            let (count, (in_en, in_zh)) = (names.len(), verb.words());
            let rest = if more > 0 { words!(" and {more} more", " 等 {more} 个") } else { Words::default() };
            en.push(format!("{count} {in_en}: {named}{}", rest.en));
            zh.push(format!("{in_zh} {count} 个：{named}{}", rest.zh));
        }
        let tool = one_line(&self.tool, 40);
        let (en, zh) = (en.join("; "), zh.join("；"));
        Row {
            at: UnixTime(self.at),
            kind: RowKind::Package,
            what: words!("{tool}: {en}", "{tool}：{zh}"),
            evidence: self.evidence.clone(),
            confidence: self.confidence,
        }
    }
}
