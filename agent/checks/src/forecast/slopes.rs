//! Slopes that a few wild points do not bend: Theil and Sen's median of all pairs, with the spread of the pairs, and
//! Mann and Kendall's measure of how steadily something rises.

/// How fast something changes, per second: tenth part, half and nine tenths of all pairs of points are below.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Slopes {
    pub(super) low: f64,
    pub(super) middle: f64,
    pub(super) high: f64,
    /// From -1, always falling, to 1, always rising (Kendall's tau).
    pub(super) steadiness: f64,
}

/// Of `points` (seconds, value), in the order of time; nothing for fewer than three.
pub(super) fn slopes(points: &[(f64, f64)]) -> Option<Slopes> {
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
    if all.len() < 3 {
        return None;
    }
    let pairs = u32::try_from(all.len()).ok()?;
    let mut at_share = |percent: usize| {
        let place = (all.len() - 1) * percent / 100;
        *all.select_nth_unstable_by(place, f64::total_cmp).1
    };
    Some(Slopes {
        low: at_share(10),
        middle: at_share(50),
        high: at_share(90),
        steadiness: (f64::from(rising) - f64::from(falling)) / f64::from(pairs),
    })
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
        let found = slopes(&points).unwrap();
        assert!((found.middle - 3.0).abs() < 1e-9, "{found:?}");
        assert!(found.low <= found.middle && found.middle <= found.high && found.steadiness > 0.8);
    }

    #[test]
    fn what_says_nothing_has_no_slope() {
        assert_eq!(slopes(&[]), None);
        assert_eq!(slopes(&[(1.0, 1.0), (2.0, 2.0)]), None);
        assert_eq!(slopes(&[(1.0, 1.0); 9]), None, "no time passes");
        assert_eq!(slopes(&[(1.0, f64::NAN); 9]), None);
        let flat = slopes(&[(1.0, 5.0), (2.0, 5.0), (3.0, 5.0)]).unwrap();
        assert_eq!((flat.middle, flat.steadiness), (0.0, 0.0));
    }
}
