//! Dates: as days since 1970 and back, and as files write them. Nobody reads a clock here.

use cloud_doctor_proto::time::DAY_SECS;

/// Days from 1970-01-01 to a day of the Gregorian calendar; nothing when there is no such month or day.
///
/// The months are counted from March, so that the leap day is the last of its year (Howard Hinnant, `days_from_civil`).
#[must_use]
pub(crate) fn days_since_1970(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719_468)
}

/// The same of text like `2026-07-11`, which may go on.
#[must_use]
pub(crate) fn parse_day(text: &str) -> Option<i64> {
    let mut parts = text.get(..10)?.split('-').map(|part| part.parse::<i64>().ok());
    days_since_1970(parts.next()??, parts.next()??, parts.next()??)
}

/// Year, month and day of a count of days since 1970-01-01 (Howard Hinnant, `civil_from_days`).
#[must_use]
pub(crate) fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days.saturating_add(719_468);
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era.saturating_mul(400) + i64::from(month <= 2), month, day)
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The month (1 to 12) that an English short name means.
#[must_use]
pub(crate) fn month(name: &str) -> Option<u64> {
    MONTHS.iter().position(|month| *month == name).map(|at| at as u64 + 1)
}

/// Seconds of `hh:mm:ss` since midnight.
#[must_use]
pub(crate) fn clock_secs(text: &str) -> Option<u64> {
    let mut parts = text.split(':').map(|part| part.parse::<u64>().ok());
    let (hours, minutes, secs) = (parts.next()??, parts.next()??, parts.next()??);
    (parts.next().is_none() && hours < 24 && minutes < 60 && secs <= 60).then_some(hours * 3600 + minutes * 60 + secs)
}

/// Seconds since 1970 of a day's first second, UTC (Howard Hinnant's `days_from_civil`, from March on).
#[must_use]
pub(crate) fn day_secs(year: u64, month: u64, day: u64) -> Option<u64> {
    let number = |part: u64| i64::try_from(part).ok();
    let days = days_since_1970(number(year)?, number(month)?, number(day)?)?;
    u64::try_from(days).ok().map(|days| days * 86_400)
}

/// `Wed, 20 May 2026 16:28:12 UTC`, as archives and HTTP write it.
#[must_use]
pub(crate) fn rfc_2822_utc(text: &str) -> Option<u64> {
    let (_, text) = text.split_once(", ")?;
    let mut parts = text.split_ascii_whitespace();
    let day = parts.next()?.parse().ok()?;
    let month = month(parts.next()?)?;
    let year = parts.next()?.parse().ok()?;
    let clock = clock_secs(parts.next()?)?;
    matches!(parts.next()?, "UTC" | "GMT" | "+0000" | "Z").then_some(day_secs(year, month, day)? + clock)
}

/// `2026-05-20T16:28:12.123+08:00` or with `Z`.
#[must_use]
pub(crate) fn rfc_3339(text: &str) -> Option<u64> {
    let mut date = text.get(..10)?.split('-').map(|part| part.parse::<u64>().ok());
    let day = day_secs(date.next()??, date.next()??, date.next()??)?;
    let local = day + text.get(10..11).filter(|mark| matches!(*mark, "T" | " ")).and(clock_secs(text.get(11..19)?))?;
    let zone = text.get(19..)?.trim_start_matches(|one: char| one == '.' || one.is_ascii_digit());
    if zone == "Z" {
        return Some(local);
    }
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let offset = hours.parse::<u64>().ok().filter(|hours| *hours < 24)? * 3600
        + minutes.parse::<u64>().ok().filter(|minutes| *minutes < 60)? * 60;
    match zone.get(..1)? {
        "+" => local.checked_sub(offset),
        "-" => Some(local + offset),
        _ => None,
    }
}

/// The way back: `2026-05-20T08:28:12+00:00`.
#[must_use]
pub(crate) fn rfc_3339_utc(secs: u64) -> String {
    let days = i64::try_from(secs / DAY_SECS).unwrap_or(i64::MAX);
    let ((year, month, day), of_day) = (civil(days), secs % DAY_SECS);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}+00:00")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_over_leap_years() {
        for (text, days) in [
            ("1970-01-01", Some(0)),
            ("2000-03-01", Some(11_017)),
            ("2026-01-01", Some(20_454)),
            ("2026-01-01T12:00", Some(20_454)),
            ("2026-13-01", None),
            ("yesterday", None),
            ("--------------", None),
        ] {
            assert_eq!(parse_day(text), days, "{text}");
        }
    }

    #[test]
    fn days_and_dates_are_each_others_way_back() {
        for (days, date) in [(0, (1970, 1, 1)), (11_016, (2000, 2, 29)), (20_454, (2026, 1, 1)), (-1, (1969, 12, 31))] {
            assert_eq!(civil(days), date);
        }
        for days in (0..40_000).step_by(13) {
            let (year, month, day) = civil(days);
            assert_eq!(days_since_1970(year, month, day), Some(days));
        }
        // No number is too large.
        assert!(civil(i64::MAX).0 > 9999 && civil(i64::MIN).0 < 0);
    }

    #[test]
    fn dates_are_read_as_they_are_written() {
        assert_eq!(day_secs(1970, 1, 1), Some(0));
        assert_eq!(day_secs(2026, 1, 1), Some(1_767_225_600));
        assert_eq!(day_secs(2024, 3, 1).zip(day_secs(2024, 2, 29)).map(|(a, b)| a - b), Some(86_400));
        assert_eq!(rfc_2822_utc("Thu, 01 Jan 2026 00:00:10 UTC"), Some(1_767_225_610));
        assert_eq!(rfc_3339("2026-01-01T08:00:00.5+08:00"), Some(1_767_225_600));
        assert_eq!(rfc_3339("2026-01-01T00:00:00Z"), Some(1_767_225_600));
        for secs in [0, 1_767_225_600, 951_782_399, 4_102_444_799] {
            assert_eq!(rfc_3339(&rfc_3339_utc(secs)), Some(secs));
        }
        assert_eq!(rfc_3339_utc(1_767_225_610), "2026-01-01T00:00:10+00:00");
        assert!(!rfc_3339_utc(u64::MAX).is_empty());
        assert_eq!(rfc_3339("2025-12-31T19:00:00-05:00"), Some(1_767_225_600));
        for bad in ["", "2026-13-01T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00", "1970-01-01T00:00:00+23:59"] {
            assert_eq!(rfc_3339(bad), None, "{bad}");
        }
        for bad in ["", "Thu, 01 Foo 2026 00:00:10 UTC", "Thu, 01 Jan 2026 00:00:10 PST", "Thu, 1 Jan 2026"] {
            assert_eq!(rfc_2822_utc(bad), None, "{bad}");
        }
    }
}
