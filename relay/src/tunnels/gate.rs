//! Who may begin a handshake now: token buckets, pure, with `now` as an argument.
//!
//! An address that was not proved costs its owner nothing (it may be forged), so under load it is asked to prove
//! itself first; only proved addresses are counted against their network. Every table is bounded; when one is full
//! of active networks, newcomers share one bucket. Never: a limit that one stranger can use up for others.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Networks or keys remembered at once: 64 bytes each.
const ENTRIES_MAX: usize = 65_536;
/// After so many newcomers those are forgotten whose buckets are full again: a full bucket is as good as none.
const FORGET_EVERY: usize = 1_024;
/// A full table is looked through at most this often: it takes a millisecond.
const FORGET_FULL: Duration = Duration::from_secs(1);

/// So many, at once and over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Allowed per minute, over a long time.
    pub per_minute: u32,
    /// Allowed at once after a pause.
    pub burst: u32,
}

impl Rate {
    /// `count` per second, and as many at once.
    #[must_use]
    pub const fn per_second(count: u32) -> Self {
        Self { per_minute: count.saturating_mul(60), burst: count }
    }

    /// `count` per minute, and as many at once.
    #[must_use]
    pub const fn per_minute(count: u32) -> Self {
        Self { per_minute: count, burst: count }
    }
}

/// One bucket. Counts in sixty-thousandths, so that a millisecond at one per minute is a whole number.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    level: u64,
    filled: Instant,
}

const UNIT: u64 = 60_000;

impl Bucket {
    fn full(rate: Rate, now: Instant) -> Self {
        Self { level: u64::from(rate.burst) * UNIT, filled: now }
    }

    fn take(&mut self, rate: Rate, now: Instant) -> bool {
        let allowed = self.has(rate, now);
        if allowed {
            self.level -= UNIT;
        }
        allowed
    }

    fn fill(&mut self, rate: Rate, now: Instant) {
        let millis = u64::try_from(now.saturating_duration_since(self.filled).as_millis()).unwrap_or(u64::MAX);
        // Whole milliseconds only, and the rest stays in `filled`: asking often must not lose time.
        self.filled += Duration::from_millis(millis);
        let gained = millis.saturating_mul(u64::from(rate.per_minute));
        self.level = self.level.saturating_add(gained).min(u64::from(rate.burst) * UNIT);
    }

    fn has(&mut self, rate: Rate, now: Instant) -> bool {
        self.fill(rate, now);
        self.level >= UNIT
    }

    fn is_full(&mut self, rate: Rate, now: Instant) -> bool {
        self.fill(rate, now);
        self.level >= u64::from(rate.burst) * UNIT
    }
}

/// One bucket per key, bounded.
#[derive(Debug)]
pub struct Buckets<K> {
    rate: Rate,
    known: HashMap<K, Bucket>,
    /// Newcomers since the last forgetting.
    newcomers: usize,
    forgot: Instant,
    others: Bucket,
}

impl<K: Eq + Hash> Buckets<K> {
    /// Full buckets for everybody.
    #[must_use]
    pub fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, known: HashMap::new(), newcomers: 0, forgot: now, others: Bucket::full(rate, now) }
    }

    /// Whether [`Self::take`] would succeed now.
    pub fn has(&mut self, key: &K, now: Instant) -> bool {
        let rate = self.rate;
        self.known.get_mut(key).is_none_or(|bucket| bucket.has(rate, now))
    }

    /// Takes one for `key`; `false` means: too many.
    pub fn take(&mut self, key: K, now: Instant) -> bool {
        let rate = self.rate;
        if let Some(bucket) = self.known.get_mut(&key) {
            return bucket.take(rate, now);
        }
        self.newcomers += 1;
        let full = self.known.len() >= ENTRIES_MAX && now >= self.forgot + FORGET_FULL;
        if self.newcomers >= FORGET_EVERY || full {
            (self.newcomers, self.forgot) = (0, now);
            self.known.retain(|_, bucket| !bucket.is_full(rate, now));
        }
        if self.known.len() >= ENTRIES_MAX {
            return self.others.take(rate, now);
        }
        self.known.entry(key).or_insert_with(|| Bucket::full(rate, now)).take(rate, now)
    }
}

