//! `forecast.*`: how often forecasts are right, and how early, beside the rules that people use today.
//!
//! On seeded traces that no rule was tuned on ([`cloud_doctor_tests::traces`]), of disks, inodes and memory apart; each figure
//! with its 95 % interval. There is no single "accuracy": on hosts that never fill up, saying never is always right.

use anyhow::{Context as _, Result, ensure};
use cloud_doctor_checks::forecast::{CONFIDENCE, Of, Reach, Rule};
use cloud_doctor_tests::traces::{Coverage, Score, TUNING, measure as forecasts, measure_today, today, wilson};

use crate::report::{Aim, Beside, Figure, Report};

/// Figures of this group.
pub(crate) const NAMES: &[&str] = &[
    "forecast.disk.trend.precision",
    "forecast.disk.trend.recall",
    "forecast.disk.trend.lead",
    "forecast.disk.trend.coverage",
    "forecast.disk.burst.precision",
    "forecast.disk.burst.recall",
    "forecast.disk.burst.lead",
    "forecast.disk.burst.coverage",
    "forecast.inodes.trend.precision",
    "forecast.inodes.trend.recall",
    "forecast.inodes.trend.lead",
    "forecast.inodes.trend.coverage",
    "forecast.memory.trend.precision",
    "forecast.memory.trend.recall",
    "forecast.memory.trend.lead",
    "forecast.memory.trend.coverage",
    "forecast.memory.burst.precision",
    "forecast.memory.burst.recall",
    "forecast.memory.burst.lead",
    "forecast.memory.burst.coverage",
];

/// Traces to measure with, of each.
const TRACES: u64 = 1_000;

/// Takes the figures.
pub(crate) fn measure(report: &mut Report) -> Result<()> {
    for of in Of::ALL {
        let seeds = || TUNING..TUNING + TRACES;
        let (fitted, scores) = (forecasts(of, 0..TUNING), forecasts(of, seeds()));
        let today = measure_today(of, seeds());
        for rule in Rule::ALL {
            // What has no measured interval is never told.
            let Some(reach) = rule.reach(of) else { continue };
            let (Some(fitted), Some(score)) = (fitted.get(&rule), scores.get(&rule)) else { continue };
            measure_rule(report, of, rule, score, &today)?;
            measure_coverage(report, of, rule, &score.coverage, &fitted.coverage, reach)?;
        }
    }
    Ok(())
}

fn name(of: Of, rule: Rule, what: &str) -> String {
    let thing = match of {
        Of::Space => "disk",
        Of::Inodes => "inodes",
        Of::Memory => "memory",
    };
    format!("forecast.{thing}.{}.{what}", rule.id())
}

fn measure_rule(report: &mut Report, of: Of, rule: Rule, score: &Score, others: &Score) -> Result<()> {
    let runs = |hits: usize, of: usize| {
        let (low, _, high) = wilson(hits, of);
        format!("{hits} of {of} on {TRACES} traces of 14 days, 95 % in {low:.0} to {high:.0}")
    };
    let mut add = |what: &str, figure: &dyn Fn(&Score) -> f64, unit, aim, runs: String| {
        let peer = Some(Beside { name: today(of), value: Some(figure(others)) });
        report.add(&Figure { name: name(of, rule, what), ours: Some(figure(score)), peer, unit, aim, runs })
    };
    let better = if rule == Rule::Trend { Aim::RatioAtLeast(1.0) } else { Aim::Nothing };
    let said = format!(
        "{}; {:.1} false alarms per 100 months of a host",
        runs(score.hits, score.episodes),
        score.false_alarms()
    );
    add("precision", &|score| wilson(score.hits, score.episodes).1, "%", better, said)?;
    let foreseen = runs(score.foreseen, score.events);
    add("recall", &|score| wilson(score.foreseen, score.events).1, "%", Aim::Nothing, foreseen)?;
    let spread = format!("median; a tenth has {:.1} h or less", lead(score, 10));
    add("lead", &|score| lead(score, 50), "h", Aim::Nothing, spread)
}

/// Of forecasts that came true, how many did within their interval, beside the confidence that it is told with.
fn measure_coverage(
    report: &mut Report,
    of: Of,
    rule: Rule,
    test: &Coverage,
    fitted: &Coverage,
    reach: Reach,
) -> Result<()> {
    let Coverage { came_true, held, early, .. } = test;
    let (low, share, high) = wilson(*held, *came_true);
    let name = name(of, rule, "coverage");
    let ratios = fitted_reach(&name, fitted, reach)?;
    let runs = format!(
        "{held} of {came_true} that came true, 95 % in {low:.0} to {high:.0}, {early} earlier; tuning {} of {}, ratios {ratios}",
        fitted.held, fitted.came_true
    );
    let peer = Some(Beside { name: "confidence told", value: Some(100.0 * CONFIDENCE) });
    report.add(&Figure { name, ours: Some(share), peer, unit: "%", aim: Aim::RatioAtLeast(1.0), runs })
}

/// What the tuning seeds say, as text. An interval that is told by other numbers has no measured confidence.
fn fitted_reach(name: &str, fitted: &Coverage, told: Reach) -> Result<String> {
    let (low, high) = fitted.reach().context("too few forecasts of the tuning seeds came true")?;
    let (Reach { earliest, latest }, reach) = (told, format!("{low:.4} to {high:.4}"));
    let is_rounded = (low - 0.001..=low).contains(&earliest) && (high..=high + 0.01).contains(&latest);
    ensure!(
        is_rounded,
        "{name}: {earliest} to {latest} times the estimate is told, the tuning seeds say {reach}: write those"
    );
    Ok(reach)
}

/// Hours before, of those that were foreseen.
fn lead(score: &Score, percent: usize) -> f64 {
    let place = score.lead_hours.len().saturating_sub(1) * percent / 100;
    score.lead_hours.get(place).copied().unwrap_or(f64::NAN)
}
