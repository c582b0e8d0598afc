//! keepalived's lines as it reads them (lib/parser.c, `read_line`): comments, conditions, parameters and includes are gone
//! from what comes out. Environment, random numbers and sequences cannot be told from here; they become troubles.

use super::super::Place;
use super::super::includes::{Includes, folder_of, join, line_of};
use crate::words;
use std::collections::BTreeMap;

/// keepalived's own limit (lib/parser.h, `MAXBUF`): it ignores longer lines.
const LINE_BYTES_MAX: usize = 1023;
/// Replacements within one line; parameters may name each other.
const REPLACED_MAX: usize = 200;
/// What parameters may make of all files, in bytes; their text can be small and what it becomes endless.
const EXPANDED_BYTES_MAX: usize = 8 << 20;
/// Lines within lines of parameters of several lines.
const NESTED_MAX: usize = 16;

/// A line with its comments, conditions and parameters resolved.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) file: String,
    pub(super) number: usize,
}

/// Reads a file and all that it includes.
pub(super) struct Reader<'a, 'h> {
    pub(super) includes: &'a mut Includes<'h>,
    /// What `@` is compared with; nothing when it is not known.
    pub(super) id: Option<String>,
    definitions: BTreeMap<String, String>,
    /// A definition that goes on in the next line.
    open: Option<(String, String)>,
    expanded_bytes: usize,
    lines: Vec<Line>,
}

/// Where a line stands.
#[derive(Clone, Copy)]
struct At<'a> {
    file: &'a str,
    number: usize,
}

impl At<'_> {
    fn place(self, text: &str) -> Place {
        line_of(self.file, self.number, text)
    }
}

