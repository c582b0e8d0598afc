//! When something will be used up: disks, inodes and memory, judged from their history as pure code.
//!
//! Two detectors that agree with nobody's wish: a *burst* looks at hours and warns late, a *trend* looks at two days and
//! warns early. Each says an interval that was measured for what it is about (`calibrated`), and is silent about what it was
//! mostly wrong about. How often it was right is measured for each apart, there is no single number for all. It must never
//! forecast from less history than its rule needs, from the edge of one that was restarted, or give one moment where it has an
//! interval. What has one moment for certain, a certificate's end, is told in the same form (`certain`) and belongs to no rule.
//!
//! Sources: the methods are those of Theil (1950), Sen (1968) and Kendall (1938); windows and gates are tuned on traces
//! with seeds 0 to 399 of `tests` and measured on others (`make bench ONLY=forecast`). That Mann and Kendall's test alone is no
//! detector of leaks is from Machida, Andrzejak, Matias and Vicente (2013).

mod calibrated;
mod certain;
mod ledger;
mod slopes;
mod told;

pub use calibrated::{CONFIDENCE, Reach};
pub(crate) use certain::{Span, record as record_of_ends};
pub use ledger::{Entry, Ledger, Outcome, Seen};
pub(crate) use told::{SOON, learn, tell};

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
/// Working sets follow the hours, so what memory needs is compared with the same hours of the day before.
const YESTERDAY_SECS: u64 = 86_400;
/// More pairs say no more.
const POINTS_MAX: usize = 96;

/// What may be used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Of {
    /// Bytes of a file system.
    Space,
    /// Its inodes.
    Inodes,
    /// What programs can get of memory and swap together: what moves from one to the other changes nothing.
    Memory,
}

impl Of {
    /// Everything that is forecast.
    pub const ALL: [Of; 3] = [Of::Space, Of::Inodes, Of::Memory];
}

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
    /// And so many times as fast as a day before, where that matters.
    times_yesterday: Option<f64>,
}

impl Rule {
    /// Every rule, the one that is right more often first.
    pub const ALL: [Rule; 2] = [Rule::Trend, Rule::Burst];

    /// Changes when it speaks otherwise, or is judged otherwise: what older ones said is not theirs. The width of the interval
    /// decides about neither.
    pub const VERSION: u32 = 2;

    /// Its name for ever.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Rule::Burst => "burst",
            Rule::Trend => "trend",
        }
    }

    /// For space with windows, horizons and heights of the reference's section 3.1, where steadiness was tuned. With those,
    /// what was said of inodes and memory mostly did not come true on the tuning seeds: of trends 43 of 107 and 35 of 60
    /// did, of bursts 10 of 42 and 59 of 307. So theirs were tuned whole, which left 36 of 50 and 43 of 50, and of bursts of
    /// memory 40 of 58; none of inodes.
    ///
    /// None: no gate was right in half of its episodes, so nothing is said. A queue of mail that grows for hours is flushed or
    /// not, and its history does not tell which.
    fn gate(self, of: Of) -> Option<Gate> {
        let gate = |window: u64, horizon: f64, left_max: f64, steadiness_min: f64, times_yesterday: Option<f64>| {
            let (window_secs, horizon_secs) = (window * 3_600, horizon * 3_600.0);
            Some(Gate { window_secs, horizon_secs, left_max, steadiness_min, times_yesterday })
        };
        match (self, of) {
            (Rule::Burst, Of::Space) => gate(6, 8.0, 0.25, 0.5, None),
            (Rule::Trend, Of::Space) => gate(48, 72.0, 0.4, 0.6, None),
            (Rule::Burst, Of::Inodes) => None,
            (Rule::Trend, Of::Inodes) => gate(72, 24.0, 0.1, 0.7, None),
            (Rule::Burst, Of::Memory) => gate(4, 6.0, 0.4, 0.85, Some(4.0)),
            // Three whole days: the hours and what is restarted by night weigh nothing.
            (Rule::Trend, Of::Memory) => gate(72, 24.0, 0.1, 0.5, None),
        }
    }
}

/// What will happen if nothing is done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// Who says it.
    pub rule: Rule,
    /// Seconds until it is full, at the earliest, as measured.
    pub earliest_secs: f64,
    /// By the median of all pairs of points.
    pub likely_secs: f64,
    /// At the latest, as measured.
    pub latest_secs: f64,
    /// Until it is full or has not come true: by the pairs of points, never by the measured interval, so that what is
    /// right and wrong does not depend on how wide it is.
    pub judged_secs: f64,
    /// How sure the interval is, 0 to 1, if it fills up.
    pub confidence: f64,
    /// Share that is used now.
    pub used: f64,
}

/// Judges a share of something that is used, 0 to 1, over time: `points` are (Unix seconds, share), in order, about
/// [`STEP_SECS`] apart, up to now. Nothing is NaN. Nothing is said about what has no end in sight.
#[must_use]
pub fn forecast(of: Of, points: &[(u64, f64)]) -> Option<Forecast> {
    // What was full has begun anew since: that it was as high before is no sign that it stops there.
    let points = &points[points.iter().rposition(|(_, used)| *used >= FULL).map_or(0, |full| full + 1)..];
    let (now, _) = *points.last()?;
    let before = points.partition_point(|(at, _)| at + AGAIN_SECS <= now);
    // Two rules in order; each must have said the same half an hour ago.
    Rule::ALL.into_iter().find_map(|rule| {
        said(rule, of, points.get(..before)?)?;
        said(rule, of, points)
    })
}

