//! Numbers that look random and are the same for ever, for traces made from a seed.
//!
//! It must never be used for anything that has to be unguessable.

/// Sebastiano Vigna's SplitMix64.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 0 to 1.
    pub(super) fn share(&mut self) -> f64 {
        f64::from(u32::try_from(self.next() >> 32).unwrap_or(0)) / f64::from(u32::MAX)
    }

    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.share()
    }

    /// Whether something happens that does `often` a day, between two points.
    pub(super) fn happens(&mut self, often: f64) -> bool {
        self.share() < often / super::DAY
    }

    pub(super) fn one_of(&mut self, all: &[f64]) -> f64 {
        let last = all.len().saturating_sub(1);
        let place = self.between(0.0, super::float(all.len()));
        (0..last).find(|at| place < super::float(at + 1)).map_or(all[last], |at| all[at])
    }
}
