//! What was forecast and what became of it: nobody is asked to believe a forecast, its record stands beside it.
//!
//! An episode begins when a rule speaks about something and ends when that is full, when its time to be judged has passed, or when
//! it was emptied before: then it was *averted*, which is neither a hit nor a miss. Bounded; the oldest that are over go
//! first. It must never change what an entry said when it was made.

use super::{Forecast, Of, Rule};
use serde::{Deserialize, Serialize};

/// Entries kept.
const ENTRIES_MAX: usize = 200;
/// Emptied by so much since the forecast: somebody, or something, acted. Rotation of logs empties less.
const EMPTIED: f64 = 0.1;
/// Past its time by so much it has not come true.
const GRACE_SECS: u64 = 3_600;

/// What became of a forecast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It may still come true.
    Open,
    /// It was full before it had to be judged; or it ran out.
    True,
    /// That time passed.
    False,
    /// Something was emptied before, or renewed in time.
    Averted,
}

/// One forecast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// What it is about: a check's id and subject.
    pub check: String,
    /// See there.
    pub subject: String,
    /// The rule's id and version.
    pub rule: String,
    /// See there.
    pub version: u32,
    /// Unix seconds when it was made.
    pub made_at: u64,
    /// Share used then.
    pub used: f64,
    /// Unix seconds of the interval's beginning.
    pub earliest: u64,
    /// Its end; none: open.
    pub latest: Option<u64>,
    /// How sure that interval is, 0 to 1; none: version 1 did not keep it.
    #[serde(default)]
    pub confidence: Option<f64>,
    /// When it is judged at the latest.
    pub judged_at: u64,
    /// See there.
    pub outcome: Outcome,
    /// When that was known.
    pub known_at: Option<u64>,
}

/// All that is kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// Oldest first.
    pub entries: Vec<Entry>,
}

/// One thing as it is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// Unix seconds.
    pub now: u64,
    /// Share used.
    pub used: f64,
    /// When it was full the last time, as far as its history goes: nobody may have looked then, and memory is given back when
    /// the kernel ends what took it.
    pub full_at: Option<u64>,
}

impl Ledger {
    /// Takes what is seen of one thing, and what is forecast of it.
    pub fn see(&mut self, check: &str, subject: &str, seen: Seen, forecast: Option<&Forecast>) {
        let same = |entry: &&mut Entry| entry.check == check && entry.subject == subject;
        for entry in self.entries.iter_mut().filter(same).filter(|entry| entry.outcome == Outcome::Open) {
            let outcome = judged(entry, seen);
            if outcome != Outcome::Open {
                entry.outcome = outcome;
                entry.known_at = Some(seen.now);
            }
        }
        if let Some(forecast) = forecast {
            self.make(check, subject, seen.now, forecast);
        }
    }

    /// One entry for each episode of a rule.
    fn make(&mut self, check: &str, subject: &str, now: u64, forecast: &Forecast) {
        let rule = forecast.rule.id();
        let goes_on = self.entries.iter().any(|entry| {
            let is_open = entry.outcome == Outcome::Open && entry.version == Rule::VERSION;
            is_open && entry.check == check && entry.subject == subject && entry.rule == rule
        });
        if goes_on {
            return;
        }
        let after = |secs: f64| now.saturating_add(whole(secs));
        self.add(Entry {
            check: check.to_owned(),
            subject: subject.to_owned(),
            rule: rule.to_owned(),
            version: Rule::VERSION,
            made_at: now,
            used: forecast.used,
            earliest: after(forecast.earliest_secs),
            latest: Some(after(forecast.latest_secs)),
            confidence: Some(forecast.confidence),
            judged_at: after(forecast.judged_secs),
            outcome: Outcome::Open,
            known_at: None,
        });
    }

    /// Keeps one more; the oldest that are over go first.
    pub(super) fn add(&mut self, entry: Entry) {
        self.entries.push(entry);
        while self.entries.len() > ENTRIES_MAX {
            let over = self.entries.iter().position(|entry| entry.outcome != Outcome::Open).unwrap_or(0);
            self.entries.remove(over);
        }
    }

    /// How many of a rule's came to that, of what its present version said about such things.
    #[must_use]
    pub fn count(&self, of: Of, rule: Rule, outcome: Outcome) -> usize {
        let is_such = |entry: &&Entry| {
            let is_rules = entry.rule == rule.id() && entry.version == Rule::VERSION && entry.outcome == outcome;
            is_rules && Of::told_by(&entry.check, &entry.subject) == Some(of)
        };
        self.entries.iter().filter(is_such).count()
    }

    /// How many came true and did not, of those that are known.
    #[must_use]
    pub fn record(&self, of: Of, rule: Rule) -> (usize, usize) {
        (self.count(of, rule, Outcome::True), self.count(of, rule, Outcome::False))
    }
}

