//! A Caddyfile's statements (caddyconfig/caddyfile/parse.go): blocks, snippets, imports and their arguments.

use super::super::Place;
use super::super::includes::{Includes, folder_of, join, whole};
use super::super::statement::{BLOCKS_DEEP_MAX, Statement};
use super::tokens::{Broken, Token, statement, tokens};
use crate::words;
use std::collections::BTreeMap;

/// Imports within imports, of files and of snippets.
const IMPORTS_DEEP_MAX: usize = 16;
/// What imports bring in, in bytes; a snippet can be imported any number of times.
const IMPORTED_MAX: usize = 16 << 20;
/// What a token costs besides its text.
const TOKEN_BYTES: usize = 64;
/// A token that arguments have made.
const TOKEN_BYTES_MAX: usize = 16 << 10;

/// All statements of a Caddyfile and what it imports.
pub(super) fn read(path: &str, includes: &mut Includes<'_>) -> Vec<Statement> {
    let mut parser = Parser { includes, snippets: BTreeMap::new(), imports: Vec::new(), imported: 0, count: 0 };
    let Some(all) = parser.file(path, &whole(path)) else { return Vec::new() };
    let mut statements = Vec::new();
    parser.level(&mut Cursor { tokens: &all, at: 0 }, 0, &mut statements);
    parser.includes.close();
    statements
}

struct Parser<'a, 'h> {
    includes: &'a mut Includes<'h>,
    snippets: BTreeMap<String, Vec<Token>>,
    /// Snippets that are being expanded.
    imports: Vec<String>,
    imported: usize,
    /// Imports so far: each makes tokens of its own.
    count: u32,
}

struct Cursor<'t> {
    tokens: &'t [Token],
    at: usize,
}

impl<'t> Cursor<'t> {
    fn peek(&self) -> Option<&'t Token> {
        self.tokens.get(self.at)
    }

    /// The tokens up to the end of the line; a comma at its end goes on with the next one where addresses stand.
    fn line(&mut self, has_commas: bool) -> &'t [Token] {
        let begin = self.at;
        while let Some(token) = self.peek() {
            let before = self.at.checked_sub(1).filter(|_| self.at > begin).and_then(|at| self.tokens.get(at));
            let goes_on = |before: &Token| has_commas && before.text.ends_with(',');
            if before.is_some_and(|before| before.ends_line_before(token) && !goes_on(before)) || token.is_close() {
                break;
            }
            self.at += 1;
        }
        self.tokens.get(begin..self.at).unwrap_or_default()
    }

    /// The tokens of a block whose brace has been taken, without the brace at its end; nothing when it has none.
    fn block(&mut self) -> Option<&'t [Token]> {
        let begin = self.at;
        let mut depth = 1_usize;
        while let Some(token) = self.peek() {
            self.at += 1;
            if token.is_open() {
                depth += 1;
            } else if token.is_close() {
                depth -= 1;
                if depth == 0 {
                    return self.tokens.get(begin..self.at - 1);
                }
            }
        }
        None
    }
}

impl Parser<'_, '_> {
    /// A file's tokens; it stays open when there are some.
    fn file(&mut self, path: &str, from: &Place) -> Option<Vec<Token>> {
        let text = self.includes.open(path, from)?;
        match tokens(self.includes.current(), &text) {
            Ok(tokens) => Some(tokens),
            Err(Broken(line, why)) => {
                let place = Place { file: self.includes.current().to_owned(), line: 0, text: String::new() };
                let place = Place { line: u32::try_from(line).unwrap_or(u32::MAX), ..place };
                self.includes.trouble(&place, why);
                self.includes.close();
                None
            }
        }
    }

