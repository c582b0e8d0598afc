//! YAML 1.2, and JSON as a part of it, from the events of `saphyr-parser`.

use super::Broken;
use super::Documents;
use super::build::{Builder, broken, line_number};
use cloud_doctor_proto::finding::Words;
use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use std::borrow::Cow;

pub(super) fn read(text: &str) -> Documents {
    let text = whole_characters(text);
    let mut builder = Builder::default();
    for event in Parser::new_from_str(&text) {
        let taken = match event {
            Ok((event, span)) => take(&mut builder, event, line_number(span.start.line())),
            Err(error) => Err(broken(line_number(error.marker().line()), &Words::same(error.info()))),
        };
        if let Err(broken) = taken {
            return builder.end(Some(broken));
        }
    }
    builder.end(None)
}

fn take(builder: &mut Builder, event: Event<'_>, line: u32) -> Result<(), Broken> {
    match event {
        Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => Ok(()),
        Event::Alias(anchor) => builder.alias(line, anchor),
        Event::Scalar(text, style, anchor, tag) => {
            builder.scalar(line, text.into_owned(), is_text(style, tag.as_deref()), anchor)
        }
        Event::SequenceStart(anchor, _) => builder.open_list(line, anchor),
        Event::MappingStart(anchor, _) => builder.open_map(line, anchor),
        Event::SequenceEnd | Event::MappingEnd => {
            builder.close();
            Ok(())
        }
    }
}

/// Whether a scalar is text whatever it looks like: in quotes, a block, or said to be (`!!str 5`).
fn is_text(style: ScalarStyle, tag: Option<&Tag>) -> bool {
    let said = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
    match style {
        ScalarStyle::Plain => said,
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted | ScalarStyle::Literal | ScalarStyle::Folded => true,
    }
}

/// JSON writes characters outside of the first plane as two halves (`\ud83d\ude00`), which YAML does not know.
fn whole_characters(text: &str) -> Cow<'_, str> {
    let is_json = text.trim_start().starts_with(['{', '[']);
    if !is_json || !["\\ud", "\\uD"].iter().any(|half| text.contains(half)) {
        return Cow::Borrowed(text);
    }
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        whole.push_str(before);
        let (character, width) = match (unit(escape), unit(escape.get(6..).unwrap_or_default())) {
            (Some(high @ 0xd800..=0xdbff), Some(low @ 0xdc00..=0xdfff)) => {
                (char::decode_utf16([high, low]).next().and_then(Result::ok), 12)
            }
            (Some(0xd800..=0xdfff), _) => (Some(char::REPLACEMENT_CHARACTER), 6),
            // The backslash and what it stands before, of any width.
            (_, _) => (None, 1 + escape.chars().nth(1).map_or(0, char::len_utf8)),
        };
        match character {
            Some(character) => whole.push(character),
            None => whole.push_str(&escape[..width]),
        }
        rest = &escape[width..];
    }
    whole.push_str(rest);
    Cow::Owned(whole)
}

/// The 16 bits of an escape `\uXXXX` at the beginning of `text`.
fn unit(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}
