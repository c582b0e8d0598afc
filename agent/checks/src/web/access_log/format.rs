//! Forms of access logs: nginx's `log_format` strings, and `combined` and `common`, which Apache writes too. A line is cut
//! at the fixed texts between variables; no line is worth more than one pass.

use super::time;

/// `combined` of nginx; Apache's is the same.
const COMBINED: &str = r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent""#;
/// `common` of Apache.
const COMMON: &str = r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent"#;
/// `vhost_combined` of Debian's Apache.
const VHOST: &str = r#"$host:$server_port $remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent""#;

/// Longest path and agent that are kept of a request.
const TEXT_CHARS_MAX: usize = 200;

/// What one request left.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Record {
    /// Seconds since 1970.
    pub(crate) time: f64,
    pub(crate) source: String,
    /// The name or port that was asked, where the log has one.
    pub(crate) host: String,
    pub(crate) method: String,
    /// Without what stands behind `?`, which can hold secrets.
    pub(crate) path: String,
    pub(crate) status: u16,
    pub(crate) agent: String,
    /// How long it took, where the log has it.
    pub(crate) secs: Option<f64>,
}

/// What a variable means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Source,
    Local,
    Iso,
    Millis,
    Request,
    Method,
    Path,
    Status,
    Agent,
    Secs,
    Host,
    Other,
}

/// A form of lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Format {
    /// What stands before the first variable.
    begin: String,
    /// Each variable with the text behind it.
    fields: Vec<(Field, String)>,
}

impl Format {
    /// `combined`.
    pub(super) fn combined() -> Self {
        Self::new(COMBINED)
    }

    /// What Apache and nginx write where nobody says otherwise, to be tried in this order.
    pub(super) fn usual() -> Vec<Self> {
        [COMBINED, VHOST, COMMON].map(Self::new).to_vec()
    }

    /// A `log_format` string of nginx.
    pub(super) fn new(text: &str) -> Self {
        let mut parts = text.split('$');
        let mut format = Self { begin: parts.next().unwrap_or_default().to_owned(), fields: Vec::new() };
        for part in parts {
            let (name, behind) = match part.strip_prefix('{').and_then(|part| part.split_once('}')) {
                Some(braced) => braced,
                None => {
                    let end = part.find(|one: char| !one.is_ascii_alphanumeric() && one != '_').unwrap_or(part.len());
                    part.split_at(end)
                }
            };
            format.fields.push((field(name), behind.to_owned()));
        }
        format
    }

    /// Whether its lines tell when, what and with which result.
    pub(super) fn is_enough(&self) -> bool {
        let has = |wanted: Field| self.fields.iter().any(|(field, _)| *field == wanted);
        let time = has(Field::Local) || has(Field::Iso) || has(Field::Millis);
        time && has(Field::Status) && (has(Field::Request) || has(Field::Path))
    }

    /// Whether its lines tell how long requests took.
    pub(super) fn has_secs(&self) -> bool {
        self.fields.iter().any(|(field, _)| *field == Field::Secs)
    }

    /// Reads a line; nothing when it is of another form.
    pub(super) fn read(&self, line: &str) -> Option<Record> {
        let mut rest = line.strip_prefix(self.begin.as_str())?;
        let mut record = Record::default();
        let mut timed = false;
        for (field, behind) in &self.fields {
            let end = if behind.is_empty() { rest.len() } else { find(rest, behind)? };
            let (value, after) = rest.split_at_checked(end)?;
            rest = after.get(behind.len()..)?;
            match field {
                Field::Local | Field::Iso | Field::Millis if timed => {}
                Field::Local => (record.time, timed) = (seconds(time::local(value)?), true),
                Field::Iso => (record.time, timed) = (seconds(time::iso(value)?), true),
                Field::Millis => {
                    (record.time, timed) = (value.parse().ok().filter(|secs| *secs > 0.0 && *secs < 1e11)?, true)
                }
                Field::Source if value.contains(char::is_whitespace) => return None,
                Field::Source => record.source = kept(value),
                Field::Host => record.host = kept(value),
                Field::Request => {
                    let mut words = value.split(' ');
                    record.method = kept(words.next().unwrap_or_default());
                    record.path = path(words.next().unwrap_or_default());
                }
                Field::Method => record.method = kept(value),
                Field::Path => record.path = path(value),
                Field::Status => record.status = value.trim().parse().ok()?,
                Field::Agent => record.agent = kept(value),
                Field::Secs => record.secs = value.parse().ok().filter(|secs| (0.0..1e9).contains(secs)),
                Field::Other => {}
            }
        }
        (timed && record.status != 0).then_some(record)
    }
}

