//! Lines become statements in braces (lib/parser.c, `process_stream` and `alloc_strvec_r`).

use super::super::includes::{Includes, line_of};
use super::super::statement::{BLOCKS_DEEP_MAX, Statement};
use super::lines::Line;
use crate::words;

/// The statements of the outermost level, with what is inside.
pub(super) fn statements(lines: &[Line], includes: &mut Includes<'_>) -> Vec<Statement> {
    let mut blocks = Blocks { levels: vec![Statement::default()], skipped: 0 };
    for line in lines {
        let mut words: Vec<String> = Vec::new();
        for token in tokens(&line.text, line, includes) {
            match token {
                Token::Word(word) => words.push(word),
                Token::Open => blocks.open(std::mem::take(&mut words), line, includes),
                Token::Close => {
                    blocks.plain(std::mem::take(&mut words), line);
                    blocks.close(line, includes);
                }
            }
        }
        blocks.plain(words, line);
    }
    blocks.finish(includes)
}

/// Statements whose blocks are open, the file itself first.
struct Blocks {
    levels: Vec<Statement>,
    /// Open blocks below the deepest that is kept.
    skipped: usize,
}

impl Blocks {
    fn plain(&mut self, words: Vec<String>, line: &Line) {
        if words.is_empty() || self.skipped > 0 {
            return;
        }
        let statement = statement(words, line);
        if let Some(level) = self.levels.last_mut() {
            level.inside.push(statement);
        }
    }

    fn open(&mut self, words: Vec<String>, line: &Line, includes: &mut Includes<'_>) {
        if self.skipped > 0 || self.levels.len() > BLOCKS_DEEP_MAX {
            if self.skipped == 0 {
                let why =
                    words!("blocks are nested more than {BLOCKS_DEEP_MAX} deep", "块嵌套超过 {BLOCKS_DEEP_MAX} 层");
                includes.trouble(&line_of(&line.file, line.number, &line.text), why);
            }
            self.skipped += 1;
            return;
        }
        // The brace may stand in a line of its own.
        let statement = if words.is_empty() {
            self.levels.last_mut().and_then(|level| level.inside.pop_if(|last| last.inside.is_empty()))
        } else {
            Some(statement(words, line))
        };
        self.levels.push(statement.unwrap_or_else(|| {
            let why = words!("a block begins without a keyword", "块缺少关键字");
            let place = line_of(&line.file, line.number, &line.text);
            includes.trouble(&place, why);
            Statement { place, ..Statement::default() }
        }));
    }

    fn close(&mut self, line: &Line, includes: &mut Includes<'_>) {
        if self.skipped > 0 {
            self.skipped -= 1;
        } else if self.levels.len() > 1 {
            self.end_last();
        } else {
            let why = words!("a block ends that never began", "多余的 \"}}\"");
            includes.trouble(&line_of(&line.file, line.number, &line.text), why);
        }
    }

    fn end_last(&mut self) {
        if let Some(done) = self.levels.pop()
            && let Some(level) = self.levels.last_mut()
        {
            level.inside.push(done);
        }
    }

    fn finish(mut self, includes: &mut Includes<'_>) -> Vec<Statement> {
        while self.levels.len() > 1 {
            if let Some(open) = self.levels.last() {
                let why = words!("the block that begins here has no end", "此处开始的块没有结束");
                includes.trouble(&open.place.clone(), why);
            }
            self.end_last();
        }
        self.levels.pop().unwrap_or_default().inside
    }
}

/// The evidence of a statement are its own words: a line can hold several, and secrets of others.
fn statement(words: Vec<String>, line: &Line) -> Statement {
    let place = line_of(&line.file, line.number, &words.join(" "));
    Statement { words, place, inside: Vec::new() }
}

enum Token {
    Word(String),
    Open,
    Close,
}

/// Words, quoted ones without their quotes. A brace is one anywhere but in quotes.
fn tokens(text: &str, line: &Line, includes: &mut Includes<'_>) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        rest = match first {
            '{' | '}' => {
                tokens.push(if first == '{' { Token::Open } else { Token::Close });
                &rest[1..]
            }
            '"' => {
                let Some((word, after)) = rest[1..].split_once('"') else {
                    let why = words!("a quote has no end", "引号未闭合");
                    includes.trouble(&line_of(&line.file, line.number, text), why);
                    break;
                };
                tokens.push(Token::Word(word.to_owned()));
                after
            }
            _ => {
                let end = rest.find([' ', '\t', '"', '{', '}']).unwrap_or(rest.len());
                tokens.push(Token::Word(rest[..end].to_owned()));
                &rest[end..]
            }
        }
        .trim_start();
    }
    tokens
}
