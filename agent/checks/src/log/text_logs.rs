//! The newest lines of text logs, with their age. Read once for all checks.
//!
//! A line's time has no zone that could be relied on. But all lines of one file are written in the same one, and the newest
//! was written when the file changed last: so a line is as old as the distance to the newest plus the age of the file.
//! Where no such log is in use, the journal is read as one.

use crate::found::Gap;
use crate::host::Host;
use crate::host::date::{self, civil, days_since_1970};
use crate::host::journal::Query;
use crate::words;
use cloud_doctor_proto::finding::Words;
use cloud_doctor_proto::time::{DAY_SECS, UnixTime};

/// Of each log, from its end.
pub(crate) const BYTES_MAX: u64 = 1 << 20;
/// Logs that are read.
const LOGS_MAX: usize = 12;
/// Entries of the journal that are read in place of one.
const ENTRIES_MAX: usize = 20_000;
/// A file that was not written to for longer is no log in use.
pub(crate) const IN_USE_SECS: u64 = DAY_SECS;

/// The first of these that is in use holds what services and the kernel say; others repeat parts of it.
const SYSTEM: [&str; 3] = ["/var/log/syslog", "/var/log/messages", "/var/log/kern.log"];
/// What services write by themselves.
const SERVICES: [&str; 8] = [
    "/var/log/nginx/*error*.log",
    "/usr/local/nginx/logs/*error*.log",
    "/usr/local/tengine/logs/*error*.log",
    "/usr/local/openresty/nginx/logs/*error*.log",
    "/var/log/haproxy.log",
    "/var/log/haproxy/*.log",
    "/var/log/apache2/*error*.log",
    "/var/log/httpd/*error_log",
];

/// All that are in use.
#[derive(Debug, Default)]
pub(crate) struct TextLogs {
    /// What services and the kernel say.
    pub(crate) system: Option<TextLog>,
    /// What services write by themselves.
    pub(crate) services: Vec<TextLog>,
    /// What could not be read.
    pub(crate) unread: Vec<Words>,
    /// What was left out of the journal.
    pub(crate) left_out: Option<Words>,
}

/// One log.
#[derive(Debug)]
pub(crate) struct TextLog {
    pub(crate) path: String,
    text: String,
    is_whole: bool,
    /// Seconds since its newest line.
    newest_age: u64,
    newest: i64,
    year: i64,
}

/// A line of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) text: &'a str,
    /// Its number, where the log was read from its beginning.
    pub(crate) number: Option<usize>,
    /// Seconds since it was written; that of the line before where it has no time of its own.
    pub(crate) age: u64,
}

impl TextLogs {
    /// The logs in use, the system's first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &TextLog> {
        self.system.iter().chain(&self.services)
    }

    /// Why there is no system log.
    pub(crate) fn no_system_log(&self) -> Words {
        self.unread.first().cloned().unwrap_or_else(|| {
            words!(
                "no system log was written to within a day: neither /var/log/syslog or messages nor the journal",
                "一天内没有写入过的系统日志：/var/log/syslog、messages 与 journal 均无"
            )
        })
    }

    /// Their paths, for people.
    pub(crate) fn paths(&self) -> String {
        self.all().map(|log| log.path.as_str()).collect::<Vec<_>>().join(", ")
    }
}

impl TextLog {
    /// All of it that was read.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The lines that were written within the last `secs`.
    pub(crate) fn since(&self, secs: u64) -> impl Iterator<Item = Line<'_>> {
        // What stands before the first line with a time was written before it, nobody knows when.
        let mut age = u64::MAX;
        let lines = self.text.lines().enumerate().map(move |(index, text)| {
            if let Some(time) = time_of(text, self.year, self.newest) {
                age = u64::try_from(self.newest.saturating_sub(time)).unwrap_or(0).saturating_add(self.newest_age);
            }
            Line { text, number: self.is_whole.then_some(index + 1), age }
        });
        lines.filter(move |line| line.age <= secs)
    }

    /// Where a line stands.
    pub(crate) fn source(&self, line: Line<'_>) -> String {
        line.number.map_or_else(|| self.path.clone(), |number| format!("{}:{number}", self.path))
    }
}

