//! Lines of a certain width on a terminal, where a Chinese character takes two columns.

/// Columns that a character takes: two for those that East Asian Width calls wide or fullwidth (Unicode TR11), in ranges.
fn columns(one: char) -> usize {
    let wide = matches!(one, '\u{1100}'..='\u{115F}' | '\u{2E80}'..='\u{303E}' | '\u{3041}'..='\u{A4CF}' | '\u{AC00}'..='\u{D7A3}'
        | '\u{F900}'..='\u{FAFF}' | '\u{FE30}'..='\u{FE6F}' | '\u{FF00}'..='\u{FF60}' | '\u{FFE0}'..='\u{FFE6}' | '\u{1F300}'..='\u{1FAFF}'
        | '\u{20000}'..='\u{3FFFD}');
    if wide { 2 } else { 1 }
}

/// Columns that a text takes.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// Breaks a text into lines of at most `most` columns: between words, or beside a wide character.
pub(super) fn wrap(text: &str, most: usize) -> Vec<String> {
    let (mut lines, mut line, mut used) = (Vec::new(), String::new(), 0);
    for piece in pieces(text) {
        let columns = width(piece);
        if used + width(piece.trim_end()) > most && used > 0 {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
            used = 0;
        }
        line.push_str(piece);
        used += columns;
    }
    if !line.is_empty() {
        lines.push(line.trim_end().to_owned());
    }
    lines
}

/// What a line is not broken within: words with the space behind them, single wide characters with the mark behind them.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut ends = rest.char_indices().map(|(at, one)| (at + one.len_utf8(), one)).peekable();
        let mut end = 0;
        while let Some((at, one)) = ends.next() {
            end = at;
            let Some((_, next)) = ends.peek() else { break };
            let no_start = matches!(
                next,
                '\u{3001}'
                    | '\u{3002}'
                    | '\u{300b}'
                    | '\u{ff01}'
                    | '\u{ff09}'
                    | '\u{ff0c}'
                    | '\u{ff1a}'
                    | '\u{ff1b}'
                    | '\u{ff1f}'
                    | ' '
                    | ','
                    | ')'
            );
            if !no_start && (one == ' ' || columns(one) == 2 || columns(*next) == 2) {
                break;
            }
        }
        let (piece, after) = rest.split_at(end);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_beside_wide_characters() {
        for (text, most, lines) in [
            ("one two three", 8, &["one two", "three"][..]),
            ("one", 2, &["one"]),
            ("故障后端被摘除。", 8, &["故障后端", "被摘除。"]),
            ("将 inter 设为 60s。", 10, &["将 inter", "设为 60s。"]),
            ("", 10, &[]),
        ] {
            assert_eq!(wrap(text, most), lines, "{text}");
        }
        assert_eq!(width("a故b"), 4);
    }
}
