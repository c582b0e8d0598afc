//! Times and counts as HAProxy reads them (`parse_time_err` of `src/tools.c`): whole numbers, milliseconds when bare.

use crate::words;
use cloud_doctor_proto::finding::Words;

/// A time, in milliseconds as HAProxy keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Millis {
    pub(super) millis: u32,
    /// Whether no unit stands there.
    pub(super) bare: bool,
}

impl Millis {
    pub(super) fn secs(self) -> f64 {
        f64::from(self.millis) / 1000.0
    }
}

/// HAProxy's largest time: just below 2^31 milliseconds, 24.8 days.
const MILLIS_MAX: u64 = (1 << 31) - 1;

/// Reads a time.
///
/// # Errors
/// What HAProxy refuses: no digits, a fraction, an unknown unit, too much.
pub(super) fn millis(text: &str) -> Result<Millis, Words> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let refused = || {
        words!(
            "{text:?} is no time for HAProxy: whole numbers with us, ms, s, m, h or d only",
            "{text:?} 不是 HAProxy 可接受的时间：只能是整数加 us、ms、s、m、h 或 d"
        )
    };
    if number.is_empty() {
        return Err(refused());
    }
    let (times, divided) = match unit.as_bytes() {
        [] | [b'm', b's', ..] => (1, 1),
        [b'u', b's', ..] => (1, 1000),
        [b's', ..] => (1000, 1),
        [b'm', ..] => (60_000, 1),
        [b'h', ..] => (3_600_000, 1),
        [b'd', ..] => (86_400_000, 1),
        _ => return Err(refused()),
    };
    let millis = number.parse::<u64>().ok().and_then(|number| number.checked_mul(times));
    let millis = millis.map(|millis| millis.div_ceil(divided)).filter(|millis| *millis <= MILLIS_MAX);
    let millis = millis.and_then(|millis| u32::try_from(millis).ok()).ok_or_else(|| {
        words!("{text:?} is more than HAProxy takes (24.8 days)", "{text:?} 超出 HAProxy 的上限（24.8 天）")
    })?;
    Ok(Millis { millis, bare: unit.is_empty() })
}

/// Reads a count as `atol` does, which stops at the first character that is no digit.
///
/// # Errors
/// It is not above zero.
pub(super) fn count(text: &str) -> Result<u32, Words> {
    let text = text.trim_start().trim_start_matches('+');
    let digits: String = text.chars().take_while(char::is_ascii_digit).take(10).collect();
    let count = digits.parse::<u32>().ok().filter(|count| *count > 0);
    count.ok_or_else(|| words!("{text:?} is no count above zero", "{text:?} 不是大于零的次数"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lb_03_bare_numbers_are_milliseconds_and_fractions_are_refused() {
        for (text, expected) in [
            ("300", Some((300, true))),
            ("300s", Some((300_000, false))),
            ("5m", Some((300_000, false))),
            ("300ms", Some((300, false))),
            ("1500us", Some((2, false))),
            ("1h", Some((3_600_000, false))),
            ("1d", Some((86_400_000, false))),
            ("2147483647", Some((2_147_483_647, true))),
            ("25d", None),
            ("99999999999999999999", None),
            ("5.5s", None),
            ("5 s", None),
            ("5x", None),
            ("s", None),
            ("", None),
            ("-5s", None),
        ] {
            assert_eq!(millis(text).ok().map(|time| (time.millis, time.bare)), expected, "{text}");
        }
        for (text, expected) in [("3", Some(3)), ("3x", Some(3)), ("0", None), ("-1", None), ("x", None), ("", None)] {
            assert_eq!(count(text).ok(), expected, "{text}");
        }
    }
}