fn field(name: &str) -> Field {
    match name {
        "remote_addr" | "realip_remote_addr" => Field::Source,
        "time_local" => Field::Local,
        "time_iso8601" => Field::Iso,
        "msec" => Field::Millis,
        "request" => Field::Request,
        "request_method" => Field::Method,
        "request_uri" | "uri" => Field::Path,
        "status" => Field::Status,
        "http_user_agent" => Field::Agent,
        "request_time" => Field::Secs,
        "host" | "http_host" | "server_name" => Field::Host,
        _ => Field::Other,
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are exact in 53 bits")]
fn seconds(whole: i64) -> f64 {
    whole as f64
}

fn kept(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

fn path(text: &str) -> String {
    kept(text.split(['?', ';']).next().unwrap_or_default())
}

/// Where `end` stands first in `text`; a quote behind a backslash is part of the value (`escape=json`).
fn find(text: &str, end: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + text.get(from..)?.find(end)?;
        let backslashes = text.get(..at)?.bytes().rev().take_while(|byte| *byte == b'\\').count();
        if !end.starts_with('"') || backslashes % 2 == 0 {
            return Some(at);
        }
        from = at + 1;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn shown(record: Option<Record>) -> String {
        let Some(Record { time, source, host, method, path, status, agent, secs }) = record else {
            return "none".into();
        };
        let secs = secs.map(|secs| format!(" {secs}")).unwrap_or_default();
        format!("{time} {source} {host} {method} {path} {status} {agent}{secs}")
    }

    #[test]
    fn lb_27_lines_are_read_by_their_form() {
        let usual = r#"10.0.0.7 - - [01/Jan/2026:08:00:00 +0800] "GET /a?token=x HTTP/1.1" 200 612 "-" "curl/8""#;
        let timed =
            r#"$remote_addr [$time_local] "$request" $status $request_time $upstream_response_time "$http_user_agent""#;
        let json = r#"{"t":"$time_iso8601","ip":"$remote_addr","m":"$request_method","u":"$request_uri","s":$status,"rt":$request_time,"ua":"$http_user_agent","h":"$host"}"#;
        for (format, line, expected) in [
            (COMBINED, usual, "1767225600 10.0.0.7  GET /a 200 curl/8"),
            (COMMON, usual, "1767225600 10.0.0.7  GET /a 200 "),
            (
                COMBINED,
                r#"::1 - bob [01/Jan/2026:00:00:00 +0000] "OPTIONS / HTTP/1.0" 200 0 "-" "-""#,
                "1767225600 ::1  OPTIONS / 200 -",
            ),
            // What a scanner sends in place of a request, escaped by nginx.
            (
                COMBINED,
                r#"1.2.3.4 - - [01/Jan/2026:00:00:00 +0000] "\x16\x03\x22 x" 400 0 "-" "-""#,
                r"1767225600 1.2.3.4  \x16\x03\x22 x 400 -",
            ),
            (COMBINED, r#"1.2.3.4 - - [01/Jan/2026:00:00:00 +0000] "" 400 0 "-" "-""#, "1767225600 1.2.3.4    400 -"),
            (
                VHOST,
                r#"a.example:443 1.2.3.4 - - [01/Jan/2026:00:00:00 +0000] "HEAD /h HTTP/1.1" 301 0 "-" "a \"b\" c""#,
                r#"1767225600 1.2.3.4 a.example HEAD /h 301 a \"b\" c"#,
            ),
            (
                COMBINED,
                r#"a.example:443 1.2.3.4 - - [01/Jan/2026:00:00:00 +0000] "HEAD /h HTTP/1.1" 301 0 "-" "x""#,
                "none",
            ),
            (
                timed,
                r#"1.2.3.4 [01/Jan/2026:00:00:00 +0000] "GET / HTTP/1.1" 200 0.250 0.249, 0.001 "x""#,
                "1767225600 1.2.3.4  GET / 200 x 0.25",
            ),
            (
                timed,
                r#"1.2.3.4 [01/Jan/2026:00:00:00 +0000] "GET / HTTP/1.1" 200 - - "x""#,
                "1767225600 1.2.3.4  GET / 200 x",
            ),
            (
                json,
                r#"{"t":"2026-01-01T08:00:00+08:00","ip":"1.2.3.4","m":"GET","u":"/q?p=1","s":502,"rt":1.5,"ua":"a\",\"h\":\"evil","h":"b.example"}"#,
                r#"1767225600 1.2.3.4 b.example GET /q 502 a\",\"h\":\"evil 1.5"#,
            ),
            ("$msec $status ${request_uri}", "1767225600.125 404 /x", "1767225600.125    /x 404 "),
            (COMBINED, "", "none"),
            (COMBINED, "garbage", "none"),
            (COMBINED, r#"1.2.3.4 - - [never] "GET / HTTP/1.1" 200 1 "-" "-""#, "none"),
            (COMBINED, r#"1.2.3.4 - - [01/Jan/2026:00:00:00 +0000] "GET / HTTP/1.1" 20000000 1 "-" "-""#, "none"),
        ] {
            assert_eq!(shown(Format::new(format).read(line)), expected, "{format} {line}");
        }
    }

    #[test]
    fn lb_27_a_form_without_time_or_status_is_not_enough() {
        for (format, enough, secs) in [
            (COMBINED, true, false),
            (COMMON, true, false),
            ("$request $status", false, false),
            ("[$time_local] $request_time", false, true),
            ("$msec $request_method $uri $status $request_time", true, true),
            ("", false, false),
            ("$", false, false),
        ] {
            let format = Format::new(format);
            assert_eq!((format.is_enough(), format.has_secs()), (enough, secs), "{format:?}");
        }
    }

    #[test]
    fn chk_01_a_hostile_line_takes_one_pass() {
        let line = format!("{} \"", "\\\"".repeat(1 << 20));
        assert_eq!(Format::new("\"$request\" $time_local $status").read(&format!("\"{line}")), None);
    }
}