impl<'a, 'h> Reader<'a, 'h> {
    pub(super) fn new(includes: &'a mut Includes<'h>, id: Option<String>) -> Self {
        let definitions = [("_HASH", "#"), ("_BANG", "!")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { includes, id, definitions: definitions.into(), open: None, expanded_bytes: 0, lines: Vec::new() }
    }

    /// All lines of the file at `path`.
    pub(super) fn read(mut self, path: &str, from: &Place) -> Vec<Line> {
        self.file(path, from);
        self.lines
    }

    fn file(&mut self, path: &str, from: &Place) {
        let Some(text) = self.includes.open(path, from) else { return };
        let file = self.includes.current().to_owned();
        for (index, line) in text.lines().enumerate() {
            let at = At { file: &file, number: index + 1 };
            if line.len() > LINE_BYTES_MAX {
                let why = words!(
                    "keepalived ignores lines of more than {LINE_BYTES_MAX} characters",
                    "keepalived 会忽略超过 {LINE_BYTES_MAX} 个字符的行"
                );
                self.includes.trouble(&at.place(line), why);
                continue;
            }
            let line = without_comment(line);
            if let Some((name, value)) = self.open.take() {
                self.go_on(name, value, &line);
            } else if !line.is_empty() {
                self.line(line, at, 0);
            }
        }
        self.includes.close();
    }

    /// One more line of a definition; it ends where no backslash does.
    fn go_on(&mut self, name: String, mut value: String, line: &str) {
        let (more, goes_on) = line.strip_suffix('\\').map_or((line, false), |more| (more.trim_end(), true));
        if !more.is_empty() && value.len() + more.len() <= 64 * LINE_BYTES_MAX {
            value.push('\n');
            value.push_str(more);
        }
        if goes_on {
            self.open = Some((name, value));
        } else {
            self.definitions.insert(name, value);
        }
    }

    /// A line without its comment; `nested` in parameters of several lines.
    fn line(&mut self, mut line: String, at: At<'_>, nested: usize) {
        let mut rest = None;
        for _ in 0..REPLACED_MAX {
            match self.unconditional(&line, at) {
                Some(then) => line = then,
                None => return,
            }
            if self.defines(&line) {
                return;
            }
            if line.starts_with('~') {
                let why = words!("~SEQ and ~LST are not resolved here", "此处不展开 ~SEQ 与 ~LST");
                return self.includes.trouble(&at.place(&line), why);
            }
            if self.expanded_bytes > EXPANDED_BYTES_MAX && line.contains('$') {
                return;
            }
            let Some(replaced) = self.replaced(&line, at) else {
                self.finished(&line, at);
                return self.several(rest, at, nested);
            };
            if !self.has_room_for(replaced.len(), at) {
                return;
            }
            // What follows the first line of a parameter of several lines.
            let (first, more) = replaced.split_once('\n').map_or((replaced.as_str(), None), |(a, b)| (a, Some(b)));
            if let Some(more) = more {
                rest = Some(more.to_owned());
            }
            line = without_comment(first);
            if line.len() > LINE_BYTES_MAX {
                break;
            }
        }
        let why = words!(
            "parameters make this line longer than {LINE_BYTES_MAX} characters, or never end",
            "参数替换使此行超过 {LINE_BYTES_MAX} 个字符，或无法结束"
        );
        self.includes.trouble(&at.place(&line), why);
    }

    /// Whether parameters may make this much more. Says so once when not.
    fn has_room_for(&mut self, bytes: usize, at: At<'_>) -> bool {
        let had_room = self.expanded_bytes <= EXPANDED_BYTES_MAX;
        self.expanded_bytes = self.expanded_bytes.saturating_add(bytes);
        let has_room = self.expanded_bytes <= EXPANDED_BYTES_MAX;
        if had_room && !has_room {
            let why = words!("parameters become more than 8 MiB of text", "参数展开后超过 8 MiB");
            self.includes.trouble(&at.place(""), why);
        }
        has_room
    }

    /// The other lines of a parameter of several lines.
    fn several(&mut self, rest: Option<String>, at: At<'_>, nested: usize) {
        let Some(rest) = rest else { return };
        if nested >= NESTED_MAX {
            let why = words!("parameters are nested more than {NESTED_MAX} deep", "参数嵌套超过 {NESTED_MAX} 层");
            return self.includes.trouble(&at.place(&rest), why);
        }
        let mut open: Option<(String, String)> = None;
        for line in rest.lines() {
            if let Some((name, value)) = open.take() {
                self.go_on(name, value, line);
                open = self.open.take();
            } else if !line.is_empty() {
                self.line(line.to_owned(), at, nested + 1);
                open = self.open.take();
            }
        }
    }

    /// The line without `@id` when it is meant for this host; nothing when it is not.
    fn unconditional(&mut self, line: &str, at: At<'_>) -> Option<String> {
        let Some(condition) = line.strip_prefix('@') else { return Some(line.to_owned()) };
        let (condition, rest) = condition.split_once([' ', '\t'])?;
        let (negated, wanted) = condition.strip_prefix('^').map_or((false, condition), |wanted| (true, wanted));
        let Some(id) = &self.id else {
            let why = words!(
                "it depends on this host's name or --config-id, which are not known here",
                "取决于主机名或 --config-id，此处无法得知"
            );
            self.includes.trouble(&at.place(line), why);
            return None;
        };
        ((id == wanted) != negated).then(|| rest.trim_start().to_owned())
    }

    /// Takes `$NAME=value`.
    fn defines(&mut self, line: &str) -> bool {
        let Some((name, value)) = line.strip_prefix('$').and_then(|line| line.split_once('=')) else { return false };
        let name = name.trim_end();
        if !is_name(name) {
            return false;
        }
        let value = value.trim_start();
        match value.strip_suffix('\\') {
            Some(begun) => self.open = Some((name.to_owned(), begun.trim_end().to_owned())),
            None => {
                self.definitions.insert(name.to_owned(), value.to_owned());
            }
        }
        true
    }

    /// The line with its first parameter replaced; nothing when there is none that is defined.
    fn replaced(&mut self, line: &str, at: At<'_>) -> Option<String> {
        let mut from = 0;
        while let Some(found) = line.get(from..)?.find('$') {
            let begin = from + found;
            from = begin + 1;
            let Some((name, end)) = parameter(line, from) else { continue };
            if let Some(value) = self.value(name, line.len() == end) {
                return Some(format!("{}{value}{}", &line[..begin], &line[end..]));
            }
            if name.starts_with("_ENV") || name.starts_with("_RANDOM") {
                let why = words!("${name} cannot be told from files", "无法从文件得知 ${name} 的值");
                self.includes.trouble(&at.place(line), why);
            }
        }
        None
    }

    /// One of several lines is only taken at the end of a line.
    fn value(&self, name: &str, at_end: bool) -> Option<String> {
        match name {
            "_PWD" => Some(folder_of(self.includes.current()).to_owned()),
            "_INSTANCE" => self.id.clone(),
            _ => self.definitions.get(name).filter(|value| at_end || !value.contains('\n')).cloned(),
        }
    }

    fn finished(&mut self, line: &str, at: At<'_>) {
        if line.is_empty() {
            return;
        }
        if let Some(pattern) = include(line) {
            let place = at.place(line);
            if pattern.contains(['{', '$']) {
                let why = words!("{pattern:?} is not resolved here", "此处无法展开 {pattern:?}");
                return self.includes.trouble(&place, why);
            }
            let pattern = join(folder_of(at.file), pattern);
            for path in self.includes.glob(&pattern, &place) {
                self.file(&path, &place);
            }
        } else if self.includes.has_room(&at.place(line)) {
            self.lines.push(Line { text: line.to_owned(), file: at.file.to_owned(), number: at.number });
        }
    }
}

/// The pattern of `include`, `includer`, `includem`, `includew`, `includeb` and `includea`.
fn include(line: &str) -> Option<&str> {
    let (word, pattern) = line.split_once([' ', '\t'])?;
    let variant = word.strip_prefix("include")?;
    ["", "r", "m", "w", "b", "a"].contains(&variant).then(|| pattern.trim())
}

/// A parameter's name after `$`, and where its text ends.
fn parameter(line: &str, from: usize) -> Option<(&str, usize)> {
    let rest = line.get(from..)?;
    if let Some(inside) = rest.strip_prefix('{') {
        let end = inside.find('}')?;
        let name = inside.get(..end)?;
        let plain = name.split([' ', '\t']).next().unwrap_or(name);
        return is_name(plain).then_some((name, from + end + 2));
    }
    let end = rest.find(|one: char| !one.is_ascii_alphanumeric() && one != '_').unwrap_or(rest.len());
    let ends_well = rest.get(end..)?.chars().next().is_none_or(|next| " \t,)".contains(next));
    let name = rest.get(..end)?;
    (ends_well && is_name(name)).then_some((name, from + end))
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|one| one.is_ascii_alphanumeric() || one == '_')
}