    /// Statements up to the end of the tokens.
    fn level(&mut self, cursor: &mut Cursor<'_>, depth: usize, into: &mut Vec<Statement>) {
        while let Some(first) = cursor.peek() {
            if first.is_close() {
                self.includes.trouble(&first.place(), words!("a block ends that never began", "多余的 \"}}\""));
                cursor.at += 1;
                continue;
            }
            let line = cursor.line(depth == 0);
            let (head, has_block) = match line.split_last() {
                Some((last, head)) if last.is_open() => (head, true),
                Some(_) | None => (line, false),
            };
            if head.iter().any(Token::is_open) {
                let why = words!("words follow a brace; Caddy would not start", "花括号后有多余的词，Caddy 将无法启动");
                return self.includes.trouble(&first.place(), why);
            }
            let block = if has_block { cursor.block() } else { Some(&[][..]) };
            let Some(block) = block else {
                let why = words!("the block that begins here has no end", "此处开始的块没有结束");
                return self.includes.trouble(&first.place(), why);
            };
            self.one(head, block, first, depth, into);
        }
    }

    fn one(&mut self, head: &[Token], block: &[Token], first: &Token, depth: usize, into: &mut Vec<Statement>) {
        let name = head.first().filter(|name| !name.is_quoted).map_or("", |name| name.text.as_str());
        if !self.includes.has_room(&first.place()) {
            return;
        }
        if name == "import" {
            // When too much was imported, that has been said.
            if self.imported <= IMPORTED_MAX {
                self.import(head, block, depth, into);
            }
            return;
        }
        let snippet = name.strip_prefix('(').and_then(|name| name.strip_suffix(')')).filter(|_| depth == 0);
        if let Some(snippet) = snippet {
            self.snippets.insert(snippet.to_owned(), block.to_vec());
            return;
        }
        let mut statement = statement(if head.is_empty() { std::slice::from_ref(first) } else { head });
        if depth >= BLOCKS_DEEP_MAX {
            let why = words!("blocks are nested more than {BLOCKS_DEEP_MAX} deep", "块嵌套超过 {BLOCKS_DEEP_MAX} 层");
            return self.includes.trouble(&statement.place, why);
        }
        self.level(&mut Cursor { tokens: block, at: 0 }, depth + 1, &mut statement.inside);
        into.push(statement);
    }

