//! The access logs of this host, once for all checks: where nginx's configuration says they are, and the usual places.
//! Only their ends are read, and the rotated `.1` before them; never more than 8 MiB in all (CHK-01).

mod format;
pub(crate) mod time;

pub(crate) use format::Record;

use crate::found::Gap;
use crate::host::Host;
use crate::lb::nginx::{Instance, instances, visit};
use crate::words;
use cloud_doctor_proto::finding::Words;
use cloud_doctor_proto::time::UnixTime;
use format::Format;
use std::collections::BTreeMap;

const DAY_SECS: f64 = 86_400.0;
/// Of each file.
const TAIL_BYTES: u64 = 2 << 20;
/// Of all files.
const ALL_BYTES: u64 = 8 << 20;
/// Logs that are looked at.
const LOGS_MAX: usize = 12;
/// Where logs are when no nginx names them.
const USUAL: [&str; 6] = [
    "/var/log/nginx/access.log",
    "/usr/local/nginx/logs/access.log",
    "/var/log/apache2/access.log",
    "/var/log/apache2/other_vhosts_access.log",
    "/var/log/httpd/access_log",
    "/var/log/httpd/ssl_access_log",
];

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    pub(crate) logs: Vec<Log>,
    /// Files that could not be read, or whose form does not tell enough.
    pub(crate) troubles: Vec<(String, Words)>,
}

/// One log's end.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) path: String,
    /// In the order of the file; never empty.
    pub(crate) records: Vec<Record>,
    /// Whether its form tells how long requests took.
    pub(crate) has_secs: bool,
}

impl Log {
    /// Seconds since 1970 of the last request.
    pub(crate) fn newest(&self) -> f64 {
        self.records.iter().map(|record| record.time).fold(0.0, f64::max)
    }

    /// The requests of the last `secs` seconds before the last one, and how many seconds of them the log has.
    pub(crate) fn window(&self, secs: f64) -> (Vec<&Record>, f64) {
        let newest = self.newest();
        let oldest = self.records.iter().map(|record| record.time).fold(newest, f64::min);
        let inside = self.records.iter().filter(|record| record.time > newest - secs).collect();
        (inside, secs.min(newest - oldest))
    }

    /// Whether nothing was logged for `secs` seconds. A copied root has no now: its logs are as new as they are.
    pub(crate) fn is_stale(&self, host: &Host, secs: f64) -> bool {
        host.is_live() && seconds(host.now()) - self.newest() > secs
    }
}

/// The access logs of this host.
///
/// # Errors
/// [`Gap::NotHere`] when there are none; [`Gap::Unknown`] when none could be read.
pub(crate) fn logs(host: &Host) -> Result<&Logs, Gap> {
    let logs = host.memo.access_logs.get_or_init(|| read_all(host));
    match (logs.logs.is_empty(), logs.troubles.first()) {
        (true, Some((_, why))) => Err(Gap::Unknown(why.clone())),
        (true, None) => {
            Err(Gap::NotHere(words!("no access log with requests is here", "此主机没有含请求记录的访问日志")))
        }
        (false, _) => Ok(logs),
    }
}

/// Where logs are, and their forms.
fn places(host: &Host) -> BTreeMap<String, Vec<Format>> {
    let mut places: BTreeMap<String, Vec<Format>> = BTreeMap::new();
    for instance in instances(host).unwrap_or_default() {
        named(instance, &mut places);
    }
    for path in USUAL {
        places.entry(path.to_owned()).or_insert_with(Format::usual);
    }
    places
}

/// The logs that a configuration names.
fn named(instance: &Instance, places: &mut BTreeMap<String, Vec<Format>>) {
    let mut formats: BTreeMap<&str, Format> = BTreeMap::from([("combined", Format::combined())]);
    visit(&instance.tree, &mut |_, directive| {
        if let ("log_format", Some((name, parts))) = (directive.name.as_str(), directive.args.split_first()) {
            let escape = parts.first().is_some_and(|part| part.starts_with("escape="));
            let text: String = parts.iter().skip(usize::from(escape)).map(String::as_str).collect();
            formats.insert(name, Format::new(&text));
        }
    });
    visit(&instance.tree, &mut |chain, directive| {
        let in_http = chain.first().is_some_and(|root| root.name == "http");
        let ("access_log", Some(path), true) = (directive.name.as_str(), directive.arg(0), in_http) else { return };
        let is_file =
            path != "off" && !path.starts_with("syslog:") && !path.starts_with("/dev/") && !path.contains('$');
        let name = directive.arg(1).filter(|name| !name.contains('=')).unwrap_or("combined");
        if let (true, Some(format)) = (is_file, formats.get(name)) {
            let forms = places.entry(instance.path(path)).or_default();
            // Servers may share a file and not its form.
            if forms.len() < LOGS_MAX && !forms.contains(format) {
                forms.push(format.clone());
            }
        }
    });
}

