//! What history says about things that can be used up, for forecasts: read from the tunnel's files by a checker, which can
//! only look.
//!
//! It must never write there, or believe more of a file than its reader does.

use super::history::{Answer, History};
use cloud_doctor_checks::Shares;
use cloud_doctor_checks::forecast::STEP_SECS;
use cloud_doctor_proto::metrics::{RangeRequest, Series};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// What is asked for: the days that a rise is compared with, and one more.
const DAYS: u64 = 4;
/// Series that are taken of file systems and memory.
const THINGS_MAX: usize = 200;
/// A process that is ended for want of memory with less used ran into a limit of its own service.
const NEARLY: f64 = 0.9;
/// Less that is free after it, as a share of all, was no want of the host's: what the kernel ends is the largest of all.
const GIVEN_BACK: f64 = 0.05;

/// Shares used of each thing, by `space MOUNTPOINT`, `inodes MOUNTPOINT` and `memory`, as (Unix seconds, 0 to 1), up to `now`.
/// Empty where there is no history that may be read.
pub(crate) fn shares(folder: &Path, now_secs: u64) -> Shares {
    let Ok(history) = History::look(folder) else { return Shares::default() };
    let to = now_secs.saturating_mul(1_000);
    let request = RangeRequest {
        from: to.saturating_sub(DAYS * 86_400_000),
        to,
        points: u32::try_from(DAYS * 86_400 / STEP_SECS).unwrap_or(u32::MAX),
        names: NAMES.iter().map(|name| (*name).to_owned()).collect(),
    };
    let (mut series, mut told) = (Vec::new(), Shares::default());
    history.range(&request, &mut |answer| {
        match answer {
            Answer::Series(all) => series = all,
            Answer::Range(range) => {
                let thing = usize::try_from(range.series).ok().and_then(|at| thing(series.get(at)?));
                if let Some(thing) = thing {
                    told.insert(thing, points(range.from, range.step, &range.mean));
                }
            }
        }
        told.len() < THINGS_MAX
    });
    let parts: Shares = told.extract_if(.., |thing, _| thing.starts_with(PART)).collect();
    let part = |name: &str| parts.get(name).map_or(&[][..], Vec::as_slice);
    for (thing, points) in &mut told {
        if let Some(mount) = thing.strip_prefix(USED) {
            *points = of_all(points, part(&format!("{FREE}{mount}")));
        }
    }
    let memory = Memory { used: part(MEMORY), limit: part(LIMIT), swap: [part(SWAP_USED), part(SWAP_FREE)] };
    told.insert("memory".to_owned(), memory.shares(part(KILLED)));
    told.retain(|_, points| !points.is_empty());
    told
}

const NAMES: [&str; 6] = [
    "system.filesystem.utilization",
    "system.linux.filesystem.inodes",
    "system.memory.usage",
    "system.memory.limit",
    "system.paging.usage",
    "system.linux.oom_kills",
];
const USED: &str = "inodes ";
/// What begins so is no thing, but counted in one.
const PART: &str = "part ";
const FREE: &str = "part free inodes ";
const MEMORY: &str = "part memory";
const LIMIT: &str = "part limit";
const SWAP_USED: &str = "part swap used";
const SWAP_FREE: &str = "part swap free";
const KILLED: &str = "part killed";

fn thing(series: &Arc<Series>) -> Option<String> {
    let of = |key: &str| series.attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    match (series.name.as_str(), of("mountpoint"), of("state")) {
        ("system.filesystem.utilization", Some(mount), None) => Some(format!("space {mount}")),
        ("system.linux.filesystem.inodes", Some(mount), Some("used")) => Some(format!("{USED}{mount}")),
        ("system.linux.filesystem.inodes", Some(mount), Some("free")) => Some(format!("{FREE}{mount}")),
        ("system.memory.usage", None, Some("used")) => Some(MEMORY.to_owned()),
        ("system.memory.limit", None, None) => Some(LIMIT.to_owned()),
        ("system.paging.usage", None, Some("used")) => Some(SWAP_USED.to_owned()),
        ("system.paging.usage", None, Some("free")) => Some(SWAP_FREE.to_owned()),
        ("system.linux.oom_kills", None, None) => Some(KILLED.to_owned()),
        _ => None,
    }
}

fn points(from: u64, step: u32, means: &[f32]) -> Vec<(u64, f64)> {
    let at = (0_u64..).map(|number| (from + number * u64::from(step)) / 1_000);
    let known = at.zip(means).filter(|(_, mean)| mean.is_finite());
    known.map(|(at, mean)| (at, f64::from(*mean))).collect()
}

