//! One line of a file, in words, and as evidence may show it.

use super::words::Word;
use crate::lb::Place;

/// Of a line that is shown.
const SHOWN_CHARS_MAX: usize = 160;

/// A line.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) file: &'a str,
    pub(super) number: u32,
    pub(super) raw: &'a [u8],
    pub(super) words: Vec<Word>,
}

impl Line<'_> {
    /// A word's text; empty where there is none.
    pub(super) fn word(&self, at: usize) -> &str {
        self.words.get(at).map_or("", |word| word.text.as_str())
    }

    /// Where it stands.
    pub(super) fn place(&self) -> Place {
        place(self.file, self.number, self.raw)
    }
}

/// A line's place, without what may be secret in it: what is sent to a member, and comments.
pub(super) fn place(file: &str, number: u32, raw: &[u8]) -> Place {
    // A character has four bytes at most.
    let text = String::from_utf8_lossy(raw.get(..4 * SHOWN_CHARS_MAX).unwrap_or(raw));
    let text = text.trim();
    let cuts = [
        " #",
        "\t#",
        "agent-send",
        "\\r",
        "\\n",
        "?",
        "socks4",
        "tlv-fmt",
        "md5sig",
        " hdr",
        " body ",
        " string",
        " user ",
    ];
    let end = cuts.iter().filter_map(|cut| text.find(cut)).min();
    let kept: String =
        text.get(..end.unwrap_or(text.len())).unwrap_or_default().chars().take(SHOWN_CHARS_MAX).collect();
    let text = if kept.len() < text.len() && !kept.is_empty() { format!("{} ...", kept.trim_end()) } else { kept };
    Place { file: file.to_owned(), line: number, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chk_07_a_line_is_shown_without_what_it_sends() {
        for (raw, shown) in [
            ("  default-server inter 300s fall 3\r", "default-server inter 300s fall 3"),
            ("server a 1.2.3.4 check # password x", "server a 1.2.3.4 check ..."),
            ("server a 1.2.3.4 agent-send secret check", "server a 1.2.3.4 ..."),
            (r"option httpchk GET /h HTTP/1.1\r\nAuthorization:\ Basic\ eDp5", "option httpchk GET /h HTTP/1.1 ..."),
            ("option httpchk GET /h?token=x", "option httpchk GET /h ..."),
            ("\u{e9}\u{e9}", "\u{e9}\u{e9}"),
        ] {
            assert_eq!(place("f", 1, raw.as_bytes()).text, shown);
        }
        assert_eq!(place("f", 1, "x".repeat(1 << 20).as_bytes()).text.len(), 164);
    }
}
