//! Durations as Traefik takes them: Go's (`1m30s`, `300ms`), and bare whole numbers, which are seconds
//! (traefik/paerser types/duration.go).

use crate::document::Node;

const UNITS: [(&str, f64); 8] =
    [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("μs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];

/// Seconds; below zero too, which Traefik takes and then ignores.
pub(super) fn duration(node: &Node) -> Option<f64> {
    seconds(node.text()?)
}

fn seconds(text: &str) -> Option<f64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest.is_empty() || rest.len() > 64 {
        return None;
    }
    if rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(sign * rest.parse::<f64>().ok()?);
    }
    let mut secs = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|one: char| !one.is_ascii_digit() && one != '.')?;
        let (number, behind) = rest.split_at(end);
        let end = behind.find(|one: char| one.is_ascii_digit() || one == '.').unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(end);
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        secs += number.parse::<f64>().ok()? * factor;
        rest = behind;
    }
    Some(sign * secs)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn lb_01_traefik_durations_are_those_of_go_and_bare_numbers_seconds() {
        for (text, expected) in [
            ("30s", Some(30.0)),
            ("1m30s", Some(90.0)),
            ("1h", Some(3600.0)),
            ("300ms", Some(0.3)),
            ("1.5m", Some(90.0)),
            (".5s", Some(0.5)),
            ("2500us", Some(0.0025)),
            ("300", Some(300.0)),
            ("0", Some(0.0)),
            ("-5s", Some(-5.0)),
            ("+5s", Some(5.0)),
            ("5 s", None),
            ("5sec", None),
            ("s", None),
            ("5s3", None),
            ("1.2.3s", None),
            ("", None),
            ("-", None),
            ("{{ .x }}", None),
            ("99999999999999999999999999999999999999999999999999999999999999999999s", None),
        ] {
            let same = match (seconds(text), expected) {
                (Some(one), Some(other)) => (one - other).abs() < 1e-9,
                (one, other) => one == other,
            };
            assert!(same, "{text}: {:?}", seconds(text));
        }
    }
}
