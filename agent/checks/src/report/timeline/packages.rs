//! What was installed, upgraded and removed: dpkg's and apt's logs, yum's and dnf's. Their local times are read with the
//! host's zone.

use super::transactions::{Change, Transaction, Verb};
use super::{Confidence, Seen, is_within};
use crate::found::Gap;
use crate::host::zone::{Zone, local_secs};
use crate::host::{Host, date};
use crate::words;
use cloud_doctor_proto::finding::Words;
use cloud_doctor_proto::time::UnixTime;

const LOG_BYTES_MAX: u64 = 1 << 20;
/// Logs of one kind, the older first.
const DPKG: [&str; 2] = ["/var/log/dpkg.log.1", "/var/log/dpkg.log"];
const APT: [&str; 2] = ["/var/log/apt/history.log.1", "/var/log/apt/history.log"];
const YUM: [&str; 2] = ["/var/log/yum.log.1", "/var/log/yum.log"];
const DNF: [&str; 2] = ["/var/log/dnf.rpm.log.1", "/var/log/dnf.rpm.log"];
/// An apt run whose end is not there was cut off; what dpkg did within this time was its.
const APT_SECS: u64 = 600;
const DAY_SECS: i64 = 86_400;

/// How a log is read: its text, its name, whether its lines can be counted, the host's zone, and now.
type Reader = fn(&Log<'_>, &mut Vec<Transaction>);

/// A log that is read.
struct Log<'a> {
    text: &'a str,
    path: &'a str,
    /// Whether it was read from its first line on.
    is_whole: bool,
    zone: &'a Zone,
    now: UnixTime,
}

impl Log<'_> {
    fn source(&self, line: usize) -> String {
        if self.is_whole { format!("{}:{}", self.path, line + 1) } else { self.path.to_owned() }
    }

    /// A local time of its text.
    fn moment(&self, text: &str) -> Option<(u64, Confidence)> {
        let (at, sure) = self.zone.parse(text)?;
        Some((at, if sure { Confidence::Medium } else { Confidence::Low }))
    }
}

pub(super) fn look(host: &Host) -> Seen {
    let Found { all, is_guessed, gaps } = transactions(host);
    let mut seen = Seen { rows: all.iter().map(Transaction::row).collect(), gaps };
    if is_guessed {
        seen.gaps.push(words!(
            "the host's time zone is not known: local times of package logs are read as UTC and may be hours off",
            "主机时区未知：软件包日志中的本地时间按 UTC 解读，可能相差数小时"
        ));
    }
    seen
}

/// What stands in the logs.
pub(super) struct Found {
    pub(super) all: Vec<Transaction>,
    /// Whether local times were read without knowing the host's zone.
    is_guessed: bool,
    /// What could not be read.
    pub(super) gaps: Vec<Words>,
}

/// All of it, each change once.
pub(super) fn transactions(host: &Host) -> Found {
    let (zone, mut gaps) = (host.zone(), Vec::new());
    let mut read = |paths: [&str; 2], reader: Reader| {
        let mut all = Vec::new();
        for path in paths {
            let size = host.stat(path).map(|stat| stat.size).unwrap_or(0);
            match host.tail(path, LOG_BYTES_MAX) {
                Ok(text) => reader(
                    &Log { text: &text, path, is_whole: size <= LOG_BYTES_MAX, zone: &zone, now: host.now() },
                    &mut all,
                ),
                Err(Gap::NotHere(_)) => {}
                Err(Gap::Unknown(why)) => gaps.push(why),
            }
        }
        all.retain(|one| is_within(UnixTime(one.at), host.now()));
        all
    };
    let (apt, mut dpkg, yum, dnf) = (read(APT, apt), read(DPKG, dpkg), read(YUM, yum), read(DNF, dnf));
    // What apt had dpkg do stands in both.
    let of_apt = |one: &Transaction| {
        apt.iter().any(|apt| (apt.at.saturating_sub(5)..=apt.until.saturating_add(5)).contains(&one.at))
    };
    dpkg.retain(|one| !of_apt(one));
    let mut together = Vec::new();
    dpkg.into_iter().for_each(|one| Transaction::add(&mut together, one));
    let is_local = [&apt, &together, &yum].iter().any(|all| !all.is_empty());
    let all = [apt, together, yum, dnf].into_iter().flatten().collect();
    Found { all, is_guessed: is_local && !zone.is_known, gaps }
}

