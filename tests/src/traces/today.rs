//! What people use today, to be compared with. It must never be told to anybody.
//!
//! Of disks and inodes Prometheus' node-mixin (`NodeFilesystemSpaceFillingUp`, `NodeFilesystemFilesFillingUp` as warnings):
//! least squares over 6 h say that it is full in 24 h, less than 40 % is left, and that for an hour. Of memory nobody of them
//! has a forecast: netdata's `ram_available` warns when less than 10 % is left, until 15 % are again. Nobody acts; an alert is
//! right when it is full in 24 h, and of use when that is not sooner than a forecast has to be.

use super::{Score, TRACE_MONTH, float, full_at, hours, lead_secs, trace};
use cloud_doctor_checks::forecast::{FULL, Of, STEP_SECS};

/// What is measured by [`measure_today`], in a few words.
#[must_use]
pub fn today(of: Of) -> &'static str {
    match of {
        Of::Space | Of::Inodes => "node-mixin, 6 h to 24 h",
        Of::Memory => "netdata, 10 % left",
    }
}

/// Runs it over the seeds' traces.
#[must_use]
pub fn measure_today(of: Of, seeds: impl Iterator<Item = u64>) -> Score {
    let mut score = Score::default();
    for seed in seeds {
        let points = trace(of, seed);
        let full = full_at(&points);
        let alerts = match of {
            Of::Space | Of::Inodes => linear(&points),
            Of::Memory => threshold(&points),
        };
        let hit = |from: &u64| full.is_some_and(|full| (from + lead_secs(of)..=from + 86_400).contains(&full));
        score.episodes += alerts.len();
        score.hits += alerts.iter().filter(|from| hit(from)).count();
        score.host_months += float(points.len()) / TRACE_MONTH;
        if let Some(full) = full {
            score.events += 1;
            if let Some(first) = alerts.iter().find(|from| hit(from)) {
                score.foreseen += 1;
                score.lead_hours.push(hours(full - first));
            }
        }
    }
    score.lead_hours.sort_by(f64::total_cmp);
    score
}

/// When less than a tenth was left, each time.
fn threshold(points: &[(u64, f64)]) -> Vec<u64> {
    let mut is_told = false;
    let begins = |(at, used): &(u64, f64)| {
        let was = is_told;
        is_told = if was { *used >= 0.85 } else { *used > 0.9 };
        (is_told && !was).then_some(*at)
    };
    points.iter().filter_map(begins).collect()
}

/// Points of the linear rule's 6 hours, and of the hour for which it must hold.
const WINDOW: usize = 72;
const FOR: usize = 12;

/// When the linear rule began to hold, each time.
fn linear(points: &[(u64, f64)]) -> Vec<u64> {
    let (mut held, mut episodes) = (0_usize, Vec::new());
    for part in points.windows(WINDOW) {
        let (now, used) = part[WINDOW - 1];
        let holds = used > 0.6 && used < FULL && in_a_day(part) >= 1.0;
        held = if holds { held + 1 } else { 0 };
        if held == FOR {
            episodes.push(now);
        }
    }
    episodes
}

/// The value that least squares over `part`, whose points are [`STEP_SECS`] apart, give a day after the last.
fn in_a_day(part: &[(u64, f64)]) -> f64 {
    let (count, middle) = (float(part.len()), float(part.len() - 1) / 2.0);
    let mean = part.iter().map(|(_, used)| used).sum::<f64>() / count;
    let rise: f64 = part.iter().enumerate().map(|(at, (_, used))| (float(at) - middle) * used).sum();
    // The sum of all squared distances from the middle.
    let spread = count * (count.powi(2) - 1.0) / 12.0;
    mean + rise / spread * (middle + 24.0 / hours(STEP_SECS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_on_and_an_alert_is_told_once() {
        let line: Vec<(u64, f64)> =
            (0..72_u32).map(|at| (u64::from(at) * STEP_SECS, 0.2 + f64::from(at) / 1e3)).collect();
        assert!((in_a_day(&line) - (0.271 + 0.288)).abs() < 1e-9);
        let shares = [0.5, 0.91, 0.95, 0.88, 0.91, 0.84, 0.89, 0.92];
        let points: Vec<(u64, f64)> = (0..).zip(shares).collect();
        assert_eq!(threshold(&points), [1, 7]);
    }
}
