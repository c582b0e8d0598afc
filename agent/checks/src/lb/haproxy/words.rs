//! One line of an HAProxy configuration into its words, as `parse_line` of HAProxy's `src/tools.c` does it: quotes,
//! backslashes, comments, and variables inside double quotes. A variable that cannot be known here stays in its word by
//! its name, and the word says so; nothing is put in its place.

use super::variables::Variables;
use crate::words;
use cloud_doctor_proto::finding::Words;

/// Of one word that is kept; nothing that is read here is longer.
const WORD_BYTES_MAX: usize = 4096;
/// HAProxy's `MAX_LINE_ARGS`.
pub(super) const WORDS_MAX: usize = 64;

/// One word.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Word {
    pub(super) text: String,
    /// A variable in it that cannot be known here.
    pub(super) unknown: Option<String>,
}

/// The state of one line.
struct Splitter<'a> {
    rest: &'a [u8],
    variables: &'a Variables,
    words: Vec<Word>,
    bytes: Vec<u8>,
    unknown: Option<String>,
    in_word: bool,
    quote: Option<u8>,
    /// Nothing stood between the quotes so far: an empty word, then.
    nothing_quoted: bool,
}

/// Splits `line`, which has no line feed.
///
/// # Errors
/// What HAProxy refuses: an open quote or brace, a bad escape, a bad name of a variable, more words than it takes.
pub(super) fn split(line: &[u8], variables: &Variables) -> Result<Vec<Word>, Words> {
    let mut splitter = Splitter {
        rest: line,
        variables,
        words: Vec::new(),
        bytes: Vec::new(),
        unknown: None,
        in_word: false,
        quote: None,
        nothing_quoted: false,
    };
    while splitter.step()? {}
    splitter.end_word();
    if splitter.quote.is_some() {
        return Err(words!("a quote is not closed", "引号未闭合"));
    }
    Ok(splitter.words)
}

impl<'a> Splitter<'a> {
    /// Takes one character, or more; whether there may be others.
    fn step(&mut self) -> Result<bool, Words> {
        let Some((&first, after)) = self.rest.split_first() else { return Ok(false) };
        match (first, self.quote) {
            (b'\n' | b'\r', _) | (b'#', None) => return Ok(false),
            (b'"' | b'\'', None) => {
                (self.quote, self.nothing_quoted, self.rest) = (Some(first), true, after);
            }
            (b'"' | b'\'', Some(open)) if open == first => {
                self.in_word |= self.nothing_quoted;
                (self.quote, self.rest) = (None, after);
            }
            (b'\\', None | Some(b'"')) => self.escape(after)?,
            (b'$', Some(b'"')) => self.variable(after)?,
            (space, None) if is_space(space) => {
                self.end_word();
                self.rest = after;
            }
            _ => {
                self.rest = after;
                self.emit(first);
            }
        }
        if self.words.len() > WORDS_MAX {
            return Err(words!("there are more than {WORDS_MAX} words in this line", "此行超过 {WORDS_MAX} 个单词"));
        }
        Ok(true)
    }

    fn emit(&mut self, byte: u8) {
        if self.bytes.len() < WORD_BYTES_MAX {
            self.bytes.push(byte);
        }
        self.in_word = true;
        self.nothing_quoted = false;
    }

    fn end_word(&mut self) {
        if std::mem::take(&mut self.in_word) {
            let text = String::from_utf8_lossy(&self.bytes).into_owned();
            self.words.push(Word { text, unknown: self.unknown.take() });
            self.bytes.clear();
        }
    }

    /// What follows a backslash outside single quotes.
    fn escape(&mut self, after: &[u8]) -> Result<(), Words> {
        let (byte, width) = match after.first() {
            Some(&same @ (b' ' | b'\\' | b'#' | b'\'' | b'"')) => (same, 2),
            Some(b't') => (b'\t', 2),
            Some(b'n') => (b'\n', 2),
            Some(b'r') => (b'\r', 2),
            Some(b'$') if self.quote.is_some() => (b'$', 2),
            Some(b'x') => {
                let digits = after.get(1..3).and_then(|digits| std::str::from_utf8(digits).ok());
                let digits = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
                let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                (byte.ok_or_else(|| words!("\\x needs two hexadecimal digits", "\\x 之后需要两位十六进制数字"))?, 4)
            }
            Some(_) | None => (b'\\', 1),
        };
        self.rest = self.rest.get(width..).unwrap_or_default();
        self.emit(byte);
        Ok(())
    }

