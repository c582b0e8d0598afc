//! A reload that the master could not do leaves the old workers running with the old configuration, and `nginx -s reload`
//! says that all went well: only the error log tells.

use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::lb::nginx::{Instance, readable};
use crate::run::Settings;
use crate::web::access_log::time;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "nginx.reload-failed",
    title: Text { en: "nginx reloads that failed silently", zh: "静默失败的 nginx 重新加载" },
    reads: &["the error_log files of the running nginx", "/proc/stat", "/proc/PID/stat"],
    needs: Needs { root: true, ..Needs::LIVE },
    params: &[],
    impact: Text {
        en: "The old configuration is still served although the reload seemed to work; the next restart will fail, and then nothing is served.",
        zh: "重新加载看似成功，实际仍在使用旧配置；下次重启将失败，届时服务完全中断。",
    },
    remedy: Text {
        en: "Run nginx -t and mend what it or the error log names (a port that another program holds: ss -ltnp), then nginx -s reload, and look for new workers.",
        zh: "执行 nginx -t，修复其或错误日志中指出的问题（端口被其他程序占用时：ss -ltnp），再执行 nginx -s reload，并确认出现新的工作进程。",
    },
    run,
};

/// Of each error log, its end.
const TAIL_BYTES: u64 = 256 << 10;
/// Error logs that are read.
const LOGS_MAX: usize = 4;
/// Lines that are shown.
const SHOWN_MAX: usize = 3;
/// Ticks of /proc/PID/stat in a second.
const TICKS_PER_SEC: u64 = 100;
/// The largest distance of a time zone from UTC.
const OFFSET_SECS_MAX: i64 = 14 * 3600;

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let running: Vec<_> = readable(host)?.into_iter().filter(|instance| instance.master.is_some()).collect();
    if running.is_empty() {
        return Err(Gap::NotHere(words!("nginx does not run here", "此主机上 nginx 未在运行")));
    }
    let boot = boot(host)?;
    running.into_iter().map(|instance| judge(host, instance, boot)).collect()
}

fn judge(host: &Host, instance: &Instance, boot: i64) -> Result<Found, Gap> {
    let subject = instance.subject();
    let newest = instance.workers(host).iter().map(|worker| worker.start_ticks).max();
    let Some(started) = newest.and_then(|ticks| i64::try_from(ticks / TICKS_PER_SEC).ok()) else {
        return Err(Gap::Unknown(words!("no nginx worker runs", "没有运行中的 nginx 工作进程")));
    };
    let since = boot.saturating_add(started);
    let mut failed = Vec::new();
    let mut read = 0_u32;
    // What was written before the last rotation first.
    for path in logs(instance).into_iter().flat_map(|path| [format!("{path}.1"), path]) {
        match host.tail(&path, TAIL_BYTES) {
            Ok(text) if text.trim().is_empty() => read += 1,
            Ok(text) => {
                let offset = offset(host, &path, &text)?;
                read += 1;
                failed.extend(
                    failures(&text, instance.master, offset, since).map(|line| (path.clone(), line.to_owned())),
                );
            }
            Err(Gap::NotHere(_)) => {}
            Err(gap @ Gap::Unknown(_)) => return Err(gap),
        }
    }
    if read == 0 {
        return Err(Gap::Unknown(words!("no error_log file of nginx was found", "未找到 nginx 的 error_log 文件")));
    }
    if failed.is_empty() {
        let summary = words!("no reload failed since the workers started", "自工作进程启动以来没有失败的重新加载");
        return Ok(Found::new(subject, Status::Ok, summary));
    }
    let count = failed.len();
    let summary = words!(
        "the last reload of nginx failed, its workers still run the old configuration",
        "nginx 上次重新加载失败，工作进程仍在使用旧配置"
    );
    let found = Found::new(subject, Status::Warning, summary);
    let found = latest(&failed).into_iter().fold(found, |found, (path, line)| found.evidence(path, line));
    Ok(found.detail("lines", f64::from(u32::try_from(count).unwrap_or(u32::MAX))))
}

/// The latest line of each message, a few of them: nginx tries five times and says the same each time.
fn latest(failed: &[(String, String)]) -> Vec<(&String, &String)> {
    let message = |line: &str| line.split_once("#").map(|(_, behind)| behind.to_owned());
    let mut shown: Vec<(&String, &String)> = Vec::new();
    for (path, line) in failed.iter().rev() {
        if shown.len() < SHOWN_MAX && shown.iter().all(|(_, known)| message(known) != message(line)) {
            shown.insert(0, (path, line));
        }
    }
    shown
}

