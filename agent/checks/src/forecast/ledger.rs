//! What was forecast and what became of it: nobody is asked to believe a forecast, its record stands beside it.
//!
//! An episode begins when a rule speaks about something and ends when that is full, when its time to be judged has passed, or when
//! it was emptied before: then it was *averted*, which is neither a hit nor a miss. Bounded; the oldest that are over go
//! first. It must never change what an entry said when it was made.

use super::{FULL, Forecast, Rule};
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

impl Ledger {
    /// Takes what is seen of one thing at `now`: its share used, and what is forecast of it.
    pub fn see(&mut self, check: &str, subject: &str, now: u64, used: f64, forecast: Option<&Forecast>) {
        let same = |entry: &&mut Entry| entry.check == check && entry.subject == subject;
        for entry in self.entries.iter_mut().filter(same).filter(|entry| entry.outcome == Outcome::Open) {
            let outcome = judged(entry, now, used);
            if outcome != Outcome::Open {
                entry.outcome = outcome;
                entry.known_at = Some(now);
            }
        }
        if let Some(forecast) = forecast {
            self.make(check, subject, now, forecast);
        }
    }

    /// One entry for each episode of a rule.
    fn make(&mut self, check: &str, subject: &str, now: u64, forecast: &Forecast) {
        let rule = forecast.rule.id();
        let goes_on = self.entries.iter().any(|entry| {
            entry.outcome == Outcome::Open && entry.check == check && entry.subject == subject && entry.rule == rule
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
            latest: forecast.latest_secs.map(after),
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

    /// How many came true and did not, of all that a rule's present version said and that are known.
    #[must_use]
    pub fn record(&self, rule: Rule) -> (usize, usize) {
        let of = |outcome: Outcome| {
            let known =
                |entry: &&Entry| entry.rule == rule.id() && entry.version == Rule::VERSION && entry.outcome == outcome;
            self.entries.iter().filter(known).count()
        };
        (of(Outcome::True), of(Outcome::False))
    }
}

fn judged(entry: &Entry, now: u64, used: f64) -> Outcome {
    if used >= FULL {
        // Full after its time is no hit.
        return if now <= entry.judged_at.saturating_add(GRACE_SECS) { Outcome::True } else { Outcome::False };
    }
    if used < entry.used - EMPTIED {
        return Outcome::Averted;
    }
    if now > entry.judged_at.saturating_add(GRACE_SECS) { Outcome::False } else { Outcome::Open }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what fits")]
fn whole(secs: f64) -> u64 {
    secs.clamp(0.0, 1e12) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORECAST: Forecast = Forecast {
        rule: Rule::Burst,
        earliest_secs: 3_600.0,
        likely_secs: 7_200.0,
        latest_secs: Some(9_000.0),
        judged_secs: 10_800.0,
        confidence: Some(0.8),
        used: 0.9,
    };

    fn after(later: &[(u64, f64)]) -> Outcome {
        let mut ledger = Ledger::default();
        ledger.see("disk.fills-up", "/", 1_000, 0.9, Some(&FORECAST));
        for (secs, used) in later {
            ledger.see("disk.fills-up", "/", 1_000 + secs, *used, Some(&FORECAST));
        }
        assert!(ledger.entries[0].used.to_bits() == 0.9_f64.to_bits(), "what was said stays");
        ledger.entries[0].outcome
    }

    #[test]
    fn a_forecast_comes_true_does_not_or_was_averted_and_what_it_said_stays() {
        assert_eq!(after(&[(600, 0.92)]), Outcome::Open);
        assert_eq!(after(&[(600, 0.92), (7_000, 0.995)]), Outcome::True);
        assert_eq!(after(&[(13_500, 0.93)]), Outcome::Open, "its interval has passed, and it is not judged yet");
        assert_eq!(after(&[(14_500, 0.93)]), Outcome::False);
        assert_eq!(after(&[(14_500, 1.0)]), Outcome::False, "full after its time");
        assert_eq!(after(&[(600, 0.79)]), Outcome::Averted);
    }

    #[test]
    fn an_episode_is_one_entry_and_the_oldest_that_are_over_go() {
        let mut ledger = Ledger::default();
        for minute in 0..10 {
            ledger.see("disk.fills-up", "/", minute * 60, 0.9, Some(&FORECAST));
        }
        assert_eq!(ledger.entries.len(), 1);
        for number in 0..300 {
            ledger.see("disk.fills-up", &format!("/mnt/{number}"), 1_000, 0.9, Some(&FORECAST));
        }
        assert_eq!(ledger.entries.len(), ENTRIES_MAX);
        assert_eq!(ledger.record(Rule::Burst), (0, 0));
        ledger.see("disk.fills-up", "/mnt/299", 2_000, 1.0, None);
        assert_eq!((ledger.record(Rule::Burst), ledger.record(Rule::Trend)), ((1, 0), (0, 0)));
    }
}