/// The text logs of this host that are in use.
pub(crate) fn text_logs(host: &Host) -> &TextLogs {
    host.memo.logs.get_or_init(|| {
        let mut logs = TextLogs::default();
        for path in SYSTEM {
            if logs.system.is_none() {
                logs.system = read(host, path, &mut logs.unread);
            }
        }
        if logs.system.is_none() {
            logs.system = journal(host, &mut logs);
        }
        for pattern in SERVICES {
            for path in host.glob(pattern).unwrap_or_default() {
                if logs.services.len() < LOGS_MAX {
                    logs.services.extend(read(host, &path, &mut logs.unread));
                }
            }
        }
        logs
    })
}

/// The journal of the last day, where it is in use.
fn journal(host: &Host, logs: &mut TextLogs) -> Option<TextLog> {
    let journal = match host.journal(&Query { only: None, secs: DAY_SECS, most: ENTRIES_MAX }) {
        Ok(journal) => journal,
        Err(Gap::NotHere(_)) => return None,
        Err(Gap::Unknown(why)) => {
            logs.unread.push(why);
            return None;
        }
    };
    logs.left_out = journal.left_out(host.now());
    let newest = journal.entries.last()?.micros / 1_000_000;
    Some(TextLog {
        text: journal.text(host),
        path: journal.path,
        is_whole: false,
        newest_age: host.now().0.saturating_sub(newest),
        newest: i64::try_from(newest).ok()?,
        year: year_of(UnixTime(newest)),
    })
}

fn read(host: &Host, path: &str, unread: &mut Vec<Words>) -> Option<TextLog> {
    let read = host.stat(path).and_then(|stat| {
        let age = host.now().0.saturating_sub(stat.modified.0);
        let in_use = age <= IN_USE_SECS && stat.size > 0;
        in_use.then(|| Ok((stat, age, host.tail(path, BYTES_MAX)?))).transpose()
    });
    match read {
        Ok(Some((stat, newest_age, text))) => {
            let is_whole = stat.size <= BYTES_MAX;
            let year = year_of(stat.modified);
            let latest = local_seconds(year, 12, 31, DAY_SECS.cast_signed()).unwrap_or(i64::MAX);
            let newest = text.lines().rev().take(1000).find_map(|line| time_of(line, year, latest)).unwrap_or(0);
            Some(TextLog { path: path.to_owned(), text, is_whole, newest_age, newest, year })
        }
        Ok(None) | Err(Gap::NotHere(_)) => None,
        Err(Gap::Unknown(why)) => {
            unread.push(why);
            None
        }
    }
}

/// Seconds since 1970 in the line's own zone. Three forms: `2026-01-01T00:00:00`, with slashes or a space too; `Jan  1
/// 00:00:00`; `[Thu Jan 01 00:00:00.123456 2026]`. A year that is missing is `year`, or the one before when that would be
/// more than a day after `newest`.
fn time_of(line: &str, year: i64, newest: i64) -> Option<i64> {
    let line = line.get(..line.len().min(40)).unwrap_or_default();
    if line.starts_with(|first: char| first.is_ascii_digit()) {
        let number = |from: usize, to: usize| line.get(from..to)?.parse::<i64>().ok();
        let date = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        return checked(date.0, date.1, date.2, line.get(11..19)?);
    }
    let line = line.strip_prefix('[').unwrap_or(line);
    let mut parts = line.split([' ', ']']).filter(|part| !part.is_empty());
    let first = parts.next()?;
    if let Some(month) = month_of(first) {
        let (day, clock) = (parts.next()?.parse().ok()?, parts.next()?);
        let time = checked(year, month, day, clock)?;
        let a_day = DAY_SECS.cast_signed();
        return if time > newest.saturating_add(a_day) { checked(year - 1, month, day, clock) } else { Some(time) };
    }
    let (month, day, clock) = (month_of(parts.next()?)?, parts.next()?.parse().ok()?, parts.next()?);
    checked(parts.next()?.parse().ok()?, month, day, clock)
}

fn month_of(name: &str) -> Option<i64> {
    i64::try_from(date::month(name)?).ok()
}

