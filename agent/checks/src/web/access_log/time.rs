//! Times as logs write them, in seconds since 1970.

use crate::host::date::{self, days_since_1970};

/// A date and time as if it were UTC.
fn civil(year: i64, month: i64, day: i64, clock: &str) -> Option<i64> {
    let days = days_since_1970(year, month, day).filter(|_| year >= 1970)?;
    let mut parts = clock.split(':').map(number);
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

fn number(text: &str) -> Option<i64> {
    (!text.is_empty() && text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())?
}

/// Seconds east of UTC: `+0800`, `+08:00`, `Z`.
fn zone(text: &str) -> Option<i64> {
    let (sign, rest) = match text.split_at_checked(1)? {
        ("Z", "") => return Some(0),
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let digits = rest.replacen(':', "", 1);
    let (hours, minutes) = digits.split_at_checked(2)?;
    (minutes.len() == 2).then_some(())?;
    Some(sign * (number(hours)? * 3600 + number(minutes)? * 60))
}

/// `01/Jan/2026:08:00:00 +0800`
pub(super) fn local(text: &str) -> Option<i64> {
    let (stamp, offset) = text.trim().split_once(' ')?;
    let (date, clock) = stamp.split_once(':')?;
    let mut parts = date.split('/');
    let (day, month, year) = (number(parts.next()?)?, parts.next()?, number(parts.next()?)?);
    Some(civil(year, i64::try_from(date::month(month)?).ok()?, day, clock)? - zone(offset)?)
}

/// `2026-01-01T08:00:00+08:00`
pub(super) fn iso(text: &str) -> Option<i64> {
    let (date, rest) = text.trim().split_once('T')?;
    let (clock, offset) = rest.split_at_checked(8)?;
    let mut parts = date.split('-').map(number);
    Some(civil(parts.next()??, parts.next()??, parts.next()??, clock)? - zone(offset)?)
}

/// The time at the beginning of a line of nginx's error log, as if its local time were UTC: `2026/01/01 08:00:00 [emerg] …`
pub(crate) fn error_log(line: &str) -> Option<i64> {
    let mut words = line.splitn(3, ' ');
    let (date, clock) = (words.next()?, words.next()?);
    let mut parts = date.split('/').map(number);
    civil(parts.next()??, parts.next()??, parts.next()??, clock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lb_20_times_of_logs_are_read() {
        for (text, expected) in [
            ("01/Jan/2026:08:00:00 +0800", Some(1_767_225_600)),
            ("01/Jan/2026:00:00:00 +0000", Some(1_767_225_600)),
            ("31/Dec/2025:19:00:00 -0500", Some(1_767_225_600)),
            ("29/Feb/2024:00:00:00 +0000", Some(1_709_164_800)),
            ("01/Mar/2024:00:00:00 +0000", Some(1_709_251_200)),
            ("01/Foo/2026:08:00:00 +0800", None),
            ("01/Jan/2026:25:00:00 +0800", None),
            ("99/Jan/2026:00:00:00 +0800", None),
            ("01/Jan/999999999999:00:00:00 +0800", None),
            ("中", None),
            ("", None),
        ] {
            assert_eq!(local(text), expected, "{text}");
        }
        assert_eq!(iso("2026-01-01T08:00:00+08:00"), Some(1_767_225_600));
        assert_eq!(iso("2026-01-01T00:00:00Z"), Some(1_767_225_600));
        assert_eq!(iso("2026-00-01T00:00:00Z"), None);
        assert_eq!(error_log("1970/01/02 00:00:01 [emerg] 1#1: x"), Some(86_401));
        assert_eq!(error_log("1970/01/02"), None);
    }
}
