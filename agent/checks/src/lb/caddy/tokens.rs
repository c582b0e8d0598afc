//! A Caddyfile's tokens (caddyconfig/caddyfile/lexer.go): words, quotes, heredocs, comments.

use super::super::includes::line_of;
use super::super::{Place, statement::Statement};
use crate::words;
use cloud_doctor_proto::finding::Words;

/// Tokens of one file.
const TOKENS_MAX: usize = 200_000;

/// A token, with its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) file: std::rc::Rc<str>,
    pub(super) line: usize,
    /// Lines that it goes on for.
    pub(super) breaks: usize,
    pub(super) is_quoted: bool,
    /// Whether it holds the default of a variable of the environment.
    pub(super) is_default: bool,
    /// Counts up with every import, so that tokens of two files are on two lines.
    pub(super) import: u32,
}

impl Token {
    pub(super) fn is_open(&self) -> bool {
        self.text == "{" && !self.is_quoted
    }

    pub(super) fn is_close(&self) -> bool {
        self.text == "}" && !self.is_quoted
    }

    /// Whether `next` begins a line of its own.
    pub(super) fn ends_line_before(&self, next: &Self) -> bool {
        self.import != next.import || self.file != next.file || self.line + self.breaks < next.line
    }

    pub(super) fn place(&self) -> Place {
        line_of(&self.file, self.line, &self.text)
    }
}

/// A statement of these tokens, without its block. Its evidence are its words, marked where the environment decides.
pub(super) fn statement(tokens: &[Token]) -> Statement {
    let words: Vec<String> = tokens.iter().map(|token| token.text.clone()).collect();
    let is_default = tokens.iter().any(|token| token.is_default);
    let text = words.join(" ") + if is_default { " (default of a variable)" } else { "" };
    let place = tokens.first().map_or_else(Place::default, |first| line_of(&first.file, first.line, &text));
    Statement { words, place, inside: Vec::new() }
}

/// What cannot be read, and in which line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken(pub(super) usize, pub(super) Words);

/// All tokens of a file.
pub(super) fn tokens(file: &str, text: &str) -> Result<Vec<Token>, Broken> {
    let mut lexer = Lexer { rest: text, line: 1, skipped: 0, file: file.into(), tokens: Vec::new() };
    while lexer.skip_space() {
        if lexer.tokens.len() >= TOKENS_MAX {
            let why = words!("more than {TOKENS_MAX} words; not read", "超过 {TOKENS_MAX} 个词，未读取");
            return Err(Broken(lexer.line, why));
        }
        lexer.token()?;
    }
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    /// Escaped ends of lines in this one: its tokens keep its number.
    skipped: usize,
    file: std::rc::Rc<str>,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    /// Space, comments and escaped ends of lines before a token; false at the end.
    fn skip_space(&mut self) -> bool {
        while let Some(first) = self.rest.chars().next() {
            if first == '#' {
                self.rest = self.rest.find('\n').map_or("", |end| &self.rest[end..]);
            } else if let Some(rest) = self.rest.strip_prefix("\\\n").or_else(|| self.rest.strip_prefix("\\\r\n")) {
                self.skipped += 1;
                self.rest = rest;
            } else if first.is_whitespace() {
                if first == '\n' {
                    self.line += 1 + std::mem::take(&mut self.skipped);
                }
                self.rest = &self.rest[first.len_utf8()..];
            } else {
                return true;
            }
        }
        false
    }

    fn token(&mut self) -> Result<(), Broken> {
        for (quote, escapes) in [('"', true), ('`', false)] {
            if let Some(inside) = self.rest.strip_prefix(quote) {
                return self.quoted(inside, quote, escapes);
            }
        }
        if let Some(found) = self.heredoc() {
            return found;
        }
        let end = self.rest.find(char::is_whitespace).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        // An escaped end of line ends the token as well.
        let word = match word.strip_suffix('\\') {
            Some(word) if rest.starts_with(['\r', '\n']) && !word.is_empty() => word,
            Some(_) | None => word,
        };
        self.rest = &self.rest[word.len()..];
        let word = word.strip_prefix("\\<").map_or(word.to_owned(), |word| format!("<{word}"));
        self.push(&word, 0, false);
        Ok(())
    }

    fn quoted(&mut self, inside: &str, quote: char, escapes: bool) -> Result<(), Broken> {
        let mut text = String::new();
        let mut rest = inside.char_indices().peekable();
        while let Some((at, one)) = rest.next() {
            if one == quote {
                let breaks = text.matches('\n').count();
                self.rest = &self.rest[self.rest.len() - inside.len() + at + 1..];
                self.push(&text, breaks, true);
                self.line += breaks;
                return Ok(());
            }
            let escaped = rest.next_if(|(_, next)| escapes && one == '\\' && *next == quote);
            text.push(escaped.map_or(one, |(_, next)| next));
        }
        Err(Broken(self.line, words!("a quote has no end", "引号未闭合")))
    }

    /// `<<NAME` at the end of a line, up to a line that ends with `NAME`.
    fn heredoc(&mut self) -> Option<Result<(), Broken>> {
        let (marker, rest) = self.rest.strip_prefix("<<")?.split_once('\n')?;
        let marker = marker.trim_end_matches('\r');
        let is_marker = |one: char| one.is_ascii_alphanumeric() || one == '-' || one == '_';
        if marker.is_empty() || !marker.chars().all(is_marker) {
            return None;
        }
        let Some(end) = rest.find(marker) else {
            return Some(Err(Broken(self.line, words!("the heredoc {marker} has no end", "heredoc {marker} 未结束"))));
        };
        let text = rest[..end].to_owned();
        let breaks = text.matches('\n').count() + 1;
        self.rest = &rest[end + marker.len()..];
        self.push(text.trim_end_matches([' ', '\t']), breaks, true);
        self.line += breaks;
        Some(Ok(()))
    }

    fn push(&mut self, word: &str, breaks: usize, is_quoted: bool) {
        let (text, is_default) = with_defaults(word);
        let (file, line) = (self.file.clone(), self.line);
        self.tokens.push(Token { text, file, line, breaks, is_quoted, is_default, import: 0 });
    }
}

