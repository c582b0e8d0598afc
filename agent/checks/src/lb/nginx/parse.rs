//! Reads an nginx configuration with its includes into one tree. Bounded in files, depth and words (CHK-01, CHK-02); what
//! is wrong becomes a trouble with its line, and what was read until there is kept.

use super::token::{Bad, Token, Tokens};
use super::tree::Directive;
use crate::found::Gap;
use crate::host::Host;
use crate::lb::Place;
use crate::words;
use cloud_doctor_proto::finding::Words;
use std::sync::Arc;

/// Includes in includes.
const INCLUDES_DEEP_MAX: usize = 16;
/// Files of one configuration.
const FILES_MAX: usize = 2000;
/// Blocks in blocks; nginx configurations have six. The tree is walked and dropped by recursion.
const BLOCKS_DEEP_MAX: usize = 64;
/// Words that are kept of one configuration: 20 times a very large one, and about 80 MiB.
const WORDS_MAX: usize = 500_000;
/// Words of one line of data that are kept until it ends.
const DATA_WORDS_KEPT: usize = 16;
/// Troubles that are told.
const TROUBLES_MAX: usize = 20;
/// Blocks whose lines are data and no directives; nobody here asks for them, and they can be huge.
const DATA_BLOCKS: [&str; 6] = ["map", "geo", "types", "split_clients", "charset_map", "geoip2"];

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) tree: Vec<Directive>,
    pub(super) troubles: Vec<(Place, Words)>,
}

/// Reads `main`; `folder` is what relative includes are relative to. `global` is what `-g` says.
pub(super) fn read(host: &Host, main: &str, folder: &str, global: &str) -> Read {
    let mut reader = Reader { host, folder, open: Vec::new(), files: 0, words: 0, deep: 0, troubles: Vec::new() };
    let mut tree = reader.text("-g", global);
    reader.open.push(main.to_owned());
    match host.must_read(main) {
        Ok(text) => tree.extend(reader.text(main, &text)),
        Err(gap) => reader.gap(Place { file: main.to_owned(), ..Place::default() }, gap),
    }
    Read { tree, troubles: reader.troubles }
}

struct Reader<'a> {
    host: &'a Host,
    folder: &'a str,
    /// The files that are being read, outermost first.
    open: Vec<String>,
    files: usize,
    words: usize,
    /// Blocks around the file that is being read.
    deep: usize,
    troubles: Vec<(Place, Words)>,
}

/// One file, half read.
struct Nest {
    file: Arc<str>,
    /// The blocks that are open, outermost first.
    open: Vec<Directive>,
    /// What stands outside of all blocks.
    top: Vec<Directive>,
    /// The words of the directive that has not ended yet, and the line of the first.
    words: Vec<String>,
    line: u32,
}

impl Nest {
    fn put(&mut self, directives: impl IntoIterator<Item = Directive>) {
        let inside = match self.open.last_mut() {
            Some(block) => block.block.get_or_insert_default(),
            None => &mut self.top,
        };
        inside.extend(directives);
    }

    /// Closes the innermost block; says whether there was one.
    fn close(&mut self) -> bool {
        let closed = self.open.pop();
        let was_open = closed.is_some();
        self.put(closed);
        was_open
    }

    /// The directive whose words have been read; nothing when there are none.
    fn take(&mut self) -> Option<Directive> {
        let mut args = std::mem::take(&mut self.words);
        let name = (!args.is_empty()).then(|| args.remove(0))?;
        Some(Directive { name, args, block: None, file: self.file.clone(), line: self.line })
    }

    fn is_data(&self) -> bool {
        self.open.iter().any(|block| DATA_BLOCKS.contains(&block.name.as_str()))
    }
}

