//! Dates as files write them, as seconds since 1970. Nobody reads a clock here.

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The month (1 to 12) that an English short name means.
#[must_use]
pub fn month(name: &str) -> Option<u64> {
    MONTHS.iter().position(|month| *month == name).map(|at| at as u64 + 1)
}

/// Seconds of `hh:mm:ss` since midnight.
#[must_use]
pub fn clock_secs(text: &str) -> Option<u64> {
    let mut parts = text.split(':').map(|part| part.parse::<u64>().ok());
    let (hours, minutes, secs) = (parts.next()??, parts.next()??, parts.next()??);
    (parts.next().is_none() && hours < 24 && minutes < 60 && secs <= 60).then_some(hours * 3600 + minutes * 60 + secs)
}

/// Seconds since 1970 of a day's first second, UTC (Howard Hinnant's `days_from_civil`, from March on).
#[must_use]
pub fn day_secs(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + of_year;
    days.checked_sub(719_468).map(|days| days * 86_400)
}

/// `Wed, 20 May 2026 16:28:12 UTC`, as archives and HTTP write it.
#[must_use]
pub fn rfc_2822_utc(text: &str) -> Option<u64> {
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
pub fn rfc_3339(text: &str) -> Option<u64> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_they_are_written() {
        assert_eq!(day_secs(1970, 1, 1), Some(0));
        assert_eq!(day_secs(2026, 1, 1), Some(1_767_225_600));
        assert_eq!(day_secs(2024, 3, 1).zip(day_secs(2024, 2, 29)).map(|(a, b)| a - b), Some(86_400));
        assert_eq!(rfc_2822_utc("Thu, 01 Jan 2026 00:00:10 UTC"), Some(1_767_225_610));
        assert_eq!(rfc_3339("2026-01-01T08:00:00.5+08:00"), Some(1_767_225_600));
        assert_eq!(rfc_3339("2026-01-01T00:00:00Z"), Some(1_767_225_600));
        assert_eq!(rfc_3339("2025-12-31T19:00:00-05:00"), Some(1_767_225_600));
        for bad in ["", "2026-13-01T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00", "1970-01-01T00:00:00+23:59"] {
            assert_eq!(rfc_3339(bad), None, "{bad}");
        }
        for bad in ["", "Thu, 01 Foo 2026 00:00:10 UTC", "Thu, 01 Jan 2026 00:00:10 PST", "Thu, 1 Jan 2026"] {
            assert_eq!(rfc_2822_utc(bad), None, "{bad}");
        }
    }
}
