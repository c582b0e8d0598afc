//! When something will be used up: disks, inodes and memory, judged from their history as pure code.
//!
//! Two detectors that agree with nobody's wish: a *burst* looks at hours and warns late, a *trend* looks at two days and
//! warns early. Each says an interval, for disks one that was measured (`calibrated`). How often it was right is measured
//! for each apart, there is no single number for both. It must never forecast from less history than its rule needs, from
//! the edge of one that was restarted, or give one moment where it has an interval. What has one moment for certain, a
//! certificate's end, is told in the same form (`certain`) and belongs to no rule.
//!
//! Sources: the methods are those of Theil (1950), Sen (1968) and Kendall (1938); windows and gates are tuned on traces
//! with seeds 0 to 399 of `tests` and measured on others (`make bench ONLY=forecast`).

mod calibrated;
mod certain;
mod ledger;
mod slopes;
mod told;

pub use calibrated::{CONFIDENCE, Reach};
pub(crate) use certain::{Span, record as record_of_ends};
pub use ledger::{Entry, Ledger, Outcome};
pub(crate) use told::{Of, SOON, learn, tell};

use slopes::{Slopes, slopes};

/// Between two points that a rule looks at.
pub const STEP_SECS: u64 = 300;
/// A rule must have said the same so long before.
const AGAIN_SECS: u64 = 1_800;
/// A rise counts only at a height that was not reached for so long: rotation of logs is a saw-tooth.
const HIGH_WATER_SECS: u64 = 3 * 86_400;
/// Points that may be missing of a window, in percent.
const GAPS_PERCENT_MAX: usize = 20;
/// Full: nothing is left to forecast.
pub const FULL: f64 = 0.99;
/// What does not rise for sure is judged after its rule's horizon times this.
const OPEN_END: f64 = 3.0;
/// More pairs say no more.
const POINTS_MAX: usize = 96;

/// Which history said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// Hours: something writes now.
    Burst,
    /// Two days: something leaks.
    Trend,
}

/// What a rule looks at, and when it speaks.
#[derive(Debug, Clone, Copy)]
struct Gate {
    window_secs: u64,
    /// It speaks when that much time or less is left.
    horizon_secs: f64,
    /// And that share or less.
    left_max: f64,
    /// And when it rises that steadily.
    steadiness_min: f64,
}

impl Rule {
    /// Every rule, the one that is right more often first.
    pub const ALL: [Rule; 2] = [Rule::Trend, Rule::Burst];

    /// Changes when it speaks otherwise, or is judged otherwise: what older ones said is not theirs. The width of the interval
    /// decides about neither.
    pub const VERSION: u32 = 1;

    /// Its name for ever.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Rule::Burst => "burst",
            Rule::Trend => "trend",
        }
    }

    /// With windows, horizons and heights of the reference's section 3.1; steadiness was tuned.
    fn gate(self) -> Gate {
        match self {
            Rule::Burst => {
                Gate { window_secs: 6 * 3_600, horizon_secs: 8.0 * 3_600.0, left_max: 0.25, steadiness_min: 0.5 }
            }
            Rule::Trend => {
                Gate { window_secs: 48 * 3_600, horizon_secs: 72.0 * 3_600.0, left_max: 0.4, steadiness_min: 0.6 }
            }
        }
    }
}

/// What will happen if nothing is done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// Who says it.
    pub rule: Rule,
    /// Seconds until it is full, at the earliest: nine tenths of the pairs of points rise more slowly, or as measured
    /// ([`Forecast::calibrated`]).
    pub earliest_secs: f64,
    /// By the median.
    pub likely_secs: f64,
    /// At the latest; none: a tenth of the pairs does not rise at all.
    pub latest_secs: Option<f64>,
    /// Until it is full or has not come true: by the pairs of points, never by the measured interval, so that what is
    /// right and wrong does not depend on how wide it is.
    pub judged_secs: f64,
    /// How sure the interval is, 0 to 1, if it fills up; none: nobody measured it.
    pub confidence: Option<f64>,
    /// Share that is used now.
    pub used: f64,
}

/// Judges a share of something that is used, 0 to 1, over time: `points` are (Unix seconds, share), in order, about
/// [`STEP_SECS`] apart, up to now. Nothing is NaN. Nothing is said about what has no end in sight.
#[must_use]
pub fn forecast(points: &[(u64, f64)]) -> Option<Forecast> {
    let (now, _) = *points.last()?;
    let before = points.partition_point(|(at, _)| at + AGAIN_SECS <= now);
    // Two rules in order; each must have said the same half an hour ago.
    Rule::ALL.into_iter().find_map(|rule| {
        said(rule, points.get(..before)?)?;
        said(rule, points)
    })
}

