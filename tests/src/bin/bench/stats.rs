//! Order statistics of few numbers.

use std::time::Duration;

/// The middle of some runs; the mean of the two middle ones when their number is even. `None`: no run.
pub(crate) fn median(runs: &[f64]) -> Option<f64> {
    let mut sorted = runs.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = sorted[(sorted.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

/// The smallest value that at least `percent` of all do not exceed, in microseconds. `None`: no value.
pub(crate) fn percentile_us(values: &[Duration], percent: usize) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort();
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map(|value| value.as_secs_f64() * 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn middles_and_ranks() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
        let values: Vec<Duration> = (1..=200).rev().map(Duration::from_micros).collect();
        assert_eq!(percentile_us(&values, 50).map(f64::round), Some(100.0));
        assert_eq!(percentile_us(&values, 99).map(f64::round), Some(198.0));
        assert_eq!(percentile_us(&values[..1], 99).map(f64::round), Some(200.0));
        assert_eq!(percentile_us(&[], 50), None);
    }
}
