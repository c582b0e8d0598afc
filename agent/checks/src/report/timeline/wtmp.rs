//! wtmp(5): starts of the kernel, shutdowns, and how often somebody logged in. Of logins only numbers leave.

use super::{Confidence, Row, RowKind, Seen, WINDOW_SECS};
use crate::found::Gap;
use crate::host::Host;
use crate::report::stamp::utc;
use crate::words;
use cloud_doctor_proto::finding::Words;
use cloud_doctor_proto::time::UnixTime;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const PATH: &str = "/var/log/wtmp";
/// Of the C library on 64 bits: x86 keeps the times of 32 bits, ARM does not (bits/utmp.h, `__WORDSIZE_TIME64_COMPAT32`).
const SIZES: [(usize, usize, usize); 2] = [(384, 340, 4), (400, 344, 8)];
const USER: std::ops::Range<usize> = 44..76;
const RUN_LEVEL: u16 = 1;
const BOOT_TIME: u16 = 2;
const USER_PROCESS: u16 = 7;
const DAY_SECS: u64 = 86_400;

/// One record of interest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    Boot(UnixTime),
    Shutdown(UnixTime),
    Login(UnixTime, String),
}

/// The records, oldest first; nothing when there is no such file.
pub(super) fn records(host: &Host) -> Result<Vec<Record>, Words> {
    match host.read_bytes(PATH) {
        Ok(bytes) => {
            parse(&bytes).ok_or_else(|| words!("{PATH} is not of a form that is known here", "{PATH} 的格式未知"))
        }
        Err(Gap::NotHere(_)) => Ok(Vec::new()),
        Err(Gap::Unknown(why)) => Err(why),
    }
}

fn parse(bytes: &[u8]) -> Option<Vec<Record>> {
    let fits = |size: &usize| bytes.len().is_multiple_of(*size);
    let (size, time_at, time_size) = *SIZES.iter().find(|(size, _, _)| fits(size))?;
    Some(bytes.chunks_exact(size).filter_map(|record| one(record, time_at, time_size)).collect())
}

fn one(record: &[u8], time_at: usize, time_size: usize) -> Option<Record> {
    let kind = u16::from_le_bytes(record.get(..2)?.try_into().ok()?);
    let time = record.get(time_at..time_at + time_size)?;
    let secs = match time_size {
        4 => u64::from(u32::from_le_bytes(time.try_into().ok()?)),
        _ => u64::from_le_bytes(time.try_into().ok()?),
    };
    let user = record.get(USER)?.split(|byte| *byte == 0).next()?;
    let at = UnixTime(secs);
    match kind {
        BOOT_TIME => Some(Record::Boot(at)),
        RUN_LEVEL if user == b"shutdown" => Some(Record::Shutdown(at)),
        USER_PROCESS => Some(Record::Login(at, String::from_utf8_lossy(user).into_owned())),
        _ => None,
    }
}

/// Logins by day of UTC.
pub(super) fn logins(host: &Host) -> Seen {
    let all = match records(host) {
        Ok(all) => all,
        Err(why) => return Seen { rows: Vec::new(), gaps: vec![why] },
    };
    let mut days: BTreeMap<u64, (u64, UnixTime, BTreeSet<String>)> = BTreeMap::new();
    for record in all {
        let Record::Login(at, user) = record else { continue };
        if at.0.saturating_add(WINDOW_SECS) < host.now().0 {
            continue;
        }
        let (count, last, users) = days.entry(at.0 / DAY_SECS).or_insert((0, at, BTreeSet::new()));
        *count += 1;
        *last = (*last).max(at);
        users.insert(user);
    }
    let row = |(day, (count, last, users)): (u64, (u64, UnixTime, BTreeSet<String>))| {
        let day = utc(UnixTime(day.saturating_mul(DAY_SECS)));
        let (day, users) = (day.get(..10).unwrap_or_default().to_owned(), users.len());
        Row {
            at: last,
            kind: RowKind::Login,
            what: words!(
                "logins on {day} (UTC): {count}, users: {users}; this is the last of them",
                "{day}（UTC）登录 {count} 次，用户 {users} 个；此为最后一次的时间"
            ),
            evidence: PATH.to_owned(),
            confidence: Confidence::High,
        }
    };
    Seen { rows: days.into_iter().map(row).collect(), gaps: Vec::new() }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;

    /// A record of x86.
    pub(in crate::report::timeline) fn record(kind: u16, user: &str, at: u32) -> Vec<u8> {
        let mut record = vec![0; 384];
        record[..2].copy_from_slice(&kind.to_le_bytes());
        record[44..44 + user.len()].copy_from_slice(user.as_bytes());
        record[340..344].copy_from_slice(&at.to_le_bytes());
        record
    }

    #[test]
    fn chk_logins_are_numbers_and_no_names() {
        let now = 1_767_225_600;
        let bytes = [
            record(USER_PROCESS, "alice", now - 100),
            record(USER_PROCESS, "bob", now - 50),
            record(USER_PROCESS, "alice", now - 10),
            record(USER_PROCESS, "alice", now - 9 * 86_400),
            record(8, "", now - 5),
        ];
        let seen = logins(&Fixture::image().file(PATH, bytes.concat()).host());
        assert_eq!(seen.rows.len(), 1);
        assert_eq!(seen.rows[0].what.en, "logins on 2025-12-31 (UTC): 3, users: 2; this is the last of them");
        assert_eq!(seen.rows[0].at, UnixTime(u64::from(now) - 10));
        assert!(!format!("{seen:?}").contains("alice"));
        assert!(logins(&Fixture::image().host()).gaps.is_empty());
        for odd in [&b"x"[..], &[0xFF; 385], b"SQLite format 3\0"] {
            assert_eq!(logins(&Fixture::image().file(PATH, odd).host()).gaps.len(), 1);
        }
        let noise: Vec<u8> = (0..384 * 50).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect();
        logins(&Fixture::image().file(PATH, noise).host());
    }

    #[test]
    fn chk_records_of_arm_are_longer() {
        let mut arm = vec![0; 400];
        arm[..2].copy_from_slice(&BOOT_TIME.to_le_bytes());
        arm[344..352].copy_from_slice(&1_767_225_600_u64.to_le_bytes());
        assert_eq!(parse(&arm), Some(vec![Record::Boot(UnixTime(1_767_225_600))]));
    }
}
