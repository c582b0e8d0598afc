//! A page as one HTML file: no script, nothing from a network, readable on a telephone, on paper, and without colour.
//!
//! Every text goes through [`escape`]; markup and attributes are this file's own. Its policy forbids everything else, so
//! that even a mistake here loads and runs nothing.

use super::page::{Block, Card, Cell, Mark, Page};
use super::safe;
use cloud_doctor_proto::refusal::Language;
use std::fmt::Write as _;

const STYLE: &str = include_str!("page.css");

/// The whole file.
#[must_use]
pub fn html(page: &Page) -> String {
    let language = match page.language {
        Language::En => "en",
        Language::Zh => "zh-CN",
    };
    let title = escape(&page.title);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"{language}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"robots\" content=\"noindex\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
    );
    for block in &page.blocks {
        self::block(&mut out, block);
    }
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn block(out: &mut String, block: &Block) {
    match block {
        Block::Heading(heading) => writeln!(out, "<h2>{}</h2>", escape(heading)).ok(),
        Block::Paragraph(paragraph) => writeln!(out, "<p>{}</p>", escape(paragraph)).ok(),
        Block::Verdict(mark, sentence) => {
            let class = mark.kind.class();
            writeln!(out, "<p class=\"verdict {class}\">{} {}</p>", self::mark(mark), escape(sentence)).ok()
        }
        Block::List(items) => {
            let items: String = items.iter().map(|item| format!("<li>{}</li>\n", escape(item))).collect();
            writeln!(out, "<ul>\n{items}</ul>").ok()
        }
        Block::Table(head, rows) => {
            table(out, head, rows);
            None
        }
        Block::Card(card) => {
            self::card(out, card);
            None
        }
    };
}

fn mark(mark: &Mark) -> String {
    format!("<strong class=\"mark {}\">{} {}</strong>", mark.kind.class(), mark.kind.sign(), escape(&mark.label))
}

fn table(out: &mut String, head: &[String], rows: &[Vec<Cell>]) {
    let names: String = head.iter().map(|name| format!("<th scope=\"col\">{}</th>", escape(name))).collect();
    let class = if head.len() == 2 { " class=\"pairs\"" } else { "" };
    writeln!(out, "<table{class}>\n<thead><tr>{names}</tr></thead>\n<tbody>").ok();
    for row in rows {
        out.push_str("<tr>");
        for (cell, name) in row.iter().zip(head) {
            let inner = match cell {
                Cell::Text(told) => escape(told),
                Cell::Short(told) => format!("<span class=\"short\">{}</span>", escape(told)),
                Cell::Code(read) => format!("<code>{}</code>", escape(read)),
                Cell::Mark(one) => mark(one),
            };
            // On a narrow screen each cell is a line with its column's name.
            write!(out, "<td data-name=\"{}\"><div>{inner}</div></td>", escape(name)).ok();
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n");
}

fn card(out: &mut String, card: &Card) {
    let class = card.mark.kind.class();
    let (mark, check, subject) = (mark(&card.mark), escape(&card.check), escape(&card.subject));
    writeln!(out, "<section class=\"card {class}\">\n<h3>{mark} <code>{check}</code> <span>{subject}</span></h3>").ok();
    writeln!(out, "<p class=\"summary\">{}</p>\n<dl>", escape(&card.summary)).ok();
    for (name, told) in &card.rows {
        writeln!(out, "<dt>{name}</dt><dd>{}</dd>", escape(told)).ok();
    }
    if !card.evidence.1.is_empty() {
        writeln!(out, "<dt>{}</dt><dd>", card.evidence.0).ok();
        for (source, read) in &card.evidence.1 {
            writeln!(out, "<div class=\"seen\"><b>{}</b> <code>{}</code></div>", escape(source), escape(read)).ok();
        }
        out.push_str("</dd>\n");
    }
    out.push_str("</dl>\n");
    if let Some(more) = &card.more {
        writeln!(out, "<p class=\"more\">{}</p>", escape(more)).ok();
    }
    out.push_str("</section>\n");
}

/// A text that is text in every place: between tags, and in an attribute's quotes.
fn escape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for one in safe(raw).chars() {
        match one {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '`' => out.push_str("&#96;"),
            _ => out.push(one),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::HOSTILE;

    #[test]
    fn chk_hostile_text_stays_text() {
        for hostile in HOSTILE {
            let written = escape(hostile);
            assert!(!written.contains(['<', '>', '"', '\'', '`']) && !written.contains('\n'), "{written}");
            assert!(written.chars().all(|one| !one.is_control()), "{written}");
            for (at, _) in written.match_indices('&') {
                let known = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;", "&#96;"];
                assert!(known.iter().any(|entity| written[at..].starts_with(entity)), "{written}");
            }
        }
    }

    #[test]
    fn chk_the_style_asks_nobody_for_anything() {
        for word in ["url(", "@import", "http", "</style", "expression("] {
            assert!(!STYLE.contains(word), "{word}");
        }
        for word in ["prefers-color-scheme: dark", "@media print", "max-width"] {
            assert!(STYLE.contains(word), "{word}");
        }
    }
}