fn said(rule: Rule, of: Of, points: &[(u64, f64)]) -> Option<Forecast> {
    let (gate, reach) = (rule.gate(of)?, rule.reach(of)?);
    let (now, used) = *points.last()?;
    let left = 1.0 - used;
    if left > gate.left_max || used >= FULL || !is_high_water(points, now, used) {
        return None;
    }
    let Slopes { low, middle, .. } = gate.slopes(points, gate.steadiness_min)?;
    let likely = left / middle;
    if middle <= 0.0 || likely > gate.horizon_secs || !gate.is_faster_than_yesterday(points, now, middle) {
        return None;
    }
    let latest = if low > 0.0 { left / low } else { f64::INFINITY };
    Some(Forecast {
        rule,
        earliest_secs: likely * reach.earliest,
        likely_secs: likely,
        latest_secs: likely * reach.latest,
        judged_secs: latest.min(gate.horizon_secs * OPEN_END),
        confidence: CONFIDENCE,
        used,
    })
}

impl Gate {
    /// Of its window up to the last point, if there is enough of it.
    fn slopes(&self, points: &[(u64, f64)], steadiness_min: f64) -> Option<Slopes> {
        let (now, _) = *points.last()?;
        let window = since(points, now.saturating_sub(self.window_secs));
        let whole = usize::try_from(self.window_secs / STEP_SECS).unwrap_or(usize::MAX);
        if window.len() * 100 < whole * (100 - GAPS_PERCENT_MAX) {
            return None;
        }
        slopes(&thinned(window, now), steadiness_min)
    }

    /// Nobody knows of a host that was not there a day before.
    fn is_faster_than_yesterday(&self, points: &[(u64, f64)], now: u64, middle: f64) -> bool {
        let Some(times) = self.times_yesterday else { return true };
        let then = points.partition_point(|(at, _)| at + YESTERDAY_SECS <= now);
        let yesterday = points.get(..then).and_then(|points| self.slopes(points, -1.0));
        yesterday.is_some_and(|yesterday| middle >= times * yesterday.middle)
    }
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
        let found = forecast(Of::Space, &history(192, |at| 0.5 + 0.5 * at / (10.0 * DAY))).unwrap();
        assert_eq!(found.rule, Rule::Trend);
        let days = found.likely_secs / DAY;
        assert!((1.9..2.1).contains(&days), "{found:?}");
        assert!(found.earliest_secs <= 2.0 * DAY && found.latest_secs >= 2.0 * DAY, "{found:?}");
        assert_eq!(found.confidence, 0.8);
    }

    #[test]
    fn what_writes_now_is_told_hours_ahead() {
        let start = 4.0 * DAY;
        let share = |at: f64| 0.6 + ((at - start) / (12.0 * 3_600.0)).max(0.0) * 0.4;
        let found = forecast(Of::Space, &history(104, share)).unwrap();
        assert_eq!(found.rule, Rule::Burst);
        assert!((3.5 * 3_600.0..4.5 * 3_600.0).contains(&found.likely_secs), "{found:?}");
        assert_eq!(forecast(Of::Inodes, &history(104, share)), None, "no gate is right about them in half the cases");
    }

    #[test]
    fn a_saw_tooth_a_step_a_clean_up_and_too_little_history_are_no_trend() {
        for of in Of::ALL {
            let forecast = |points: &[(u64, f64)]| forecast(of, points);
            let tooth = |at: f64| 0.80 + 0.08 * (at % DAY) / DAY;
            assert_eq!(forecast(&history(214, tooth)), None, "logs that are rotated each day");
            assert_eq!(forecast(&history(192, |at| if at < 7.5 * DAY { 0.7 } else { 0.9 })), None, "a step");
            assert_eq!(forecast(&history(192, |at| if at < 7.8 * DAY { 0.9 } else { 0.7 })), None, "a clean-up");
            assert_eq!(forecast(&history(192, |_| 0.95)), None, "full and still");
            assert_eq!(forecast(&history(3, |at| 0.8 + at / DAY)), None, "three hours are not four");
            assert_eq!(forecast(&[]), None);
            assert_eq!(forecast(&history(192, |_| f64::NAN)), None);
        }
    }

    #[test]
    fn mem_09_the_days_work_is_no_burst_and_a_process_that_runs_away_is() {
        // Up to 85 % each noon, from 65 %.
        let work = |at: f64| 0.65 + 0.2 * (at / DAY * std::f64::consts::TAU).sin().max(0.0);
        for hour in 160..184 {
            assert_eq!(forecast(Of::Memory, &history(hour, work)), None, "hour {hour}");
        }
        // From the seventh evening on it takes 7 % each hour.
        let away = |at: f64| work(at) + 0.07 * (at / 3_600.0 - 163.0).max(0.0);
        let found = forecast(Of::Memory, &history(167, away)).unwrap();
        assert_eq!(found.rule, Rule::Burst);
        assert!(found.likely_secs < 6.0 * 3_600.0, "{found:?}");
    }

    #[test]
    fn what_was_full_and_begins_anew_is_judged_by_what_came_since() {
        // Used up each 2.8 days; looked at four hours before the second time.
        let grows = |at: f64| 0.3 + 0.7 * (at / (2.8 * DAY)).fract();
        let ended = |at: f64, height: f64| if (2.75..2.8).contains(&(at / DAY)) { height } else { grows(at) };
        let found = forecast(Of::Memory, &history(130, |at| ended(at, 1.0))).unwrap();
        assert!((4.0 * 3_600.0..5.0 * 3_600.0).contains(&found.likely_secs), "{found:?}");
        // It was as high without being full: something empties it in time.
        assert_eq!(forecast(Of::Memory, &history(130, |at| ended(at, 0.985))), None);
    }
}
