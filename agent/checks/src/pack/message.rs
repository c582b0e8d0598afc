//! Sentences with values in braces: `{item.name} is noticed after {down|duration}`.

use super::rule::{Inputs, Rule};
use crate::number::{size_of, span};
use crate::words;
use cloud_doctor_proto::finding::Words;
use cloud_doctor_proto::refusal::one_line;

/// Characters of a value in a sentence.
const VALUE_CHARS_MAX: usize = 200;
/// Values of one sentence.
const VALUES_MAX: usize = 20;

/// A sentence, ready to be filled.
#[derive(Debug)]
pub(super) struct Message(Vec<Part>);

#[derive(Debug)]
enum Part {
    Text(String),
    Value(Box<Rule>, Form),
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    /// Of milliseconds.
    Duration,
    Bytes,
    Percent,
}

impl Message {
    /// Reads a sentence.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn new(text: &str) -> Result<Self, Words> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at(at);
            parts.push(Part::Text(before.to_owned()));
            let inside = brace.strip_prefix('{').and_then(|inside| inside.split_once('}'));
            let Some((source, after)) = inside else {
                return Err(words!("a brace is not closed, or stands alone, in: {text}", "花括号不成对：{text}"));
            };
            parts.push(value(source)?);
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        if parts.len() > 2 * VALUES_MAX + 1 {
            return Err(words!("more than {VALUES_MAX} values in one text", "一段文本中的值超过 {VALUES_MAX} 个"));
        }
        Ok(Self(parts))
    }

    /// The sentence with its values.
    ///
    /// # Errors
    /// A value cannot be had.
    pub(super) fn fill(&self, inputs: &Inputs<'_>) -> Result<String, Words> {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Value(rule, form) => {
                    let value = match form {
                        Form::Plain => rule.text(inputs)?,
                        Form::Duration => span(rule.number(inputs)? / 1000.0),
                        Form::Bytes => size_of(rule.number(inputs)?),
                        Form::Percent => format!("{:.1}%", rule.number(inputs)?),
                    };
                    out.push_str(&one_line(&value, VALUE_CHARS_MAX));
                }
            }
        }
        Ok(out)
    }
}

fn value(source: &str) -> Result<Part, Words> {
    // `a || b` is an expression, `a | b` is a value in a form.
    let bar = source.rfind('|').filter(|at| !source[..*at].ends_with('|'));
    let (source, form) = match bar {
        None => (source, Form::Plain),
        Some(at) => {
            let form = match source[at + 1..].trim() {
                "duration" => Form::Duration,
                "bytes" => Form::Bytes,
                "percent" => Form::Percent,
                other => {
                    let other = one_line(other, 40);
                    return Err(words!(
                        "there is no form {other}; there are duration (of milliseconds), bytes and percent",
                        "没有格式 {other}，可用：duration（毫秒）、bytes、percent"
                    ));
                }
            };
            (&source[..at], form)
        }
    };
    Ok(Part::Value(Box::new(Rule::new(source.trim())?), form))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn values_stand_in_sentences_as_people_read_them() {
        let map = json!({"down": 1_800_000, "n": 2.5, "name": "a\u{1b}b", "big": 5_368_709_120_i64, "yes": true});
        let inputs = Inputs::new(map.as_object().unwrap().clone()).unwrap();
        for (text, expected) in [
            ("plain", "plain"),
            ("{down|duration} of {n}", "30 min of 2.5"),
            ("{big|bytes}, {n | percent}", "5 GiB, 2.5%"),
            ("{yes || false}", "true"),
            ("{size(name)}", "3"),
        ] {
            assert_eq!(Message::new(text).unwrap().fill(&inputs).unwrap(), expected, "{text}");
        }
        assert!(!Message::new("{name}").unwrap().fill(&inputs).unwrap().contains('\u{1b}'));
        for (text, part) in [
            ("{a", "brace"),
            ("a}", "brace"),
            ("{a|poem}", "no form poem"),
            ("{}", "no expression"),
            ("{a.map(x, x)}", "no map"),
        ] {
            assert!(Message::new(text).unwrap_err().en.contains(part), "{text}");
        }
        assert!(Message::new("{missing}").unwrap().fill(&inputs).is_err());
    }
}
