//! Fourteen days of a disk, made from a seed.
//!
//! A seventh each leaks slowly and is filled by something that writes, two sevenths have temporary files that come and go,
//! three are stable; all have a daily saw-tooth of 0.5 to 8 %, noise and random steps.

use super::random::Random;
use super::{DAY, POINTS, Trace, time_of, until_full};

pub(super) fn trace(seed: u64) -> Trace {
    let mut random = Random::new(seed);
    let kind = seed % 7;
    let tooth = random.between(0.005, 0.08);
    let noise = random.between(0.0002, 0.002);
    let base = random.between(0.35, 0.85);
    let phase = random.share();
    // Full after 4 to 20 days; within 3 to 30 hours.
    let leak = if kind == 3 { (1.0 - base) / random.between(4.0, 20.0) / DAY } else { 0.0 };
    let begins = random.between(3.5, 12.5) * DAY;
    let burst = if kind == 4 { (1.0 - base) / random.between(3.0, 30.0) / 12.0 } else { 0.0 };
    let spike = if kind >= 5 { random.between(0.05, 0.4) } else { 0.0 };
    let (mut step, mut until, mut rises) = (0.0, 0.0, 0.0);
    let points = (0..POINTS).map(|at| {
        let (time, day) = (f64::from(at), f64::from(at) / DAY + phase);
        if random.happens(0.3) {
            step += random.between(-0.04, 0.04);
        }
        if spike > 0.0 && time >= until && random.happens(0.6) {
            // Written in 1 to 8 hours, gone after.
            rises = random.between(12.0, 96.0);
            until = time + rises;
        }
        let spiked = if time < until { spike * (1.0 - (until - time) / rises) } else { 0.0 };
        let grown = leak * time + burst * (time - begins).max(0.0);
        let used = base + step + tooth * day.fract() + grown + spiked + noise * (random.share() - 0.5);
        (time_of(at), used)
    });
    until_full(points)
}
