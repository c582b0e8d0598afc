//! Versions of kernels, compared by their numbers: `6.1.0-9` comes before `6.1.0-18`.

use std::cmp::Ordering;

/// Compares as package managers do: digits as numbers, everything else as text, separators not at all. A release candidate
/// (`6.8-rc1`, `6.8~rc1`) comes before its release.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (parts(a), parts(b));
    for at in 0..a.len().max(b.len()) {
        let order = match (a.get(at), b.get(at)) {
            (Some(a), Some(b)) => compare_parts(a, b),
            (Some(rest), None) => longer(rest),
            (None, Some(rest)) => longer(rest).reverse(),
            (None, None) => Ordering::Equal,
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

fn longer(rest: &str) -> Ordering {
    if rest == "rc" { Ordering::Less } else { Ordering::Greater }
}

fn compare_parts(a: &str, b: &str) -> Ordering {
    let is_number = |part: &str| part.starts_with(|first: char| first.is_ascii_digit());
    match (is_number(a), is_number(b)) {
        (true, true) => {
            let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
            a.len().cmp(&b.len()).then_with(|| a.cmp(b))
        }
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => a.cmp(b),
    }
}

/// Runs of digits and runs of letters.
fn parts(version: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for piece in version.split(|between: char| !between.is_ascii_alphanumeric()).filter(|piece| !piece.is_empty()) {
        let mut rest = piece;
        while let Some(first) = rest.chars().next() {
            let digits = first.is_ascii_digit();
            let end = rest.find(|other: char| other.is_ascii_digit() != digits).unwrap_or(rest.len());
            let (part, after) = rest.split_at(end);
            parts.push(part);
            rest = after;
        }
    }
    parts
}

/// What tells builds of one version apart: `-amd64`, `-cloud-amd64`, `-generic`, `.el9.x86_64`. Different ones do not replace
/// each other.
pub(super) fn flavour(version: &str) -> String {
    let words = parts(version).into_iter().filter(|part| !part.starts_with(|first: char| first.is_ascii_digit()));
    words.filter(|word| !matches!(*word, "el" | "rc" | "bpo" | "deb")).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn krn_05_versions_are_numbers() {
        for (older, newer) in [
            ("6.1.0-9-amd64", "6.1.0-18-amd64"),
            ("5.14.0-427.el9.x86_64", "5.14.0-427.13.1.el9_4.x86_64"),
            ("5.10.134-9.al8.x86_64", "5.10.134-15.2.al8.x86_64"),
            ("6.8-rc1", "6.8"),
            ("3.10.0-957.el7.x86_64", "3.10.0-1160.el7.x86_64"),
            ("6.9", "6.10.1"),
            ("1", "99999999999999999999999999"),
        ] {
            assert_eq!(compare(older, newer), Ordering::Less, "{older} {newer}");
            assert_eq!(compare(newer, older), Ordering::Greater, "{older} {newer}");
        }
        assert_eq!(compare("6.01.0-9", "6.1.0-09"), Ordering::Equal);
        assert_eq!(compare("", ""), Ordering::Equal);
        for (one, other, same) in [
            ("6.1.0-9-amd64", "6.1.0-18-amd64", true),
            ("6.1.0-9-amd64", "6.1.0-18-cloud-amd64", false),
            ("5.14.0-427.el9.x86_64", "5.14.0-427.13.1.el9_4.x86_64", true),
            ("6.8.0-31-generic", "6.8.0-40-lowlatency", false),
        ] {
            assert_eq!(flavour(one) == flavour(other), same, "{one} {other}");
        }
    }
}
