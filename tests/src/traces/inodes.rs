//! Fourteen days of a file system's inodes, made from a seed: many small files, and who cleans them up.
//!
//! One seed of seven each: sessions that nobody removes (full after 4 to 25 days, faster by day); a queue of mail that
//! cannot be delivered (4 to 60 hours; of five, three are flushed before); builds that leave their trees until a job cleans
//! them each week; a cache that is pruned at its limit; trees that are unpacked for 1 to 8 hours; and two of sessions that a
//! job removes each day, as `phpsessionclean` or `systemd-tmpfiles` do. Inodes are counted exactly, so there is little noise,
//! and a file system for many small files has few of them left: ext4 gives one for each 16 KiB (mke2fs.conf, `inode_ratio`).
//! The numbers are ours; no such traces are public.

use super::random::Random;
use super::{DAY, POINTS, Trace, WORK, at_work, time_of, until_full};

type Grown = Box<dyn FnMut(f64, &mut Random) -> f64>;

pub(super) fn trace(seed: u64) -> Trace {
    let mut random = Random::new(seed);
    let (base, noise) = (random.between(0.2, 0.8), random.between(0.0001, 0.001));
    let (cleaned, phase) = (random.between(0.002, 0.03), random.between(0.0, 7.0));
    let mut grown = grown(seed % 7, 1.0 - base - cleaned, phase, &mut random);
    let mut step = 0.0;
    let points = (0..POINTS).map(|at| {
        let (time, day) = (f64::from(at), f64::from(at) / DAY + phase);
        // Packages come and go.
        if random.happens(0.2) {
            step += random.between(-0.02, 0.02);
        }
        let used = base + step + cleaned * day.fract() + noise * (random.share() - 0.5);
        (time_of(at), used + grown(time, &mut random))
    });
    until_full(points)
}

/// What a kind of host has besides, by the number of the point.
fn grown(kind: u64, room: f64, phase: f64, random: &mut Random) -> Grown {
    match kind {
        2 => keeps_sessions(room, phase, random),
        3 => queues_mail(room, random),
        4 => builds(room, phase, random),
        5 => caches(room, random),
        6 => unpacks(random),
        _ => Box::new(|_, _| 0.0),
    }
}

fn keeps_sessions(room: f64, phase: f64, random: &mut Random) -> Grown {
    // By night a tenth of what comes at noon.
    let each = room / random.between(4.0, 25.0) / DAY / (0.1 + 0.9 * WORK);
    let mut kept = 0.0;
    Box::new(move |time, _| {
        kept += each * (0.1 + 0.9 * at_work(time / DAY + phase));
        kept
    })
}

fn queues_mail(room: f64, random: &mut Random) -> Grown {
    let begins = random.between(3.5, 12.5) * DAY;
    let lasts = random.between(4.0, 60.0) / 24.0 * DAY;
    // A share of it, then somebody or the queue's own age limit empties it.
    let flushed = if random.share() < 0.6 { random.between(0.1, 0.95) } else { f64::INFINITY };
    Box::new(move |time, _| {
        let full = (time - begins).max(0.0) / lasts;
        if full < flushed { room * full } else { 0.0 }
    })
}

fn builds(room: f64, phase: f64, random: &mut Random) -> Grown {
    let week = room * random.between(0.2, 1.1);
    let often = random.between(2.0, 12.0);
    let mut left = 0.0;
    Box::new(move |time, random| {
        let day = time / DAY + phase;
        if random.happens(often * at_work(day) / WORK) {
            left += week / (often * 7.0) * random.between(0.3, 1.7);
        }
        if (day / 7.0).fract() < 1.0 / (7.0 * DAY) {
            left = 0.0;
        }
        left
    })
}

fn caches(room: f64, random: &mut Random) -> Grown {
    let (limit, begins) = (room * random.between(0.3, 0.95), random.between(-1.0, 7.0) * DAY);
    let (days, pruned) = (random.between(0.5, 6.0) * DAY, random.between(0.0, 0.3));
    let mut kept: f64 = 0.0;
    Box::new(move |time, _| {
        kept += if time >= begins { limit / days } else { 0.0 };
        if kept >= limit {
            kept = limit * (1.0 - pruned);
        }
        kept
    })
}

fn unpacks(random: &mut Random) -> Grown {
    let height = random.between(0.05, 0.4);
    let (mut until, mut rises) = (0.0, 1.0);
    Box::new(move |time, random| {
        if time >= until && random.happens(0.6) {
            rises = random.between(12.0, 96.0);
            until = time + rises;
        }
        if time < until { height * (1.0 - (until - time) / rises) } else { 0.0 }
    })
}
