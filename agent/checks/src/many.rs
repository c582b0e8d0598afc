//! Many things alike: a host of containers has thousands of mounts and interfaces, and nobody reads thousands of lines
//! that all say that it is well.

use crate::found::Found;
use crate::words;
use cloud_doctor_proto::finding::Status;
use std::cmp::Reverse;

/// Findings up to which each is told.
const EACH_MAX: usize = 100;

/// All of them when they are few. Else those that want a look, and in one sum how many are well.
pub(crate) fn many(found: Vec<Found>) -> Vec<Found> {
    if found.len() <= EACH_MAX {
        return found;
    }
    let (well, mut rest): (Vec<_>, Vec<_>) = found.into_iter().partition(|one| one.status == Status::Ok && !one.note);
    // The worst are told; how many more there are is told too.
    rest.sort_by_key(|one| Reverse(one.status));
    let more = rest.len().saturating_sub(EACH_MAX);
    let worst = rest.get(EACH_MAX).map(|first| first.status);
    rest.truncate(EACH_MAX);
    if let Some(status) = worst {
        let untold = Found::new("", status, words!("{more} more are like this", "另有 {more} 项情况相同"));
        rest.push(untold.evidence("findings above", format!("and {more} more")));
    }
    if !well.is_empty() {
        let count = well.len();
        rest.push(Found::new("", Status::Ok, words!("{count} more are as they should be", "另有 {count} 项正常")));
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_well_is_told_in_one_sum_when_there_is_much_of_it() {
        let found = |count: usize, status| {
            (0..count).map(move |number| Found::new(number.to_string(), status, words!("a", "b")))
        };
        for (well, ill, told) in [(50, 50, 100), (3000, 2, 3), (3000, 0, 1), (0, 3000, 101), (5, 3000, 102)] {
            let all = found(well, Status::Ok).chain(found(ill, Status::Warning)).collect();
            let sum = many(all);
            assert_eq!(sum.len(), told, "{well} {ill}");
            assert_eq!(sum.iter().any(|one| one.status == Status::Warning), ill > 0);
        }
    }
}
