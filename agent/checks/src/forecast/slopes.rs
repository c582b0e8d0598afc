//! Slopes that a few wild points do not bend: Theil and Sen's median of all pairs, with the spread of the pairs, and
//! Mann and Kendall's measure of how steadily something rises.

/// How fast something changes, per second: a tenth part and half of all pairs of points are below.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Slopes {
    pub(super) low: f64,
    pub(super) middle: f64,
}

/// Of `points` (seconds, value), in the order of time; nothing for fewer than three, or for what rises less steadily than
/// `steadiness_min`: -1 is always falling, 1 always rising (Kendall's tau).
pub(super) fn slopes(points: &[(f64, f64)], steadiness_min: f64) -> Option<Slopes> {
    let mut all = Vec::with_capacity(points.len() * points.len() / 2);
    let (mut rising, mut falling) = (0_u32, 0_u32);
    for (at, (then, before)) in points.iter().enumerate() {
        for (now, after) in points.iter().skip(at + 1) {
            if now <= then {
                continue;
            }
            let slope = (after - before) / (now - then);
            if slope.is_finite() {
                all.push(slope);
                rising += u32::from(slope > 0.0);
                falling += u32::from(slope < 0.0);
            }
        }
    }
    let pairs = u32::try_from(all.len()).ok().filter(|pairs| *pairs >= 3)?;
    let steadiness = (f64::from(rising) - f64::from(falling)) / f64::from(pairs);
    if steadiness < steadiness_min {
        return None;
    }
    let place = |percent: usize| (all.len() - 1) * percent / 100;
    let (low, middle) = (place(10), place(50));
    let (below, half, _) = all.select_nth_unstable_by(middle, f64::total_cmp);
    let middle = *half;
    let low = if low < below.len() { *below.select_nth_unstable_by(low, f64::total_cmp).1 } else { middle };
    Some(Slopes { low, middle })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_few_wild_points_do_not_bend_a_line() {
        let mut points: Vec<(f64, f64)> = (0..60).map(|at| (f64::from(at), 3.0 * f64::from(at))).collect();
        for at in [7, 23, 41] {
            points[at].1 = 1e6;
        }
        let found = slopes(&points, 0.8).unwrap();
        assert!((found.middle - 3.0).abs() < 1e-9, "{found:?}");
        assert!(found.low <= found.middle, "{found:?}");
    }

    #[test]
    fn what_says_nothing_has_no_slope() {
        assert_eq!(slopes(&[], -1.0), None);
        assert_eq!(slopes(&[(1.0, 1.0), (2.0, 2.0)], -1.0), None);
        assert_eq!(slopes(&[(1.0, 1.0); 9], -1.0), None, "no time passes");
        assert_eq!(slopes(&[(1.0, f64::NAN); 9], -1.0), None);
        let flat = [(1.0, 5.0), (2.0, 5.0), (3.0, 5.0)];
        assert_eq!(slopes(&flat, 0.0), Some(Slopes { low: 0.0, middle: 0.0 }));
        assert_eq!(slopes(&flat, 0.1), None, "it does not rise");
    }

    #[test]
    fn parts_are_those_of_all_pairs_in_order() {
        let points: Vec<(f64, f64)> = (0..20).map(|at| (f64::from(at), (f64::from(at) * 7.3).sin())).collect();
        let pairs = |at: usize| points.iter().skip(at + 1).map(move |later| (at, *later));
        let mut all: Vec<f64> =
            (0..20).flat_map(pairs).map(|(at, (now, after))| (after - points[at].1) / (now - points[at].0)).collect();
        all.sort_by(f64::total_cmp);
        let found = slopes(&points, -1.0).unwrap();
        // 190 pairs.
        assert_eq!(found, Slopes { low: all[18], middle: all[94] });
    }
}