type Points = [(u64, f64)];

/// The share of used in used and free, at the times of both.
fn of_all(used: &Points, free: &Points) -> Vec<(u64, f64)> {
    let free = by_time(free);
    let share = |(at, used): &(u64, f64)| {
        let all = used + free.get(at)?;
        (all > 0.0).then_some((*at, used / all))
    };
    used.iter().filter_map(share).collect()
}

fn by_time(points: &Points) -> BTreeMap<u64, f64> {
    points.iter().copied().collect()
}

/// In bytes.
struct Memory<'a> {
    /// What is not available to programs.
    used: &'a Points,
    limit: &'a Points,
    /// Used and free.
    swap: [&'a Points; 2],
}

impl Memory<'_> {
    /// Of memory and swap together: what is moved from one to the other changes nothing, and processes are ended when both
    /// are used up. When one was, while there was nearly nothing, and much was free after it, nothing was left for a moment that
    /// a mean does not show. The kernel counts those too that reached a limit of their own: these give the host little back.
    fn shares(&self, killed: &Points) -> Vec<(u64, f64)> {
        let (limit, killed) = (by_time(self.limit), by_time(killed));
        let [used, free] = self.swap.map(by_time);
        let share = |(at, memory): &(u64, f64)| {
            // All are read together; older kernels' hosts may have no swap to tell of.
            let [used, free] =
                [&used, &free].map(|swap| if swap.is_empty() { Some(0.0) } else { swap.get(at).copied() });
            let (used, all) = (memory + used?, limit.get(at)? + used? + free?);
            (all > 0.0).then_some((*at, used / all))
        };
        let shares: Vec<(u64, f64)> = self.used.iter().filter_map(share).collect();
        let near = |place: Option<usize>| place.and_then(|place| shares.get(place)).map(|(_, share)| *share);
        let as_it_was = |(place, (at, share)): (usize, &(u64, f64))| {
            let before = near(place.checked_sub(1)).map_or(*share, |before| before.max(*share));
            let after = near(place.checked_add(1)).map_or(*share, |after| after.min(*share));
            let was_used_up = before >= NEARLY && before - after >= GIVEN_BACK;
            let was_killed = killed.get(at).is_some_and(|rate| *rate > 0.0);
            (*at, if was_used_up && was_killed { 1.0 } else { *share })
        };
        shares.iter().enumerate().map(as_it_was).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_inodes_are_those_of_all_at_the_same_time() {
        let found = of_all(&[(1, 25.0), (2, 50.0), (3, 1.0)], &[(1, 75.0), (2, 50.0)]);
        assert_eq!(found, [(1, 0.25), (2, 0.5)]);
        assert_eq!(of_all(&[(1, 0.0)], &[(1, 0.0)]), [], "none at all");
    }

    #[test]
    fn mem_09_memory_is_counted_with_its_swap_and_what_was_used_up_for_a_moment_is_seen() {
        let of = |values: [f64; 4]| (0..).zip(values).collect::<Vec<(u64, f64)>>();
        let (used, limit) = (of([2.0, 4.0, 7.5, 3.0]), of([8.0; 4]));
        let none = Memory { used: &used, limit: &limit, swap: [&[], &[]] };
        assert_eq!(none.shares(&[]), of([0.25, 0.5, 0.9375, 0.375]));
        let (swapped, free) = (of([0.0, 4.0, 4.0, 4.0]), of([8.0, 4.0, 4.0, 4.0]));
        let both = Memory { swap: [&swapped, &free], ..none };
        assert_eq!(both.shares(&[]), of([0.125, 0.5, 0.71875, 0.4375]));
        let killed = of([0.0, 0.01, 0.0, 0.01]);
        assert_eq!(none.shares(&killed), of([0.25, 0.5, 0.9375, 1.0]), "it was over before the mean was taken");
        assert_eq!(both.shares(&killed), both.shares(&[]), "services reached limits of their own");
        let (high, kills) = (of([7.5, 7.6, 7.5, 7.6]), of([0.01; 4]));
        let busy = Memory { used: &high, ..none };
        assert_eq!(busy.shares(&kills), busy.shares(&[]), "they did on a host that has little left");
        let gap = Memory { used: &used, limit: &limit[..2], swap: [&swapped[1..], &free] };
        assert_eq!(gap.shares(&[]), [(1, 0.5)], "at the times of all");
    }

    #[test]
    fn where_there_is_no_history_nothing_is_said() {
        assert!(shares(Path::new("/nonexistent"), 1_800_000_000).is_empty());
    }
}
