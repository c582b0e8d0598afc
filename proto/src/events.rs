//! What happened on a host: packages that were changed, its starts, its services' failures, kills for want of memory.
//!
//! ```text
//!  relay ── MetricsRequest::Events ──▶ tunnel ──▶ guard ──▶ a checker, which looks and can do nothing else
//!  relay ◀────────── Events ◀───────── tunnel ◀── guard
//! ```
//!
//! It is asked for and refused as metrics are ([`crate::metrics`]): without a grant, by the ceiling's rule. Whoever passes
//! an answer on is sure of its size. It must never hold a command line, a file's content, or a text that draws on a screen.

use crate::limits::EVENTS_SECS_MAX;
use crate::refusal::one_line;
use serde::{Deserialize, Serialize};

/// Events in one answer; older ones are left out and counted.
pub const EVENTS_MAX: usize = 500;
/// Packages that one event names: more than that nobody reads beside a chart.
pub const EVENT_NAMES_MAX: usize = 8;
/// Names in one answer: with texts of four bytes for each character it stays below
/// [`crate::limits::CONTROL_BYTES_MAX`].
pub const EVENTS_NAMES_MAX: usize = 1_000;
/// Characters of a name or version.
pub const EVENT_TEXT_CHARS_MAX: usize = 64;

/// Which time is meant. A host looks back [`EVENTS_SECS_MAX`] at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsRequest {
    /// First millisecond, Unix time by the host's clock.
    pub from: u64,
    /// The first one after it.
    pub to: u64,
}

/// What happened then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    /// Since when the host has looked, in milliseconds: what was before is not known.
    pub since: u64,
    /// The oldest first; at most [`EVENTS_MAX`].
    pub events: Vec<Event>,
    /// Older ones of that time that are not in here.
    pub left_out: u32,
    /// What could not be read, or not all of it: nothing can be concluded from silence there.
    #[serde(default)]
    pub blind: Vec<EventSource>,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Milliseconds of Unix time, by the host's clock.
    pub at: u64,
    /// What it is.
    pub kind: EventKind,
    /// How many packages, or how often within ten minutes, of which `at` is the last; at least 1.
    pub count: u32,
    /// The packages, or the kernel's name of the process; at most [`EVENT_NAMES_MAX`].
    #[serde(default)]
    pub names: Vec<Named>,
    /// The service that it happened to, or that a killed process belonged to; empty where there is none.
    #[serde(default)]
    pub unit: String,
    /// The moment was guessed: a log without a year or a zone.
    #[serde(default)]
    pub guessed: bool,
}

/// A name with the versions that go with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// A package's, or a process's.
    pub name: String,
    /// A package's version before; empty when there was none or it is not known.
    #[serde(default)]
    pub before: String,
    /// And after.
    #[serde(default)]
    pub after: String,
}

macro_rules! ids {
    ($(#[$doc:meta])* $name:ident { $($(#[$each:meta])* $variant:ident $id:literal;)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$each])* #[serde(rename = $id)] $variant,)*
            /// Something of a newer host.
            #[serde(other)]
            Unknown,
        }

        impl $name {
            /// All that this build knows.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// As it stands in JSON.
            #[must_use]
            pub fn id(self) -> &'static str {
                match self { $($name::$variant => $id,)* $name::Unknown => "unknown" }
            }
        }
    };
}

ids! {
    /// What an event is.
    EventKind {
        /// Packages were installed, or installed again.
        Installed "installed";
        /// Packages were replaced by newer ones.
        Upgraded "upgraded";
        /// Packages were replaced by older ones.
        Downgraded "downgraded";
        /// Packages were removed.
        Removed "removed";
        /// The kernel started.
        Booted "booted";
        /// The system was shut down.
        ShutDown "shut-down";
        /// A service that had not started with the kernel was started.
        Started "started";
        /// A service was started again by systemd, because it had ended.
        Restarted "restarted";
        /// A service failed.
        Failed "failed";
        /// The kernel killed a process because memory ran out.
        Killed "killed";
    }
}

ids! {
    /// Where events are read.
    EventSource {
        /// The logs of package managers.
        Packages "packages";
        /// The record of starts of the kernel.
        Starts "starts";
        /// systemd's journal.
        Services "services";
        /// The kernel's messages.
        Kernel "kernel";
    }
}

impl EventsRequest {
    /// Whether it means any time at all.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        self.from < self.to
    }

    /// Since when a host looks, at `now` in milliseconds.
    #[must_use]
    pub fn since(&self, now: u64) -> u64 {
        self.from.max(now.saturating_sub(EVENTS_SECS_MAX * 1_000))
    }

    fn holds(&self, at: u64) -> bool {
        (self.from..self.to).contains(&at)
    }
}

impl Events {
    /// The newest that there is room for, each text on one line and cut to its length.
    #[must_use]
    pub fn bounded(mut self, asked: &EventsRequest) -> Self {
        self.events.retain(|event| asked.holds(event.at));
        self.events.sort_by_key(|event| event.at);
        let over = self.events.len().saturating_sub(EVENTS_MAX);
        self.events.drain(..over);
        self.left_out = self.left_out.saturating_add(u32::try_from(over).unwrap_or(u32::MAX));
        let mut room = EVENTS_NAMES_MAX;
        for event in self.events.iter_mut().rev() {
            event.count = event.count.max(1);
            event.names.truncate(EVENT_NAMES_MAX.min(room));
            room -= event.names.len();
            event.unit = text(&event.unit);
            for Named { name, before, after } in &mut event.names {
                [name, before, after].into_iter().for_each(|one| *one = text(one));
            }
        }
        self.blind.truncate(EventSource::ALL.len());
        self
    }

