//! Moments that people type and read: `22:00`, `+2h`, `2026-11-25T22:00Z`. It must never guess: what fits no form is an error.

use cloud_doctor_proto::audit::rfc3339;
use cloud_doctor_proto::ceiling::Span;
use cloud_doctor_proto::time::{DAY_SECS, UnixTime};

/// Seconds east of UTC at a moment.
pub type Zone<'a> = &'a dyn Fn(UnixTime) -> i32;

/// Not a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a moment is now, 22:00, +2h or 2026-11-25T22:00+01:00")]
pub struct NoMoment;

/// Reads a moment: `+2h` counts from `after`, and `22:00` is the first one after it on the clock of this place.
///
/// # Errors
/// [`NoMoment`].
pub fn read(text: &str, after: UnixTime, zone: Zone<'_>) -> Result<UnixTime, NoMoment> {
    let text = text.trim();
    if text == "now" {
        return Ok(after);
    }
    if let Some(span) = text.strip_prefix('+') {
        return span.parse::<Span>().map(|span| after.plus_secs(span.0)).map_err(|_| NoMoment);
    }
    match text.split_once('T') {
        Some((day, time)) => dated(day, time),
        None => Ok(next(clock_time(text)?, after, zone)),
    }
}

/// A moment as it is on the clock of this place, with its distance from UTC.
#[must_use]
pub fn shown(at: UnixTime, zone: Zone<'_>) -> String {
    let east = zone(at);
    let local = rfc3339(UnixTime(at.0.saturating_add_signed(i64::from(east))));
    let minutes = east.unsigned_abs() / 60;
    let sign = if east < 0 { '-' } else { '+' };
    format!("{}{sign}{:02}:{:02}", local.trim_end_matches('Z'), minutes / 60, minutes % 60)
}

/// The first moment after `after` at which clocks of this place show so many seconds of the day.
fn next(of_day: u64, after: UnixTime, zone: Zone<'_>) -> UnixTime {
    let local = after.0.saturating_add_signed(i64::from(zone(after)));
    let midnight = local - local % DAY_SECS;
    let on = |days: u64| {
        let shown = midnight + days * DAY_SECS + of_day;
        let about = UnixTime(shown.saturating_add_signed(-i64::from(zone(after))));
        // Summer time may begin or end in between.
        UnixTime(shown.saturating_add_signed(-i64::from(zone(about))))
    };
    let today = on(0);
    if today > after { today } else { on(1) }
}

/// Seconds of the day, from `22:00` or `22:00:30`.
fn clock_time(text: &str) -> Result<u64, NoMoment> {
    let parts: Vec<u64> = text.split(':').map(two_digits).collect::<Result<_, _>>()?;
    match parts.as_slice() {
        [hour @ 0..24, minute @ 0..60] => Ok(hour * 3600 + minute * 60),
        [hour @ 0..24, minute @ 0..60, second @ 0..60] => Ok(hour * 3600 + minute * 60 + second),
        _ => Err(NoMoment),
    }
}

fn two_digits(text: &str) -> Result<u64, NoMoment> {
    let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or(NoMoment)
}

/// RFC 3339: a day, a time, and the distance from UTC.
fn dated(day: &str, time: &str) -> Result<UnixTime, NoMoment> {
    let (time, east) = match time.strip_suffix('Z') {
        Some(time) => (time, 0),
        None => {
            let at = time.rfind(['+', '-']).ok_or(NoMoment)?;
            let (time, zone) = time.split_at(at);
            let east = i64::try_from(clock_time(zone.get(1..).ok_or(NoMoment)?)?).map_err(|_| NoMoment)?;
            (time, if zone.starts_with('-') { -east } else { east })
        }
    };
    let local = days_of(day)? * DAY_SECS + clock_time(time)?;
    local.checked_add_signed(-east).map(UnixTime).ok_or(NoMoment)
}

