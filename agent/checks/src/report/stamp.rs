//! Moments, written for people and for file names. Always UTC.

use crate::host::date::civil;
use cloud_doctor_proto::time::UnixTime;

const DAY_SECS: u64 = 86_400;

/// `2026-01-01 06:12:33`.
#[must_use]
pub(crate) fn utc(at: UnixTime) -> String {
    let [year, month, day, hour, minute, second] = parts(at);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// `20260101T061233Z`.
#[must_use]
pub(crate) fn compact(at: UnixTime) -> String {
    let [year, month, day, hour, minute, second] = parts(at);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

fn parts(at: UnixTime) -> [i64; 6] {
    // Later than any calendar: the last second of the year 9999.
    let secs = at.0.min(253_402_300_799);
    let (year, month, day) = civil(i64::try_from(secs / DAY_SECS).unwrap_or(0));
    let of_day = i64::try_from(secs % DAY_SECS).unwrap_or(0);
    [year, month, day, of_day / 3600, of_day / 60 % 60, of_day % 60]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_utc() {
        assert_eq!(utc(UnixTime(1_767_225_600)), "2026-01-01 00:00:00");
        assert_eq!(compact(UnixTime(1_709_251_199)), "20240229T235959Z");
        assert_eq!(utc(UnixTime(u64::MAX)), "9999-12-31 23:59:59");
    }
}
