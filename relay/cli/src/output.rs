//! The two ways out: data on standard output, words for people on standard error.
//!
//! A pipe that nobody reads any more is no reason to fail: what was to be said is not wanted.

use cloud_doctor_proto::refusal::{one_line, printable};
use serde::Serialize;
use serde_json::{Map, Value};
use std::io::Write as _;

/// Schema of every `--json` output.
pub(crate) const SCHEMA: &str = "cloud-doctor/v1";

/// A line for people.
pub(crate) fn say(text: &str) {
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

/// Sentences for people: on a terminal, lines are broken between words.
pub(crate) fn tell(text: &str) {
    match crate::terminal::size(std::io::stderr()) {
        Some((columns, _)) => text.split('\n').for_each(|line| say(&wrapped(line, usize::from(columns)))),
        None => say(text),
    }
}

/// A line broken between words, for so many columns.
fn wrapped(line: &str, columns: usize) -> String {
    let mut out = String::new();
    let (mut used, mut begun) = (0, false);
    for word in line.split_inclusive(' ') {
        if begun && used + width(word.trim_end()) > columns {
            out.truncate(out.trim_end().len());
            out.push('\n');
            used = 0;
        }
        begun |= word != " ";
        out.push_str(word);
        used += width(word);
    }
    out
}

/// Why it did not work.
pub(crate) fn complain(text: &str) {
    let (on, off) = if crate::words::colours() { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
    tell(&format!("{on}cloud-doctor:{off} {text}"));
}

/// Lines of data. Whatever is in them, nothing but line breaks moves the cursor.
pub(crate) fn data(text: &str) {
    let lines: Vec<String> = text.split('\n').map(|line| one_line(line, usize::MAX)).collect();
    drop(writeln!(std::io::stdout().lock(), "{}", lines.join("\n")));
}

/// Text whose lines were made safe when it was put together, with its own colours.
pub(crate) fn shown(text: &str) {
    drop(writeln!(std::io::stdout().lock(), "{}", text.trim_end_matches('\n')));
}

/// A document with a schema of its own, on one line.
pub(crate) fn json_line(text: &str) {
    drop(writeln!(std::io::stdout().lock(), "{}", hidden_escaped(text)));
}

/// A document whose form has been made safe: CSV, XML, JSON.
pub(crate) fn document(text: &str) {
    let mut out = std::io::stdout().lock();
    drop(out.write_all(text.as_bytes()));
    if !text.ends_with('\n') {
        drop(writeln!(out));
    }
}

/// JSON with our schema's name first.
pub(crate) fn json(name: &str, value: &impl Serialize) {
    let mut object = Map::new();
    object.insert("schema".to_owned(), Value::from(SCHEMA));
    object.insert(name.to_owned(), serde_json::to_value(value).unwrap_or(Value::Null));
    let text = serde_json::to_string_pretty(&Value::Object(object)).unwrap_or_default();
    drop(writeln!(std::io::stdout().lock(), "{}", hidden_escaped(&text)));
}

/// JSON in which characters that a terminal obeys, or that hide others, are written as JSON escapes.
pub(crate) fn hidden_escaped(json: &str) -> String {
    let hidden = |c: char| c != '\n' && printable(c).nth(1).is_some();
    json.chars().map(|c| if hidden(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() }).collect()
}

/// Rows in columns as wide as their widest cell; the first row is the head.
pub(crate) fn table(rows: &[Vec<String>]) {
    let columns = rows.first().map_or(0, Vec::len);
    let cells: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| one_line(cell, 200)).collect()).collect();
    let widths: Vec<usize> = (0..columns).map(|i| cells.iter().map(|row| width(&row[i])).max().unwrap_or(0)).collect();
    for row in &cells {
        let mut line = String::new();
        for (cell, wide) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(wide - width(cell) + 2));
        }
        data(line.trim_end());
    }
}

/// Columns that a text takes on a terminal: Chinese characters take two.
pub(crate) fn width(text: &str) -> usize {
    let wide = |c: char| matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}');
    text.chars().map(|c| if wide(c) { 2 } else { 1 }).sum()
}

/// A length of time as engineers read it: `45 s`, `12 min`, `3 h`, `5 d`.
pub(crate) fn ago(secs: u64) -> String {
    match secs {
        0..120 => format!("{secs} s"),
        120..7200 => format!("{} min", secs / 60),
        7200..172_800 => format!("{} h", secs / 3600),
        _ => format!("{} d", secs / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_short() {
        for (secs, text) in [(45, "45 s"), (119, "119 s"), (720, "12 min"), (7200, "2 h"), (500_000, "5 d")] {
            assert_eq!(ago(secs), text);
        }
        assert_eq!(width("在线 ok"), 7);
    }

    #[test]
    fn json_draws_nothing_and_stays_json() {
        let text = serde_json::to_string(&"a\u{9b}31m\u{202e}b\u{1b}").unwrap();
        let safe = hidden_escaped(&text);
        assert!(safe.is_ascii(), "{safe}");
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), "a\u{9b}31m\u{202e}b\u{1b}");
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrapped("one two three", 8), "one two\nthree");
        assert_eq!(wrapped("one two three", 80), "one two three");
        assert_eq!(wrapped("  indented", 3), "  indented");
        assert_eq!(wrapped("exactly eight", 13), "exactly eight");
    }
}
