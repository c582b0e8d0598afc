//! A page as GitHub-flavoured Markdown, for a ticket. A hostile text can neither end a table or a code span nor become a
//! link, an image, a heading or HTML.

use super::page::{Block, Card, Cell, Mark, Page};
use super::safe;
use std::fmt::Write as _;

/// The whole text.
#[must_use]
pub fn markdown(page: &Page) -> String {
    let mut out = format!("# {}\n", text(&page.title));
    for block in &page.blocks {
        out.push('\n');
        match block {
            Block::Heading(heading) => writeln!(out, "## {}", text(heading)).ok(),
            Block::Paragraph(paragraph) => writeln!(out, "{}", text(paragraph)).ok(),
            Block::Verdict(mark, sentence) => writeln!(out, "{} {}", self::mark(mark), text(sentence)).ok(),
            Block::List(items) => {
                items.iter().for_each(|item| out.push_str(&format!("- {}\n", text(item))));
                None
            }
            Block::Table(head, rows) => {
                table(&mut out, head, rows);
                None
            }
            Block::Card(card) => {
                self::card(&mut out, card);
                None
            }
        };
    }
    out
}

fn mark(mark: &Mark) -> String {
    format!("**{} {}**", mark.kind.sign(), text(&mark.label))
}

fn table(out: &mut String, head: &[String], rows: &[Vec<Cell>]) {
    let mut line = |cells: Vec<String>| writeln!(out, "| {} |", cells.join(" | ")).ok();
    line(head.iter().map(|name| text(name)).collect());
    line(head.iter().map(|_| "---".to_owned()).collect());
    for row in rows {
        line(row.iter().map(cell).collect());
    }
}

fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Text(told) | Cell::Short(told) => text(told),
        // Tables are split at bars before code spans are seen (GFM, 4.10), and readers differ about `\\|` in a span.
        Cell::Code(read) if read.contains('|') => text(read),
        Cell::Code(read) => code(read),
        Cell::Mark(one) => mark(one),
    }
}

fn card(out: &mut String, card: &Card) {
    let subject = if card.subject.is_empty() { String::new() } else { format!(" {}", code(&card.subject)) };
    writeln!(out, "### {} {}{subject}\n\n{}\n", mark(&card.mark), code(&card.check), text(&card.summary)).ok();
    for (name, told) in &card.rows {
        writeln!(out, "- **{name}**: {}", text(told)).ok();
    }
    for (source, read) in &card.evidence.1 {
        let read = if read.is_empty() { String::new() } else { format!(" {}", code(read)) };
        writeln!(out, "- **{}**: {}{read}", card.evidence.0, code(source)).ok();
    }
    if let Some(more) = &card.more {
        writeln!(out, "- {}", text(more)).ok();
    }
}

/// A text with every character escaped that could mean something.
fn text(raw: &str) -> String {
    let line = safe(raw);
    let mut out = String::with_capacity(line.len() + 8);
    for (at, one) in line.trim().char_indices() {
        let means = match one {
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '<' | '#' | '|' | '~' | '&' | '!' | '$' | '@' | '^' => {
                true
            }
            // A list, a heading's line, a number of a list; `http://` and `www.` become links by themselves.
            '-' | '+' | '=' | '>' => at == 0,
            '.' | ')' => {
                is_numbered(line.trim(), at)
                    || line.trim().get(..at).is_some_and(|before| before.to_ascii_lowercase().ends_with("www"))
            }
            ':' => line.trim().get(at..).is_some_and(|rest| rest.starts_with("://")),
            _ => false,
        };
        if means {
            out.push('\\');
        }
        out.push(one);
    }
    out
}

/// Whether what stands before `at` is a number that a list could begin with.
fn is_numbered(line: &str, at: usize) -> bool {
    let (Some(before), Some(after)) = (line.get(..at), line.get(at + 1..)) else { return false };
    let is_number = !before.is_empty() && before.len() < 10 && before.bytes().all(|byte| byte.is_ascii_digit());
    is_number && (after.is_empty() || after.starts_with([' ', '\t']))
}

/// A code span around any text: its fence is longer than every row of backticks in it.
fn code(raw: &str) -> String {
    let line = safe(raw);
    let line = line.trim();
    if line.is_empty() {
        return "` `".to_owned();
    }
    let longest = line.split(|one| one != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let pad = if longest > 0 { " " } else { "" };
    format!("{fence}{pad}{line}{pad}{fence}")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::report::tests::HOSTILE;

    /// What a reader of CommonMark takes for text: escapes undone, code spans passed over. Nothing when there is more than
    /// text in it.
    fn plain(line: &str) -> Option<String> {
        let (mut out, mut rest) = (String::new(), line);
        while let Some(one) = rest.chars().next() {
            rest = &rest[one.len_utf8()..];
            match one {
                '\\' => {
                    let next = rest.chars().next()?;
                    out.push(next);
                    rest = &rest[next.len_utf8()..];
                }
                '`' | '*' | '_' | '[' | ']' | '<' | '#' | '|' | '~' | '&' | '!' => return None,
                _ => out.push(one),
            }
        }
        Some(out)
    }

    #[test]
    fn chk_hostile_text_stays_text() {
        for hostile in HOSTILE {
            let written = text(hostile);
            assert_eq!(plain(&written).as_deref(), Some(safe(hostile).trim()), "{written}");
            let unescaped = written.replace("\\:", "").replace("\\.", "").to_ascii_lowercase();
            assert!(
                !unescaped.contains(['\n', '\r']) && !unescaped.contains("://") && !unescaped.contains("www."),
                "{written}"
            );
            assert!(!written.starts_with(['-', '+', '=', '#', '>', ' ']), "{written}");
            let digits = written.len() - written.trim_start_matches(|one: char| one.is_ascii_digit()).len();
            assert!(digits == 0 || !written[digits..].starts_with(['.', ')']), "{written}");
        }
    }

    #[test]
    fn chk_hostile_text_does_not_end_a_code_span_or_a_cell() {
        for hostile in HOSTILE {
            let written = code(hostile);
            let fence = written.len() - written.trim_start_matches('`').len();
            let inner = written.strip_prefix(&"`".repeat(fence)).and_then(|rest| rest.strip_suffix(&"`".repeat(fence)));
            let inner = inner.unwrap_or_else(|| panic!("{written}"));
            let longest = inner.split(|one| one != '`').map(str::len).max().unwrap_or(0);
            assert!(longest < fence || safe(hostile).trim().is_empty(), "{written}");
            let in_table = cell(&Cell::Code((*hostile).to_owned()));
            for (at, _) in in_table.match_indices('|') {
                let before = &in_table[..at];
                assert_eq!((before.len() - before.trim_end_matches('\\').len()) % 2, 1, "{in_table}");
            }
            assert!(!in_table.contains('\n'));
        }
    }
}
