//! nginx beyond what all load balancers share: workers, limits, and its own traps.

mod add_header_redefinition;
mod alias_traversal;
mod descriptors;
mod hang_time;
mod host_spoofing;
mod reload_failed;
mod single_server;
mod workers;
mod zone;

use crate::check::Check;
use crate::found::Found;
use crate::lb::Place;
use crate::lb::nginx::Instance;
use crate::words;
use cloud_doctor_proto::finding::Status;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// This group's checks.
pub(crate) const CHECKS: &[&Check] = &[
    &workers::CHECK,
    &descriptors::CHECK,
    &zone::CHECK,
    &single_server::CHECK,
    &hang_time::CHECK,
    &reload_failed::CHECK,
    &alias_traversal::CHECK,
    &host_spoofing::CHECK,
    &add_header_redefinition::CHECK,
];

/// Traps of one kind that are told one by one.
const TRAPS_MAX: usize = 50;

/// Lines of one configuration that hold a trap of one kind, by what they are about.
#[derive(Default)]
struct Traps {
    found: BTreeMap<String, Found>,
    more: u32,
}

impl Traps {
    /// Adds a trap. Another one about the same is the same trap, copied.
    fn add(&mut self, subject: String, trap: impl FnOnce(&str) -> Found, places: &[Place]) {
        let full = self.found.len() >= TRAPS_MAX;
        let found = match self.found.entry(subject) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(_) if full => {
                self.more = self.more.saturating_add(1);
                return;
            }
            Entry::Vacant(free) => {
                let found = trap(free.key());
                free.insert(found)
            }
        };
        *found = places.iter().fold(found.clone(), |found, place| found.evidence(place.source(), &place.text));
    }

    /// The findings: one that is fine when there are no traps, one that cannot be told for what could not be read.
    fn told(self, instance: &Instance, kind: &'static str) -> Vec<Found> {
        let mut found: Vec<_> = self.found.into_values().collect();
        if self.more > 0 {
            found = found.into_iter().map(|one| one.detail("more", f64::from(self.more))).collect();
        }
        if found.is_empty() && instance.troubles.is_empty() {
            let file = &instance.file;
            let summary =
                words!("{file} and its includes have no trap of {kind}", "{file} 及其 include 中没有 {kind} 问题");
            found.push(Found::new(instance.subject(), Status::Ok, summary));
        }
        found.extend(unread(instance));
        found
    }
}

/// One finding of status unknown when a part of the configuration could not be read.
fn unread(instance: &Instance) -> Option<Found> {
    let trouble = instance.troubles.first()?;
    let found = Found::new(instance.subject(), Status::Unknown, trouble.why.clone());
    Some(found.evidence(trouble.place.source(), &trouble.place.text))
}

/// Names a place for good: lines move, so a file and what stands there.
fn subject_at(instance: &Instance, place: &Place, what: &str) -> String {
    let what: String = what.chars().take(100).collect();
    format!("{} {} {what}", instance.system.name(), place.file)
}
