//! How fast somebody tries passwords over SSH, by the authentication log of the last day.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::journal::Query;
use crate::host::{Host, date};
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::time::DAY_SECS;
use std::collections::BTreeMap;
use std::net::IpAddr;

pub(crate) const CHECK: Check = Check {
    id: "security.login-failures",
    title: Text { en: "Failed SSH logins", zh: "SSH 登录失败" },
    reads: &["/var/log/auth.log", "/var/log/secure", "what sshd says in the journal"],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[
        Param::above("warning", 20.0, 10.0, "/min", "our own: people do not fail so often"),
        Param::plain("window", 24.0, "h", "our own: what is over is over"),
    ],
    impact: Text {
        en: "Somebody is guessing passwords. Where passwords are allowed, it is a matter of time; meanwhile sshd is busy and \
             may turn away those who belong here.",
        zh: "有人在暴力猜解密码。若允许密码登录，被攻破只是时间问题；同时 sshd 负载升高，可能拒绝正常用户。",
    },
    remedy: Text {
        en: "Allow port 22 from known addresses only, turn password logins off, or install fail2ban. Look with last whether one \
             of them got in.",
        zh: "只对已知地址放行 22 端口、关闭密码登录，或安装 fail2ban；并用 last 确认是否已有人登录成功。",
    },
    run,
};

const LOGS: [&str; 2] = ["/var/log/auth.log", "/var/log/secure"];
/// The end of the log: some 10,000 lines.
const TAIL_BYTES: u64 = 1 << 20;
/// Who says so in the journal; since OpenSSH 9.8 a program of its own.
const SSHD: [&str; 2] = ["sshd", "sshd-session"];
/// Its messages there that are read.
const ENTRIES_MAX: usize = 20_000;
/// Sources that are named.
const NAMED_MAX: usize = 5;
/// `message repeated N times` counts for so many at most.
const REPEATED_MAX: u64 = 1000;
/// Of a mean year.
const YEAR_SECS: u64 = 31_556_952;

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "hours that somebody set")]
    let window = (settings.number("window").max(0.0) * 3600.0) as u64;
    let Log { path, text, age } = log(host, window)?;
    let failures = failures(&text, Clock { age, window, year: 1970 + host.now().0 / YEAR_SECS });
    let mut rates: Vec<(u64, IpAddr)> = Vec::new();
    for (source, minutes) in &failures {
        rates.push((minutes.values().copied().max().unwrap_or(0), *source));
    }
    rates.sort_unstable_by(|one, other| other.cmp(one));
    let worst = rates.first().map_or(0, |(rate, _)| *rate);
    #[expect(clippy::cast_precision_loss, reason = "lines of a log")]
    let (value, sources) = (worst as f64, rates.len() as f64);
    let summary = match rates.first() {
        None => words!("no login failed in the end of {path} of the last day", "最近一天的 {path} 末尾没有登录失败"),
        Some((rate, source)) => words!(
            "{source} failed to log in {rate} times in one minute, the most of {sources} sources",
            "{source} 在一分钟内登录失败 {rate} 次，为 {sources} 个来源中最多"
        ),
    };
    let mut found =
        Found::new("ssh", settings.level("ssh", value), summary).value(value, "/min").detail("sources", sources);
    for (rate, source) in rates.into_iter().take(NAMED_MAX) {
        found = found.evidence(&path, format!("{source}: {rate} failed logins in its worst minute"));
    }
    Ok(vec![found])
}

/// What is read, and the seconds since its last line was written.
struct Log {
    path: String,
    text: String,
    age: u64,
}

/// The log that is in use; what lies there since sshd has written to the journal alone is none.
fn log(host: &Host, window: u64) -> Result<Log, Gap> {
    let age = |path: &str| Ok(host.now().0.saturating_sub(host.stat(path)?.modified.0));
    let lies = LOGS.into_iter().find(|path| host.exists(path));
    let of_file = |path: &str| Ok(Log { path: path.to_owned(), text: host.tail(path, TAIL_BYTES)?, age: age(path)? });
    if let Some(path) = lies.filter(|path| age(path).is_ok_and(|age| age <= window)) {
        return of_file(path);
    }
    let query = Query { only: Some(("SYSLOG_IDENTIFIER", &SSHD)), secs: window, most: ENTRIES_MAX };
    match (host.journal(&query), lies) {
        (Ok(journal), _) => {
            let age = journal.entries.last().map_or(0, |last| host.now().0.saturating_sub(last.micros / 1_000_000));
            Ok(Log { text: journal.text(host), path: journal.path, age })
        }
        (Err(_), Some(path)) => of_file(path),
        (Err(Gap::NotHere(_)), None) => Err(Gap::NotHere(words!("there is no authentication log", "没有认证日志"))),
        (Err(gap @ Gap::Unknown(_)), None) => Err(gap),
    }
}