/// `2026-01-01 06:12:33 upgrade nginx:amd64 1.22.1-8 1.22.1-9`. Each stands alone until apt's are taken out.
fn dpkg(log: &Log<'_>, all: &mut Vec<Transaction>) {
    for (number, line) in log.text.lines().enumerate() {
        let mut words = line.split_ascii_whitespace().skip(2);
        let verb = match words.next() {
            Some("install") => Verb::Installed,
            Some("upgrade") => Verb::Upgraded,
            Some("remove" | "purge" | "disappear") => Verb::Removed,
            Some(_) | None => continue,
        };
        let (Some(package), Some(old), new) = (words.next(), words.next(), words.next()) else { continue };
        let Some((at, confidence)) = line.get(..19).and_then(|time| log.moment(time)) else { continue };
        let name = package.split(':').next().unwrap_or(package).to_owned();
        let (before, after) = match (verb, new) {
            (Verb::Upgraded, Some(new)) => (old, new),
            (Verb::Installed, new) => ("", new.unwrap_or(old)),
            (Verb::Upgraded | Verb::Downgraded | Verb::Reinstalled | Verb::Removed, _) => (old, ""),
        };
        let changes = vec![Change { verb, name, before: before.to_owned(), after: after.to_owned() }];
        let (tool, evidence) = ("dpkg".to_owned(), log.source(number));
        all.push(Transaction { at, until: at, confidence, tool, changes, evidence });
    }
}

/// Paragraphs of `Start-Date: 2026-01-01  06:12:30`, `Commandline: …`, `Install: nginx:amd64 (1.22.1-9), …`, `End-Date: …`.
/// Of the command line only the program's name is kept: arguments may hold anything.
fn apt(log: &Log<'_>, all: &mut Vec<Transaction>) {
    let mut open: Option<Transaction> = None;
    for (number, line) in log.text.lines().enumerate() {
        let Some((key, value)) = line.split_once(": ") else { continue };
        if key == "Start-Date" {
            all.extend(open.take().filter(|one| !one.changes.is_empty()));
            open = log.moment(value).map(|(at, confidence)| Transaction {
                at,
                until: at.saturating_add(APT_SECS),
                confidence,
                tool: "apt".to_owned(),
                changes: Vec::new(),
                evidence: log.source(number),
            });
        }
        let Some(now) = &mut open else { continue };
        match key {
            "Commandline" => {
                let program = value.split_ascii_whitespace().next().unwrap_or("apt");
                program.rsplit('/').next().unwrap_or("apt").clone_into(&mut now.tool);
            }
            "Install" => packages(value, Verb::Installed, now),
            "Upgrade" => packages(value, Verb::Upgraded, now),
            "Downgrade" => packages(value, Verb::Downgraded, now),
            "Reinstall" => packages(value, Verb::Reinstalled, now),
            "Remove" | "Purge" => packages(value, Verb::Removed, now),
            "End-Date" => now.until = log.moment(value).map_or(now.until, |(end, _)| end.max(now.at)),
            _ => {}
        }
    }
    all.extend(open.filter(|one| !one.changes.is_empty()));
}

/// `nginx:amd64 (1.22.1-8, 1.22.1-9), libx:amd64 (1.0, automatic)`.
fn packages(list: &str, verb: Verb, transaction: &mut Transaction) {
    for one in list.split("), ") {
        let Some((name, versions)) = one.split_once(" (") else { continue };
        let name = name.split(':').next().unwrap_or(name).trim();
        let versions = versions.trim_end_matches(')').trim_end_matches(", automatic");
        let (before, after) = match (versions.split_once(", "), verb) {
            (Some((old, new)), _) => (old, new),
            (None, Verb::Removed) => (versions, ""),
            (None, Verb::Installed | Verb::Upgraded | Verb::Downgraded | Verb::Reinstalled) => ("", versions),
        };
        let [name, before, after] = [name, before, after].map(str::to_owned);
        transaction.changes.push(Change { verb, name, before, after });
    }
}

