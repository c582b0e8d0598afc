//! Order of Debian's versions, exactly as dpkg has it (deb-version(7), dpkg lib/dpkg/version.c).

use std::cmp::Ordering;

/// How two versions stand to each other. A version that dpkg would refuse is compared by the same rules.
pub(crate) fn compare(left: &str, right: &str) -> Ordering {
    let (left, right) = (Parts::of(left.trim()), Parts::of(right.trim()));
    left.epoch
        .cmp(&right.epoch)
        .then_with(|| part(left.upstream, right.upstream))
        .then_with(|| part(left.revision, right.revision))
}

struct Parts<'a> {
    epoch: u64,
    upstream: &'a str,
    revision: &'a str,
}

impl<'a> Parts<'a> {
    /// `[epoch:]upstream[-revision]`: the epoch ends at the first colon, the revision begins after the last hyphen.
    fn of(version: &'a str) -> Self {
        let (epoch, rest) = match version.split_once(':') {
            Some((epoch, rest)) => (epoch.parse().unwrap_or(0), rest),
            None => (0, version),
        };
        // No revision is the same as the revision 0.
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        Self { epoch, upstream, revision }
    }
}

/// `~` before the end, the end before letters, letters before everything else.
fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        None => 0,
        Some(b'~') => -1,
        Some(digit) if digit.is_ascii_digit() => 0,
        Some(letter) if letter.is_ascii_alphabetic() => i32::from(*letter),
        Some(other) => i32::from(*other) + 256,
    }
}

/// version.c, `verrevcmp`: text and numbers by turns.
fn part(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    let is_text = |bytes: &[u8]| bytes.first().is_some_and(|byte| !byte.is_ascii_digit());
    while !left.is_empty() || !right.is_empty() {
        while is_text(left) || is_text(right) {
            match weight(left.first()).cmp(&weight(right.first())) {
                Ordering::Equal => {}
                unequal @ (Ordering::Less | Ordering::Greater) => return unequal,
            }
            (left, right) = (left.get(1..).unwrap_or_default(), right.get(1..).unwrap_or_default());
        }
        let ((one, left_rest), (two, right_rest)) = (number(left), number(right));
        // Without leading zeros the longer number is the larger one, however long.
        match one.len().cmp(&two.len()).then_with(|| one.cmp(two)) {
            Ordering::Equal => (left, right) = (left_rest, right_rest),
            unequal @ (Ordering::Less | Ordering::Greater) => return unequal,
        }
    }
    Ordering::Equal
}

/// The digits at the beginning without leading zeros, and what follows.
fn number(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len());
    let (digits, rest) = bytes.split_at(end);
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    (digits.get(zeros..).unwrap_or_default(), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_09_versions_stand_as_dpkg_says() {
        use Ordering::{Equal, Greater, Less};
        // deb-version(7) and dpkg's own lib/dpkg/t/t-version.c.
        for (left, right, expected) in [
            ("1.0", "1.0", Equal),
            ("0:1.0-0", "1.0", Equal),
            ("1.0-1", "1.0-01", Equal),
            ("1:1.0", "2.0", Greater),
            ("1.9", "1.10", Less),
            ("1.0~rc1", "1.0", Less),
            ("1.0~~", "1.0~~a", Less),
            ("1.0~~a", "1.0~", Less),
            ("1.0~", "1.0", Less),
            ("1.0", "1.0a", Less),
            ("1.0a", "1.0+", Less),
            ("1.0-1", "1.0-1+deb12u1", Less),
            ("1:9.2p1-2+deb12u9", "1:9.2p1-2+deb12u10", Less),
            ("1:9.2p1-2+deb12u2~bpo1", "1:9.2p1-2+deb12u2", Less),
            ("3.0.11-1~deb12u2", "3.0.17-1~deb12u2", Less),
            ("2.36-9+deb12u10", "2.36-9+deb12u9", Greater),
            ("1.2-3-4", "1.2-3", Greater),
            ("a-b", "a-a", Greater),
            ("1.0.0", "1.0", Greater),
            ("12345678901234567890123", "12345678901234567890124", Less),
            ("0003", "3", Equal),
            ("", "0", Equal),
            ("1.0-a", "1.0-+", Less),
        ] {
            assert_eq!(compare(left, right), expected, "{left} {right}");
            assert_eq!(compare(right, left), expected.reverse(), "{right} {left}");
        }
    }
}
