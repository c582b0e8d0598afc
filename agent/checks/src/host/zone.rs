//! The host's time zone, to read the local times of its logs: tzfile(5) and the rule at its end (RFC 9636).
//!
//! Another root may lack the zone's file: then it is unknown, and whoever asks says so.

use super::date::{civil, days_since_1970};
use super::{Host, zone_rule};
use crate::found::Gap;
use zone_rule::Rule;

/// Changes of a zone; the longest of the world have under 300.
const CHANGES_MAX: usize = 5000;
const HEADER_BYTES: usize = 44;
const DAY_SECS: i64 = 86_400;

/// How far local time is from UTC, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Zone {
    /// `Asia/Shanghai`; empty when nobody says.
    pub(crate) name: String,
    /// From when on, and seconds east of UTC; in order.
    changes: Vec<(i64, i64)>,
    before: i64,
    rule: Option<Rule>,
    /// Whether it was read, and not assumed.
    pub(crate) is_known: bool,
}

impl Zone {
    fn utc(name: &str, is_known: bool) -> Self {
        Self { name: name.to_owned(), changes: Vec::new(), before: 0, rule: None, is_known }
    }

    /// Seconds east of UTC at a moment.
    #[must_use]
    pub(crate) fn east_secs(&self, at: i64) -> i64 {
        let after = self.changes.partition_point(|(from, _)| *from <= at);
        if after == self.changes.len()
            && let Some(rule) = &self.rule
        {
            return rule.east_secs(at);
        }
        after.checked_sub(1).and_then(|last| self.changes.get(last)).map_or(self.before, |(_, east)| *east)
    }

    /// The moment of a local time, and whether there is just one.
    #[must_use]
    pub(crate) fn moment(&self, local: i64) -> (i64, bool) {
        let [early, late] = [-DAY_SECS, DAY_SECS].map(|shift| self.east_secs(local.saturating_add(shift)));
        let [first, second] = [early, late].map(|east| local.saturating_sub(east));
        match (self.east_secs(first) == early, self.east_secs(second) == late) {
            (true, true) => (first, first == second),
            (true, false) => (first, true),
            (false, true) => (second, true),
            (false, false) => (first, false),
        }
    }

    /// The moment of `2026-01-01 06:12:33` (any marks between the numbers).
    #[must_use]
    pub(crate) fn parse(&self, text: &str) -> Option<(u64, bool)> {
        let (at, sure) = self.moment(local_secs(text)?);
        Some((u64::try_from(at).ok()?, sure && self.is_known))
    }
}

/// Seconds from 1970 to a local date and time, as if it were UTC.
pub(crate) fn local_secs(text: &str) -> Option<i64> {
    let mut numbers = text.split(|one: char| !one.is_ascii_digit()).filter(|part| !part.is_empty());
    let mut next = |most: i64| numbers.next()?.parse::<i64>().ok().filter(|number| *number <= most);
    let days = days_since_1970(next(9999)?, next(12)?, next(31)?)?;
    let (hours, minutes, secs) = (next(23)?, next(59)?, next(60)?);
    Some(days * DAY_SECS + hours * 3600 + minutes * 60 + secs)
}

/// The year of a moment.
pub(super) fn year_of(secs: i64) -> i64 {
    civil(secs.div_euclid(DAY_SECS)).0
}

impl Host {
    /// This host's zone. Without `/etc/localtime` it is UTC, as the C library has it.
    #[must_use]
    pub(crate) fn zone(&self) -> Zone {
        let link = self.link("/etc/localtime").ok();
        let named = link.as_deref().and_then(|link| link.split_once("zoneinfo/")).map(|(_, name)| name.to_owned());
        let named = named.or_else(|| self.read("/etc/timezone").ok().map(|text| text.trim().to_owned()));
        let name = cloud_doctor_proto::refusal::one_line(&named.unwrap_or_default(), 60);
        if matches!(name.as_str(), "UTC" | "Etc/UTC" | "Etc/GMT" | "Zulu") {
            return Zone::utc(&name, true);
        }
        match self.read_bytes("/etc/localtime") {
            Ok(bytes) => read(&bytes, &name).unwrap_or_else(|| Zone::utc(&name, false)),
            Err(Gap::NotHere(_)) if link.is_none() && name.is_empty() => Zone::utc("UTC", true),
            Err(Gap::NotHere(_) | Gap::Unknown(_)) => Zone::utc(&name, false),
        }
    }
}

fn read(bytes: &[u8], name: &str) -> Option<Zone> {
    let (version, short) = sizes(bytes)?;
    if version < b'2' {
        return block(bytes, short, 4, name).map(|(zone, _)| zone);
    }
    // The first block is for readers of the last century.
    let second = bytes.get(HEADER_BYTES + short.bytes(4)?..)?;
    let (_, long) = sizes(second)?;
    let (zone, rest) = block(second, long, 8, name)?;
    let rule = std::str::from_utf8(rest).ok()?.trim_matches('\n');
    Some(Zone { rule: Rule::parse(rule), ..zone })
}

/// What a block holds.
#[derive(Clone, Copy)]
struct Sizes {
    is_utc: usize,
    is_standard: usize,
    leaps: usize,
    changes: usize,
    kinds: usize,
    letters: usize,
}

