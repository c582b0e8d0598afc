//! The processes that use most, between two looks at the host.
//!
//! It must never read a command line for this: passwords stand there. What a process calls itself is anybody's choice, so
//! it leaves without control characters.

use crate::host::{Host, group_name};
use cloud_doctor_proto::metrics::{PROCESSES_MAX, Process, Processes};
use cloud_doctor_proto::refusal::printable;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// `USER_HZ`, which Linux promises to be this on all machines that we run on.
const TICKS_PER_SEC: f64 = 100.0;
/// Of names.
const NAME_CHARS_MAX: usize = 64;

/// What processes had used at one moment.
#[derive(Debug, Default)]
pub struct Used(BTreeMap<u32, One>);

#[derive(Debug, Clone, Copy)]
struct One {
    /// A number may be another process's by the second look.
    start_ticks: u64,
    cpu_ticks: u64,
    io: Option<(u64, u64)>,
}

/// A process with what it used in between.
#[derive(Debug, Clone, Copy)]
struct Busy<'a> {
    seen: &'a crate::host::Process,
    processors: f64,
    io: Option<(f64, f64)>,
}

impl Used {
    /// Looks at a host that was not looked at before.
    #[must_use]
    pub fn look(host: &Host) -> Self {
        let one = |process: &crate::host::Process| One {
            start_ticks: process.start_ticks,
            cpu_ticks: process.cpu_ticks,
            io: disk_bytes(host, process.pid),
        };
        Self(host.processes().iter().map(|process| (process.pid, one(process))).collect())
    }
}

/// The busiest `count` processes of a host that is looked at the second time, `elapsed` milliseconds after `before`.
#[must_use]
pub fn busiest(before: &Used, host: &Host, at: u64, elapsed: u32, count: usize) -> Processes {
    let secs = f64::from(elapsed.max(1)) / 1000.0;
    let seen = host.processes();
    let used: Vec<Busy<'_>> = seen.iter().map(|process| between(before, host, process, secs)).collect();
    let users = users(host);
    let chosen = choose(&used, count.min(PROCESSES_MAX));
    Processes {
        at,
        elapsed,
        total: u32::try_from(seen.len()).unwrap_or(u32::MAX),
        processes: chosen.iter().map(|busy| told(host, busy, &users)).collect(),
    }
}

fn between<'a>(before: &Used, host: &Host, seen: &'a crate::host::Process, secs: f64) -> Busy<'a> {
    let first = before.0.get(&seen.pid).filter(|first| first.start_ticks == seen.start_ticks);
    // One that began in between has used all that it has used.
    let ticks = seen.cpu_ticks.saturating_sub(first.map_or(0, |first| first.cpu_ticks));
    let rate = |now: u64, then: u64| number(now.saturating_sub(then)) / secs;
    let io = disk_bytes(host, seen.pid).map(|now| {
        let then = first.and_then(|first| first.io).unwrap_or(if first.is_some() { now } else { (0, 0) });
        (rate(now.0, then.0), rate(now.1, then.1))
    });
    Busy { seen, processors: number(ticks) / TICKS_PER_SEC / secs, io }
}

/// In turn those that lead by processor time, by memory and by disk, so that none hides behind the others.
fn choose<'a>(used: &[Busy<'a>], count: usize) -> Vec<Busy<'a>> {
    let disk = |busy: &Busy<'_>| busy.io.map_or(0.0, |(read, written)| read + written);
    let ranked = |key: &dyn Fn(&Busy<'_>) -> f64| {
        let mut order: Vec<usize> = (0..used.len()).filter(|at| key(&used[*at]) > 0.0).collect();
        order.sort_by(|a, b| key(&used[*b]).total_cmp(&key(&used[*a])));
        order.truncate(count);
        order.into_iter()
    };
    let memory = |busy: &Busy<'_>| number(busy.seen.resident_bytes);
    let mut rankings = [ranked(&|busy| busy.processors), ranked(&memory), ranked(&disk)];
    let mut chosen = BTreeSet::new();
    while chosen.len() < count {
        let mut any = false;
        for ranking in &mut rankings {
            if chosen.len() < count
                && let Some(next) = ranking.next()
            {
                chosen.insert(next);
                any = true;
            }
        }
        if !any {
            break;
        }
    }
    let mut chosen: Vec<Busy<'a>> = chosen.into_iter().map(|at| used[at]).collect();
    chosen.sort_by(|a, b| {
        b.processors.total_cmp(&a.processors).then(Reverse(a.seen.resident_bytes).cmp(&Reverse(b.seen.resident_bytes)))
    });
    chosen
}

fn told(host: &Host, busy: &Busy<'_>, users: &BTreeMap<u32, String>) -> Process {
    let folder = format!("/proc/{}", busy.seen.pid);
    let user = host.stat(&folder).map(|stat| users.get(&stat.uid).cloned().unwrap_or_else(|| stat.uid.to_string()));
    let descriptors = host.list(&format!("{folder}/fd")).ok().and_then(|entries| u32::try_from(entries.len()).ok());
    Process {
        pid: busy.seen.pid,
        name: clean(&busy.seen.name),
        user: user.map(|user| clean(&user)).unwrap_or_default(),
        unit: host.read(&format!("{folder}/cgroup")).map(|text| unit(&text)).unwrap_or_default(),
        state: busy.seen.state.to_string(),
        processors: single(busy.processors),
        memory: busy.seen.resident_bytes,
        read: busy.io.map(|(read, _)| single(read)),
        written: busy.io.map(|(_, written)| single(written)),
        descriptors,
        threads: u32::try_from(busy.seen.threads).unwrap_or(u32::MAX),
    }
}

