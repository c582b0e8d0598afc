//! Ends that are certain: a certificate says itself until when it is valid, so there is nothing to estimate. It is told in the
//! form of every forecast, an interval, of which both ends are one moment here, and with a confidence, which is 1.
//!
//! The ledger keeps what became of those that were due, renewed in time or run out. That says how well this host renews, and
//! nothing about how well anything is foretold here: no figure of right forecasts may ever count them, and [`super::Rule`]
//! has no name for them.

use super::ledger::{Entry, Ledger, Outcome};
use super::told::{CONFIDENCE, EARLIEST, LATEST, LIKELY, RULE, USED, number};
use crate::found::Found;
use cloud_doctor_proto::finding::Finding;
use cloud_doctor_proto::time::{DAY_SECS, UnixTime};

/// What an entry's rule is called, for ever.
const ID: &str = "not-after";
const VERSION: u32 = 1;
const FROM: &str = "not_before";
const UNTIL: &str = "not_after";
/// Whoever renews by itself has done so when a third of the life is left, and people do within a month.
const DUE_SECS_MAX: u64 = 30 * DAY_SECS;
/// Entries of the ledger: a host with hundreds of certificates must not push out what was forecast of its disks.
const ENTRIES_MAX: usize = 50;

/// A time that has a beginning and an end, in Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: u64,
    pub(crate) until: u64,
}

impl Span {
    /// Of a certificate, whose dates may be any.
    pub(crate) fn new(from: i64, until: i64) -> Self {
        let secs = |at: i64| u64::try_from(at).unwrap_or(0);
        Self { from: secs(from), until: secs(until) }
    }

    /// The share of it that is over, 0 to 1.
    fn used(self, now: u64) -> f64 {
        let whole = self.until.saturating_sub(self.from);
        if now >= self.until || whole == 0 {
            return 1.0;
        }
        secs(now.saturating_sub(self.from)) / secs(whole)
    }

    /// Whether it should have been renewed by now, or will have to be soon.
    pub(crate) fn is_due(self, now: UnixTime) -> bool {
        let third = self.until.saturating_sub(self.from) / 3;
        self.until.saturating_sub(now.0) < third.min(DUE_SECS_MAX)
    }

    /// Adds it to a finding, in the form of every forecast.
    pub(crate) fn tell(self, found: Found, now: UnixTime) -> Found {
        let left = secs(self.until.saturating_sub(now.0));
        let found = found.detail(USED, self.used(now.0)).detail(RULE, ID).detail(CONFIDENCE, 1.0);
        let found = found.detail(EARLIEST, left).detail(LIKELY, left).detail(LATEST, left);
        found.detail(FROM, secs(self.from)).detail(UNTIL, secs(self.until))
    }

    /// What a finding of [`Span::tell`] is about.
    fn of(finding: &Finding) -> Option<Self> {
        let whole = |name: &str| {
            let secs = number(finding, name).filter(|secs| (0.0..1e12).contains(secs))?;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded just here")]
            Some(secs as u64)
        };
        Some(Self { from: whole(FROM)?, until: whole(UNTIL)? })
    }
}

#[expect(clippy::cast_precision_loss, reason = "moments in seconds, far below 2^53")]
pub(super) fn secs(secs: u64) -> f64 {
    secs.min(1 << 50) as f64
}

/// How many were renewed in time, ran out, and are due now.
pub(crate) fn record(ledger: &Ledger) -> (usize, usize, usize) {
    let of =
        |outcome: Outcome| ledger.entries.iter().filter(|entry| entry.rule == ID && entry.outcome == outcome).count();
    (of(Outcome::Averted), of(Outcome::True), of(Outcome::Open))
}

/// Learns from all findings of a check whose ends are certain.
pub(super) fn learn(ledger: &mut Ledger, check: &str, findings: &[Finding], now: UnixTime) {
    for finding in findings {
        if let Some(span) = Span::of(finding) {
            see(ledger, check, &finding.subject, now, span);
        }
    }
    // What is not here any more, and would have ended: nobody knows whether it did.
    let is_here = |entry: &Entry| findings.iter().any(|finding| finding.subject == entry.subject);
    ledger.entries.retain(|entry| {
        let is_open = entry.rule == ID && entry.check == check && entry.outcome == Outcome::Open;
        !is_open || now.0 <= entry.earliest || is_here(entry)
    });
}

/// Takes what is valid in one place at `now`.
fn see(ledger: &mut Ledger, check: &str, subject: &str, now: UnixTime, span: Span) {
    let is_same = |entry: &Entry| entry.rule == ID && entry.check == check && entry.subject == subject;
    for entry in ledger.entries.iter_mut().filter(|entry| is_same(entry) && entry.outcome == Outcome::Open) {
        let outcome = judged(entry, now, span);
        if outcome != Outcome::Open {
            entry.outcome = outcome;
            entry.known_at = Some(now.0);
        }
    }
    let is_told = ledger.entries.iter().any(|entry| is_same(entry) && entry.earliest == span.until);
    if is_told || !span.is_due(now) || now.0 > span.until {
        return;
    }
    ledger.add(Entry {
        check: check.to_owned(),
        subject: subject.to_owned(),
        rule: ID.to_owned(),
        version: VERSION,
        made_at: now.0,
        used: span.used(now.0),
        earliest: span.until,
        latest: Some(span.until),
        confidence: Some(1.0),
        judged_at: span.until,
        outcome: Outcome::Open,
        known_at: None,
    });
    while ledger.entries.iter().filter(|entry| entry.rule == ID).count() > ENTRIES_MAX {
        let is_over = |entry: &Entry| entry.rule == ID && entry.outcome != Outcome::Open;
        let over = ledger.entries.iter().position(is_over);
        let Some(at) = over.or_else(|| ledger.entries.iter().position(|entry| entry.rule == ID)) else { return };
        ledger.entries.remove(at);
    }
}

