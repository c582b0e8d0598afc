//! Days of the calendar, for dates in tables and logs.

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
}