    /// What follows a dollar sign inside double quotes: `NAME`, `{NAME}`, `{NAME-default}`, `{NAME[*]}`.
    fn variable(&mut self, after: &'a [u8]) -> Result<(), Words> {
        let (braced, mut rest) = after.strip_prefix(b"{").map_or((false, after), |rest| (true, rest));
        let dot = usize::from(rest.first() == Some(&b'.'));
        let long =
            rest.iter().skip(dot).take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count() + dot;
        let (name, behind) = rest.split_at(long);
        if !name.first().is_some_and(|first| first.is_ascii_alphabetic() || matches!(first, b'_' | b'.')) {
            return Err(words!("the name of a variable is missing after $", "$ 之后缺少变量名"));
        }
        rest = behind;
        let spread = braced && rest.starts_with(b"[*]");
        if spread {
            rest = rest.get(3..).unwrap_or_default();
        }
        if braced {
            let end = rest.iter().position(|byte| *byte == b'}');
            let end = end.ok_or_else(|| words!("a brace is not closed", "花括号未闭合"))?;
            if end > 0 && rest.first() != Some(&b'-') {
                return Err(words!("a brace is not closed", "花括号未闭合"));
            }
            rest = rest.get(end + 1..).unwrap_or_default();
        }
        self.rest = rest;
        self.put(&String::from_utf8_lossy(name), spread);
        Ok(())
    }

    /// Puts a variable's value. A default behind `-` counts only when it is certain that there is no value, and of a
    /// variable of the environment it never is.
    fn put(&mut self, name: &str, spread: bool) {
        let Some(value) = self.variables.get(name) else {
            self.unknown.get_or_insert_with(|| name.to_owned());
            for byte in format!("${{{name}}}").bytes() {
                self.emit(byte);
            }
            return;
        };
        self.nothing_quoted &= !spread;
        self.in_word |= !spread;
        for byte in value.bytes() {
            if spread && is_space(byte) {
                self.end_word();
            } else {
                self.emit(byte);
            }
        }
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn texts(line: &str) -> Result<Vec<String>, String> {
        let mut variables = Variables::default();
        variables.set("HOSTS", "a b  c");
        variables.set("EMPTY", "");
        split(line.as_bytes(), &variables)
            .map(|words| words.into_iter().map(|word| word.text).collect())
            .map_err(|why| why.en)
    }

    #[test]
    fn lb_01_words_are_those_that_haproxy_sees() {
        for (line, words) in [
            ("  server  web1\t1.2.3.4:80   check", &["server", "web1", "1.2.3.4:80", "check"][..]),
            ("inter 300s # five minutes", &["inter", "300s"]),
            ("a#b", &["a"]),
            (r"a\#b", &["a#b"]),
            (r"GET\ / \n\1", &["GET /", "\n\\1"]),
            (r#"x "a b"'c "d'e"#, &["x", "a bc \"de"]),
            (r#"x "" ''"#, &["x", "", ""]),
            (r#"'$HOSTS' $HOSTS"#, &["$HOSTS", "$HOSTS"]),
            (r#""$HOSTS" "${HOSTS}""#, &["a b  c", "a b  c"]),
            (r#""${HOSTS[*]}""#, &["a", "b", "c"]),
            (r#"x "${EMPTY}""#, &["x", ""]),
            (r#"x "${EMPTY[*]}" y"#, &["x", "y"]),
            (r#""\$HOSTS""#, &["$HOSTS"]),
            (r#""${NOBODY-5s}""#, &["${NOBODY}"]),
            (r"\x41\x6a", &["Aj"]),
            ("mode http\r", &["mode", "http"]),
            ("", &[]),
            ("# all comment", &[]),
        ] {
            assert_eq!(texts(line).unwrap(), words, "{line}");
        }
        for line in
            [r#""open"#, "'open", r#""${HOSTS""#, r#""${HOSTS x}""#, r#""$ ""#, r"\x4", r"\xzz", &"w ".repeat(70)]
        {
            assert!(texts(line).is_err(), "{line}");
        }
        let unknown = split(br#"inter "${NOBODY}""#, &Variables::default()).unwrap();
        assert_eq!(unknown[1].unknown.as_deref(), Some("NOBODY"));
    }
}