/// `span` is what is valid there now. Another one was in time when it began before the old one ended: nobody may have looked
/// meanwhile.
fn judged(entry: &Entry, now: UnixTime, span: Span) -> Outcome {
    if span.until != entry.earliest {
        let in_time = now.0 <= entry.earliest || span.from <= entry.earliest;
        return if in_time { Outcome::Averted } else { Outcome::True };
    }
    if now.0 > entry.earliest { Outcome::True } else { Outcome::Open }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::{Forecast, Of, Rule, Seen};

    const DAY: u64 = DAY_SECS;
    const CHECK: &str = "tls.expiry";
    /// Of 90 days.
    const FIRST: Span = Span { from: 1_000 * DAY, until: 1_090 * DAY };

    fn at(day: u64) -> UnixTime {
        UnixTime(day * DAY)
    }

    /// What became of the first one, when it was seen due, and this was seen later.
    fn after(later: &[(u64, Span)]) -> (usize, usize, usize) {
        let mut ledger = Ledger::default();
        see(&mut ledger, CHECK, "shop", at(1_065), FIRST);
        assert_eq!((ledger.entries.len(), record(&ledger)), (1, (0, 0, 1)));
        for (day, span) in later {
            see(&mut ledger, CHECK, "shop", at(*day), *span);
        }
        record(&ledger)
    }

    #[test]
    fn tls_01_a_certificate_that_was_due_is_renewed_in_time_or_runs_out() {
        let renewed = |day: u64| Span { from: day * DAY, until: (day + 90) * DAY };
        assert_eq!(after(&[(1_066, FIRST)]), (0, 0, 1));
        assert_eq!(after(&[(1_066, renewed(1_065))]), (1, 0, 0));
        assert_eq!(after(&[(1_091, FIRST)]), (0, 1, 0));
        assert_eq!(after(&[(1_091, FIRST), (1_092, FIRST), (1_093, renewed(1_093))]), (0, 1, 0), "once");
        assert_eq!(after(&[(1_100, renewed(1_089))]), (1, 0, 0), "nobody looked, and it was in time");
        assert_eq!(after(&[(1_100, renewed(1_095))]), (0, 1, 0), "nobody looked, and it was not");
        // Replaced by one that ends sooner and is due as well.
        assert_eq!(after(&[(1_066, Span { from: 1_060 * DAY, until: 1_067 * DAY })]), (1, 0, 1));
    }

    #[test]
    fn tls_01_only_what_is_due_is_noted() {
        for (days, left, due) in
            [(90, 31, false), (90, 29, true), (6, 3, false), (6, 1, true), (3_650, 31, false), (3_650, 29, true)]
        {
            let span = Span { from: 1_000 * DAY, until: (1_000 + days) * DAY };
            assert_eq!(span.is_due(at(1_000 + days - left)), due, "{left} of {days}");
        }
        let mut ledger = Ledger::default();
        see(&mut ledger, CHECK, "shop", at(1_091), FIRST);
        assert!(ledger.entries.is_empty(), "what has run out is no forecast");
        let odd = Span::new(i64::MIN, i64::MAX);
        see(&mut ledger, CHECK, "odd", at(1), odd);
        assert!((odd.used(5) - 0.0).abs() < 1e-9 && Span::new(9, 3).used(5) >= 1.0 && ledger.entries.is_empty());
    }

    #[test]
    fn tls_01_certainty_counts_for_no_rule_and_takes_no_rules_place() {
        let mut ledger = Ledger::default();
        let burst = Forecast {
            rule: Rule::Burst,
            earliest_secs: 1.0,
            likely_secs: 2.0,
            latest_secs: 3.0,
            judged_secs: 3.0,
            confidence: 0.8,
            used: 0.9,
        };
        let seen = Seen { now: 1_065 * DAY, used: 0.9, full_at: None };
        ledger.see("disk.fills-up", "/", seen, Some(&burst));
        for number in 0..300 {
            see(&mut ledger, CHECK, &format!("host {number}"), at(1_065), FIRST);
        }
        assert_eq!((ledger.entries.len(), record(&ledger).2), (ENTRIES_MAX + 1, ENTRIES_MAX));
        for number in 0..300 {
            see(&mut ledger, CHECK, &format!("host {number}"), at(1_091), FIRST);
        }
        assert_eq!(record(&ledger), (0, ENTRIES_MAX, 0));
        for rule in Rule::ALL {
            assert_ne!(rule.id(), ID);
            for of in Of::ALL {
                assert_eq!(
                    ledger.record(of, rule),
                    (0, 0),
                    "certificates that ran out are no forecasts that came true"
                );
            }
        }
        assert_eq!(ledger.entries.iter().filter(|entry| entry.rule == Rule::Burst.id()).count(), 1);
    }

    #[test]
    fn tls_01_what_has_gone_before_its_end_was_seen_is_forgotten() {
        let mut ledger = Ledger::default();
        see(&mut ledger, CHECK, "shop", at(1_065), FIRST);
        learn(&mut ledger, CHECK, &[], at(1_070));
        assert_eq!(record(&ledger), (0, 0, 1));
        learn(&mut ledger, CHECK, &[], at(1_091));
        assert_eq!(record(&ledger), (0, 0, 0));
    }
}
