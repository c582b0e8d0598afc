//! Scheduled jobs that no longer run: a cron that is dead, timers that are overdue or whose job never ends.

use super::SOURCE;
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::{Host, Systemd, Unit};
use crate::number::span;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "service.scheduled-jobs",
    title: Text { en: "Scheduled jobs: cron and timers", zh: "计划任务：cron 与定时器" },
    reads: &["/etc/crontab", "/etc/cron.d/*", "/var/spool/cron", "/proc/*/stat", "systemd over D-Bus: ListUnits, Get"],
    needs: Needs { net: true, root: true, ..Needs::LIVE },
    params: &[Param::above(
        "warning",
        86_400.0,
        0.0,
        "s",
        "awesome-prometheus-alerts, systemd: a timer that missed its day",
    )],
    impact: Text {
        en: "Backups, certificate renewals, log rotation and clean-ups that are scheduled do not happen, and nobody is told.",
        zh: "计划中的备份、证书续期、日志轮转与清理不会执行，且无人得知。",
    },
    remedy: Text {
        en: "Start cron and have it start at boot: systemctl enable --now cron (crond on Red Hat and Alibaba Cloud Linux). For a timer: systemctl list-timers, then systemctl status of its job.",
        zh: "启动 cron 并设为开机自启：systemctl enable --now cron（Red Hat 系与 Alibaba Cloud Linux 为 crond）。对于定时器，请执行 systemctl list-timers，再查看其任务的 systemctl status。",
    },
    run,
};

const DAEMONS: [&str; 5] = ["cron", "crond", "fcron", "dcron", "busybox"];
const PROGRAMS: [&str; 5] =
    ["/usr/sbin/cron", "/usr/sbin/crond", "/usr/bin/crond", "/usr/sbin/fcron", "/usr/bin/fcron"];
/// Tables that are read until one entry is found.
const TABLES: [&str; 4] = ["/etc/crontab", "/etc/cron.d/*", "/var/spool/cron/crontabs/*", "/var/spool/cron/*"];
/// Timers that are told one by one.
const SHOWN_MAX: usize = 30;

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    host.must_live()?;
    let mut found: Vec<Found> = cron(host)?.into_iter().collect();
    match host.systemd() {
        Ok(systemd) => found.extend(timers(host, settings, systemd)),
        Err(Gap::NotHere(_)) => {}
        Err(Gap::Unknown(why)) => found.push(Found::new("timers", Status::Unknown, why)),
    }
    if found.is_empty() {
        return Err(Gap::NotHere(words!("neither cron nor timers are used here", "此主机未使用 cron 或定时器")));
    }
    Ok(found)
}

/// Nothing without a cron that has something to do. Packages bring tables also where no cron is installed.
fn cron(host: &Host) -> Result<Option<Found>, Gap> {
    let Some(program) = PROGRAMS.into_iter().find(|program| host.exists(program)) else { return Ok(None) };
    let Some((source, entry)) = first_entry(host) else { return Ok(None) };
    let processes = crate::process::all(host)?;
    // Whoever runs applets of busybox runs cron as one of them.
    let running = processes.iter().find(|process| {
        DAEMONS.contains(&process.program())
            && (process.program() != "busybox" || process.argv.get(1).is_some_and(|applet| applet == "crond"))
    });
    Ok(Some(match running {
        Some(process) => {
            let (name, pid) = (process.program(), process.pid);
            Found::new("cron", Status::Ok, words!("{name} runs (process {pid})", "{name} 正在运行（进程 {pid}）"))
        }
        None => {
            let summary = words!(
                "{program} is installed and has jobs, but does not run",
                "已安装 {program} 且存在任务，但它未运行"
            );
            Found::new("cron", Status::Warning, summary)
                .evidence(source, entry)
                .evidence("/proc", "no process of this name")
        }
    }))
}

/// Where the first job stands, and when it runs; what it runs may hold a password.
fn first_entry(host: &Host) -> Option<(String, String)> {
    let tables = TABLES.iter().flat_map(|pattern| host.glob(pattern).unwrap_or_default());
    for table in tables.take(200) {
        let text = host.read(&table).unwrap_or_default();
        let entry = text.lines().enumerate().find(|(_, line)| {
            let line = line.trim_start();
            line.starts_with(['*', '@']) || line.starts_with(|first: char| first.is_ascii_digit())
        });
        if let Some((index, line)) = entry {
            let fields = if line.trim_start().starts_with('@') { 1 } else { 5 };
            let when: Vec<&str> = line.split_ascii_whitespace().take(fields).collect();
            return Some((format!("{table}:{}", index + 1), when.join(" ")));
        }
    }
    None
}