fn read_all(host: &Host) -> Logs {
    let mut all = Logs::default();
    let mut left = ALL_BYTES;
    let mut texts: Vec<(String, Vec<Format>, String)> = Vec::new();
    for (path, forms) in places(host) {
        if texts.len() == LOGS_MAX || left == 0 {
            break;
        }
        let enough = forms.iter().filter(|form| form.is_enough()).cloned().collect::<Vec<_>>();
        match host.tail(&path, TAIL_BYTES.min(left)) {
            Ok(_) if enough.is_empty() => {
                let why = words!(
                    "the log_format of {path} has no time, request and status",
                    "{path} 的 log_format 缺少时间、请求或状态码"
                );
                all.troubles.push((path, why));
            }
            Ok(text) => {
                left = left.saturating_sub(bytes(&text));
                texts.push((path, enough, text));
            }
            Err(Gap::NotHere(_)) => {}
            Err(Gap::Unknown(why)) => all.troubles.push((path, why)),
        }
    }
    for (path, forms, text) in texts {
        // What was logged before the last rotation, where the log itself is still short.
        let room = TAIL_BYTES.saturating_sub(bytes(&text)).min(left);
        let older = if room > 0 { host.tail(&format!("{path}.1"), room).unwrap_or_default() } else { String::new() };
        left = left.saturating_sub(bytes(&older));
        match log(host, &path, &forms, older.lines().chain(text.lines())) {
            Ok(log) => all.logs.extend(log),
            Err(why) => all.troubles.push((path, why)),
        }
    }
    all
}