fn said(rule: Rule, points: &[(u64, f64)]) -> Option<Forecast> {
    let gate = rule.gate();
    let (now, used) = *points.last()?;
    let left = 1.0 - used;
    if left > gate.left_max || used >= FULL || !is_high_water(points, now, used) {
        return None;
    }
    let window = since(points, now.saturating_sub(gate.window_secs));
    let whole = usize::try_from(gate.window_secs / STEP_SECS).unwrap_or(usize::MAX);
    if window.len() * 100 < whole * (100 - GAPS_PERCENT_MAX) {
        return None;
    }
    let Slopes { low, middle, high, steadiness } = slopes(&thinned(window, now))?;
    let likely = left / middle;
    if middle <= 0.0 || likely > gate.horizon_secs || steadiness < gate.steadiness_min {
        return None;
    }
    let latest = (low > 0.0).then(|| left / low);
    Some(Forecast {
        rule,
        earliest_secs: left / high,
        likely_secs: likely,
        latest_secs: latest,
        judged_secs: latest.unwrap_or(f64::INFINITY).min(gate.horizon_secs * OPEN_END),
        confidence: None,
        used,
    })
}

/// Whether this is as high as it was in the days before, but for the last hours' way up to it.
fn is_high_water(points: &[(u64, f64)], now: u64, used: f64) -> bool {
    let days = since(points, now.saturating_sub(HIGH_WATER_SECS));
    days.iter().all(|(_, before)| *before <= used + 0.002)
}

fn since(points: &[(u64, f64)], from: u64) -> &[(u64, f64)] {
    &points[points.partition_point(|(at, _)| *at < from)..]
}

/// Means of equally many points each, at most [`POINTS_MAX`] of them, in seconds before now.
fn thinned(points: &[(u64, f64)], now: u64) -> Vec<(f64, f64)> {
    let each = points.len().div_ceil(POINTS_MAX).max(1);
    let mean = |part: &[(u64, f64)]| {
        let count = u32::try_from(part.len()).map_or(f64::MAX, f64::from);
        let at = part.iter().map(|(at, _)| -seconds(now.saturating_sub(*at))).sum::<f64>();
        (at / count, part.iter().map(|(_, share)| share).sum::<f64>() / count)
    };
    points.chunks(each).map(mean).collect()
}

#[expect(clippy::cast_precision_loss, reason = "times of days, in seconds")]
fn seconds(secs: u64) -> f64 {
    secs as f64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// `hours` of points, a share at each second since the first.
    fn history(hours: u32, share: impl Fn(f64) -> f64) -> Vec<(u64, f64)> {
        let times = (0..hours * 12).map(|at| at * 300);
        times.map(|at| (1_800_000_000 + u64::from(at), share(f64::from(at)))).collect()
    }

    const DAY: f64 = 86_400.0;

    #[test]
    fn a_leak_is_told_days_ahead_as_an_interval_that_holds_the_truth() {
        // Full after 10 days; looked at after 8.
        let found = forecast(&history(192, |at| 0.5 + 0.5 * at / (10.0 * DAY))).unwrap();
        assert_eq!(found.rule, Rule::Trend);
        let days = found.likely_secs / DAY;
        assert!((1.9..2.1).contains(&days), "{found:?}");
        assert!(found.earliest_secs <= found.likely_secs && found.latest_secs.unwrap() >= found.likely_secs);
    }

    #[test]
    fn what_writes_now_is_told_hours_ahead() {
        let start = 4.0 * DAY;
        let share = |at: f64| 0.6 + ((at - start) / (12.0 * 3_600.0)).max(0.0) * 0.4;
        let found = forecast(&history(104, share)).unwrap();
        assert_eq!(found.rule, Rule::Burst);
        assert!((3.5 * 3_600.0..4.5 * 3_600.0).contains(&found.likely_secs), "{found:?}");
    }

    #[test]
    fn a_saw_tooth_a_step_a_clean_up_and_too_little_history_are_no_trend() {
        let tooth = |at: f64| 0.80 + 0.08 * (at % DAY) / DAY;
        assert_eq!(forecast(&history(214, tooth)), None, "logs that are rotated each day");
        assert_eq!(forecast(&history(192, |at| if at < 7.5 * DAY { 0.7 } else { 0.9 })), None, "a step");
        assert_eq!(forecast(&history(192, |at| if at < 7.8 * DAY { 0.9 } else { 0.7 })), None, "a clean-up");
        assert_eq!(forecast(&history(192, |_| 0.95)), None, "full and still");
        assert_eq!(forecast(&history(5, |at| 0.8 + at / DAY)), None, "five hours are not six");
        assert_eq!(forecast(&[]), None);
        assert_eq!(forecast(&history(192, |_| f64::NAN)), None);
    }
}