fn checked(year: i64, month: i64, day: i64, clock: &str) -> Option<i64> {
    let mut parts = clock.get(..8)?.split(':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    let fits = (1970..10_000).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    fits.then(|| local_seconds(year, month, day, hour * 3600 + minute * 60 + second))?
}

fn local_seconds(year: i64, month: i64, day: i64, seconds: i64) -> Option<i64> {
    days_since_1970(year, month, day).map(|days| days * DAY_SECS.cast_signed() + seconds)
}

fn year_of(time: UnixTime) -> i64 {
    civil(i64::try_from(time.0 / DAY_SECS).unwrap_or(0).min(2_000_000)).0
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;
    use std::time::{Duration, SystemTime};

    /// 2026-01-01 00:00:00 UTC: when it is for fixtures.
    const NOW: u64 = 1_767_225_600;

    /// A log that was written to `age` seconds ago.
    pub(crate) fn log(fixture: Fixture, path: &str, age: u64, text: &str) -> Fixture {
        let fixture = fixture.file(path, text);
        let file = std::fs::File::options().append(true).open(fixture.path(path)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW - age)).unwrap();
        fixture
    }

    #[test]
    fn times_are_read_in_every_form() {
        let newest = local_seconds(2026, 1, 1, 8 * 3600).unwrap();
        for (line, expected) in [
            ("2025-12-31T23:59:58.123456+00:00 web1 kernel: x", Some(newest - 28_802)),
            ("2026/01/01 08:00:00 [error] 12#12: *3 x", Some(newest)),
            ("2026-01-01 07:00:00,123 ERROR x", Some(newest - 3600)),
            ("Jan  1 08:00:00 web1 sshd[1]: x", Some(newest)),
            ("Dec 31 08:00:00 web1 sshd[1]: x", Some(newest - 86_400)),
            ("[Thu Jan 01 07:59:59.000001 2026] [proxy:error] x", Some(newest - 1)),
            ("[Thu Jan 01 07:59:59 2026] [proxy:error] x", Some(newest - 1)),
            ("2026-13-01T00:00:00 x", None),
            ("Jan 99 08:00:00 x", None),
            ("\tat java.lang.Thread.run", None),
            ("2026", None),
            ("[]", None),
            ("", None),
            ("Jan  1 08:0\u{e9}:00", None),
        ] {
            assert_eq!(time_of(line, 2026, newest), expected, "{line}");
        }
        for (secs, year) in [(0, 1970), (NOW, 2026), (NOW - 1, 2025), (951_782_400, 2000), (u64::MAX, 7445)] {
            assert_eq!(year_of(UnixTime(secs)), year, "{secs}");
        }
        assert_eq!(local_seconds(2026, 1, 1, 0).unwrap(), i64::try_from(NOW).unwrap());
    }

    #[test]
    fn lines_are_as_old_as_their_distance_to_the_newest() {
        // A host in Shanghai: the times are 8 h ahead of UTC.
        let text = "no time yet\nDec 31 06:00:00 web1 a: 26 h old\nJan  1 07:00:00 web1 a: an hour old\n  more of it\n\
            Jan  1 07:59:00 web1 a: newest\n";
        let fixture = log(Fixture::live(), "/var/log/syslog", 60, text);
        let host = fixture.host();
        let logs = text_logs(&host);
        let lines: Vec<_> = logs.system.as_ref().unwrap().since(DAY_SECS).collect();
        let seen: Vec<_> = lines.iter().map(|line| (line.number.unwrap(), line.age)).collect();
        assert_eq!(seen, [(3, 3600), (4, 3600), (5, 60)]);
        assert_eq!(logs.system.as_ref().unwrap().source(lines[0]), "/var/log/syslog:3");
    }

    #[test]
    fn the_system_log_that_is_in_use_is_taken() {
        let fixture = log(Fixture::live(), "/var/log/syslog", 2 * DAY_SECS, "Dec 29 00:00:00 a b: c\n");
        let fixture = log(fixture, "/var/log/messages", 5, "Jan  1 00:00:00 a b: c\n");
        let lines = "2026/01/01 00:00:00 x\n".repeat(100_000);
        let fixture = log(fixture, "/var/log/nginx/error.log", 5, &lines);
        let host = fixture.host();
        let logs = text_logs(&host);
        assert_eq!(logs.paths(), "/var/log/messages, /var/log/nginx/error.log");
        let line = logs.services[0].since(60).next().unwrap();
        assert_eq!((line.number, logs.services[0].source(line).as_str()), (None, "/var/log/nginx/error.log"));
    }
}