/// The requests of one log; nothing when it is empty, and why when all of it is of another form.
fn log<'a>(
    host: &Host,
    path: &str,
    forms: &[Format],
    lines: impl Iterator<Item = &'a str>,
) -> Result<Option<Log>, Words> {
    let mut is_empty = true;
    let read = |line: &str| {
        is_empty = false;
        forms.iter().find_map(|form| form.read(line))
    };
    let mut records: Vec<Record> = lines.filter_map(read).collect();
    // A line from the future would make all others old.
    records.retain(|record| !host.is_live() || record.time <= seconds(host.now()) + DAY_SECS);
    match (records.is_empty(), is_empty) {
        (false, _) => Ok(Some(Log { path: path.to_owned(), records, has_secs: forms.iter().any(Format::has_secs) })),
        (true, true) => Ok(None),
        (true, false) => {
            Err(words!("no line of {path} is of the form that was expected", "{path} 中没有符合预期格式的行"))
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are exact in 53 bits")]
fn seconds(time: UnixTime) -> f64 {
    time.0 as f64
}

fn bytes(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

/// A path as it may be shown: parts that look like a token are left out.
pub(crate) fn shown(path: &str) -> String {
    let parts = path.split('/').take(8).map(|part| if part.len() > 24 && !part.contains('.') { "*" } else { part });
    parts.collect::<Vec<_>>().join("/").chars().take(100).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;

    /// Lines of `combined`, one for each time in seconds before 2026-01-01 00:00:00 UTC, oldest first.
    pub(crate) fn line(before_secs: u64, source: &str, request: &str, status: u16, agent: &str) -> String {
        let at = 86_400 - before_secs.min(86_400);
        let (hour, minute, second) = (at / 3600, at / 60 % 60, at % 60);
        let day = if at == 86_400 { "01/Jan/2026:00".to_owned() } else { format!("31/Dec/2025:{hour:02}") };
        let (minute, second) = if at == 86_400 { (0, 0) } else { (minute, second) };
        format!("{source} - - [{day}:{minute:02}:{second:02} +0000] \"{request}\" {status} 5 \"-\" \"{agent}\"\n")
    }

    fn paths(fixture: &Fixture) -> Vec<(String, usize)> {
        logs(&fixture.host())
            .map(|logs| logs.logs.iter().map(|log| (log.path.clone(), log.records.len())).collect())
            .unwrap_or_default()
    }

    #[test]
    fn lb_27_logs_are_found_where_they_are_written() {
        let one = line(5, "10.0.0.1", "GET / HTTP/1.1", 200, "x");
        let config = |text: &str| Fixture::live().file("/etc/nginx/nginx.conf", text);
        let other = "log_format short escape=json '$msec ' '$status $uri'; ";
        for (fixture, expected) in [
            (Fixture::live().file("/var/log/httpd/access_log", &one), vec![("/var/log/httpd/access_log", 1)]),
            (config("http { access_log /srv/a.log; }").file("/srv/a.log", &one), vec![("/srv/a.log", 1)]),
            (
                config("http { access_log logs/a.log combined buffer=32k; }").file("/etc/nginx/logs/a.log", &one),
                vec![("/etc/nginx/logs/a.log", 1)],
            ),
            (
                config(&format!("http {{ {other} server {{ access_log /srv/b.log short; }} }}"))
                    .file("/srv/b.log", "1767225600.5 200 /\nx\n"),
                vec![("/srv/b.log", 1)],
            ),
            (config("http { access_log /srv/$host.log; access_log off; access_log syslog:server=10.0.0.1; }"), vec![]),
            (
                Fixture::live()
                    .file("/var/log/nginx/access.log", &one)
                    .file("/var/log/nginx/access.log.1", format!("half\n{one}{one}")),
                vec![("/var/log/nginx/access.log", 3)],
            ),
        ] {
            let expected: Vec<_> = expected.into_iter().map(|(path, count)| (path.to_owned(), count)).collect();
            assert_eq!(paths(&fixture), expected);
        }
    }

    #[test]
    fn lb_27_what_cannot_be_read_is_told() {
        assert!(matches!(logs(&Fixture::live().host()), Err(Gap::NotHere(_))));
        assert!(matches!(logs(&Fixture::live().file("/var/log/nginx/access.log", "").host()), Err(Gap::NotHere(_))));
        assert!(matches!(
            logs(&Fixture::live().file("/var/log/nginx/access.log", "what\n").host()),
            Err(Gap::Unknown(_))
        ));
        let poor = "http { log_format poor '$request'; access_log /srv/a.log poor; }";
        let poor = Fixture::live().file("/etc/nginx/nginx.conf", poor).file("/srv/a.log", "x\n");
        assert!(matches!(logs(&poor.host()), Err(Gap::Unknown(_))));
        let future = "1.2.3.4 - - [01/Jan/9999:00:00:00 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"x\"\n";
        let one = line(5, "10.0.0.1", "GET / HTTP/1.1", 200, "x");
        let mixed = Fixture::live().file("/var/log/nginx/access.log", format!("{one}{future}"));
        assert_eq!(paths(&mixed), [("/var/log/nginx/access.log".to_owned(), 1)]);
    }

    #[test]
    fn chk_01_only_the_ends_of_logs_are_read() {
        let one = line(5, "10.0.0.1", "GET / HTTP/1.1", 200, "x");
        let many = one.repeat(3 * (1 << 20) / one.len());
        let mut fixture = Fixture::live();
        for path in USUAL {
            fixture = fixture.file(path, &many).file(&format!("{path}.1"), &many);
        }
        let read: usize = paths(&fixture).iter().map(|(_, count)| count * one.len()).sum();
        assert!(read > 7 << 20 && read <= 8 << 20, "{read}");
    }

    #[test]
    fn chk_04_logs_of_junk_are_no_panic() {
        let junk: Vec<u8> = (0..200_000_u32).map(|at| u8::try_from(at * 7 % 251).unwrap_or(0)).collect();
        assert!(matches!(logs(&Fixture::live().file("/var/log/nginx/access.log", junk).host()), Err(Gap::Unknown(_))));
    }

    #[test]
    fn what_looks_like_a_token_is_not_shown() {
        assert_eq!(shown("/reset/0123456789abcdef0123456789/x"), "/reset/*/x");
        assert_eq!(shown("/static/a-very-long-file-name-indeed.js"), "/static/a-very-long-file-name-indeed.js");
    }
}
