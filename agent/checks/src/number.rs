//! Numbers for judging and for people.

/// `part` of `whole` in percent; nothing when there is no whole.
#[must_use]
pub(crate) fn percent(part: u64, whole: u64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a share for people needs no 53 bits")]
    (whole > 0).then(|| 100.0 * part as f64 / whole as f64)
}

/// How many a second. `secs` is above zero.
#[must_use]
pub(crate) fn per_second(count: u64, secs: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a rate for people needs no 53 bits")]
    let count = count as f64;
    count / secs
}

/// Bytes for people: `512 B`, `1.5 GiB`.
#[must_use]
pub(crate) fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    size_of(bytes as f64)
}

/// The same of a number that was computed.
#[must_use]
pub(crate) fn size_of(bytes: f64) -> String {
    let (mut number, mut unit) = (bytes, "B");
    for larger in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
        if number.abs() < 1024.0 {
            break;
        }
        (number, unit) = (number / 1024.0, larger);
    }
    let text = format!("{number:.1}");
    format!("{} {unit}", text.strip_suffix(".0").unwrap_or(&text))
}

/// A time for people: `900 s`, `15 min`, `0.3 s`.
pub(crate) fn span(secs: f64) -> String {
    let text = |number: f64, unit: &str| {
        let number = format!("{number:.1}");
        format!("{} {unit}", number.strip_suffix(".0").unwrap_or(&number))
    };
    if secs < 1.0 {
        format!("{} ms", (secs * 1000.0).round())
    } else if secs < 1000.0 {
        text(secs, "s")
    } else if secs < 7200.0 {
        text(secs / 60.0, "min")
    } else {
        text(secs / 3600.0, "h")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_never_divided_by_nothing() {
        assert_eq!(percent(1, 4), Some(25.0));
        assert_eq!(percent(1, 0), None);
        for (bytes, text) in [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (8 << 30, "8 GiB"), (u64::MAX, "16 EiB")]
        {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(size_of(-1536.0), "-1.5 KiB");
    }

    #[test]
    fn times_are_written_for_people() {
        for (secs, text) in
            [(0.3, "300 ms"), (5.0, "5 s"), (900.0, "900 s"), (1800.0, "30 min"), (7200.0, "2 h"), (2.5, "2.5 s")]
        {
            assert_eq!(span(secs), text);
        }
    }
}
