//! How near each process is to the number of files and connections that it may have open.

use super::all;
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;
use std::collections::BTreeMap;

pub(crate) const CHECK: Check = Check {
    id: "process.open-files",
    title: Text { en: "Open files of processes against their limit", zh: "进程打开文件数与上限" },
    reads: &["/proc/*/fd", "/proc/*/limits"],
    needs: Needs { root: true, ..Needs::LIVE },
    params: &[Param::above(
        "warning",
        95.0,
        85.0,
        "%",
        "netdata health.d/file_descriptors.conf, apps_group_file_descriptors_utilization",
    )],
    impact: Text {
        en: "At its limit a process can open no file and accept no connection: \"Too many open files\".",
        zh: "达到上限后，进程无法再打开文件或接受连接，并报错 \"Too many open files\"。",
    },
    remedy: Text {
        en: "Raise the limit: systemctl edit UNIT, [Service] LimitNOFILE=65536, then restart it (nginx: also worker_rlimit_nofile). If the number only ever grows, the program leaks them.",
        zh: "提高上限：systemctl edit UNIT，在 [Service] 下设置 LimitNOFILE=65536，然后重启服务（nginx 还需设置 worker_rlimit_nofile）。如果数量只增不减，则程序存在泄漏。",
    },
    run,
};

/// Programs that are told one by one.
const SHOWN_MAX: usize = 50;
/// Open files of all processes that are counted.
const COUNTED_MAX: usize = 4 << 20;

/// The process of a program that is nearest to its limit.
struct Fullest {
    pid: u32,
    open: usize,
    limit: u64,
    percent: f64,
}

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let mut by_program: BTreeMap<&str, Fullest> = BTreeMap::new();
    let (mut unseen, mut counted) = (0, 0);
    for process in all(host)? {
        // Kernel threads have no files, and the dead have none left.
        if process.argv.is_empty() || process.state == 'Z' {
            continue;
        }
        if counted >= COUNTED_MAX {
            unseen += 1;
            continue;
        }
        match fullness(host, process.pid) {
            Some(Some(now)) => {
                counted += now.open;
                let fullest = by_program.entry(process.program()).or_insert(Fullest { percent: -1.0, ..now });
                if now.percent > fullest.percent {
                    *fullest = now;
                }
            }
            Some(None) => unseen += 1,
            // It has ended.
            None => {}
        }
    }
    if by_program.is_empty() {
        return Err(Gap::Unknown(words!(
            "the open files of none of {unseen} processes may be seen; run it as root",
            "无权查看全部 {unseen} 个进程的打开文件；请以 root 运行"
        )));
    }
    Ok(tell(settings, &by_program, unseen))
}

/// Nothing inside when it may not be seen.
#[expect(clippy::option_option, reason = "gone, hidden, seen")]
fn fullness(host: &Host, pid: u32) -> Option<Option<Fullest>> {
    let limits = match host.read(&format!("/proc/{pid}/limits")) {
        Ok(limits) => limits,
        Err(Gap::NotHere(_)) => return None,
        Err(Gap::Unknown(_)) => return Some(None),
    };
    let Some(limit) = soft_limit(&limits) else { return Some(None) };
    let Some(open) = host.open_files(pid).ok()? else { return Some(None) };
    #[expect(clippy::cast_precision_loss, reason = "a million at most")]
    let percent = if limit == 0 { 0.0 } else { 100.0 * open as f64 / limit as f64 };
    Some(Some(Fullest { pid, open, limit, percent }))
}

/// The limit at which opening fails; a process may raise it to the hard one by itself, but most do not.
fn soft_limit(limits: &str) -> Option<u64> {
    let soft = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match soft.split_ascii_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

fn tell(settings: &Settings<'_>, by_program: &BTreeMap<&str, Fullest>, unseen: usize) -> Vec<Found> {
    let mut found = Vec::new();
    for (program, fullest) in by_program {
        let status = settings.level(program, fullest.percent);
        if status == Status::Ok || found.len() == SHOWN_MAX {
            continue;
        }
        let Fullest { pid, open, limit, percent } = *fullest;
        let summary = words!(
            "{program} (process {pid}) has {open} files open, {percent:.0} % of the {limit} that it may",
            "{program}（进程 {pid}）已打开 {open} 个文件，占上限 {limit} 的 {percent:.0}%"
        );
        let one = Found::new(*program, status, summary).value(percent, "%");
        found.push(
            one.evidence(format!("/proc/{pid}/limits"), format!("Max open files {limit} (soft limit)"))
                .evidence(format!("/proc/{pid}/fd"), format!("{open} entries")),
        );
    }
    let fullest = by_program.iter().max_by(|one, other| one.1.percent.total_cmp(&other.1.percent));
    if let Some((program, fullest)) = fullest.filter(|_| found.is_empty()) {
        let percent = fullest.percent;
        let summary = words!(
            "no process is near its limit of open files; the fullest is {program} with {percent:.0} %",
            "没有进程接近打开文件数上限；最高的是 {program}，为 {percent:.0}%"
        );
        found.push(Found::new("", Status::Ok, summary).value(percent, "%"));
    }
    if unseen > 0 {
        let summary = words!(
            "{unseen} processes could not be looked at; run it as root",
            "有 {unseen} 个进程无法查看；请以 root 运行"
        );
        found.push(Found::new("unseen processes", Status::Unknown, summary));
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;

    fn limits(soft: &str) -> String {
        format!(
            "Limit                     Soft Limit           Hard Limit           Units     \n\
             Max cpu time              unlimited            unlimited            seconds   \n\
             Max open files            {soft}                 524288               files     \n"
        )
    }

    fn host(open: u32, soft: &str) -> Fixture {
        let host = Fixture::live().process(1, 'S', &["/sbin/init"]).file("/proc/1/limits", limits("1048576"));
        let host = host.file("/proc/1/fd/0", "").process(2, 'S', &[]);
        let host = host.process(10, 'S', &["nginx: worker process"]).file("/proc/10/limits", limits(soft));
        (0..open).fold(host, |host, number| host.file(&format!("/proc/10/fd/{number}"), ""))
    }

    #[test]
    fn prc_05_open_files_are_judged_against_the_soft_limit() {
        for (open, soft, expected) in [
            (20, "1024", Status::Ok),
            (39, "40", Status::Warning),
            (38, "40", Status::Ok),
            (39, "unlimited", Status::Ok),
            (3, "0", Status::Ok),
            (3, "damaged", Status::Unknown),
        ] {
            assert_eq!(host(open, soft).status(&CHECK), expected, "{open} of {soft}");
        }
        let found = host(39, "40").run(&CHECK);
        assert_eq!((found.len(), found[0].subject.as_str()), (1, "nginx"));
        assert!(found[0].summary.en.contains("39 files open, 98 % of the 40"), "{}", found[0].summary.en);
    }

    #[test]
    fn prc_05_who_cannot_be_seen_is_counted() {
        let host = Fixture::live().process(1, 'S', &["/sbin/init"]).process(2, 'S', &["a"]);
        assert_eq!(host.status(&CHECK), Status::Unknown);
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
        // As this machine is: a real /proc, whoever runs the test.
        let live = Host::live().unwrap();
        assert!(matches!(crate::run::run(&CHECK, &live, &crate::Wanted::default()), crate::Ran::Findings(_)));
    }
}