/// Days since 1970 of `2026-11-25`: the same day must come back when it is written again.
fn days_of(day: &str) -> Result<u64, NoMoment> {
    let (year, rest) = day.split_at_checked(4).ok_or(NoMoment)?;
    let mut parts = rest.strip_prefix('-').ok_or(NoMoment)?.split('-').map(two_digits);
    let (Some(Ok(month)), Some(Ok(day_of_month)), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err(NoMoment);
    };
    let year: u64 = year.parse().ok().filter(|year| *year >= 1970).ok_or(NoMoment)?;
    // The usual era arithmetic, with years that begin in March.
    let shifted_year = if month > 2 { year } else { year - 1 };
    let (era, year_of_era) = (shifted_year / 400, shifted_year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day_of_month;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * 146_097 + day_of_era).checked_sub(719_469).ok_or(NoMoment)?;
    let written = rfc3339(UnixTime(days.saturating_mul(DAY_SECS)));
    if written.starts_with(&format!("{day}T")) { Ok(days) } else { Err(NoMoment) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// 2026-11-25T22:05:00Z
    const NOW: UnixTime = UnixTime(1_795_644_300);

    fn utc(_: UnixTime) -> i32 {
        0
    }

    #[test]
    fn moments_are_read_in_each_of_their_forms() {
        assert_eq!(rfc3339(NOW), "2026-11-25T22:05:00Z");
        let east = |_: UnixTime| 3600;
        let west = |_: UnixTime| -5 * 3600;
        let rows: [(&str, Zone<'_>, &str); 14] = [
            ("now", &utc, "2026-11-25T22:05:00Z"),
            ("+2h", &utc, "2026-11-26T00:05:00Z"),
            ("+90s", &utc, "2026-11-25T22:06:30Z"),
            ("22:06", &utc, "2026-11-25T22:06:00Z"),
            ("22:05", &utc, "2026-11-26T22:05:00Z"),
            ("22:04", &utc, "2026-11-26T22:04:00Z"),
            ("23:30", &east, "2026-11-25T22:30:00Z"),
            ("00:30", &east, "2026-11-25T23:30:00Z"),
            ("18:00", &west, "2026-11-25T23:00:00Z"),
            ("2026-11-25T22:00Z", &west, "2026-11-25T22:00:00Z"),
            ("2026-11-25T22:00:59Z", &utc, "2026-11-25T22:00:59Z"),
            ("2026-11-25T22:00+01:00", &utc, "2026-11-25T21:00:00Z"),
            ("2026-11-25T22:00-05:30", &utc, "2026-11-26T03:30:00Z"),
            ("2028-02-29T00:00Z", &utc, "2028-02-29T00:00:00Z"),
        ];
        for (text, zone, expected) in rows {
            assert_eq!(read(text, NOW, zone).map(rfc3339).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_an_error() {
        for text in [
            "",
            "+",
            "+2",
            "2h",
            "tomorrow",
            "22",
            "22:0",
            "24:00",
            "22:60",
            "+1:00",
            "-1:00",
            "22:00Z",
            "2026-11-25",
            "2026-11-25T22:00",
            "2027-02-29T00:00Z",
            "2026-13-01T00:00Z",
            "2026-00-01T00:00Z",
            "2026-11-00T00:00Z",
            "1969-12-31T00:00Z",
            "1970-01-01T00:00+01:00",
            "26-11-25T00:00Z",
            "2026-11-25T22:00+1",
            "x026-11-25T00:00Z",
            "2026-11-25T22:00é",
            "22:00:00:00",
        ] {
            assert_eq!(read(text, NOW, &utc), Err(NoMoment), "{text}");
        }
    }

    #[test]
    fn every_day_comes_back() {
        for days in (0..200_000).step_by(7) {
            let at = UnixTime(days * DAY_SECS);
            assert_eq!(read(&rfc3339(at), NOW, &utc), Ok(at));
        }
    }

    #[test]
    fn a_clock_that_is_set_back_in_between_is_followed() {
        let change = UnixTime(NOW.0 + 3600);
        let zone = move |at: UnixTime| if at < change { 7200 } else { 3600 };
        // 00:05 now by the clock; at 01:05 it shows 00:05 again.
        let at = read("06:00", NOW, &zone).unwrap();
        assert_eq!(shown(at, &zone), "2026-11-26T06:00:00+01:00");
        assert_eq!(shown(NOW, &zone), "2026-11-26T00:05:00+02:00");
        assert_eq!(shown(NOW, &|_| -19_800), "2026-11-25T16:35:00-05:30");
    }
}