impl Sizes {
    fn bytes(self, width: usize) -> Option<usize> {
        let of_changes = self.changes.checked_mul(width + 1)?;
        let rest =
            self.kinds.checked_mul(6)?.checked_add(self.letters)?.checked_add(self.leaps.checked_mul(width + 4)?)?;
        of_changes.checked_add(rest)?.checked_add(self.is_standard)?.checked_add(self.is_utc)
    }
}

fn sizes(bytes: &[u8]) -> Option<(u8, Sizes)> {
    let header = bytes.get(..HEADER_BYTES).filter(|header| header.starts_with(b"TZif"))?;
    let mut numbers = header.get(20..)?.chunks_exact(4).map(|four| signed(four).and_then(|n| usize::try_from(n).ok()));
    let mut next = || numbers.next().flatten().filter(|count| *count <= CHANGES_MAX);
    let (is_utc, is_standard, leaps) = (next()?, next()?, next()?);
    let sizes = Sizes { is_utc, is_standard, leaps, changes: next()?, kinds: next()?, letters: next()? };
    Some((*header.get(4)?, sizes))
}

/// One block, and what follows it.
fn block<'a>(bytes: &'a [u8], sizes: Sizes, width: usize, name: &str) -> Option<(Zone, &'a [u8])> {
    let body = bytes.get(HEADER_BYTES..)?;
    let (times, rest) = body.split_at_checked(sizes.changes.checked_mul(width)?)?;
    let (which, rest) = rest.split_at_checked(sizes.changes)?;
    let kinds: Vec<i64> =
        rest.get(..sizes.kinds * 6)?.chunks_exact(6).filter_map(|kind| signed(kind.get(..4)?)).collect();
    let changes: Option<Vec<(i64, i64)>> = times
        .chunks_exact(width)
        .zip(which)
        .map(|(time, kind)| Some((signed(time)?, *kinds.get(usize::from(*kind))?)))
        .collect();
    let mut changes = changes?;
    changes.sort_unstable();
    let zone = Zone { name: name.to_owned(), changes, before: *kinds.first()?, rule: None, is_known: true };
    Some((zone, body.get(sizes.bytes(width)?..)?))
}

/// A number of four or eight bytes, the highest first.
fn signed(bytes: &[u8]) -> Option<i64> {
    match bytes.len() {
        4 => Some(i64::from(i32::from_be_bytes(bytes.try_into().ok()?))),
        8 => Some(i64::from_be_bytes(bytes.try_into().ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;

    /// A file of version 2 with these changes and this rule.
    pub(super) fn file(changes: &[(i64, u8)], kinds: &[i32], rule: &str) -> Vec<u8> {
        let header = |times: usize, kinds: usize| {
            let mut header = b"TZif2".to_vec();
            header.resize(20, 0);
            for count in [0, 0, 0, times, kinds, 0] {
                header.extend(u32::try_from(count).unwrap().to_be_bytes());
            }
            header
        };
        let mut bytes = header(0, 0);
        bytes.extend(header(changes.len(), kinds.len()));
        bytes.extend(changes.iter().flat_map(|(at, _)| at.to_be_bytes()));
        bytes.extend(changes.iter().map(|(_, kind)| *kind));
        bytes.extend(kinds.iter().flat_map(|east| [&east.to_be_bytes()[..], &[0, 0]].concat()));
        bytes.extend(format!("\n{rule}\n").bytes());
        bytes
    }

    #[test]
    fn local_times_are_read_with_the_hosts_own_zone() {
        let berlin = file(&[(1_000_000_000, 1), (1_004_000_000, 0)], &[3600, 7200], "CET-1CEST,M3.5.0,M10.5.0/3");
        let shanghai = file(&[], &[28_800], "CST-8");
        for (bytes, local, utc, sure) in [
            (&shanghai, "2026-01-01 08:00:00", 1_767_225_600, true),
            (&berlin, "2026-01-01 01:00:00", 1_767_225_600, true),
            (&berlin, "2026-07-01 02:00:00", 1_782_864_000, true),
            // The hour that comes twice, and the one that never comes.
            (&berlin, "2025-10-26 02:30:00", 1_761_438_600, false),
            (&berlin, "2025-03-30 02:30:00", 1_743_298_200, false),
            (&berlin, "2001-09-10 02:00:00", 1_000_080_000, true),
        ] {
            let zone = Fixture::image().file("/etc/localtime", bytes).host().zone();
            assert_eq!(zone.parse(local), Some((utc, sure)), "{local}");
        }
    }

    #[test]
    fn a_zone_that_cannot_be_read_is_not_known() {
        assert!(Fixture::image().host().zone().is_known, "without the file it is UTC");
        let named = Fixture::image().file("/etc/timezone", "Asia/Shanghai\n").host().zone();
        assert_eq!((named.name.as_str(), named.is_known), ("Asia/Shanghai", false));
        let whole = file(&[(5, 0)], &[3600], "CET-1");
        for cut in 0..whole.len() - 8 {
            assert!(!Fixture::image().file("/etc/localtime", &whole[..cut]).host().zone().is_known, "{cut}");
        }
        let mut huge = whole;
        huge[32..36].copy_from_slice(&[0xFF; 4]);
        assert!(!Fixture::image().file("/etc/localtime", huge).host().zone().is_known);
        for text in ["", "2026", "2026-13-01 00:00:00", "2026-01-01 24:00:00", "99999999999999999999-1-1 1:1:1"] {
            assert_eq!(Zone::utc("UTC", true).parse(text), None, "{text}");
        }
    }
}