/// Without comment and surrounding space. `\#` and `\!` are the characters themselves.
fn without_comment(line: &str) -> String {
    let mut kept = String::new();
    let mut is_quoted = false;
    let mut rest = line.chars().peekable();
    while let Some(one) = rest.next() {
        match (one, rest.peek()) {
            ('"', _) => is_quoted = !is_quoted,
            ('!' | '#', _) if !is_quoted => break,
            ('\\', Some('!' | '#')) if !is_quoted => {
                kept.extend(rest.next());
                continue;
            }
            ('\\', Some(next)) => {
                kept.extend([one, *next]);
                rest.next();
                continue;
            }
            _ => {}
        }
        kept.push(one);
    }
    kept.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::super::System;
    use super::super::super::includes::whole;
    use super::*;
    use crate::host::fixture::Fixture;

    fn read(fixture: Fixture, id: Option<&str>) -> (Vec<String>, Vec<String>) {
        let host = fixture.host();
        let mut includes = Includes::new(&host, System::Keepalived);
        let lines = Reader::new(&mut includes, id.map(str::to_owned)).read("/etc/k/k.conf", &whole("/etc/k/k.conf"));
        let lines = lines.into_iter().map(|line| line.text).collect();
        (lines, includes.troubles.into_iter().map(|trouble| trouble.place.source()).collect())
    }

    fn check(text: &str, lines: &[&str], troubles: &[&str]) {
        let fixture = Fixture::image().file("/etc/k/k.conf", text).file("/etc/k/d/a.conf", "from a\n");
        let fixture = fixture.file("/etc/k/d/b.conf", "include ../k.conf\nfrom b");
        let (read, found) = read(fixture, Some("main"));
        assert_eq!(
            (read, found),
            (lines.iter().map(|l| (*l).to_owned()).collect(), troubles.iter().map(|t| (*t).to_owned()).collect()),
            "{text}"
        );
    }

    #[test]
    fn lb_01_keepalived_lines_are_read_as_it_reads_them() {
        for (text, lines) in [
            ("a ! b\n# c\n  d e # f", &["a", "d e"][..]),
            ("a \"b # c\" ! d\r\n\r\n", &["a \"b # c\""]),
            ("a \\# b \\! c", &["a # b ! c"]),
            ("$A=1\nb $A c\nd $AB ${A}s $A", &["b 1 c", "d $AB 1s 1"]),
            ("$A=${B}.1\n$B=2\nx ${A}\n$B=3\nx ${A}", &["x 2.1", "x 3.1"]),
            ("$A=\nx [${A}]", &["x []"]),
            ("x $UNDEFINED", &["x $UNDEFINED"]),
            ("x ${_PWD}/y ${_INSTANCE}${_HASH}z", &["x /etc/k/y main"]),
            ("@main a\n@other b\n@^main c\n@^other d\n@main\n", &["a", "d"]),
            ("@main $P=240\n@other $P=1\npriority $P", &["priority 240"]),
            ("$M= \\\n a ${N} { \\\n b $N \\\n }\n$N=1\n$M\n$N=2\n$M\n", &["a 1 {", "b 1", "}", "a 2 {", "b 2", "}"]),
            ("$I= \\\n i $N\n$O= \\\n o { \\\n $N=7 \\\n $I \\\n }\n$O", &["o {", "i 7", "}"]),
            ("include d/a.conf\nb", &["from a", "b"]),
            ("include d/a*\nincluder /etc/k/d/a.conf\nincluded x\ninclude none/*", &["from a", "from a", "included x"]),
        ] {
            check(text, lines, &[]);
        }
    }

    #[test]
    fn chk_02_keepalived_loops_and_what_cannot_be_told_are_named() {
        for (text, lines, troubles) in [
            ("include d/b.conf\nc", &["from b", "c"][..], &["/etc/k/d/b.conf:1"][..]),
            ("$A=$B\n$B=$A\nx $A\ny", &["y"], &["/etc/k/k.conf:3"]),
            ("$A=${A}${A}\nx ${A}\ny", &["y"], &["/etc/k/k.conf:2"]),
            ("$A= \\\n x \\\n $A\n$A\ny", &["x", "x"], &["/etc/k/k.conf:4"]),
            ("~SEQ(N,1,3) ip 10.0.0.$N\nb", &["b"], &["/etc/k/k.conf:1"]),
            ("x ${_ENV HOME}\ny", &["x ${_ENV HOME}", "y"], &["/etc/k/k.conf:1"]),
            ("include {a,b}\ny", &["y"], &["/etc/k/k.conf:1"]),
        ] {
            let text_lines = text;
            let fixture =
                Fixture::image().file("/etc/k/k.conf", text).file("/etc/k/d/b.conf", "include ../k.conf\nfrom b");
            let (read, found) = read(fixture, Some("main"));
            assert_eq!(found, troubles, "{text_lines}");
            assert!(lines.iter().all(|line| read.iter().any(|read| read == line)), "{text_lines}: {read:?}");
        }
        let (read, found) = read(Fixture::image().file("/etc/k/k.conf", "@main a\nb"), None);
        assert_eq!((read, found), (vec!["b".to_owned()], vec!["/etc/k/k.conf:1".to_owned()]));
        let long = format!("a {}\nb", "x".repeat(2000));
        check(&long, &["b"], &["/etc/k/k.conf:1"]);
    }
}
