//! Reads Rust just well enough for the rules: blanks comments and strings, finds functions, tests and paths.

/// The same text with comments, strings and characters blanked, line for line.
pub(crate) fn blanked(text: &str) -> String {
    let mut rest = text;
    let mut out = String::with_capacity(text.len());
    while let Some(first) = rest.chars().next() {
        let (kept, skipped) = match blank_length(rest, out.chars().next_back()) {
            Some(length) => (false, length),
            None => (true, first.len_utf8()),
        };
        let (piece, tail) = rest.split_at(skipped);
        out.extend(piece.chars().map(|c| if kept || c == '\n' { c } else { ' ' }));
        rest = tail;
    }
    out
}

/// How many bytes from here on are a comment, a string or a character; nothing if code begins here.
fn blank_length(rest: &str, before: Option<char>) -> Option<usize> {
    let inside_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    if rest.starts_with('"') {
        return Some(quoted(rest, '"'));
    }
    if rest.starts_with('\'') {
        return character(rest);
    }
    if inside_word { None } else { raw_string(rest) }
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if !escaped && c == quote {
            return at + 1;
        }
        escaped = !escaped && c == '\\';
    }
    rest.len()
}

/// A character, but not a lifetime: `'a'` and `'\n'`, not `'a,`.
fn character(rest: &str) -> Option<usize> {
    let mut chars = rest.chars().skip(1);
    let first = chars.next()?;
    (first == '\\' || chars.next() == Some('\'')).then(|| quoted(rest, '\''))
}

/// `r"…"`, `r#"…"#`, `b"…"`, `br#"…"#`, `c"…"`.
fn raw_string(rest: &str) -> Option<usize> {
    let prefix = rest.find(|c: char| !matches!(c, 'b' | 'r' | 'c'))?;
    if prefix == 0 || prefix > 2 {
        return None;
    }
    let hashes = rest[prefix..].find(|c| c != '#')?;
    if !rest[prefix + hashes..].starts_with('"') {
        return None;
    }
    if !rest[..prefix].contains('r') {
        return Some(prefix + quoted(&rest[prefix..], '"'));
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let body = prefix + hashes + 1;
    Some(rest[body..].find(&end).map_or(rest.len(), |at| body + at + end.len()))
}

/// A function that has a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// Line of its name, from one.
    pub(crate) line: usize,
    /// Lines from its name to its closing brace.
    pub(crate) lines: usize,
    pub(crate) is_test: bool,
}

/// All functions of a file that went through [`blanked`].
pub(crate) fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        if code[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let name: String = code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let Some(end) = body_end(&code[at..]) else { continue };
        if name.is_empty() {
            continue;
        }
        let line = code[..at].matches('\n').count() + 1;
        let lines = code[at..at + end].matches('\n').count() + 1;
        found.push(Function { name, line, lines, is_test: is_test(&code[..at]) });
    }
    found
}

/// Where the body's closing brace ends; nothing for a declaration without a body.
fn body_end(from_fn: &str) -> Option<usize> {
    let (mut depth, mut nesting) = (0_usize, 0_usize);
    for (at, c) in from_fn.char_indices() {
        match c {
            '(' | '[' => nesting += 1,
            ')' | ']' => nesting = nesting.saturating_sub(1),
            ';' if depth == 0 && nesting == 0 => return None,
            '{' => depth += 1,
            '}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// Whether the attributes right above say `test`: everything back to the end of the item before.
fn is_test(before: &str) -> bool {
    let above = before.rfind('\n').map_or("", |at| &before[..at]);
    let lines = above.lines().rev().map(str::trim);
    lines
        .take_while(|line| !line.ends_with(['{', '}', ';']))
        .any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
}

/// The first name after each `crate::`, and after each `super::` that leads to the crate's root, with its line.
/// `module` is the path of the file's module, for instance `["session", "pty"]`.
pub(crate) fn root_names(code: &str, module: &[&str]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            found.extend(names_at(code, at + "crate::".len()));
        }
    }
    for (at, _) in code.match_indices("super::") {
        if code[..at].ends_with("super::") {
            continue;
        }
        let supers = code[at..].split("::").take_while(|part| *part == "super").count();
        if supers >= module.len() {
            found.extend(names_at(code, at + supers * "super::".len()));
        }
    }
    found
}

/// The name that stands here, or the first names in the braces that stand here.
fn names_at(code: &str, at: usize) -> Vec<(usize, String)> {
    let line = code[..at].matches('\n').count() + 1;
    let rest = &code[at..];
    let Some(group) = rest.strip_prefix('{') else { return vec![(line, word(rest))] };
    let (mut depth, mut fresh, mut names) = (1_usize, true, Vec::new());
    for (offset, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => fresh = true,
            c if fresh && (c.is_alphabetic() || c == '_') => {
                names.push((line, word(&group[offset..])));
                fresh = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Lines of the code on which this path or name stands as a whole word.
pub(crate) fn lines_with(code: &str, name: &str) -> Vec<usize> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let whole = |at: usize| {
        !code[..at].ends_with(is_word)
            && (name.ends_with("::") || name.ends_with('!') || !code[at + name.len()..].starts_with(is_word))
    };
    let hits = code.match_indices(name).filter(|(at, _)| whole(*at));
    hits.map(|(at, _)| code[..at].matches('\n').count() + 1).collect()
}

#[test]
fn comments_strings_and_characters_are_blanked() {
    let check = |code: &str, expected: &str| assert_eq!(blanked(code), expected, "{code}");
    check("a // fn b\nc", "a        \nc");
    check("a /* x /* y */ z */ b", "a                   b");
    check(r#"let a = "fn \" {"; b"#, "let a =          ; b");
    check(r###"f(r#"a " {"#, b"}")"###, "f(          ,     )");
    check("let c = '{'; let d = '\\''; &'a str", "let c =    ; let d =     ; &'a str");
}

#[test]
fn functions_are_found_with_their_size() {
    let code = "#[test]\nfn one() {\n  if a {\n  }\n}\ntrait T { fn two(a: [u8; 3]); }\nfn three() -> u8 { 3 }\n";
    let found = functions(code);
    let names: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.line, f.lines, f.is_test)).collect();
    assert_eq!(names, [("one", 2, 4, true), ("three", 7, 1, false)]);
}

#[test]
fn names_at_the_root_are_found() {
    let names = |code: &str, module: &[&str]| -> Vec<String> {
        root_names(code, module).into_iter().map(|(_, name)| name).collect()
    };
    assert_eq!(names("use crate::tunnel::quic;", &["session"]), ["tunnel"]);
    assert_eq!(names("use crate::{host, session::{a, b}, audit};", &["session"]), ["host", "session", "audit"]);
    assert_eq!(names("use super::super::tunnel; use super::pty;", &["session", "pty"]), ["tunnel"]);
    assert_eq!(names("use super::tunnel;", &["session"]), ["tunnel"]);
    assert_eq!(names("use $crate::tunnel;", &["session"]), [""; 0]);
}
