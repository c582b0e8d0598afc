//! Findings for people and for programs.
//!
//! All that comes from a host is made safe for one line here (COD-08): a file's line must not draw on an engineer's screen.
//! What is shown may come from another version of this program, with checks that are unknown here: nothing of it is looked
//! up among our own.

mod docs;
mod html;
mod human;
mod json;
mod list;
mod markdown;
pub(crate) mod page;
mod prometheus;
mod wrap;

pub use docs::docs;
pub use html::html;
pub use human::human;
pub use json::{One, json, one, schema};
pub use list::{explain, list, list_json};
pub use markdown::markdown;
pub use page::{Page, findings_page};
pub use prometheus::prometheus;

use cloud_doctor_proto::checks::Absent;
use cloud_doctor_proto::finding::{Finding, Status};
use cloud_doctor_proto::refusal::{Language, one_line};
use cloud_doctor_proto::time::UnixTime;
use std::collections::BTreeSet;

/// A run's results, from this host or from afar.
#[derive(Debug, Clone, Copy)]
pub struct Results<'a> {
    /// The host's name.
    pub host: &'a str,
    /// When it was looked at.
    pub at: UnixTime,
    /// What was found.
    pub findings: &'a [Finding],
    /// Checks that had nothing to look at.
    pub absent: &'a [Absent],
    /// What could not be closed around the checker.
    pub open: &'a [String],
}

/// How results are written.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// In which language.
    pub language: Language,
    /// Also what is as it should be, and what there is nothing of.
    pub all: bool,
    /// With colours, on a terminal.
    pub colour: bool,
    /// Columns of a line.
    pub width: usize,
}

impl<'a> Results<'a> {
    /// Every finding, the worst first, then in the order of checks.
    #[must_use]
    pub fn findings(&self) -> Vec<&'a Finding> {
        let mut all: Vec<_> = self.findings.iter().collect();
        all.sort_by_key(|finding| (std::cmp::Reverse(finding.status), !finding.note));
        all
    }

    /// The worst status of all.
    #[must_use]
    pub fn status(&self) -> Status {
        self.findings.iter().map(|finding| finding.status).max().unwrap_or(Status::Ok)
    }

    fn count(&self, status: Status) -> usize {
        self.findings.iter().filter(|finding| finding.status == status).count()
    }

    /// How many checks found something or had nothing to look at.
    pub(crate) fn checks(&self) -> usize {
        let ids = self.findings.iter().map(|finding| finding.check.as_str());
        ids.chain(self.absent.iter().map(|absent| absent.check.as_str())).collect::<BTreeSet<_>>().len()
    }
}

/// One line, safe for a screen.
fn safe(text: &str) -> String {
    one_line(text, 2000)
}
