//! How often a kind of event that strangers can cause is written; the rest is counted. Pure.

use cloud_doctor_proto::time::BootTime;
use std::collections::BTreeMap;

/// Who causes events, and so how many of them are worth a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Lines of one kind that may follow each other at once.
    burst: u64,
    /// One more line of a kind per this time.
    refill_millis: u64,
    /// Lines of all kinds together that may follow each other at once.
    total: u64,
    /// One more line of any kind per this time.
    total_millis: u64,
}

impl Rate {
    /// Whoever can reach the relay: 200 lines at once, then 200 a day of about 700 bytes. The log keeps 64 MiB, so they
    /// would need more than a year to push anything out of it.
    pub(crate) const STRANGERS: Self =
        Self { burst: 30, refill_millis: 15 * 60 * 1000, total: 200, total_millis: 86_400_000 / 200 };
    /// Engineers in their visits, whose network may come and go: each of these is evidence, within reason.
    pub(crate) const ENGINEERS: Self =
        Self { burst: 500, refill_millis: 60 * 1000, total: 1500, total_millis: 20 * 1000 };
}

/// Buckets, one per kind and one for all; kinds are constants of the program, so their number is bounded.
#[derive(Debug)]
pub(crate) struct Gate {
    rate: Rate,
    buckets: BTreeMap<&'static str, Bucket>,
    total: Option<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    lines: u64,
    filled_at: BootTime,
    counted: u64,
}

impl Bucket {
    fn refill(&mut self, now: BootTime, max: u64, millis: u64) {
        let gained = self.filled_at.millis_until(now) / millis;
        if gained > 0 {
            self.lines = (self.lines + gained).min(max);
            self.filled_at = BootTime(self.filled_at.0 + gained * millis);
        }
    }
}

impl Gate {
    /// A gate that lets this much through.
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, buckets: BTreeMap::new(), total: None }
    }

    /// Whether to write this one, and how many before it were not written.
    pub(crate) fn pass(&mut self, key: &'static str, now: BootTime) -> Option<u64> {
        let rate = self.rate;
        let total = self.total.get_or_insert(Bucket { lines: rate.total, filled_at: now, counted: 0 });
        total.refill(now, rate.total, rate.total_millis);
        let bucket = self.buckets.entry(key).or_insert(Bucket { lines: rate.burst, filled_at: now, counted: 0 });
        bucket.refill(now, rate.burst, rate.refill_millis);
        if bucket.lines == 0 || total.lines == 0 {
            bucket.counted += 1;
            return None;
        }
        bucket.lines -= 1;
        total.lines -= 1;
        Some(std::mem::take(&mut bucket.counted))
    }

    /// Counts whose time to be written has come.
    pub(crate) fn due(&mut self, now: BootTime) -> Vec<(&'static str, u64)> {
        let (rate, mut due) = (self.rate, Vec::new());
        let Some(total) = &mut self.total else { return due };
        total.refill(now, rate.total, rate.total_millis);
        for (key, bucket) in &mut self.buckets {
            bucket.refill(now, rate.burst, rate.refill_millis);
            if bucket.counted > 0 && bucket.lines > 0 && total.lines > 0 {
                bucket.lines -= 1;
                total.lines -= 1;
                due.push((*key, std::mem::take(&mut bucket.counted)));
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r_18_a_flood_is_counted_not_written() {
        let mut gate = Gate::new(Rate::STRANGERS);
        let passed = (0..1000).filter(|i| gate.pass("signature", BootTime(*i)).is_some()).count();
        assert_eq!(passed, 30);
        assert_eq!(gate.pass("ceiling", BootTime(1000)), Some(0), "another kind has its own room");
        assert!(gate.due(BootTime(1000)).is_empty());
        let refill = Rate::STRANGERS.refill_millis;
        assert_eq!(gate.due(BootTime(refill)), [("signature", 970)]);
        assert_eq!(gate.pass("signature", BootTime(3 * refill)), Some(0));
    }

    #[test]
    fn m_07_all_strangers_together_write_two_hundred_lines_a_day() {
        const KINDS: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
        let mut gate = Gate::new(Rate::STRANGERS);
        let day = 86_400;
        let passed = (0..3 * day).step_by(60).flat_map(|secs| KINDS.map(|kind| (secs, kind)));
        let passed = passed.filter(|(secs, kind)| gate.pass(kind, BootTime(secs * 1000)).is_some()).count();
        assert!(passed <= 200 + 3 * 200, "{passed}");
    }
}
