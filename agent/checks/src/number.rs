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
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    let mut number = bytes as f64;
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
        if number < 1024.0 {
            break;
        }
        (number, unit) = (number / 1024.0, larger);
    }
    let text = format!("{number:.1}");
    format!("{} {unit}", text.strip_suffix(".0").unwrap_or(&text))
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
    }
}