/// `{$NAME:default}` as its default; `{$NAME}` stays, as nothing here knows the environment.
fn with_defaults(word: &str) -> (String, bool) {
    let (mut text, mut rest, mut is_default) = (String::new(), word, false);
    while let Some((before, after)) = rest.split_once("{$") {
        text.push_str(before);
        rest = after;
        match after.split_once('}').map(|(variable, after)| (variable.split_once(':'), after)) {
            Some((Some((_, default)), after)) => {
                text.push_str(default);
                rest = after;
                is_default = true;
            }
            Some((None, _)) | None => text.push_str("{$"),
        }
    }
    (text + rest, is_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lb_01_caddy_tokens_are_those_of_its_lexer() {
        for (text, expected) in [
            ("a b\nc # d\n#e\nf#g", &["1a", "1b", "2c", "4f#g"][..]),
            ("a \"b c\" `d \"e`", &["1a", "1b c", "1d \"e"]),
            ("\"a \\\" b\\n\"", &["1a \" b\\n"]),
            ("a \\\n b\nc", &["1a", "1b", "3c"]),
            ("a\\\n b", &["1a", "1b"]),
            ("\"a\nb\" c\nd", &["1a\nb", "2c", "3d"]),
            ("x <<END\n  a b\n  END\ny", &["1x", "1  a b\n", "4y"]),
            ("\\<<a b", &["1<<a", "1b"]),
            ("a << b", &["1a", "1<<", "1b"]),
            ("{$A:1.2.3.4}:{$P} x{$A}", &["11.2.3.4:{$P}", "1x{$A}"]),
            ("{$OPEN", &["1{$OPEN"]),
            ("a {\r\n}\r\n", &["1a", "1{", "2}"]),
        ] {
            let tokens = tokens("/c", text).expect("it can be read");
            let found: Vec<String> = tokens.iter().map(|token| format!("{}{}", token.line, token.text)).collect();
            assert_eq!(found, expected, "{text}");
        }
        for (text, line) in [("a\n\"b", 2), ("`", 1), ("a\nb <<X\nc\n", 2)] {
            assert_eq!(tokens("/c", text).expect_err(text).0, line);
        }
    }
}
