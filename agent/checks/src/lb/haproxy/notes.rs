//! What reading leaves besides pools: troubles, and what only HAProxy has.

use super::line::{Line, place};
use crate::lb::{Place, System, Trouble};
use cloud_doctor_proto::finding::Words;

/// Of each kind that are kept.
const NOTES_MAX: usize = 200;

/// A time without a unit: milliseconds, whatever was meant.
#[derive(Debug, Clone)]
pub(crate) struct BareTime {
    /// Whose, and which: `haproxy backend web inter`.
    pub(crate) subject: String,
    pub(crate) millis: u32,
    pub(crate) place: Place,
}

/// How a pool is after a reload.
#[derive(Debug, Clone)]
pub(crate) struct Restart {
    /// The pool's subject.
    pub(crate) subject: String,
    /// The longest that a member is taken for alive before its first probe.
    pub(crate) first_probe_secs: f64,
    /// Whether members' states outlive a reload.
    pub(crate) kept: bool,
    /// Where the interval stands, or the pool.
    pub(crate) place: Place,
}

/// An interval at a member that is never probed.
#[derive(Debug, Clone)]
pub(crate) struct IdleInterval {
    /// The member's subject.
    pub(crate) subject: String,
    pub(crate) place: Place,
}

/// Everything that was noted.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) troubles: Vec<Trouble>,
    pub(super) bare_times: Vec<BareTime>,
    pub(super) idle_intervals: Vec<IdleInterval>,
    pub(super) restarts: Vec<Restart>,
}

impl Notes {
    /// A line that is not understood.
    pub(super) fn trouble(&mut self, line: &Line<'_>, why: Words) {
        self.trouble_at(line.place(), why);
    }

    /// The same of a line that has no words.
    pub(super) fn trouble_in(&mut self, file: &str, number: u32, raw: &[u8], why: Words) {
        self.trouble_at(place(file, number, raw), why);
    }

    pub(super) fn trouble_at(&mut self, place: Place, why: Words) {
        if self.troubles.len() < NOTES_MAX {
            self.troubles.push(Trouble { system: System::Haproxy, place, why });
        }
    }

    pub(super) fn bare_time(&mut self, subject: &str, option: &str, millis: u32, line: &Line<'_>) {
        if self.bare_times.len() < NOTES_MAX {
            self.bare_times.push(BareTime { subject: format!("{subject} {option}"), millis, place: line.place() });
        }
    }

    pub(super) fn idle_interval(&mut self, subject: String, place: &Place) {
        if self.idle_intervals.len() < NOTES_MAX {
            self.idle_intervals.push(IdleInterval { subject, place: place.clone() });
        }
    }
}