fn timers(host: &Host, settings: &Settings<'_>, systemd: &Systemd) -> Vec<Found> {
    let timers: Vec<&Unit> =
        systemd.units.iter().filter(|unit| unit.name.ends_with(".timer") && unit.active == "active").collect();
    let late = timers.iter().filter_map(|timer| judge(host, settings, systemd, timer)).take(SHOWN_MAX);
    let mut found: Vec<Found> = late.collect();
    if found.is_empty() && !timers.is_empty() {
        let count = timers.len();
        found.push(Found::new(
            "timers",
            Status::Ok,
            words!("{count} timers are on time", "{count} 个定时器均按时执行"),
        ));
    }
    found
}

/// Nothing for a timer that is on time.
fn judge(host: &Host, settings: &Settings<'_>, systemd: &Systemd, timer: &Unit) -> Option<Found> {
    let name = &timer.name;
    #[expect(clippy::cast_precision_loss, reason = "seconds")]
    let since = |time: Option<cloud_doctor_proto::time::UnixTime>| {
        time.map_or(0.0, |time| host.now().0.saturating_sub(time.0) as f64)
    };
    // A job that has begun and not ended holds its timer up. A service that runs for ever has begun and is `active`.
    let job = timer.starts.as_ref().and_then(|job| systemd.units.iter().find(|unit| unit.name == *job));
    let (secs, summary) = if let Some(job) = job.filter(|job| timer.sub == "running" && job.active == "activating") {
        let (secs, job) = (since(timer.triggered), &job.name);
        let long = span(secs);
        (
            secs,
            words!(
                "{job} was started by {name} {long} ago and has not ended",
                "{job} 由 {name} 在 {long} 前启动，至今未结束"
            ),
        )
    } else {
        let secs = since(timer.due);
        let long = span(secs);
        (secs, words!("{name} is overdue for {long}", "{name} 已逾期 {long}"))
    };
    let status = settings.level(name, secs);
    let seen = format!("SubState={}", timer.sub);
    (status != Status::Ok).then(|| Found::new(name, status, summary).value(secs, "s").evidence(SOURCE, seen))
}

#[cfg(test)]
mod tests {
    use super::super::failed::tests::{NOW, unit, with_units};
    use super::*;
    use crate::host::fixture::Fixture;
    use cloud_doctor_proto::time::UnixTime;

    const CRONTAB: &str = "# /etc/crontab: system-wide crontab\nSHELL=/bin/sh\n\
        17 *\t* * *\troot\tcd / && run-parts --report /etc/cron.hourly\n";

    fn host() -> Fixture {
        Fixture::live().process(1, 'S', &["/sbin/init"])
    }

    #[test]
    fn prc_09_a_dead_cron_with_jobs_is_told() {
        let installed = || host().file("/usr/sbin/cron", "ELF").file("/etc/crontab", CRONTAB);
        assert_eq!(installed().status(&CHECK), Status::Warning);
        assert_eq!(installed().process(9, 'S', &["/usr/sbin/cron", "-f"]).status(&CHECK), Status::Ok);
        let found = installed().run(&CHECK);
        assert_eq!(
            (found[0].evidence[0].source.as_str(), found[0].evidence[0].text.as_str()),
            ("/etc/crontab:3", "17 * * * *")
        );
        // Tables that packages bring, without a cron; and a cron without a job.
        assert!(host().file("/etc/cron.d/e2scrub_all", "30 3 * * 0 root e2scrub\n").has_none_of(&CHECK));
        assert!(host().file("/usr/sbin/cron", "ELF").file("/etc/crontab", "# nothing\n").has_none_of(&CHECK));
        assert_eq!(
            Fixture::live().file("/usr/sbin/crond", "").file("/etc/crontab", CRONTAB).status(&CHECK),
            Status::Unknown
        );
        assert_eq!(host().file("/run/systemd/system/x", "").status(&CHECK), Status::Unknown);
    }

    #[test]
    fn prc_09_timers_that_missed_a_day_are_told() {
        let timer = |sub: &str, due: Option<u64>, triggered: u64| Unit {
            due: due.map(UnixTime),
            triggered: Some(UnixTime(triggered)),
            starts: Some("backup.service".to_owned()),
            ..unit("backup.timer", "active", sub)
        };
        for (timer, job, expected) in [
            (timer("waiting", Some(NOW + 60), NOW - 100_000), "inactive", Status::Ok),
            (timer("waiting", Some(NOW - 90_000), NOW - 100_000), "inactive", Status::Warning),
            (timer("running", None, NOW - 100_000), "activating", Status::Warning),
            (timer("running", None, NOW - 1000), "activating", Status::Ok),
            // A timer that only starts a service for good.
            (timer("running", None, NOW - 100_000), "active", Status::Ok),
        ] {
            let units = vec![timer.clone(), unit("backup.service", job, "start")];
            assert_eq!(with_units(&host(), &CHECK, units)[0].status, expected, "{timer:?} {job}");
        }
    }
}
