//! The health score: 100, minus 20 for each check that found something critical, minus 5 for each that found a warning.
//!
//! Each check counts once, for the worst that it found, so that ten backends of one pool are not ten faults. What could
//! not be told costs nothing, because nobody knows, and is counted apart. Advice costs nothing. The score never goes below
//! 0. Where no check could judge anything there is no score.

use cloud_doctor_proto::checks::Absent;
use cloud_doctor_proto::finding::{Finding, Status};
use std::collections::BTreeMap;

/// Points that a check costs which found something critical.
pub const CRITICAL_COSTS: u32 = 20;
/// Points that a check costs which found a warning.
pub const WARNING_COSTS: u32 = 5;
const FULL: u32 = 100;

/// A score with its arithmetic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Score {
    /// Nothing when no check could judge anything.
    pub value: Option<u32>,
    /// What each check costs, the dearest first: id, worst status, points.
    pub costs: Vec<(String, Status, u32)>,
    /// Checks that could judge something.
    pub judged: usize,
    /// Checks that could not tell, at least in part.
    pub unknown: usize,
    /// Checks with nothing to look at.
    pub absent: usize,
}

impl Score {
    /// The score of what became of each check.
    #[must_use]
    pub fn of(findings: &[Finding], absent: &[Absent]) -> Self {
        let mut score = Self { value: None, costs: Vec::new(), judged: 0, unknown: 0, absent: absent.len() };
        let mut by_check: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
        for finding in findings {
            by_check.entry(&finding.check).or_default().push(finding);
        }
        for (check, findings) in by_check {
            let any = |status| findings.iter().any(|finding| finding.status == status);
            score.unknown += usize::from(any(Status::Unknown));
            score.judged += usize::from(findings.iter().any(|one| one.status != Status::Unknown));
            if any(Status::Critical) {
                score.costs.push((check.to_owned(), Status::Critical, CRITICAL_COSTS));
            } else if any(Status::Warning) {
                score.costs.push((check.to_owned(), Status::Warning, WARNING_COSTS));
            }
        }
        score.costs.sort_by_key(|(_, status, _)| std::cmp::Reverse(*status));
        score.value = (score.judged > 0).then(|| FULL.saturating_sub(score.lost()));
        score
    }

    /// Points that all checks together cost.
    #[must_use]
    pub fn lost(&self) -> u32 {
        self.costs.iter().map(|(_, _, points)| points).sum()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::report::tests::finding;

    #[test]
    fn chk_the_score_is_arithmetic_that_anybody_can_repeat() {
        use Status::{Critical, Ok, Unknown, Warning};
        type Case = (&'static [(&'static str, &'static [Status])], Option<u32>, [usize; 3]);
        let cases: &[Case] = &[
            (&[("cpu.usage", &[Ok])], Some(100), [1, 0, 0]),
            (&[("cpu.usage", &[Warning])], Some(95), [1, 0, 0]),
            (&[("cpu.usage", &[Critical])], Some(80), [1, 0, 0]),
            // Each check once, for its worst.
            (&[("cpu.usage", &[Critical, Critical, Warning])], Some(80), [1, 0, 0]),
            (&[("cpu.usage", &[Warning, Warning])], Some(95), [1, 0, 0]),
            (&[("cpu.usage", &[Critical]), ("cpu.load", &[Warning])], Some(75), [2, 0, 0]),
            // Nobody knows: costs nothing, is counted.
            (&[("cpu.usage", &[Unknown]), ("cpu.load", &[Ok])], Some(100), [1, 1, 0]),
            (&[("cpu.usage", &[Unknown, Warning])], Some(95), [1, 1, 0]),
            // Nothing was judged: no score, and not 100.
            (&[("cpu.usage", &[Unknown])], None, [0, 1, 0]),
            (&[], None, [0, 0, 0]),
        ];
        for (given, value, counts) in cases {
            let findings = given.iter().flat_map(|(id, all)| all.iter().map(|status| finding(id, "", *status)));
            let score = Score::of(&findings.collect::<Vec<_>>(), &[]);
            assert_eq!((score.value, [score.judged, score.unknown, score.absent]), (*value, *counts), "{given:?}");
            assert_eq!(score.value.unwrap_or(100), 100 - score.costs.iter().map(|cost| cost.2).sum::<u32>());
        }
    }

    #[test]
    fn chk_the_score_ends_at_nothing_and_the_dearest_stand_first() {
        let all: Vec<_> = crate::all().map(|check| finding(check.id, "", Status::Critical)).collect();
        let score = Score::of(&all, &[]);
        assert_eq!(score.value, Some(0));
        assert!(score.lost() > 100);
        let mixed = [("cpu.load", Status::Warning), ("cpu.usage", Status::Critical)];
        let score = Score::of(&mixed.map(|(id, status)| finding(id, "", status)), &[]);
        assert_eq!(score.costs[0], ("cpu.usage".to_owned(), Status::Critical, 20));
        let absent = Absent { check: "cpu.usage".into(), why: crate::words!("none", "none") };
        assert_eq!(Score::of(&[], &[absent]).absent, 1);
    }
}