/// `Jan 01 06:12:33 Updated: nginx-1.20.1-1.el7.x86_64`: without a year, so the last such day is meant.
fn yum(log: &Log<'_>, all: &mut Vec<Transaction>) {
    for (number, line) in log.text.lines().enumerate() {
        let Some((time, rest)) = line.split_at_checked(15) else { continue };
        let Some((verb, name)) = rpm(rest.trim_start()) else { continue };
        let Some(local) = local_without_year(time, log) else { continue };
        let (at, _) = log.zone.moment(local);
        let Ok(at) = u64::try_from(at) else { continue };
        let (tool, evidence) = ("yum".to_owned(), log.source(number));
        let changes = vec![whole(verb, name)];
        Transaction::add(all, Transaction { at, until: at, confidence: Confidence::Low, tool, changes, evidence });
    }
}

fn local_without_year(time: &str, log: &Log<'_>) -> Option<i64> {
    let (month, rest) = time.split_at_checked(3)?;
    let month = date::month(month)?;
    let now = i64::try_from(log.now.0).ok()?;
    let now = now.saturating_add(log.zone.east_secs(now));
    let year = date::civil(now.div_euclid(DAY_SECS)).0;
    let of_year = |year: i64| local_secs(&format!("{year}-{month}-{rest}"));
    of_year(year).filter(|local| *local <= now + DAY_SECS).or_else(|| of_year(year - 1))
}

/// `2026-01-01T06:12:33+0800 SUBDEBUG Upgrade: nginx-1:1.20.1-1.el8.x86_64`. `Upgraded` is the old one's going.
fn dnf(log: &Log<'_>, all: &mut Vec<Transaction>) {
    for (number, line) in log.text.lines().enumerate() {
        let mut words = line.splitn(3, ' ');
        let (Some(time), Some(_level), Some(rest)) = (words.next(), words.next(), words.next()) else { continue };
        let Some((verb, name)) = rpm(rest).filter(|_| !rest.starts_with("Upgraded:")) else { continue };
        let Some((at, confidence)) = with_zone(time, log) else { continue };
        let (tool, evidence) = ("dnf".to_owned(), log.source(number));
        let changes = vec![whole(verb, name)];
        Transaction::add(all, Transaction { at, until: at, confidence, tool, changes, evidence });
    }
}

/// `2026-01-01T06:12:33+0800`, `…Z`; without a zone it is local.
fn with_zone(time: &str, log: &Log<'_>) -> Option<(u64, Confidence)> {
    let (local, zone) = time.split_at_checked(19)?;
    let east = match zone.split_at_checked(1) {
        Some(("Z", "")) => 0,
        Some((sign @ ("+" | "-"), digits)) if digits.len() == 4 && digits.is_ascii() => {
            let (hours, minutes) = (digits[..2].parse::<i64>().ok()?, digits[2..].parse::<i64>().ok()?);
            let east = hours * 3600 + minutes * 60;
            if sign == "-" { -east } else { east }
        }
        Some(_) | None => return log.moment(local),
    };
    Some((u64::try_from(local_secs(local)? - east).ok()?, Confidence::High))
}

/// Name, version and architecture in one, as rpm writes them.
fn whole(verb: Verb, name: &str) -> Change {
    Change { verb, name: name.to_owned(), before: String::new(), after: String::new() }
}

/// `Installed: nginx-1.20.1-1.el7.x86_64`.
fn rpm(text: &str) -> Option<(Verb, &str)> {
    let (done, name) = text.split_once(": ")?;
    let verb = match done {
        "Installed" | "Install" => Verb::Installed,
        "Updated" | "Upgrade" | "Upgraded" | "Update" => Verb::Upgraded,
        "Erased" | "Erase" | "Removed" | "Remove" => Verb::Removed,
        "Downgrade" | "Downgraded" => Verb::Downgraded,
        "Reinstall" | "Reinstalled" => Verb::Reinstalled,
        _ => return None,
    };
    Some((verb, name.trim()))
}

#[cfg(test)]
#[path = "packages_tests.rs"]
mod tests;