/// What one customer's network usually gets: /24 of IPv4, /56 of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Prefix([u8; 7]);

impl Prefix {
    /// As it is stored.
    #[must_use]
    pub fn bytes(&self) -> [u8; 7] {
        self.0
    }

    /// The network of an address; an IPv4 address inside IPv6 counts as IPv4.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                Self([4, a, b, c, 0, 0, 0])
            }
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, g, ..] = v6.octets();
                // An IPv6 prefix that begins with the mark of IPv4 would be in the unassigned 0400::/8.
                Self([a, b, c, d, e, f, g])
            }
        }
    }
}

/// How many handshakes are taken, and from whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateLimits {
    /// New connections of one network.
    pub per_prefix: Rate,
    /// New connections of everybody.
    pub all: Rate,
    /// Handshakes in progress with unproved addresses, before a Retry is asked of the next.
    pub unvalidated_max: usize,
}

impl GateLimits {
    /// 20 per second and network with room for a rack that boots at once; 500 per second and core.
    #[must_use]
    pub fn for_cores(cores: u32) -> Self {
        Self {
            per_prefix: Rate { per_minute: 20 * 60, burst: 100 },
            all: Rate::per_second(cores.max(1).saturating_mul(500)),
            unvalidated_max: 100,
        }
    }
}

/// What to do with a first packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Go on with the handshake.
    Accept,
    /// Have the address proved first.
    Retry,
    /// Say no: the address is proved and over its limit.
    Refuse,
    /// Say nothing: the address may be forged, or everybody is over the limit.
    Ignore,
}

/// A first packet.
#[derive(Debug, Clone, Copy)]
pub struct Knock {
    /// Where it seems to come from.
    pub address: IpAddr,
    /// It carries our token for that address.
    pub validated: bool,
    /// A Retry may still be asked of it.
    pub may_retry: bool,
    /// Handshakes in progress with unproved addresses.
    pub unvalidated: usize,
}

/// The listener's door.
#[derive(Debug)]
pub struct Gate {
    limits: GateLimits,
    prefixes: Buckets<Prefix>,
    all: Bucket,
}

impl Gate {
    /// An open door.
    #[must_use]
    pub fn new(limits: GateLimits, now: Instant) -> Self {
        Self { limits, prefixes: Buckets::new(limits.per_prefix, now), all: Bucket::full(limits.all, now) }
    }

