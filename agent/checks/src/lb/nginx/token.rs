//! Words of an nginx configuration, cut as nginx's own `ngx_conf_read_token` cuts them: quotes, escapes, comments only
//! where a word may begin, `${name}` inside words. Lua blocks are skipped by Lua's rules. It must never panic or loop on
//! any input, and never look at a byte twice.

use crate::words;
use cloud_doctor_proto::finding::Words;

/// One piece of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Word(String),
    /// `{`
    Open,
    /// `}`
    Close,
    /// `;`
    End,
}

/// What cannot be read, and the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) line: u32,
    pub(super) why: Words,
}

/// A file that is being cut.
#[derive(Debug)]
pub(super) struct Tokens<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u32,
    /// Right behind a quoted word: only an end of a word may follow.
    after_quote: bool,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { bytes: text.as_bytes(), at: 0, line: 1, after_quote: false }
    }

    /// The next piece with its line; nothing at the end of the file.
    pub(super) fn next(&mut self) -> Result<Option<(Token, u32)>, Bad> {
        loop {
            let Some(byte) = self.peek() else { return Ok(None) };
            if self.after_quote {
                self.after_quote = false;
                if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' | b')') {
                    return Err(self.bad(words!(
                        "a quoted text must be followed by a space, \";\" or \"{{\"",
                        "引号文本之后必须是空格、\";\" 或 \"{{\""
                    )));
                }
            }
            let line = self.line;
            let token = match byte {
                b' ' | b'\t' | b'\r' | b'\n' => {
                    self.step();
                    continue;
                }
                b'#' => {
                    self.skip_line();
                    continue;
                }
                b';' => Token::End,
                b'{' => Token::Open,
                b'}' => Token::Close,
                b'"' | b'\'' => return Ok(Some((Token::Word(self.quoted(byte)?), line))),
                _ => return Ok(Some((Token::Word(self.bare()), line))),
            };
            self.step();
            return Ok(Some((token, line)));
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn step(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        if byte == b'\n' {
            self.line = self.line.saturating_add(1);
        }
        Some(byte)
    }

    fn bad(&self, why: Words) -> Bad {
        Bad { line: self.line, why }
    }

    fn skip_line(&mut self) {
        while self.step().is_some_and(|byte| byte != b'\n') {}
    }

    fn quoted(&mut self, quote: u8) -> Result<String, Bad> {
        let line = self.line;
        self.step();
        let mut word = Vec::new();
        loop {
            match self.step() {
                None => {
                    let why = words!("the quote that begins here is never closed", "此处开始的引号没有闭合");
                    return Err(Bad { line, why });
                }
                Some(b'\\') => self.escaped(&mut word),
                Some(byte) if byte == quote => {
                    self.after_quote = true;
                    return Ok(String::from_utf8_lossy(&word).into_owned());
                }
                Some(byte) => word.push(byte),
            }
        }
    }

    fn bare(&mut self) -> String {
        let mut word = Vec::new();
        let mut variable = false;
        while let Some(byte) = self.peek() {
            let in_braces = byte == b'{' && variable;
            if matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b';') || (byte == b'{' && !in_braces) {
                break;
            }
            self.step();
            variable = byte == b'$';
            if byte == b'\\' { self.escaped(&mut word) } else { word.push(byte) }
        }
        String::from_utf8_lossy(&word).into_owned()
    }

    /// What stands behind a backslash, which only some characters lose.
    fn escaped(&mut self, word: &mut Vec<u8>) {
        match self.step() {
            None => word.push(b'\\'),
            Some(byte @ (b'"' | b'\'' | b'\\')) => word.push(byte),
            Some(b't') => word.push(b'\t'),
            Some(b'r') => word.push(b'\r'),
            Some(b'n') => word.push(b'\n'),
            Some(byte) => word.extend([b'\\', byte]),
        }
    }

    /// Skips Lua source up to the brace that closes the block, whose opening brace was the last piece.
    pub(super) fn skip_lua(&mut self) -> Result<(), Bad> {
        let unclosed = Bad {
            line: self.line,
            why: words!("the Lua block that begins here is never closed", "此处开始的 Lua 块没有闭合"),
        };
        let mut depth = 1_u32;
        loop {
            match self.step().ok_or_else(|| unclosed.clone())? {
                b'{' => depth = depth.saturating_add(1),
                b'}' => {
                    depth -= 1;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                quote @ (b'"' | b'\'') => self.skip_lua_string(quote),
                b'-' if self.peek() == Some(b'-') => {
                    self.step();
                    let long = self.peek() == Some(b'[') && {
                        self.step();
                        self.skip_lua_long()
                    };
                    if !long {
                        self.skip_line();
                    }
                }
                b'[' => {
                    self.skip_lua_long();
                }
                _ => {}
            }
        }
    }

    fn skip_lua_string(&mut self, quote: u8) {
        while let Some(byte) = self.step() {
            match byte {
                b'\\' => {
                    self.step();
                }
                // A short string ends with its line, closed or not.
                b'\n' => return,
                byte if byte == quote => return,
                _ => {}
            }
        }
    }

    /// Skips `[[…]]` or `[=[…]=]` whose first bracket was just read; says whether it was one.
    fn skip_lua_long(&mut self) -> bool {
        let mut level = 0_usize;
        while self.peek() == Some(b'=') {
            self.step();
            level += 1;
        }
        if self.peek() != Some(b'[') {
            return false;
        }
        self.step();
        // Equals signs since the last `]`, while there was one.
        let mut closing: Option<usize> = None;
        while let Some(byte) = self.step() {
            closing = match (byte, closing) {
                (b']', Some(count)) if count == level => return true,
                (b']', _) => Some(0),
                (b'=', Some(count)) => Some(count + 1),
                _ => None,
            };
        }
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The words of `text`, `{`, `}` and `;` among them; what is wrong, with its line, at the end.
    fn cut(text: &str) -> Vec<String> {
        let mut tokens = Tokens::new(text);
        let mut all = Vec::new();
        loop {
            match tokens.next() {
                Ok(None) => return all,
                Ok(Some((Token::Word(word), _))) => all.push(word),
                Ok(Some((Token::Open, _))) => all.push("{".into()),
                Ok(Some((Token::Close, _))) => all.push("}".into()),
                Ok(Some((Token::End, _))) => all.push(";".into()),
                Err(bad) => {
                    all.push(format!("bad:{}", bad.line));
                    return all;
                }
            }
        }
    }

    #[test]
    fn lb_14_words_are_cut_as_nginx_cuts_them() {
        for (text, expected) in [
            ("user www-data;", &["user", "www-data", ";"][..]),
            ("a{b c;}", &["a", "{", "b", "c", ";", "}"]),
            ("# all\r\nb 1 ; # rest", &["b", "1", ";"]),
            ("a b#c d;", &["a", "b#c", "d", ";"]),
            ("a 'b c' \"d;e{}\";", &["a", "b c", "d;e{}", ";"]),
            (r#"a "x\"y" 'it\'s' \;;"#, &["a", "x\"y", "it's", "\\;", ";"]),
            (r#"a "\t\n\\ \d";"#, &["a", "\t\n\\ \\d", ";"]),
            (r"location ~ \.php$ {", &["location", "~", r"\.php$", "{"]),
            ("set $a ${b}c;", &["set", "$a", "${b}c", ";"]),
            ("a x$ {", &["a", "x$", "{"]),
            ("a b'c d';", &["a", "b'c", "d'", ";"]),
            ("a \"b\"c;", &["a", "b", "bad:1"]),
            ("if ($a = \"b\") {", &["if", "($a", "=", "b", ")", "{"]),
            ("a\n\"b\nc", &["a", "bad:2"]),
            ("a 中文 b;", &["a", "中文", "b", ";"]),
            ("a \"\";", &["a", "", ";"]),
            ("a b\\", &["a", "b\\"]),
        ] {
            assert_eq!(cut(text), expected, "{text}");
        }
    }

    #[test]
    fn lb_14_lua_is_skipped_by_its_own_rules() {
        for (lua, rest) in [
            ("} a;", Some("a")),
            ("local t = {1, {2}} } a;", Some("a")),
            ("ngx.say(\"}\") -- }\n } a;", Some("a")),
            ("ngx.say('it\\'s }') } a;", Some("a")),
            ("s = [[ } ]] } a;", Some("a")),
            ("s = [==[ }]]]=] ]==] } a;", Some("a")),
            ("--[[ } \n } ]] } a;", Some("a")),
            ("--[=[ } ]] ]=] } a;", Some("a")),
            ("--[ one line }\n } a;", Some("a")),
            ("x = t[i] } a;", Some("a")),
            ("x = t[t[1]] } a;", Some("a")),
            ("{", None),
            ("s = [[ } a;", None),
        ] {
            let mut tokens = Tokens::new(lua);
            let skipped = tokens.skip_lua();
            assert_eq!(skipped.is_ok(), rest.is_some(), "{lua}");
            if let Some(rest) = rest {
                assert_eq!(tokens.next().unwrap().unwrap().0, Token::Word(rest.into()), "{lua}");
            }
        }
    }

    #[test]
    fn chk_01_a_long_line_is_cut_in_one_pass() {
        let text = format!("a {};", "x".repeat(4 << 20));
        assert_eq!(cut(&text).len(), 3);
        assert_eq!(cut(&"{".repeat(1 << 20)).len(), 1 << 20);
    }
}