impl Reader<'_> {
    fn trouble(&mut self, place: Place, why: Words) {
        let one = (place, why);
        // A file that is included many times has its troubles once.
        if self.troubles.len() < TROUBLES_MAX && !self.troubles.contains(&one) {
            self.troubles.push(one);
        }
    }

    fn gap(&mut self, place: Place, gap: Gap) {
        let (Gap::NotHere(why) | Gap::Unknown(why)) = gap;
        self.trouble(place, why);
    }

    /// The directives of one file.
    fn text(&mut self, path: &str, text: &str) -> Vec<Directive> {
        let mut tokens = Tokens::new(text);
        let mut nest = Nest { file: path.into(), open: Vec::new(), top: Vec::new(), words: Vec::new(), line: 0 };
        if let Err(bad) = self.all(&mut tokens, &mut nest) {
            self.trouble(Place { file: path.to_owned(), line: bad.line, text: String::new() }, bad.why);
        }
        while nest.close() {}
        nest.top
    }

    fn all(&mut self, tokens: &mut Tokens<'_>, nest: &mut Nest) -> Result<(), Bad> {
        while let Some((token, line)) = tokens.next()? {
            match token {
                Token::Word(word) => self.word(nest, word, line)?,
                Token::End => {
                    let directive = nest.take().ok_or_else(|| unexpected(line, ";"))?;
                    self.end(nest, directive);
                }
                Token::Open => {
                    let block = nest.take().ok_or_else(|| unexpected(line, "{"))?;
                    self.begin(nest, block, tokens)?;
                }
                Token::Close if nest.words.is_empty() && nest.close() => {}
                Token::Close => return Err(unexpected(line, "}")),
            }
        }
        if let Some(word) = nest.words.first() {
            let word: String = word.chars().take(100).collect();
            let why = words!("\"{word}\" has no \";\" at its end", "\"{word}\" 末尾缺少 \";\"");
            return Err(Bad { line: nest.line, why });
        }
        nest.open.last().map_or(Ok(()), |open| {
            let name = &open.name;
            let why =
                words!("the block \"{name}\" that begins here is never closed", "此处开始的 \"{name}\" 块没有闭合");
            Err(Bad { line: open.line, why })
        })
    }

    fn word(&mut self, nest: &mut Nest, word: String, line: u32) -> Result<(), Bad> {
        if nest.words.is_empty() {
            nest.line = line;
        }
        if nest.is_data() {
            if nest.words.len() < DATA_WORDS_KEPT {
                nest.words.push(word);
            }
            return Ok(());
        }
        nest.words.push(word);
        self.words += 1;
        if self.words <= WORDS_MAX {
            return Ok(());
        }
        // Said once; the words of the half read directive are not told as missing their end.
        nest.words.clear();
        let why = words!(
            "this configuration has more than {WORDS_MAX} words; the rest of this file is not read",
            "该配置超过 {WORDS_MAX} 个词，此文件其余内容未读取"
        );
        Err(Bad { line, why })
    }

    fn end(&mut self, nest: &mut Nest, directive: Directive) {
        if nest.is_data() {
            return;
        }
        if directive.name != "include" {
            nest.put([directive]);
            return;
        }
        self.deep += nest.open.len();
        let found = self.include(&directive);
        self.deep -= nest.open.len();
        nest.put(found);
    }

    fn begin(&mut self, nest: &mut Nest, block: Directive, tokens: &mut Tokens<'_>) -> Result<(), Bad> {
        let block = Directive { block: Some(Vec::new()), ..block };
        if block.name.ends_with("_by_lua_block") {
            tokens.skip_lua()?;
            nest.put([block]);
            return Ok(());
        }
        if self.deep + nest.open.len() >= BLOCKS_DEEP_MAX {
            let why = words!(
                "blocks are nested deeper than {BLOCKS_DEEP_MAX}; the rest of this file is not read",
                "块嵌套超过 {BLOCKS_DEEP_MAX} 层，此文件其余内容未读取"
            );
            return Err(Bad { line: block.line, why });
        }
        nest.open.push(block);
        Ok(())
    }

    /// The directives of the files that an `include` names.
    fn include(&mut self, directive: &Directive) -> Vec<Directive> {
        let Some(named) = directive.arg(0) else { return Vec::new() };
        let pattern = if named.starts_with('/') { named.to_owned() } else { format!("{}/{named}", self.folder) };
        if !pattern.contains(['*', '?', '[']) {
            return self.include_file(directive, &pattern);
        }
        match self.host.glob(&pattern) {
            Ok(paths) => paths.iter().flat_map(|path| self.include_file(directive, path)).collect(),
            Err(gap) => {
                self.gap(directive.place(), gap);
                Vec::new()
            }
        }
    }

    fn include_file(&mut self, directive: &Directive, path: &str) -> Vec<Directive> {
        if let Some(at) = self.open.iter().position(|open| open == path) {
            let mut chain = self.open.get(at..).unwrap_or_default().to_vec();
            chain.push(path.to_owned());
            let chain = chain.join(" -> ");
            self.trouble(directive.place(), words!("includes go round: {chain}", "include 形成循环：{chain}"));
            return Vec::new();
        }
        if self.open.len() > INCLUDES_DEEP_MAX {
            let why = words!(
                "includes are nested deeper than {INCLUDES_DEEP_MAX}; {path} is not read",
                "include 嵌套超过 {INCLUDES_DEEP_MAX} 层，未读取 {path}"
            );
            self.trouble(directive.place(), why);
            return Vec::new();
        }
        self.files += 1;
        if self.files > FILES_MAX {
            if self.files == FILES_MAX + 1 {
                let why = words!(
                    "this configuration includes more than {FILES_MAX} files; {path} and what follows is not read",
                    "该配置 include 的文件超过 {FILES_MAX} 个，{path} 及之后的文件未读取"
                );
                self.trouble(directive.place(), why);
            }
            return Vec::new();
        }
        match self.host.must_read(path) {
            Ok(text) => {
                self.open.push(path.to_owned());
                let found = self.text(path, &text);
                self.open.pop();
                found
            }
            Err(gap) => {
                self.gap(directive.place(), gap);
                Vec::new()
            }
        }
    }
}

fn unexpected(line: u32, what: &str) -> Bad {
    Bad { line, why: words!("\"{what}\" is not expected here", "此处不应出现 \"{what}\"") }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
pub(super) mod tests;