    /// Whether it is what [`Self::bounded`] makes: what an honest host sends.
    #[must_use]
    pub fn is_bounded(&self, asked: &EventsRequest) -> bool {
        let fits = |one: &String| text(one) == *one;
        let named = |Named { name, before, after }: &Named| fits(name) && fits(before) && fits(after);
        let one = |event: &Event| {
            asked.holds(event.at)
                && event.count > 0
                && event.names.len() <= EVENT_NAMES_MAX
                && fits(&event.unit)
                && event.names.iter().all(named)
        };
        self.events.len() <= EVENTS_MAX
            && self.events.iter().map(|event| event.names.len()).sum::<usize>() <= EVENTS_NAMES_MAX
            && self.events.is_sorted_by_key(|event| event.at)
            && self.blind.len() <= EventSource::ALL.len()
            && self.events.iter().all(one)
    }
}

/// What is written as an escape is longer than what it stands for, so it is cut twice.
fn text(text: &str) -> String {
    one_line(text, EVENT_TEXT_CHARS_MAX).chars().take(EVENT_TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::limits::CONTROL_BYTES_MAX;
    use crate::pack;

    const ASKED: EventsRequest = EventsRequest { from: 1_000, to: 10_000 };

    fn event(at: u64, names: usize) -> Event {
        let text = "\u{1f980}".repeat(500);
        let named = Named { name: text.clone(), before: text.clone(), after: text.clone() };
        Event { at, kind: EventKind::Upgraded, count: 0, names: vec![named; names], unit: text, guessed: true }
    }

    fn events(events: Vec<Event>) -> Events {
        Events { since: 0, events, left_out: 3, blind: EventSource::ALL.to_vec() }
    }

    #[test]
    fn web_09_the_largest_answer_fits_its_frame_and_the_newest_stay() {
        let all: Vec<Event> = (0..2_000).map(|at| event(1_000 + at, 20)).collect();
        let found = events(all).bounded(&ASKED);
        assert_eq!((found.events.len(), found.left_out), (EVENTS_MAX, 1_503));
        assert_eq!((found.events[0].at, found.events.last().unwrap().at), (2_500, 2_999));
        let names = |event: &Event| event.names.len();
        assert_eq!(found.events.iter().map(names).sum::<usize>(), EVENTS_NAMES_MAX);
        assert_eq!((names(&found.events[0]), names(found.events.last().unwrap())), (0, EVENT_NAMES_MAX));
        assert!(found.is_bounded(&ASKED));
        let bytes = pack::to_bytes(&found).len();
        assert!((500_000..CONTROL_BYTES_MAX).contains(&bytes), "{bytes}");
        assert_eq!(pack::from_bytes::<Events>(&pack::to_bytes(&found), CONTROL_BYTES_MAX).unwrap(), found);
    }

    #[test]
    fn web_09_what_no_honest_host_sends_is_known() {
        let honest = || events(vec![event(1_000, 1), event(9_999, 1)]).bounded(&ASKED);
        assert!(honest().is_bounded(&ASKED));
        let lies: [fn(&mut Events); 9] = [
            |all| all.events[0].at = 999,
            |all| all.events[1].at = 10_000,
            |all| all.events.swap(0, 1),
            |all| all.events[0].count = 0,
            |all| all.events[0].unit = "a\u{1b}[2J".into(),
            |all| all.events[0].names[0].after.push('x'),
            |all| all.events[0].names = vec![all.events[0].names[0].clone(); EVENT_NAMES_MAX + 1],
            |all| all.events = vec![all.events[0].clone(); EVENTS_MAX + 1],
            |all| all.blind = vec![EventSource::Kernel; 9],
        ];
        for (number, lie) in lies.iter().enumerate() {
            let mut all = honest();
            lie(&mut all);
            assert!(!all.is_bounded(&ASKED), "{number}");
        }
        assert!(!EventsRequest { from: 2, to: 2 }.is_bounded() && ASKED.is_bounded());
    }

    #[test]
    fn cod_08_texts_are_one_line_without_hidden_characters_and_what_is_elsewhere_goes() {
        let mut odd = event(5_000, 1);
        odd.names[0].name = "a\u{1b}[2J\n\u{202e}b".into();
        let found = events(vec![event(20_000, 0), odd, event(1, 0)]).bounded(&ASKED);
        assert_eq!((found.events.len(), found.left_out), (1, 3), "what was not asked for is not left out either");
        let name = &found.events[0].names[0].name;
        assert!(!name.contains(['\u{1b}', '\n', '\u{202e}']), "{name}");
        assert_eq!(found.events[0].count, 1);
    }

    #[test]
    fn cod_02_kinds_and_sources_of_a_newer_host_are_unknown_and_no_error() {
        let newer = std::collections::BTreeMap::from([("kind", "moonlight")]);
        #[derive(Deserialize)]
        struct Some {
            kind: EventKind,
        }
        assert_eq!(pack::from_bytes::<Some>(&pack::to_bytes(&newer), 100).unwrap().kind, EventKind::Unknown);
        for kind in EventKind::ALL {
            let text = serde_json::to_value(kind).unwrap();
            assert_eq!(text, kind.id());
        }
    }

    #[test]
    fn a_host_looks_back_a_week_at_most() {
        let day = 86_400_000;
        assert_eq!(ASKED.since(30 * day), 23 * day);
        assert_eq!(EventsRequest { from: 29 * day, to: 31 * day }.since(30 * day), 29 * day);
    }
}
