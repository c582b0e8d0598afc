//! The statistics of HAProxy: CSV whose first line names the columns. Columns are found by name, for each version has more
//! of them. It comes from a process that may be anything, so nothing is believed of its form.

use std::collections::BTreeMap;

/// Rows that are kept. An answer has 1 MiB at most, so more are junk.
const ROWS_MAX: usize = 20_000;
/// Columns of one row; HAProxy 3.0 has about 100.
const COLUMNS_MAX: usize = 400;

/// What a row is about, by its column `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Frontend,
    Backend,
    Server,
}

/// All rows.
#[derive(Debug, Default)]
pub(super) struct Table {
    columns: BTreeMap<String, usize>,
    rows: Vec<Vec<String>>,
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    table: &'a Table,
    fields: &'a [String],
}

impl Table {
    /// Reads what stands from `# pxname` on; nothing when that is missing.
    pub(super) fn parse(answer: &str) -> Option<Self> {
        let begin = if answer.starts_with("# pxname,") { 0 } else { answer.find("\n# pxname,")? + 1 };
        let mut rows = records(answer.get(begin..)?.strip_prefix("# ")?);
        let names = rows.next()?;
        let columns = names.into_iter().enumerate().map(|(at, name)| (name, at)).collect();
        Some(Self { columns, rows: rows.take(ROWS_MAX).take_while(|row| row.len() > 1).collect() })
    }

    /// Rows of one kind.
    pub(super) fn rows(&self, kind: Kind) -> impl Iterator<Item = Row<'_>> {
        let wanted = match kind {
            Kind::Frontend => "0",
            Kind::Backend => "1",
            Kind::Server => "2",
        };
        self.rows.iter().map(|fields| Row { table: self, fields }).filter(move |row| row.text("type") == wanted)
    }
}

impl<'a> Row<'a> {
    /// A column; empty when it is missing.
    pub(super) fn text(self, column: &str) -> &'a str {
        let at = self.table.columns.get(column);
        at.and_then(|at| self.fields.get(*at)).map_or("", String::as_str)
    }

    /// A column that is a number.
    pub(super) fn number(self, column: &str) -> Option<f64> {
        self.text(column).parse::<u64>().ok().map(|number| {
            #[expect(clippy::cast_precision_loss, reason = "counters, judged as shares")]
            let number = number as f64;
            number
        })
    }

    /// The section's name.
    pub(super) fn proxy(self) -> &'a str {
        self.text("pxname")
    }

    /// As `lb` names it.
    pub(super) fn subject(self) -> String {
        match self.text("type") {
            "0" => format!("haproxy frontend {}", self.proxy()),
            "2" => format!("haproxy backend {}/{}", self.proxy(), self.text("svname")),
            _ => format!("haproxy backend {}", self.proxy()),
        }
    }

    /// Some columns, as evidence. What backends themselves have sent is never among them.
    pub(super) fn show(self, columns: &[&str]) -> String {
        let shown = columns.iter().map(|column| (column, self.text(column))).filter(|(_, text)| !text.is_empty());
        let shown = shown.map(|(column, text)| format!("{column}={text}")).collect::<Vec<_>>().join(" ");
        format!("{}/{} {shown}", self.proxy(), self.text("svname"))
    }
}

/// Records of CSV: fields in quotes may hold commas, line feeds, and quotes that are doubled.
fn records(text: &str) -> impl Iterator<Item = Vec<String>> + '_ {
    let mut rest = text.chars().peekable();
    std::iter::from_fn(move || {
        rest.peek()?;
        let (mut record, mut field, mut in_quotes) = (Vec::new(), String::new(), false);
        while let Some(one) = rest.next() {
            match one {
                '"' if in_quotes && rest.next_if_eq(&'"').is_some() => field.push('"'),
                '"' => in_quotes = !in_quotes,
                ',' if !in_quotes => {
                    if record.len() < COLUMNS_MAX {
                        record.push(std::mem::take(&mut field));
                    }
                }
                '\n' if !in_quotes => break,
                '\r' if !in_quotes => {}
                other => field.push(other),
            }
        }
        record.push(field);
        Some(record)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lb_12_statistics_are_read_by_the_names_of_their_columns() {
        let answer = "Uptime_sec: 7\n\n# pxname,svname,qcur,last_chk,status,type,\nweb,FRONTEND,,,OPEN,0,\nweb,web1,3,\"a \"\"b\"\", c\nd\",DOWN,2,\nweb,BACKEND,x,,UP,1,\n\n";
        let table = Table::parse(answer).unwrap();
        let server = table.rows(Kind::Server).next().unwrap();
        assert_eq!((server.subject().as_str(), server.text("status")), ("haproxy backend web/web1", "DOWN"));
        assert_eq!(
            (server.text("last_chk"), server.number("qcur"), server.text("nothing")),
            ("a \"b\", c\nd", Some(3.0), "")
        );
        assert_eq!(server.show(&["status", "nothing"]), "web/web1 status=DOWN");
        let backend = table.rows(Kind::Backend).next().unwrap();
        assert_eq!((backend.subject().as_str(), backend.number("qcur")), ("haproxy backend web", None));
        assert_eq!(table.rows(Kind::Frontend).count(), 1);
    }

    #[test]
    fn chk_11_hostile_statistics_are_survived() {
        for bad in ["", "# pxname", "Unknown command", "#\n", "pxname,svname\n"] {
            assert!(Table::parse(bad).is_none(), "{bad}");
        }
        for odd in ["# pxname,type\n\"web,2\n", "# pxname,type\n,,,,,,,,\n2,2,2,2\n", "# pxname,\u{fffd}\n\"\"\"\"\"\n"]
        {
            let table = Table::parse(odd).unwrap();
            assert_eq!(
                table.rows(Kind::Server).map(|row| row.show(&["status", "x"])).filter(|text| text.is_empty()).count(),
                0
            );
        }
        let wide = format!("# pxname,type\n{}\n", "2,".repeat(500_000));
        assert_eq!(Table::parse(&wide).unwrap().rows[0].len(), COLUMNS_MAX + 1);
    }
}