    fn import(&mut self, head: &[Token], block: &[Token], depth: usize, into: &mut Vec<Statement>) {
        let place = statement(head).place;
        let [_, what, arguments @ ..] = head else {
            return self.includes.trouble(&place, words!("import names nothing", "import 缺少参数"));
        };
        if let Some(tokens) = self.snippets.get(&what.text).cloned() {
            return self.snippet(&what.text, tokens, arguments, block, &place, depth, into);
        }
        if what.text.contains("{$") {
            let why = words!("{:?} depends on the environment", "{:?} 取决于环境变量", what.text);
            return self.includes.trouble(&place, why);
        }
        let pattern = join(folder_of(&what.file), &what.text);
        let has_wildcard = what.text.contains(['*', '?', '[']);
        let paths = self.includes.glob(&pattern, &place);
        if paths.is_empty() && !has_wildcard {
            let why = words!("there is no file and no snippet {:?}", "没有名为 {:?} 的文件或片段", what.text);
            self.includes.trouble(&place, why);
        }
        for path in paths {
            if let Some(tokens) = self.file(&path, &place) {
                self.expand(&tokens, arguments, block, &place, depth, into);
                self.includes.close();
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what an import is: a name, tokens, arguments, a block, and where")]
    fn snippet(
        &mut self,
        name: &str,
        tokens: Vec<Token>,
        arguments: &[Token],
        block: &[Token],
        place: &Place,
        depth: usize,
        into: &mut Vec<Statement>,
    ) {
        let why = if self.imports.iter().any(|open| open == name) {
            let chain = self.imports.join(" -> ");
            words!("snippets import each other in a loop: {chain} -> {name}", "片段循环导入：{chain} -> {name}")
        } else if self.imports.len() >= IMPORTS_DEEP_MAX {
            words!("imports are nested more than {IMPORTS_DEEP_MAX} deep", "导入嵌套超过 {IMPORTS_DEEP_MAX} 层")
        } else {
            self.imports.push(name.to_owned());
            self.expand(&tokens, arguments, block, place, depth, into);
            self.imports.pop();
            return;
        };
        self.includes.trouble(place, why);
    }

    /// Puts arguments and the block in, then reads the statements.
    fn expand(
        &mut self,
        tokens: &[Token],
        arguments: &[Token],
        block: &[Token],
        place: &Place,
        depth: usize,
        into: &mut Vec<Statement>,
    ) {
        self.count = self.count.saturating_add(1);
        let mut expanded = Vec::new();
        for token in tokens {
            let before = expanded.len();
            if token.text == "{block}" {
                expanded.extend_from_slice(block);
            } else if let Some(name) = token.text.strip_prefix("{blocks.").and_then(|name| name.strip_suffix('}')) {
                expanded.extend_from_slice(named_block(block, name));
            } else if let Some(range) = variadic(&token.text, arguments.len()) {
                let chosen = arguments.get(range).unwrap_or_default();
                expanded.extend(chosen.iter().map(|argument| Token { text: argument.text.clone(), ..token.clone() }));
            } else {
                let (text, is_default) = with_arguments(&token.text, arguments);
                expanded.push(Token { text, is_default: token.is_default || is_default, ..token.clone() });
            }
            for new in expanded.iter_mut().skip(before) {
                // Its line is of another file, or of another place in this one.
                new.import = self.count;
                self.imported = self.imported.saturating_add(new.text.len() + TOKEN_BYTES);
            }
            if self.imported > IMPORTED_MAX {
                let why = words!("imports bring in more than 16 MiB", "导入的内容超过 16 MiB");
                return self.includes.trouble(place, why);
            }
        }
        self.level(&mut Cursor { tokens: &expanded, at: 0 }, depth, into);
    }
}

/// What stands in the block after an import under a name.
fn named_block<'t>(block: &'t [Token], name: &str) -> &'t [Token] {
    let mut cursor = Cursor { tokens: block, at: 0 };
    while cursor.peek().is_some() {
        let line = cursor.line(false);
        let Some(first) = line.first() else { break };
        let inside = match line.last() {
            Some(last) if last.is_open() => cursor.block().unwrap_or_default(),
            Some(_) | None => line.get(1..).unwrap_or_default(),
        };
        if first.text == name {
            return inside;
        }
    }
    &[]
}

/// `{args[1:3]}`: which arguments.
fn variadic(text: &str, count: usize) -> Option<std::ops::Range<usize>> {
    let (begin, end) = text.strip_prefix("{args[")?.strip_suffix("]}")?.split_once(':')?;
    let begin = if begin.is_empty() { 0 } else { begin.parse().ok()? };
    let end = if end.is_empty() { count } else { end.parse().ok()? };
    (begin <= end && end <= count).then_some(begin..end)
}

/// `{args[0]}` and `{args.0}` replaced where there is such an argument.
fn with_arguments(text: &str, arguments: &[Token]) -> (String, bool) {
    let (mut done, mut rest, mut is_default) = (String::new(), text, false);
    while let Some((before, after)) = rest.split_once("{args") {
        done.push_str(before);
        let index = after.split_once('}').and_then(|(index, after)| {
            let index = index.strip_prefix('.').or_else(|| index.strip_prefix('[')?.strip_suffix(']'))?;
            Some((arguments.get(index.parse::<usize>().ok()?)?, after))
        });
        match index {
            Some((argument, after)) if done.len() + argument.text.len() <= TOKEN_BYTES_MAX => {
                done.push_str(&argument.text);
                is_default |= argument.is_default;
                rest = after;
            }
            Some(_) | None => {
                done.push_str("{args");
                rest = after;
            }
        }
    }
    (done + rest, is_default)
}
