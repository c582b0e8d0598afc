//! Configuration that was edited after the balancer read it: what runs is not what stands there, and the next reload
//! brings a surprise. Only systems that start new workers at each reload can be judged by their processes.

use super::haproxy::extras;
use super::{Fleet, System, fleet};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::{Host, Process};
use crate::number::span;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;
use cloud_doctor_proto::time::UnixTime;
use std::collections::BTreeSet;

pub(crate) const CHECK: Check = Check {
    id: "lb.config-newer-than-process",
    title: Text { en: "Configuration changed since the last reload", zh: "上次重载后配置又被修改" },
    reads: &["when configuration files changed last", "/proc/PID/stat", "/proc/stat"],
    needs: Needs::LIVE,
    params: &[Param::plain("slack", 10.0, "s", "our recommendation: clocks are set, and editors write twice")],
    impact: Text {
        en: "What runs is not what the files say; the next reload or restart changes behaviour when nobody expects it.",
        zh: "运行中的配置与文件不一致；下次重载或重启会在无人预期时改变行为。",
    },
    remedy: Text {
        en: "Test the files (haproxy -c -f FILE, nginx -t) and reload now while somebody looks, or put the old content back.",
        zh: "先验证文件（haproxy -c -f 文件，nginx -t），再趁有人值守时重载，或恢复原内容。",
    },
    run,
};

/// The kernel counts in hundredths of a second for everybody (`USER_HZ`).
const TICKS_PER_SEC: u64 = 100;
/// Files that are shown.
const FILES_MAX: usize = 5;

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let fleet = fleet(host)?;
    let mut found = Vec::new();
    for instance in extras(host).map(|extras| extras.instances.as_slice()).unwrap_or_default() {
        // A reload starts a new worker; the master keeps its start, and old workers linger.
        let started = host.processes().iter().filter(|process| instance.pids.contains(&process.pid));
        let started = started.map(|process| process.start_ticks).max();
        let subject = format!("haproxy {}", instance.files.first().map_or("", String::as_str));
        found.extend(
            started.map(|ticks| judge(host, settings, subject, ticks, instance.files.iter().map(String::as_str))),
        );
    }
    // A worker that died is started again with the old configuration; the oldest that still works tells.
    let workers = host.processes().iter().filter(|process| is_nginx_worker(process));
    if let Some(ticks) = workers.map(|process| process.start_ticks).min() {
        let files = nginx_files(fleet);
        found.extend((!files.is_empty()).then(|| judge(host, settings, "nginx".to_owned(), ticks, files.into_iter())));
    }
    if found.is_empty() {
        return Err(Gap::NotHere(words!("neither HAProxy nor nginx runs here", "此主机未运行 HAProxy 或 nginx")));
    }
    Ok(found)
}

fn is_nginx_worker(process: &Process) -> bool {
    process
        .argv
        .first()
        .is_some_and(|title| title.starts_with("nginx: worker process") && !title.contains("shutting down"))
}

fn nginx_files(fleet: &Fleet) -> BTreeSet<&str> {
    let of_nginx = |system| matches!(system, System::Nginx | System::NginxPlus | System::Tengine);
    let pools = fleet.pools.iter().filter(|pool| of_nginx(pool.system));
    pools.map(|pool| pool.place.file.as_str()).collect()
}

fn judge<'a>(
    host: &Host,
    settings: &Settings<'_>,
    subject: String,
    ticks: u64,
    files: impl Iterator<Item = &'a str>,
) -> Found {
    let times = started(host, ticks).and_then(|started| {
        let files = files.map(|file| Ok((host.stat(file)?.modified, file)));
        files.collect::<Result<Vec<_>, _>>().map(|files| (started, files))
    });
    let (started, files) = match times {
        Ok(times) => times,
        Err(Gap::NotHere(why) | Gap::Unknown(why)) => return Found::new(subject, Status::Unknown, why),
    };
    let slack = settings.number("slack");
    let newer: Vec<_> = files.into_iter().filter(|(modified, _)| secs(started, *modified) > slack).collect();
    let Some((latest, _)) = newer.iter().max() else {
        return Found::new(subject, Status::Ok, words!("its files are older than its processes", "配置文件早于其进程"));
    };
    if secs(host.now(), *latest) > slack {
        let why =
            words!("its files were changed in the future; a clock was wrong", "配置文件的修改时间在未来；时钟曾不准");
        return Found::new(subject, Status::Unknown, why);
    }
    let (ago, count, after) = (span(secs(*latest, host.now())), newer.len(), secs(started, *latest));
    let summary = words!(
        "files changed after they were read: {count}, the last one {ago} ago",
        "{count} 个文件在读取后又被修改，最近一次在 {ago} 前"
    );
    let found = Found::new(subject, Status::Warning, summary).value(after, "s");
    newer.iter().take(FILES_MAX).fold(found, |found, (modified, file)| {
        let later = span(secs(started, *modified));
        found.evidence(*file, format!("changed {later} after the process began"))
    })
}

/// When a process began.
fn started(host: &Host, ticks: u64) -> Result<UnixTime, Gap> {
    let stat = host.must_read("/proc/stat")?;
    let boot = stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<u64>().ok());
    boot.map(|boot| UnixTime(boot.saturating_add(ticks / TICKS_PER_SEC)))
        .ok_or_else(|| Gap::Unknown(words!("/proc/stat has no line \"btime\"", "/proc/stat 中没有 \"btime\" 行")))
}

/// From one time to another; nothing when it was before.
fn secs(from: UnixTime, to: UnixTime) -> f64 {
    u32::try_from(to.0.saturating_sub(from.0)).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn lb_18_files_are_compared_with_the_newest_worker() {
        let file = "/etc/haproxy/haproxy.cfg";
        for (booted, now, expected) in [
            // The processes of the fixture began 10 s after boot.
            (0, 100, Status::Ok),
            (-15, 100, Status::Ok),
            (-3600, 100, Status::Warning),
            (-3600, -100, Status::Unknown),
        ] {
            let fixture = Fixture::live().file(file, "backend b\n server s 10.0.0.1:80 check\n").process(
                10,
                'S',
                &["/usr/sbin/haproxy", "-Ws", "-f", file],
            );
            let modified = std::fs::metadata(fixture.path(file)).unwrap().modified().unwrap();
            let modified = modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
            let fixture =
                fixture.file("/proc/stat", format!("cpu 1\nbtime {}\n", modified.checked_add_signed(booted).unwrap()));
            assert_eq!(
                fixture.now(modified.checked_add_signed(now).unwrap()).status(&CHECK),
                expected,
                "{booted} {now}"
            );
        }
        let no_boot = Fixture::live().file(file, "").process(10, 'S', &["haproxy", "-f", file]);
        assert_eq!(no_boot.status(&CHECK), Status::Unknown);
        let gone = Fixture::live().file("/proc/stat", "btime 1\n").process(10, 'S', &["haproxy", "-f", file]);
        assert_eq!(gone.status(&CHECK), Status::Unknown);
        assert!(Fixture::live().file(file, "").has_none_of(&CHECK));
        assert!(Fixture::live().has_none_of(&CHECK));
    }
}