fn judged(entry: &Entry, seen: Seen) -> Outcome {
    let last = entry.judged_at.saturating_add(GRACE_SECS);
    if let Some(full) = seen.full_at.filter(|full| *full >= entry.made_at) {
        // Full after its time is no hit.
        return if full <= last { Outcome::True } else { Outcome::False };
    }
    if seen.used < entry.used - EMPTIED {
        return Outcome::Averted;
    }
    if seen.now > last { Outcome::False } else { Outcome::Open }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what fits")]
pub(super) fn whole(secs: f64) -> u64 {
    secs.clamp(0.0, 1e12) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::FULL;

    const FORECAST: Forecast = Forecast {
        rule: Rule::Burst,
        earliest_secs: 3_600.0,
        likely_secs: 7_200.0,
        latest_secs: 9_000.0,
        judged_secs: 10_800.0,
        confidence: 0.8,
        used: 0.9,
    };

    /// Somebody looks at 1,000 s and so many later.
    fn seen(secs: u64, used: f64) -> Seen {
        let now = 1_000 + secs;
        Seen { now, used, full_at: (used >= FULL).then_some(now) }
    }

    fn after(later: &[Seen]) -> Outcome {
        let mut ledger = Ledger::default();
        ledger.see("disk.fills-up", "/", seen(0, 0.9), Some(&FORECAST));
        for seen in later {
            ledger.see("disk.fills-up", "/", *seen, Some(&FORECAST));
        }
        let Entry { used, confidence, .. } = &ledger.entries[0];
        assert!(used.to_bits() == 0.9_f64.to_bits() && *confidence == Some(0.8), "what was said stays");
        ledger.entries[0].outcome
    }

    #[test]
    fn a_forecast_comes_true_does_not_or_was_averted_and_what_it_said_stays() {
        assert_eq!(after(&[seen(600, 0.92)]), Outcome::Open);
        assert_eq!(after(&[seen(600, 0.92), seen(7_000, 0.995)]), Outcome::True);
        assert_eq!(after(&[seen(13_500, 0.93)]), Outcome::Open, "its interval has passed, and it is not judged yet");
        assert_eq!(after(&[seen(14_500, 0.93)]), Outcome::False);
        assert_eq!(after(&[seen(14_500, 1.0)]), Outcome::False, "full after its time");
        assert_eq!(after(&[seen(600, 0.79)]), Outcome::Averted);
    }

    #[test]
    fn mem_09_what_was_used_up_while_nobody_looked_came_true_though_it_is_free_again() {
        let later = |full_at: u64| after(&[Seen { full_at: Some(full_at), ..seen(86_400, 0.3) }]);
        assert_eq!(later(8_000), Outcome::True, "the kernel ended what took it");
        assert_eq!(later(20_000), Outcome::False, "that was after its time");
        assert_eq!(later(900), Outcome::Averted, "that was before it was said");
    }

    #[test]
    fn an_episode_is_one_entry_and_the_oldest_that_are_over_go() {
        let mut ledger = Ledger::default();
        for minute in 0..10 {
            ledger.see("disk.fills-up", "/", seen(minute * 60, 0.9), Some(&FORECAST));
        }
        assert_eq!(ledger.entries.len(), 1);
        for number in 0..300 {
            ledger.see("disk.fills-up", &format!("/mnt/{number}"), seen(0, 0.9), Some(&FORECAST));
        }
        assert_eq!(ledger.entries.len(), ENTRIES_MAX);
        assert_eq!(ledger.record(Of::Space, Rule::Burst), (0, 0));
        ledger.see("disk.fills-up", "/mnt/299", seen(1_000, 1.0), None);
        assert_eq!((ledger.record(Of::Space, Rule::Burst), ledger.record(Of::Space, Rule::Trend)), ((1, 0), (0, 0)));
    }

    #[test]
    fn what_came_true_of_one_kind_of_thing_says_nothing_about_another() {
        let mut ledger = Ledger::default();
        let all = [
            ("disk.fills-up", "/", Of::Space),
            ("disk.fills-up", "inodes of /", Of::Inodes),
            ("memory.fills-up", "memory", Of::Memory),
        ];
        for (number, (check, subject, of)) in all.into_iter().enumerate() {
            ledger.see(check, subject, seen(0, 0.9), Some(&FORECAST));
            ledger.see(check, subject, seen(600, 1.0), None);
            assert_eq!(ledger.record(of, Rule::Burst), (1, 0));
            let came_true = all.iter().filter(|(.., of)| ledger.record(*of, Rule::Burst) == (1, 0)).count();
            assert_eq!(came_true, number + 1);
        }
    }
}