/// Failed logins by source and minute.
type Failures = BTreeMap<IpAddr, BTreeMap<u64, u64>>;

/// What the lines' times are measured by.
#[derive(Clone, Copy)]
struct Clock {
    /// Seconds since the log was written to.
    age: u64,
    /// Seconds that count.
    window: u64,
    /// The year of the last line, which says how long February is.
    year: u64,
}

/// Counts the failures of the window. Logs of the old form have neither year nor zone: the last line was written when the
/// file was, and the others by their distance from it.
fn failures(text: &str, Clock { age, window, year }: Clock) -> Failures {
    let begin = |year| date::day_secs(year, 1, 1).unwrap_or(0);
    let year_secs = begin(year + 1).saturating_sub(begin(year));
    let lines: Vec<(Stamp, &str)> = text.lines().filter_map(|line| stamp(line, year)).collect();
    let mut all = Failures::new();
    let Some((last, _)) = lines.last() else { return all };
    for (time, message) in &lines {
        let before_last = match (last, time) {
            (Stamp::Exact(last), Stamp::Exact(time)) => last.saturating_sub(*time),
            (Stamp::OfYear(last), Stamp::OfYear(time)) if time <= last => last - time,
            // A clock that went back a little is not a year.
            (Stamp::OfYear(last), Stamp::OfYear(time)) if time - last < DAY_SECS => 0,
            (Stamp::OfYear(last), Stamp::OfYear(time)) => (last + year_secs).saturating_sub(*time),
            // The form changed on the way.
            (Stamp::Exact(_), Stamp::OfYear(_)) | (Stamp::OfYear(_), Stamp::Exact(_)) => continue,
        };
        if age.saturating_add(before_last) > window {
            continue;
        }
        if let Some((source, count)) = failure(message) {
            let (Stamp::Exact(secs) | Stamp::OfYear(secs)) = time;
            let minute = all.entry(source).or_default().entry(secs / 60).or_insert(0);
            *minute = minute.saturating_add(count);
        }
    }
    all
}

/// When a line was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stamp {
    /// Seconds since 1970.
    Exact(u64),
    /// Seconds since the year began, in the host's zone.
    OfYear(u64),
}

/// A line's time (RFC 3164 or RFC 3339), and what follows.
fn stamp(line: &str, year: u64) -> Option<(Stamp, &str)> {
    if let Some((time, rest)) = line.split_once(' ').filter(|(time, _)| time.starts_with("20")) {
        return Some((Stamp::Exact(date::rfc_3339(time)?), rest));
    }
    let (month, rest) = line.split_once(' ')?;
    let (day, rest) = rest.trim_start().split_once(' ')?;
    let (clock, rest) = rest.split_once(' ')?;
    let day = date::day_secs(year, date::month(month)?, day.parse().ok()?)?;
    let begin = date::day_secs(year, 1, 1)?;
    Some((Stamp::OfYear(day.checked_sub(begin)? + date::clock_secs(clock)?), rest))
}