/// Bytes that went to and came from disks: what caches served is not counted.
fn disk_bytes(host: &Host, pid: u32) -> Option<(u64, u64)> {
    let text = host.read(&format!("/proc/{pid}/io")).ok()?;
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    Some((field("read_bytes:")?, field("write_bytes:")?))
}

/// The service or container of a `/proc/PID/cgroup`; nothing for what is in none.
fn unit(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().filter_map(|line| line.splitn(3, ':').nth(2)).collect();
    // Version 1 has a line for each controller; the longest path says most.
    lines.sort_by_key(|path| Reverse(path.len()));
    lines.first().filter(|path| path.len() > 1).map(|path| clean(&group_name(path))).unwrap_or_default()
}

/// Names of users on this host; those of a directory service stay numbers.
fn users(host: &Host) -> BTreeMap<u32, String> {
    let text = host.read("/etc/passwd").unwrap_or_default();
    let entry = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        Some((fields.nth(1)?.parse().ok()?, name))
    };
    // The first one with a number is the one that the system shows.
    text.lines().rev().filter_map(entry).collect()
}

fn clean(text: &str) -> String {
    text.chars().flat_map(printable).take(NAME_CHARS_MAX).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
fn number(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_possible_truncation, reason = "seven digits are enough to look at; too large becomes infinite")]
fn single(value: f64) -> f32 {
    (value as f32).min(f32::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;

    /// A process as `/proc` shows it; `ticks` used, resident pages, bytes read.
    fn process(host: Fixture, pid: u32, name: &str, start: u64, ticks: u64, pages: u64, read: u64) -> Fixture {
        let stat = format!("{pid} ({name}) S 1 1 1 0 -1 0 1 2 3 4 {ticks} 0 0 0 20 0 3 0 {start} 1000 {pages} 1 1\n");
        host.file(&format!("/proc/{pid}/stat"), &stat)
            .file(&format!("/proc/{pid}/io"), format!("rchar: 9\nread_bytes: {read}\nwrite_bytes: 0\n"))
            .file(&format!("/proc/{pid}/cgroup"), "0::/system.slice/nginx.service\n")
            .file(&format!("/proc/{pid}/cmdline"), "prog\0--password=correcthorse\0")
    }

    #[test]
    fn processes_are_ranked_by_what_they_used_in_between_and_show_no_arguments() {
        let first = process(Fixture::live(), 10, "old", 5, 900, 10, 0);
        let first = process(first, 11, "big", 5, 0, 9_000, 0);
        let first = process(first, 12, "reader", 5, 0, 10, 500);
        let first = process(first, 13, "reused", 5, 1_000_000, 10, 0);
        let before = Used::look(&first.host());
        let second = process(Fixture::live(), 10, "old", 5, 1_000, 10, 0);
        let second = process(second, 11, "big", 5, 0, 9_000, 0);
        let second = process(second, 12, "reader", 5, 0, 10, 4_500);
        let second = process(second, 13, "reused", 77, 20, 10, 0);
        let second = process(second, 14, "e\u{1b}[31mvil", 78, 0, 1, 0);
        let found = busiest(&before, &second.host(), 1_800_000_000_000, 2_000, 3);
        let names: Vec<&str> = found.processes.iter().map(|process| process.name.as_str()).collect();
        assert_eq!((found.total, names), (5, vec!["old", "big", "reader"]), "the leader of each kind");
        let old = &found.processes[0];
        assert!((old.processors - 0.5).abs() < 1e-6, "{old:?}");
        assert_eq!((found.processes[2].read, old.unit.as_str()), (Some(2_000.0), "nginx.service"));
        let all = busiest(&before, &second.host(), 0, 2_000, 100);
        let text = format!("{all:?}");
        assert!(!text.contains("correcthorse") && !text.contains('\u{1b}'), "{text}");
        let reused = all.processes.iter().find(|process| process.pid == 13).unwrap();
        assert!((reused.processors - 0.1).abs() < 1e-6, "another process under the same number: {reused:?}");
    }

    #[test]
    fn a_host_that_shows_nothing_has_no_processes() {
        let fixture = Fixture::live();
        let host = fixture.host();
        let found = busiest(&Used::look(&host), &host, 0, 0, 5);
        assert_eq!((found.total, found.processes.len()), (0, 0));
    }

    #[test]
    fn a_users_first_name_counts() {
        let fixture = Fixture::live().file("/etc/passwd", "root:x:0:0::/:/bin/sh\ntoor:x:0:0::/:/bin/sh\nbroken\n");
        assert_eq!(users(&fixture.host()), BTreeMap::from([(0, "root".to_owned())]));
    }
}
