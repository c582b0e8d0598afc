//! What history says about things that can be used up, for forecasts: read from the tunnel's files by a checker, which can
//! only look.
//!
//! It must never write there, or believe more of a file than its reader does.

use super::history::{Answer, History};
use cloud_doctor_checks::Shares;
use cloud_doctor_checks::forecast::STEP_SECS;
use cloud_doctor_proto::metrics::{RangeRequest, Series};
use std::path::Path;
use std::sync::Arc;

/// What is asked for: the days that a rise is compared with, and one more.
const DAYS: u64 = 4;
/// Things that are kept: file systems, and memory.
const THINGS_MAX: usize = 200;

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
    let free: Shares = told.extract_if(.., |thing, _| thing.starts_with(FREE)).collect();
    for (thing, points) in &mut told {
        if let Some(mount) = thing.strip_prefix(USED) {
            *points = of_all(points, free.get(&format!("{FREE}{mount}")).map_or(&[], Vec::as_slice));
        }
    }
    told.retain(|_, points| !points.is_empty());
    told
}

const NAMES: [&str; 3] =
    ["system.filesystem.utilization", "system.linux.filesystem.inodes", "system.memory.utilization"];
const USED: &str = "inodes ";
const FREE: &str = "free inodes ";

fn thing(series: &Arc<Series>) -> Option<String> {
    let of = |key: &str| series.attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    match (series.name.as_str(), of("mountpoint"), of("state")) {
        ("system.filesystem.utilization", Some(mount), None) => Some(format!("space {mount}")),
        ("system.linux.filesystem.inodes", Some(mount), Some("used")) => Some(format!("{USED}{mount}")),
        ("system.linux.filesystem.inodes", Some(mount), Some("free")) => Some(format!("{FREE}{mount}")),
        ("system.memory.utilization", None, None) => Some("memory".to_owned()),
        _ => None,
    }
}

fn points(from: u64, step: u32, means: &[f32]) -> Vec<(u64, f64)> {
    let at = (0_u64..).map(|number| (from + number * u64::from(step)) / 1_000);
    let known = at.zip(means).filter(|(_, mean)| mean.is_finite());
    known.map(|(at, mean)| (at, f64::from(*mean))).collect()
}

/// The share of used in used and free, at the times of both.
fn of_all(used: &[(u64, f64)], free: &[(u64, f64)]) -> Vec<(u64, f64)> {
    let free: std::collections::BTreeMap<u64, f64> = free.iter().copied().collect();
    let share = |(at, used): &(u64, f64)| {
        let all = used + free.get(at)?;
        (all > 0.0).then_some((*at, used / all))
    };
    used.iter().filter_map(share).collect()
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
    fn where_there_is_no_history_nothing_is_said() {
        assert!(shares(Path::new("/nonexistent"), 1_800_000_000).is_empty());
    }
}