/// Who failed, and how often: `HOST sshd[PID]: Failed password for [invalid user] NAME from ADDRESS port N ssh2`. The name
/// can be anything, also ` from 10.0.0.1`.
fn failure(message: &str) -> Option<(IpAddr, u64)> {
    let (_, rest) = message.split_once(' ')?;
    let (program, mut text) = rest.split_once(": ")?;
    if !program.starts_with("sshd[") && !program.starts_with("sshd-session[") {
        return None;
    }
    let mut count = 1;
    if let Some((times, inner)) = text.strip_prefix("message repeated ").and_then(|rest| rest.split_once(" times: [ "))
    {
        count = times.parse::<u64>().ok()?.min(REPEATED_MAX);
        text = inner;
    }
    let method = text.strip_prefix("Failed ")?;
    if !["password ", "keyboard-interactive", "none "].iter().any(|kind| method.starts_with(kind)) {
        return None;
    }
    let (_, source) = text.rsplit_once(" from ")?;
    Some((source.split(' ').next()?.parse().ok()?, count))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;
    use crate::host::journal::tests::recorded;
    use crate::log::text_logs::tests::log;
    use cloud_doctor_proto::finding::Status;
    use std::fs::{File, FileTimes};
    use std::time::{Duration, SystemTime};

    const NOW: u64 = 1_767_225_600;

    fn host(lines: &str, age: u64) -> Fixture {
        let fixture = Fixture::image().now(NOW).file("/var/log/auth.log", lines);
        let written = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW - age);
        let file = File::options().write(true).open(fixture.path("/var/log/auth.log")).unwrap();
        file.set_times(FileTimes::new().set_modified(written)).unwrap();
        fixture
    }

    fn old(count: u32, begin: &str) -> String {
        let line = |second| {
            format!(
                "{begin}:{second:02} web sshd[77]: Failed password for invalid user a from 10.0.0.1 from 203.0.113.9 port 4 ssh2\n"
            )
        };
        (0..count).map(line).collect()
    }

    #[test]
    fn sec_15_many_failures_in_a_minute_are_a_warning() {
        let new = |count: u32| -> String {
            let line = |at| {
                format!(
                    "2025-12-31T20:10:{at:02}.5+08:00 web sshd-session[7]: Failed password for root from 203.0.113.9 port 4 ssh2\n"
                )
            };
            (0..count).map(line).collect()
        };
        let after = "Dec 31 23:50:00 web CRON[1]: pam_unix(cron:session): session opened for user root\n";
        for (name, text, age, expected, value) in [
            ("few", old(20, "Dec 31 23:40"), 60, Status::Ok, 20.0),
            ("many", old(21, "Dec 31 23:40"), 60, Status::Warning, 21.0),
            ("many, new form", new(30), 60, Status::Warning, 30.0),
            ("over", old(30, "Dec 29 23:40") + after, 60, Status::Ok, 0.0),
            ("over, because the log is old", old(30, "Dec 31 23:40"), 90_000, Status::Ok, 0.0),
            ("a new year", old(30, "Dec 31 23:40") + &after.replace("Dec 31 23", "Jan  1 00"), 60, Status::Warning, 30.0),
            (
                "repeated",
                "Dec 31 23:40:00 web sshd[7]: message repeated 40 times: [ Failed password for root from 203.0.113.9 port 4 \
                 ssh2]\n"
                    .to_owned(),
                60,
                Status::Warning,
                40.0,
            ),
            ("others", old(30, "Dec 31 23:40").replace("sshd[", "su["), 60, Status::Ok, 0.0),
            ("odd", "Dec 99 x\n\n2025 sshd\n".to_owned(), 60, Status::Ok, 0.0),
        ] {
            let found = host(&text, age).run(&CHECK);
            assert_eq!((found[0].status, found[0].value), (expected, Some(value)), "{name}");
        }
        let found = host(&old(30, "Dec 31 23:40"), 60).run(&CHECK);
        assert!(found[0].evidence[0].text.starts_with("203.0.113.9"));
    }

    #[test]
    fn sec_15_the_journal_stands_in_for_an_authentication_log() {
        for form in ["regular", "compact"] {
            let found = recorded(Fixture::image(), form).run(&CHECK);
            assert_eq!((found[0].status, found[0].value), (Status::Warning, Some(25.0)), "{found:?}");
            assert!(found[0].evidence[0].source.starts_with("/var/log/journal/"));
        }
        // A log that nobody has written to for days is not where logins are told.
        let stale = log(
            recorded(Fixture::image(), "compact"),
            "/var/log/auth.log",
            5 * 86_400,
            "Dec 27 00:00:00 web sshd[7]: x\n",
        );
        assert_eq!(stale.status(&CHECK), Status::Warning);
        assert!(Fixture::image().has_none_of(&CHECK));
        let unreadable = Fixture::image().file("/var/log/journal/0123456789abcdef0123456789abcdef/system.journal", "");
        assert_eq!(unreadable.status(&CHECK), Status::Unknown);
    }
}
