//! How often a kind of event that strangers can cause is written; the rest is counted. Pure.

use cloud_doctor_proto::time::BootTime;
use std::collections::BTreeMap;

/// Lines of one kind that may follow each other at once.
const BURST: u64 = 30;
/// One more line of a kind per this time: thirty kinds make about a megabyte a day, and the log keeps 64.
const REFILL_MILLIS: u64 = 15 * 60 * 1000;

/// Buckets, one per kind; kinds are constants of the program, so their number is bounded.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    buckets: BTreeMap<&'static str, Bucket>,
}

#[derive(Debug)]
struct Bucket {
    lines: u64,
    filled_at: BootTime,
    counted: u64,
}

impl Bucket {
    fn refill(&mut self, now: BootTime) {
        let gained = self.filled_at.millis_until(now) / REFILL_MILLIS;
        if gained > 0 {
            self.lines = (self.lines + gained).min(BURST);
            self.filled_at = BootTime(self.filled_at.0 + gained * REFILL_MILLIS);
        }
    }
}

impl Gate {
    /// Whether to write this one, and how many before it were not written.
    pub(crate) fn pass(&mut self, key: &'static str, now: BootTime) -> Option<u64> {
        let bucket = self.buckets.entry(key).or_insert(Bucket { lines: BURST, filled_at: now, counted: 0 });
        bucket.refill(now);
        if bucket.lines == 0 {
            bucket.counted += 1;
            return None;
        }
        bucket.lines -= 1;
        Some(std::mem::take(&mut bucket.counted))
    }

    /// Counts whose time to be written has come.
    pub(crate) fn due(&mut self, now: BootTime) -> Vec<(&'static str, u64)> {
        let mut due = Vec::new();
        for (key, bucket) in &mut self.buckets {
            bucket.refill(now);
            if bucket.counted > 0 && bucket.lines > 0 {
                bucket.lines -= 1;
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
        let mut gate = Gate::default();
        let passed = (0..1000).filter(|i| gate.pass("signature", BootTime(*i)).is_some()).count();
        assert_eq!(passed, 30);
        assert_eq!(gate.pass("ceiling", BootTime(1000)), Some(0), "another kind has its own room");
        assert!(gate.due(BootTime(1000)).is_empty());
        assert_eq!(gate.due(BootTime(REFILL_MILLIS)), [("signature", 970)]);
        assert_eq!(gate.pass("signature", BootTime(3 * REFILL_MILLIS)), Some(0));
    }
}
