//! A history as CSV (RFC 4180), which a spreadsheet opens without running anything that a server wrote.

use cloud_doctor::relay_api::History;
use cloud_doctor_proto::audit::rfc3339;
use cloud_doctor_proto::metrics::Series;
use cloud_doctor_proto::refusal::one_line;
use cloud_doctor_proto::time::UnixTime;

/// More than the texts of a series have together.
const TEXT_CHARS_MAX: usize = 2_000;

/// The head, then a row for each series and interval in which something is known.
pub(super) fn text(history: &History) -> String {
    let mut out = "time,name,attributes,unit,min,mean,max\r\n".to_owned();
    for range in &history.ranges {
        let Some(series) = usize::try_from(range.series).ok().and_then(|number| history.table.get(number)) else {
            continue;
        };
        let labels = labels(series);
        let mut at = range.from;
        for ((min, mean), max) in range.min.iter().zip(&range.mean).zip(&range.max) {
            if mean.is_finite() {
                out.push_str(&format!("{}{labels}{min},{mean},{max}\r\n", time(at)));
            }
            at = at.saturating_add(u64::from(range.step));
        }
    }
    out
}

fn time(millis: u64) -> String {
    let text = rfc3339(UnixTime(millis / 1_000));
    format!("{}.{:03}Z,", text.trim_end_matches('Z'), millis % 1_000)
}

fn labels(series: &Series) -> String {
    let attributes: Vec<String> = series.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
    [series.name.as_str(), &attributes.join(" "), &series.unit].map(|text| cell(text) + ",").concat()
}

/// A cell of text. One that begins as a formula does is made a text by an apostrophe: spreadsheets would run it.
fn cell(text: &str) -> String {
    let text = one_line(text, TEXT_CHARS_MAX);
    let formula = text.starts_with(['=', '+', '-', '@']);
    let text = if formula { format!("'{text}") } else { text };
    if text.contains([',', '"']) || formula { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_02_a_cell_is_never_a_formula() {
        for (text, expected) in [
            ("system.cpu.time", "system.cpu.time"),
            ("=cmd|' /C calc'!A0", "\"'=cmd|' /C calc'!A0\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("\t=1", "\\u{9}=1"),
            ("a,\"b\"", "\"a,\"\"b\"\"\""),
        ] {
            assert_eq!(cell(text), expected);
        }
        assert_eq!(time(1_800_000_000_042), "2027-01-15T08:00:00.042Z,");
    }
}
