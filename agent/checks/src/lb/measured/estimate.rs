//! The interval of a prober from the times at which it came. Every node of a balancer probes on its own clock: gaps are
//! taken within each source, and then together. Lost lines make some gaps double; the median seldom minds.

use std::collections::BTreeMap;

/// Gaps of a source below which it is not counted.
const GAPS_MIN: usize = 4;
/// Gaps below which nobody can tell a clock.
pub(super) const GAPS_REGULAR: usize = 2 * GAPS_MIN;

/// What the gaps say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Estimate {
    /// Seconds.
    pub(crate) median: f64,
    pub(crate) p10: f64,
    pub(crate) p90: f64,
    pub(crate) gaps: usize,
    /// Sources with enough gaps.
    pub(crate) sources: usize,
}

/// The interval behind the times of each source, in any order; nothing when no source came often enough.
pub(crate) fn estimate<Source: Ord>(times: &BTreeMap<Source, Vec<f64>>) -> Option<Estimate> {
    let mut gaps = Vec::new();
    let mut sources = 0;
    for times in times.values() {
        let mut times = times.clone();
        times.sort_by(f64::total_cmp);
        if times.len() > GAPS_MIN {
            sources += 1;
            gaps.extend(times.iter().zip(times.iter().skip(1)).map(|(before, after)| after - before));
        }
    }
    gaps.sort_by(f64::total_cmp);
    let at = |percent: usize| gaps.get(gaps.len().saturating_sub(1) * percent / 100).copied();
    let (median, lower) = (at(50)?, at(25)?);
    // When so many lines are lost that most gaps are double, a quarter of them is still single.
    let times = (median / lower).round();
    let is_multiple = times >= 2.0 && (median / lower - times).abs() <= 0.1 * times;
    let median = if is_multiple { lower } else { median };
    Some(Estimate { median, p10: at(10)?, p90: at(90)?, gaps: gaps.len(), sources })
}

impl Estimate {
    /// Whether the gaps are as alike as those of a clock; what people do is not.
    pub(crate) fn is_regular(&self, at_least: f64) -> bool {
        self.median >= at_least
            && self.gaps >= GAPS_REGULAR
            && self.p10 >= 0.7 * self.median
            && self.p90 <= 1.3 * self.median
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look random and are the same every time (xorshift64*).
    struct Dice(u64);

    impl Dice {
        /// From 0 to below 1.
        fn roll(&mut self) -> f64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            f64::from(u32::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32).unwrap_or(0)) / 4_294_967_296.0
        }
    }

    /// What `nodes` log that each probe every `interval` seconds on its own clock, in whole seconds as logs have them.
    fn log(dice: &mut Dice, nodes: u32, interval: f64, window: f64, jitter: f64, lost: f64) -> BTreeMap<u32, Vec<f64>> {
        let mut all = BTreeMap::new();
        for node in 0..nodes {
            let mut times = Vec::new();
            let mut at = dice.roll() * interval;
            while at < window {
                if dice.roll() >= lost {
                    times.push(at.floor());
                }
                at += interval * (1.0 + jitter * (2.0 * dice.roll() - 1.0));
            }
            all.insert(node, times);
        }
        all
    }

    /// How many of 200 logs tell the interval within 15 %.
    fn right(interval: f64, window: f64, jitter: f64, lost: f64) -> usize {
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
        let one = |_: &u32| {
            let times = log(&mut dice, 3, interval, window, jitter, lost);
            estimate(&times).is_some_and(|found| (found.median / interval - 1.0).abs() <= 0.15)
        };
        (0..200).filter(one).count()
    }

    #[test]
    fn lb_20_intervals_are_told_from_logs_of_three_nodes() {
        for (interval, window, jitter, lost, at_least) in [
            (5.0, 600.0, 0.02, 0.0, 200),
            (5.0, 600.0, 0.02, 0.3, 196),
            (10.0, 600.0, 0.02, 0.3, 196),
            (30.0, 600.0, 0.02, 0.3, 196),
            (60.0, 600.0, 0.02, 0.0, 200),
            (60.0, 600.0, 0.02, 0.3, 196),
            (300.0, 3600.0, 0.02, 0.3, 196),
            (60.0, 600.0, 0.5, 0.0, 182),
        ] {
            let right = right(interval, window, jitter, lost);
            assert!(right >= at_least, "{interval} s in {window} s, jitter {jitter}, lost {lost}: {right} of 200");
        }
    }

    #[test]
    fn lb_20_nodes_taken_for_one_would_tell_a_third() {
        let mut dice = Dice(7);
        let times = log(&mut dice, 3, 30.0, 600.0, 0.02, 0.0);
        let together = BTreeMap::from([((), times.into_values().flatten().collect())]);
        assert!(estimate(&together).is_some_and(|found| found.median < 15.0));
    }

    #[test]
    fn lb_20_too_few_gaps_tell_nothing_and_people_are_no_clock() {
        let of = |times: &[f64]| estimate(&BTreeMap::from([((), times.to_vec())]));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[0.0, 5.0, 10.0, 15.0]), None);
        let found = of(&[20.0, 0.0, 5.0, 10.0, 15.0]).expect("five times");
        assert_eq!((found.median, found.gaps, found.sources, found.is_regular(1.0)), (5.0, 4, 1, false));
        let clock: Vec<f64> = (0..20).map(|at| f64::from(at) * 30.0).collect();
        assert!(of(&clock).is_some_and(|found| found.is_regular(1.0)));
        assert!(
            of(&[0.0, 1.0, 30.0, 31.0, 90.0, 91.0, 92.0, 200.0, 300.0]).is_some_and(|found| !found.is_regular(1.0))
        );
    }
}
