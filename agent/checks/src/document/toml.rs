//! TOML, from the spanned tables of the `toml` crate, which holds its own recursion within bounds.

use super::Broken;
use super::build::{Builder, broken, line_number};
use super::{DEPTH_MAX, Documents};
use cloud_doctor_proto::finding::Words;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

pub(super) fn read(text: &str) -> Documents {
    let lines = Lines::of(text);
    let mut builder = Builder::default();
    let taken = match DeTable::parse(text) {
        Ok(table) => take_table(&mut builder, &lines, table.get_ref(), 1, DEPTH_MAX + 1),
        Err(error) => Err(broken(lines.at(&error.span().unwrap_or_default()), &Words::same(error.message()))),
    };
    builder.end(taken.err())
}

/// Where lines begin, in bytes.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1).collect())
    }

    fn at(&self, span: &Range<usize>) -> u32 {
        line_number(self.0.partition_point(|begin| *begin <= span.start) + 1)
    }
}

/// `levels` more of them may open; the builder refuses one level earlier, with a sentence.
fn take_table(
    builder: &mut Builder,
    lines: &Lines,
    table: &DeTable<'_>,
    line: u32,
    levels: usize,
) -> Result<(), Broken> {
    builder.open_map(line, 0)?;
    // The crate keeps them sorted by name.
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    for (key, value) in entries {
        builder.scalar(lines.at(&key.span()), key.get_ref().clone().into_owned(), true, 0)?;
        take_value(builder, lines, value, levels)?;
    }
    builder.close();
    Ok(())
}

fn take_value(builder: &mut Builder, lines: &Lines, value: &Spanned<DeValue<'_>>, levels: usize) -> Result<(), Broken> {
    let line = lines.at(&value.span());
    let Some(levels) = levels.checked_sub(1) else { return Ok(()) };
    match value.get_ref() {
        DeValue::String(text) => builder.scalar(line, text.clone().into_owned(), true, 0),
        DeValue::Integer(integer) => builder.scalar(line, decimal(integer), false, 0),
        DeValue::Float(float) => builder.scalar(line, float.as_str().to_owned(), false, 0),
        DeValue::Boolean(flag) => builder.scalar(line, flag.to_string(), false, 0),
        DeValue::Datetime(time) => builder.scalar(line, time.to_string(), false, 0),
        DeValue::Table(table) => take_table(builder, lines, table, line, levels),
        DeValue::Array(items) => {
            builder.open_list(line, 0)?;
            for item in items {
                take_value(builder, lines, item, levels)?;
            }
            builder.close();
            Ok(())
        }
    }
}

/// `0x10` as `16`; what does not fit stays as it is written.
fn decimal(integer: &DeInteger<'_>) -> String {
    i64::from_str_radix(integer.as_str(), integer.radix())
        .map_or_else(|_| integer.as_str().to_owned(), |number| number.to_string())
}
