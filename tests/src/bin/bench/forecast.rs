//! `forecast.*`: how often forecasts of full disks are right, and how early, beside the linear rule that people use today.
//!
//! On seeded traces that no rule was tuned on ([`cloud_doctor_tests::traces`]); each figure with its 95 % interval. There is no
//! single "accuracy": on hosts that never fill up, saying never is always right. Nor is there a coverage of memory, for which
//! there are no traces.

use anyhow::{Context as _, Result, ensure};
use cloud_doctor_checks::forecast::{CONFIDENCE, Reach, Rule};
use cloud_doctor_tests::traces::{Coverage, Score, TUNING, coverage, measure as forecasts, measure_linear, wilson};

use crate::report::{Aim, Beside, Figure, Report};

/// Figures of this group.
pub(crate) const NAMES: &[&str] = &[
    "forecast.trend.precision",
    "forecast.trend.recall",
    "forecast.trend.lead",
    "forecast.burst.precision",
    "forecast.burst.recall",
    "forecast.burst.lead",
    "forecast.disk.trend.coverage",
    "forecast.disk.burst.coverage",
];

/// Traces to measure with.
const TRACES: u64 = 1_000;
const PEER: &str = "node-mixin, 6 h to 24 h";

/// Takes the figures.
pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let seeds = || TUNING..TUNING + TRACES;
    let (scores, linear) = (forecasts(seeds()), measure_linear(seeds()));
    for rule in [Rule::Trend, Rule::Burst] {
        let Some(score) = scores.get(&rule) else { continue };
        let runs = |hits: usize, of: usize| {
            let (low, _, high) = wilson(hits, of);
            format!("{hits} of {of} on {TRACES} traces of 14 days, 95 % in {low:.0} to {high:.0}")
        };
        let mut add = |what: &str, ours, peer, unit, aim, runs: String| {
            let name = format!("forecast.{}.{what}", rule.id());
            let peer = Some(Beside { name: PEER, value: Some(peer) });
            report.add(&Figure { name, ours: Some(ours), peer, unit, aim, runs })
        };
        let precision = |score: &Score| wilson(score.hits, score.episodes).1;
        let recall = |score: &Score| wilson(score.foreseen, score.events).1;
        let better = if rule == Rule::Trend { Aim::RatioAtLeast(1.0) } else { Aim::Nothing };
        let said = format!(
            "{}; {:.1} false alarms per 100 months of a host",
            runs(score.hits, score.episodes),
            score.false_alarms()
        );
        add("precision", precision(score), precision(&linear), "%", better, said)?;
        add("recall", recall(score), recall(&linear), "%", Aim::Nothing, runs(score.foreseen, score.events))?;
        let spread = format!("median; a tenth has {:.1} h or less", lead(score, 10));
        add("lead", lead(score, 50), lead(&linear, 50), "h", Aim::Nothing, spread)?;
    }
    measure_coverage(report)
}

/// Of forecasts that came true, how many did within their interval, beside the confidence that it is told with.
fn measure_coverage(report: &mut Report) -> Result<()> {
    let (tuning, test) = (coverage(0..TUNING), coverage(TUNING..TUNING + TRACES));
    for rule in [Rule::Trend, Rule::Burst] {
        let (Some(fitted), Some(Coverage { came_true, held, early, .. })) = (tuning.get(&rule), test.get(&rule)) else {
            continue;
        };
        let (low, share, high) = wilson(*held, *came_true);
        let reach = fitted_reach(rule, fitted)?;
        let runs = format!(
            "{held} of {came_true} that came true, 95 % in {low:.0} to {high:.0}, {early} earlier; tuning {} of {}, ratios {reach}",
            fitted.held, fitted.came_true
        );
        let name = format!("forecast.disk.{}.coverage", rule.id());
        let peer = Some(Beside { name: "confidence told", value: Some(100.0 * CONFIDENCE) });
        report.add(&Figure { name, ours: Some(share), peer, unit: "%", aim: Aim::RatioAtLeast(1.0), runs })?;
    }
    Ok(())
}

/// What the tuning seeds say, as text. An interval that is told by other numbers has no measured confidence.
fn fitted_reach(rule: Rule, fitted: &Coverage) -> Result<String> {
    let (low, high) = fitted.reach().context("too few forecasts of the tuning seeds came true")?;
    let (Reach { earliest, latest }, reach) = (rule.reach(), format!("{low:.4} to {high:.4}"));
    let is_rounded = (low - 0.001..=low).contains(&earliest) && (high..=high + 0.01).contains(&latest);
    let id = rule.id();
    ensure!(
        is_rounded,
        "{id} tells {earliest} to {latest} times its estimate, the tuning seeds say {reach}: write those"
    );
    Ok(reach)
}

/// Hours before, of those that were foreseen.
fn lead(score: &Score, percent: usize) -> f64 {
    let place = score.lead_hours.len().saturating_sub(1) * percent / 100;
    score.lead_hours.get(place).copied().unwrap_or(f64::NAN)
}