/// Where the master writes: the logs outside of all blocks, or the usual one.
fn logs(instance: &Instance) -> Vec<String> {
    let named = instance.tree.iter().filter(|directive| directive.name == "error_log");
    let files = named.filter_map(|directive| directive.arg(0)).filter(|path| {
        *path != "stderr" && !path.starts_with("syslog:") && !path.starts_with("memory:") && !path.starts_with("/dev/")
    });
    let mut files: Vec<_> = files.map(|path| instance.path(path)).take(LOGS_MAX).collect();
    if instance.top("error_log").is_none() {
        files.extend([instance.path("logs/error.log"), "/var/log/nginx/error.log".to_owned()]);
    }
    files
}

/// Seconds since 1970 at which the host booted.
fn boot(host: &Host) -> Result<i64, Gap> {
    let stat = host.must_read("/proc/stat")?;
    stat.lines()
        .find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
        .ok_or_else(|| Gap::Unknown(words!("/proc/stat has no line \"btime\"", "/proc/stat 中没有 \"btime\" 行")))
}

/// How far the log's local time is from UTC: its last line was written when the file changed last.
fn offset(host: &Host, path: &str, text: &str) -> Result<i64, Gap> {
    let changed = i64::try_from(host.stat(path)?.modified.0).unwrap_or(i64::MAX);
    let last = text.lines().rev().find_map(time::error_log);
    let distance = last.map(|last| last.saturating_sub(changed));
    // Zones are whole quarters of an hour.
    match distance.map(|distance| (distance.saturating_add(450).div_euclid(900).saturating_mul(900), distance)) {
        Some((offset, distance)) if offset.abs() <= OFFSET_SECS_MAX && (offset - distance).abs() <= 60 => Ok(offset),
        Some(_) | None => Err(Gap::Unknown(words!(
            "{path} does not tell its time zone: its last line was not written when it changed last",
            "无法判断 {path} 的时区：最后一行的时间与文件修改时间不符"
        ))),
    }
}

/// The master's fatal lines that are newer than `since`. Another process's are of a test run by hand.
fn failures(text: &str, master: Option<u32>, offset: i64, since: i64) -> impl Iterator<Item = &str> {
    text.lines().filter(move |line| {
        let is_new =
            || time::error_log(line).is_some_and(|local| local.saturating_sub(offset) > since.saturating_add(1));
        let behind = line.split_once("[emerg] ").map(|(_, behind)| behind);
        let pid = behind.and_then(|behind| behind.split_once('#')?.0.parse::<u32>().ok());
        pid.is_some() && pid == master && is_new()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;
    use std::fs::File;
    use std::time::{Duration, SystemTime};

    /// A master 1 whose worker started 10 s after a boot at 2026-01-01 00:00:00 UTC, and a log in Shanghai's time.
    fn fixture(log: &str, changed: u64) -> Fixture {
        let fixture = Fixture::live()
            .file("/etc/nginx/nginx.conf", "error_log /var/log/nginx/error.log;")
            .file("/proc/stat", "cpu  1 1 1 1\nbtime 1767225600\n")
            .process(1, 'S', &["nginx: master process /usr/sbin/nginx"])
            .process(7, 'S', &["nginx: worker process"])
            .file("/var/log/nginx/error.log", log);
        let file = File::options().write(true).open(fixture.path("/var/log/nginx/error.log")).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(changed)).unwrap();
        fixture
    }

    #[test]
    fn lb_19_a_reload_that_failed_is_found_in_the_error_log() {
        let bind = "bind() to 0.0.0.0:8080 failed (98: Address already in use)";
        for (log, changed, expected) in [
            // Before the worker started, and after; then another process's.
            (format!("2026/01/01 08:00:05 [emerg] 1#1: {bind}\n"), 1_767_225_605, Status::Ok),
            (
                format!(
                    "2026/01/01 08:00:05 [notice] 1#1: x\n2026/01/01 09:00:00 [emerg] 1#1: {bind}\n2026/01/01 09:00:02 [emerg] 1#1: still could not bind()\n"
                ),
                1_767_229_202,
                Status::Warning,
            ),
            (format!("2026/01/01 09:00:00 [emerg] 77#77: {bind}\n"), 1_767_229_200, Status::Ok),
            ("2026/01/01 09:00:00 [error] 7#7: *1 connect() failed\n".into(), 1_767_229_200, Status::Ok),
            (String::new(), 1_767_229_200, Status::Ok),
            // No time that fits.
            (format!("2026/01/01 09:00:00 [emerg] 1#1: {bind}\n"), 1_767_629_200, Status::Unknown),
            ("garbage\n".into(), 1_767_229_200, Status::Unknown),
        ] {
            assert_eq!(fixture(&log, changed).status(&CHECK), expected, "{log}");
        }
    }

    #[test]
    fn lb_19_without_a_log_or_a_running_nginx() {
        assert!(Fixture::live().has_none_of(&CHECK));
        assert!(Fixture::live().file("/etc/nginx/nginx.conf", "").has_none_of(&CHECK));
        let fixture = fixture("", 1).file("/etc/nginx/nginx.conf", "error_log /var/log/gone.log;");
        assert_eq!(fixture.status(&CHECK), Status::Unknown);
    }
}
