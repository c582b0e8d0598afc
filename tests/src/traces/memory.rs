//! Fourteen days of a host's memory, with its swap, made from a seed: leaks, and what only looks like one.
//!
//! One seed of eight each: a service that leaks (over after 3 to 20 days); one that leaks with its requests until the next
//! deployment, about each sixth day, restarts it; one that is restarted each night, each week or in between, whether
//! it would have lasted or not; a process that runs away (1 to 12 hours); jobs that need much for 1 to 6 hours; caches that
//! grow up to their limit; steps after deployments; and nothing but the day's work. All have that: the working set follows the
//! hours and the week by 2 to 15 % of the memory, with noise that lingers and small steps. Hosts have 1 to 64 GiB and no swap,
//! or 1 to 8 GiB of it. The pages' cache is no use of memory, as `MemAvailable` has it (Linux' commit 34e431b0ae39, `proc: provide
//! more accurate estimate`): but for the low watermark, here 1 to 2 %, which must stay.
//!
//! That real leaks have several shapes is from Jindal, Staab, Cardoso, Gerndt and Podolskiy (2021, arXiv 2106.08938), who sorted
//! those of 60 virtual machines, whose traces are not public; that restarts and caches which level off look like leaks
//! is the reference's (3.1), and that Mann and Kendall's test alone is often wrong about such, Machida's, Andrzejak's, Matias' and
//! Vicente's (2013). The shapes as they are here, their numbers and their mixture are ours.

use super::random::Random;
use super::{DAY, POINTS, Trace, WORK, at_work, time_of, until_full};

/// What is needed, in shares of the host's memory without swap.
struct Host {
    /// Memory and swap by memory alone.
    whole: f64,
    base: f64,
    work: f64,
    noise: f64,
    phase: f64,
}

pub(super) fn trace(seed: u64) -> Trace {
    let mut random = Random::new(seed);
    let host = Host::new(&mut random);
    let mut grown = grown(seed % 8, &host, &mut random);
    let (mut step, mut lingers) = (0.0, 0.0);
    let points = (0..POINTS).map(|at| {
        let time = f64::from(at);
        if random.happens(0.15) {
            step += random.between(-0.03, 0.03);
        }
        lingers = 0.9 * lingers + host.noise * (random.share() - 0.5);
        let work = host.work * at_work(time / DAY + host.phase);
        let needed = host.base + step + lingers + work + grown(time, &mut random);
        (time_of(at), needed / host.whole)
    });
    until_full(points)
}

impl Host {
    fn new(random: &mut Random) -> Self {
        let gib = random.one_of(&[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]);
        // 2 of 5 have none.
        let swap = random.one_of(&[0.0, 0.0, 1.0, 2.0, 8.0_f64]).min(2.0 * gib);
        Self {
            whole: 1.0 + swap / gib,
            base: random.between(0.3, 0.7),
            work: random.between(0.02, 0.15),
            // One process more or less is more of a small host.
            noise: random.between(0.004, 0.012) / gib.powf(0.25),
            phase: random.between(0.0, 7.0),
        }
    }

    /// What is left for something that grows.
    fn room(&self) -> f64 {
        self.whole - self.base - self.work
    }
}

type Grown = Box<dyn FnMut(f64, &mut Random) -> f64>;

/// What a kind of host needs besides, by the number of the point.
fn grown(kind: u64, host: &Host, random: &mut Random) -> Grown {
    match kind {
        1 => fills_its_cache(host, random),
        2 => leaks(host, random),
        3 => is_restarted(random),
        4 => is_deployed(host, random),
        5 => has_jobs(random),
        6 => leaks_with_requests(host, random),
        7 => runs_away(host, random),
        _ => Box::new(|_, _| 0.0),
    }
}

/// Over after 3 to 20 days; it began before, or does within a week.
fn leaks(host: &Host, random: &mut Random) -> Grown {
    let each = host.room() / random.between(3.0, 20.0) / DAY;
    let begins = random.between(-5.0, 7.0) * DAY;
    Box::new(move |time, _| each * (time - begins).max(0.0))
}

/// Deployments restart it, on working days.
fn leaks_with_requests(host: &Host, random: &mut Random) -> Grown {
    let each = host.room() / random.between(2.0, 12.0) / DAY / WORK;
    let phase = host.phase;
    let mut leaked = 0.0;
    Box::new(move |time, random| {
        let work = at_work(time / DAY + phase);
        leaked += each * work;
        if work > 0.0 && random.happens(1.0 / 3.0) {
            leaked = 0.0;
        }
        leaked
    })
}

fn is_restarted(random: &mut Random) -> Grown {
    let any = random.between(1.5, 6.0);
    let period = random.one_of(&[1.0, 7.0, any]) * DAY;
    let (height, began) = (random.between(0.05, 0.6), random.share());
    Box::new(move |time, _| height * (time / period + began).fract())
}

fn runs_away(host: &Host, random: &mut Random) -> Grown {
    let begins = random.between(3.5, 12.5) * DAY;
    let each = host.room() / random.between(1.0, 12.0) * 24.0 / DAY;
    Box::new(move |time, _| each * (time - begins).max(0.0))
}

/// Each night, or now and then.
fn has_jobs(random: &mut Random) -> Grown {
    let (height, is_nightly) = (random.between(0.05, 0.5), random.share() < 0.5);
    let (hour, hours) = (random.share(), random.between(1.0, 6.0));
    let (mut until, mut lasts) = (0.0, 1.0);
    Box::new(move |time, random| {
        let begins = if is_nightly { (time / DAY + hour).fract() < 1.0 / DAY } else { random.happens(0.6) };
        if time >= until && begins {
            lasts = hours * random.between(0.7, 1.3) / 24.0 * DAY;
            until = time + lasts;
        }
        // It reads its data in the first half and works on them in the second.
        if time < until { height * (2.0 - 2.0 * (until - time) / lasts).min(1.0) } else { 0.0 }
    })
}

/// Within what its owner gave it: a heap, a buffer pool, and the little that the pages' cache takes.
fn fills_its_cache(host: &Host, random: &mut Random) -> Grown {
    let pages = random.between(0.01, 0.02);
    let limit = (0.95 - host.base - host.work).max(0.0) * random.between(0.3, 0.9);
    let (begins, days) = (random.between(-1.0, 7.0) * DAY, random.between(0.3, 4.0) * DAY);
    let is_straight = random.share() < 0.5;
    Box::new(move |time, _| {
        let since = ((time - begins) / days).max(0.0);
        pages + limit * if is_straight { since.min(1.0) } else { 1.0 - (-since).exp() }
    })
}

/// A new version needs more, after an hour to a day: mostly it fits.
fn is_deployed(host: &Host, random: &mut Random) -> Grown {
    let begins = random.between(2.0, 12.0) * DAY;
    let more = (1.0 - host.base - host.work) * random.between(0.2, 0.9);
    let warm = random.between(1.0, 24.0) / 24.0 * DAY;
    Box::new(move |time, _| more * ((time - begins) / warm).clamp(0.0, 1.0))
}