    /// Decides about one first packet.
    pub fn decide(&mut self, knock: Knock, now: Instant) -> Verdict {
        if !knock.validated && knock.unvalidated >= self.limits.unvalidated_max {
            return if knock.may_retry { Verdict::Retry } else { Verdict::Ignore };
        }
        if !self.prefixes.take(Prefix::of(knock.address), now) {
            return match (knock.validated, knock.may_retry) {
                (true, _) => Verdict::Refuse,
                (false, true) => Verdict::Retry,
                (false, false) => Verdict::Ignore,
            };
        }
        if self.all.take(self.limits.all, now) { Verdict::Accept } else { Verdict::Ignore }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    #![allow(clippy::disallowed_methods, reason = "some moment to count from")]
    use super::*;

    fn knock(address: &str) -> Knock {
        Knock { address: address.parse().unwrap(), validated: true, may_retry: false, unvalidated: 0 }
    }

    fn stranger(address: &str) -> Knock {
        Knock { validated: false, may_retry: true, ..knock(address) }
    }

    fn gate(now: Instant) -> Gate {
        let limits = GateLimits {
            per_prefix: Rate { per_minute: 1200, burst: 5 },
            all: Rate::per_second(50),
            unvalidated_max: 100,
        };
        Gate::new(limits, now)
    }

    #[test]
    fn qui_01_at_the_limit_and_one_above() {
        let start = Instant::now();
        let mut gate = gate(start);
        for _ in 0..5 {
            assert_eq!(gate.decide(knock("192.0.2.1"), start), Verdict::Accept);
        }
        assert_eq!(gate.decide(knock("192.0.2.200"), start), Verdict::Refuse, "same network");
        assert_eq!(gate.decide(stranger("192.0.2.7"), start), Verdict::Retry, "maybe forged: prove it first");
        assert_eq!(gate.decide(knock("192.0.3.1"), start), Verdict::Accept, "another network is not concerned");
        let soon = start + Duration::from_millis(50);
        assert_eq!(gate.decide(knock("::ffff:192.0.2.1"), soon), Verdict::Accept, "20 per second come back");
        assert_eq!(gate.decide(knock("192.0.2.1"), soon), Verdict::Refuse);
    }

    #[test]
    fn qui_01_retry_above_one_hundred_unvalidated() {
        let now = Instant::now();
        let mut gate = gate(now);
        let busy = |unvalidated| Knock { unvalidated, ..stranger("192.0.2.1") };
        assert_eq!(gate.decide(busy(99), now), Verdict::Accept);
        assert_eq!(gate.decide(busy(100), now), Verdict::Retry);
        assert_eq!(gate.decide(Knock { may_retry: false, ..busy(100) }, now), Verdict::Ignore);
        assert_eq!(gate.decide(Knock { validated: true, ..busy(100) }, now), Verdict::Accept);
    }

    #[test]
    fn h_12_everybody_together_and_time_that_is_asked_for_often() {
        let start = Instant::now();
        let mut gate = gate(start);
        for i in 0..50 {
            assert_eq!(gate.decide(knock(&format!("10.0.{i}.1")), start), Verdict::Accept);
        }
        assert_eq!(gate.decide(knock("10.1.0.1"), start), Verdict::Ignore);
        let mut bucket = Bucket { level: 0, filled: start };
        let rate = Rate::per_minute(30);
        let accepted = (0..60_000_u64).filter(|i| bucket.take(rate, start + Duration::from_micros(i * 100))).count();
        assert_eq!(accepted, 2, "30 per minute are 3 in 6 s, the third one a moment later");
    }

    #[test]
    fn tables_are_bounded_and_forget_the_quiet() {
        let start = Instant::now();
        let mut buckets = Buckets::new(Rate::per_second(1), start);
        for i in 0..u32::try_from(ENTRIES_MAX).unwrap() {
            assert!(buckets.take(i, start));
        }
        assert!(buckets.take(u32::MAX, start), "from the shared bucket");
        assert!(!buckets.take(u32::MAX - 1, start), "which is empty now");
        assert!(buckets.take(u32::MAX - 1, start + Duration::from_secs(2)));
        assert_eq!(buckets.known.len(), 1);
    }

    #[test]
    fn prefixes_are_networks() {
        let same = |a: &str, b: &str| Prefix::of(a.parse().unwrap()) == Prefix::of(b.parse().unwrap());
        assert!(same("192.0.2.1", "192.0.2.255"));
        assert!(!same("192.0.2.1", "192.0.3.1"));
        assert!(same("2001:db8:0:1200::1", "2001:db8:0:12ff::1"));
        assert!(!same("2001:db8:0:1200::1", "2001:db8:0:1300::1"));
    }

    #[test]
    fn dos_networks_that_went_quiet_are_forgotten() {
        let start = Instant::now();
        let mut buckets = Buckets::new(Rate::per_second(1), start);
        for key in 0..10 * FORGET_EVERY {
            let now = start + Duration::from_millis(10 * u64::try_from(key).unwrap());
            assert!(buckets.has(&key, now) && buckets.take(key, now));
        }
        assert!(buckets.known.len() <= 2 * FORGET_EVERY, "{}", buckets.known.len());
    }
}
