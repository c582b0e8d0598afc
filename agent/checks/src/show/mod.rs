//! Findings for people and for programs.
//!
//! All that comes from a host is made safe for one line here (COD-08): a file's line must not draw on an engineer's screen.

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
pub(crate) use json::{One, one};
pub use json::{json, schema};
pub use list::{explain, list, list_json};
pub use markdown::markdown;
pub use page::{Page, findings_page};
pub use prometheus::prometheus;

use crate::check::Check;
use crate::run::Ran;
use cloud_doctor_proto::finding::{Finding, Status};
use cloud_doctor_proto::refusal::{Language, one_line};
use cloud_doctor_proto::time::UnixTime;

/// A run's results.
#[derive(Debug)]
pub struct Results<'a> {
    /// The host's name.
    pub host: &'a str,
    /// When it was looked at.
    pub at: UnixTime,
    /// What became of each check.
    pub ran: &'a [(&'static Check, Ran)],
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
        let mut all: Vec<_> = self.each().collect();
        all.sort_by_key(|finding| (std::cmp::Reverse(finding.status), !finding.note));
        all
    }

    /// The worst status of all.
    #[must_use]
    pub fn status(&self) -> Status {
        self.each().map(|finding| finding.status).max().unwrap_or(Status::Ok)
    }

    fn each(&self) -> impl Iterator<Item = &'a Finding> + use<'a> {
        self.ran.iter().flat_map(|(_, ran)| match ran {
            Ran::Findings(findings) => findings.as_slice(),
            Ran::NotHere(_) => &[],
        })
    }

    fn count(&self, status: Status) -> usize {
        self.each().filter(|finding| finding.status == status).count()
    }
}

/// One line, safe for a screen.
fn safe(text: &str) -> String {
    one_line(text, 2000)
}
