//! Words of a directive (server/util.c, `ap_getword_conf`) and httpd's times (`ap_timeout_parameter_parse`).

/// The first word and what follows it.
pub(super) fn split_word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

/// All words. A quoted one ends at its quote; a backslash keeps a quote or a backslash in it.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.chars().peekable();
    loop {
        while rest.next_if(|one| one.is_whitespace()).is_some() {}
        let Some(first) = rest.peek().copied() else { return words };
        let quote = rest.next_if(|one| *one == '"' || *one == '\'');
        let mut word = String::new();
        while let Some(one) = rest.next_if(|one| quote.is_some() || !one.is_whitespace()) {
            if Some(one) == quote {
                break;
            }
            let escaped = rest.next_if(|next| one == '\\' && quote.is_some() && (*next == first || *next == '\\'));
            word.push(escaped.unwrap_or(one));
        }
        words.push(word);
    }
}

/// Seconds. A bare number is seconds; units are ms, s, mi(n) and h.
pub(super) fn seconds(text: &str) -> Option<f64> {
    let end = text.find(|one: char| !one.is_ascii_digit()).unwrap_or(text.len());
    let number: u32 = text.get(..end)?.parse().ok()?;
    let unit = text.get(end..)?.to_ascii_lowercase();
    let number = f64::from(number);
    match unit.as_bytes() {
        [] | [b's', ..] => Some(number),
        [b'm', b's', ..] => Some(number / 1000.0),
        [b'm', b'i', ..] => Some(number * 60.0),
        [b'h', ..] => Some(number * 3600.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lb_01_apache_words_and_times() {
        for (text, expected) in [
            ("a  b\tc", &["a", "b", "c"][..]),
            ("\"a b\" 'c d'", &["a b", "c d"]),
            ("\"a \\\" b\" \"c\\\\\"", &["a \" b", "c\\"]),
            ("a\"b c\"", &["a\"b", "c\""]),
            ("\"open", &["open"]),
            ("  ", &[]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
        for (text, secs) in [
            ("5", Some(5.0)),
            ("5s", Some(5.0)),
            ("500ms", Some(0.5)),
            ("2min", Some(120.0)),
            ("2mi", Some(120.0)),
            ("1h", Some(3600.0)),
            ("5m", None),
            ("5d", None),
            ("-5", None),
            ("", None),
            ("x", None),
            ("99999999999", None),
        ] {
            assert_eq!(seconds(text), secs, "{text}");
        }
    }
}
