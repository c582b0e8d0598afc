//! Findings for every member or pool, but never thousands of them: what is fine is then summed up, and of the rest the
//! worst are kept and the others counted.

use super::{Active, Fleet, Member, Pool, Probe, fleet};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::words;
use cloud_doctor_proto::finding::Status;

/// Findings of one check about load balancers.
const FOUND_MAX: usize = 200;

/// One finding for each member that is probed.
///
/// # Errors
/// There is no load balancer.
pub(super) fn probed(host: &Host, judge: impl Fn(&Pool, &Member, &Active) -> Found) -> Outcome {
    let fleet = fleet(host)?;
    let mut found = Vec::new();
    for pool in &fleet.pools {
        found.extend(pool.active().map(|(member, probe)| judge(pool, member, probe)));
    }
    told(fleet, found)
}

/// What was found; that nothing was is no good news where something could not be read.
///
/// # Errors
/// Nothing was found, and something was not understood.
pub(super) fn told(fleet: &Fleet, found: Vec<Found>) -> Outcome {
    let unclear = fleet.pools.iter().flat_map(|pool| &pool.members).find_map(|member| match &member.probe {
        Probe::Unresolved(why) => Some(why),
        Probe::Active(_) | Probe::Passive { .. } | Probe::Never | Probe::Tracks(_) => None,
    });
    match fleet.troubles.first().map(|trouble| &trouble.why).or(unclear) {
        Some(why) if found.is_empty() => Err(Gap::Unknown(why.clone())),
        Some(_) | None => Ok(bounded(found)),
    }
}

/// At most [`FOUND_MAX`] of them, and two more that say what was left out.
pub(crate) fn bounded(found: Vec<Found>) -> Vec<Found> {
    if found.len() <= FOUND_MAX {
        return found;
    }
    let (fine, mut bad): (Vec<_>, Vec<_>) = found.into_iter().partition(|one| one.status == Status::Ok && !one.note);
    // Stable: as they stand in the files, the worst first.
    bad.sort_by_key(|one| std::cmp::Reverse(one.status));
    let rest = bad.split_off(bad.len().min(FOUND_MAX));
    if !fine.is_empty() {
        let count = fine.len();
        bad.push(Found::new("others", Status::Ok, words!("{count} others are fine", "其余 {count} 个正常")));
    }
    let count = rest.len();
    // The worst of those that are left out stands for them all.
    bad.extend(rest.into_iter().next().map(|first| Found {
        subject: "more".to_owned(),
        summary: words!("{count} more are like this one, and not listed", "另有 {count} 个与此类似，未逐一列出"),
        ..first
    }));
    bad
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chk_01_thousands_of_findings_become_few() {
        let found =
            |status, count: usize| (0..count).map(move |at| Found::new(format!("{at}"), status, words!("x", "中")));
        let few: Vec<_> = found(Status::Warning, 200).collect();
        assert_eq!(bounded(few.clone()), few);
        let many = bounded(
            found(Status::Ok, 500).chain(found(Status::Warning, 500)).chain(found(Status::Critical, 1)).collect(),
        );
        assert_eq!((many.len(), many[0].status, many[200].status), (202, Status::Critical, Status::Ok));
        assert_eq!((many[201].subject.as_str(), many[201].status), ("more", Status::Warning));
        assert!(many[201].summary.en.starts_with("301 "));
    }
}
