//! Logs that were deleted while a process writes to them: they are lost, and their space is not given back.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const CHECK: Check = Check {
    id: "log.deleted-in-use",
    title: Text { en: "Deleted logs that are still written to", zh: "已删除但仍在写入的日志" },
    reads: &["/proc/*/fd"],
    needs: Needs { root: true, ..Needs::LIVE },
    params: &[Param::above("warning", 0.0, 0.0, "", "Lynis LOGG-2190: no deleted log is in use")],
    impact: Text {
        en: "What the process writes is lost, and the disk fills with a file that nobody can see.",
        zh: "该进程写入的日志已丢失，且一个不可见的文件正在占用磁盘。",
    },
    remedy: Text {
        en: "Have it open its log again: systemctl reload UNIT (nginx -s reopen), else restart it. Do not delete logs by hand: empty them with truncate -s 0 FILE, or use logrotate.",
        zh: "让其重新打开日志：systemctl reload UNIT（nginx -s reopen），否则重启该服务。请勿手动删除日志：可用 truncate -s 0 FILE 清空，或使用 logrotate。",
    },
    run,
};

/// Open files of one process, and of all, that are looked at.
const LINKS_MAX: usize = 2000;
const ALL_LINKS_MAX: usize = 100_000;
/// Programs that are told one by one.
const SHOWN_MAX: usize = 20;
const DELETED: &str = " (deleted)";

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let (mut seen, mut unseen, mut looked_at) = (0, 0, 0);
    let mut by_program: BTreeMap<&str, (u32, BTreeSet<String>)> = BTreeMap::new();
    for process in crate::process::all(host)?.iter().filter(|process| !process.argv.is_empty()) {
        let pid = process.pid;
        match host.open_paths(pid, LINKS_MAX) {
            Ok(_) if looked_at > ALL_LINKS_MAX => unseen += 1,
            Ok(paths) => {
                seen += 1;
                looked_at += paths.len();
                let logs = paths.into_iter().filter_map(|path| path.strip_suffix(DELETED).map(str::to_owned));
                let logs: BTreeSet<String> = logs.filter(|path| is_log(path)).collect();
                if !logs.is_empty() {
                    by_program.entry(process.program()).or_insert((pid, BTreeSet::new())).1.extend(logs);
                }
            }
            Err(Gap::NotHere(_)) => {}
            // One that ends while it is looked at is none.
            Err(Gap::Unknown(_)) => unseen += usize::from(host.exists(&format!("/proc/{pid}/stat"))),
        }
    }
    if seen == 0 {
        return Err(Gap::Unknown(words!(
            "the open files of none of {unseen} processes may be seen; run it as root",
            "无权查看全部 {unseen} 个进程的打开文件；请以 root 运行"
        )));
    }
    let told = by_program.iter().take(SHOWN_MAX);
    let mut found: Vec<Found> = told.map(|(program, (pid, logs))| tell(settings, program, *pid, logs)).collect();
    if found.is_empty() {
        let summary = words!("none of {seen} processes writes to a deleted log", "{seen} 个进程均未写入已删除的日志");
        found.push(Found::new("", Status::Ok, summary));
    }
    if unseen > 0 {
        let summary = words!("{unseen} processes could not be looked at", "有 {unseen} 个进程无法查看");
        found.push(Found::new("unseen processes", Status::Unknown, summary));
    }
    Ok(found)
}

fn is_log(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    // Temporary files elsewhere are deleted on purpose while they are open.
    path.starts_with("/var/log/") || (!path.starts_with("/tmp/") && (name.ends_with(".log") || name.contains(".log.")))
}

fn tell(settings: &Settings<'_>, program: &str, pid: u32, logs: &BTreeSet<String>) -> Found {
    let count = logs.len();
    let first = logs.first().map_or("", String::as_str);
    let summary = words!(
        "{program} writes to {count} deleted logs: {first}",
        "{program} 正在写入 {count} 个已删除的日志：{first}"
    );
    #[expect(clippy::cast_precision_loss, reason = "logs of one program")]
    let number = count as f64;
    let found = Found::new(program, settings.level(program, number), summary).value(number, "");
    logs.iter().take(5).fold(found, |found, log| found.evidence(format!("/proc/{pid}/fd"), format!("{log}{DELETED}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;

    fn host(target: &str) -> Fixture {
        let host = Fixture::live().process(1, 'S', &["/sbin/init"]).process(9, 'S', &["/usr/sbin/haproxy"]);
        let host = host.file("/proc/9/fd/0", "");
        std::os::unix::fs::symlink(target, host.path("/proc/9/fd/3")).unwrap();
        host
    }

    #[test]
    fn log_06_deleted_logs_in_use_are_told() {
        for (target, expected) in [
            ("/var/log/haproxy.log", Status::Ok),
            ("/var/log/haproxy.log (deleted)", Status::Warning),
            ("/srv/app/log/app.log.1 (deleted)", Status::Warning),
            ("/tmp/ibXyz (deleted)", Status::Ok),
            ("socket:[1234]", Status::Ok),
        ] {
            let found = host(target).run(&CHECK);
            assert_eq!(found[0].status, expected, "{target}");
        }
        let found = host("/var/log/haproxy.log (deleted)").run(&CHECK);
        assert_eq!(found[0].evidence[0].text, "/var/log/haproxy.log (deleted)");
        assert_eq!(
            Fixture::live().process(1, 'S', &["/sbin/init"]).process(9, 'S', &["a"]).status(&CHECK),
            Status::Unknown
        );
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }
}
