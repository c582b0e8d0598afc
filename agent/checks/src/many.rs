//! Many things alike: a host of containers has thousands of mounts and interfaces, and nobody reads thousands of lines
//! that all say that it is well.

use crate::found::Found;
use crate::words;
use cloud_doctor_proto::finding::Status;

/// Findings up to which each is told.
const EACH_MAX: usize = 200;

/// All of them when they are few. Else the worst, and two more that say what was left out.
pub(crate) fn many(found: Vec<Found>) -> Vec<Found> {
    if found.len() <= EACH_MAX {
        return found;
    }
    let (fine, mut bad): (Vec<_>, Vec<_>) = found.into_iter().partition(|one| one.status == Status::Ok && !one.note);
    // Stable: as they stand in the files, the worst first.
    bad.sort_by_key(|one| std::cmp::Reverse(one.status));
    let rest = bad.split_off(bad.len().min(EACH_MAX));
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
        assert_eq!(many(few.clone()), few);
        let sum =
            many(found(Status::Ok, 500).chain(found(Status::Warning, 500)).chain(found(Status::Critical, 1)).collect());
        assert_eq!((sum.len(), sum[0].status, sum[200].status), (202, Status::Critical, Status::Ok));
        assert_eq!((sum[201].subject.as_str(), sum[201].status), ("more", Status::Warning));
        assert!(sum[201].summary.en.starts_with("301 "));
    }
}
