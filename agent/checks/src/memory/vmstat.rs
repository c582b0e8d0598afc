//! `/proc/vmstat`: what memory management did, counted since boot.

use crate::found::Gap;
use crate::host::Twice;
use crate::words;

pub(super) const PATH: &str = "/proc/vmstat";

/// A counter.
pub(super) fn counter(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// How much a counter rose between two readings.
pub(super) fn rise(twice: &Twice, name: &str) -> Result<u64, Gap> {
    let (before, after) = (counter(&twice.before, name), counter(&twice.after, name));
    let rise = after.zip(before).and_then(|(after, before)| after.checked_sub(before));
    rise.ok_or_else(|| {
        Gap::Unknown(words!("{PATH} has no {name}, or it went back", "{PATH} 中没有 {name}，或其数值倒退"))
    })
}
