//! Watches on files, per user, against the kernel's limits: a program at the limit mostly fails in silence.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::number::percent;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;
use std::collections::BTreeMap;

const INSTANCES: &str = "/proc/sys/fs/inotify/max_user_instances";
const WATCHES: &str = "/proc/sys/fs/inotify/max_user_watches";

pub(crate) const CHECK: Check = Check {
    id: "kernel.inotify",
    title: Text { en: "Watches on files against the limits", zh: "文件监视（inotify）与上限" },
    reads: &["/proc/PID/fd", "/proc/PID/fdinfo", INSTANCES, WATCHES],
    needs: Needs { root: true, ..Needs::LIVE },
    params: &[Param::above("warning", 80.0, 70.0, "%", "our recommendation: before programs fail in silence")],
    impact: Text {
        en: "At the limit programs no longer notice changes: logs are not followed, configuration is not reloaded, services fail to start with \"no space left\" or \"too many open files\".",
        zh: "达到上限后程序无法再感知文件变化：日志采集中断、配置不会重载，服务可能以 \"no space left\" 或 \"too many open files\" 启动失败。",
    },
    remedy: Text {
        en: "Raise them: sysctl -w fs.inotify.max_user_instances=1024 fs.inotify.max_user_watches=524288, and the same in /etc/sysctl.d.",
        zh: "调高上限：sysctl -w fs.inotify.max_user_instances=1024 fs.inotify.max_user_watches=524288，并写入 /etc/sysctl.d。",
    },
    run,
};

/// Open files that are looked at, of all processes.
const FILES_MAX: usize = 100_000;

/// What one user has.
#[derive(Debug, Default, Clone, Copy)]
struct Use {
    instances: u64,
    watches: u64,
}

/// What all have, and how much could not be seen.
#[derive(Debug, Default)]
struct Seen {
    users: BTreeMap<u32, Use>,
    files: usize,
    processes: usize,
    hidden: usize,
}

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    host.must_live()?;
    let limits = Use { instances: host.number(INSTANCES)?, watches: host.number(WATCHES)? };
    let mut seen = Seen::default();
    for process in host.processes() {
        if seen.files >= FILES_MAX {
            seen.hidden += 1;
        } else {
            look(host, process.pid, &mut seen);
        }
    }
    if seen.processes == 0 {
        return Err(Gap::Unknown(words!("no process's open files can be seen", "无法查看任何进程打开的文件")));
    }
    let mut found: Vec<Found> =
        seen.users.iter().filter_map(|(uid, used)| judge(settings, *uid, *used, limits)).collect();
    let hidden = seen.hidden;
    if hidden > 0 {
        let why = words!(
            "the watches of {hidden} processes could not be counted; run it as root",
            "有 {hidden} 个进程的监视数无法统计；请以 root 运行"
        );
        found.push(Found::new("", Status::Unknown, why));
    } else if found.is_empty() {
        let most = seen.users.values().map(|used| used.instances).max().unwrap_or(0);
        let limit = limits.instances;
        let summary = words!(
            "watches on files are within the limits; no user has more than {most} of {limit} instances",
            "文件监视均在上限之内；单个用户最多使用 {most} 个实例（上限 {limit}）"
        );
        found.push(Found::new("", Status::Ok, summary).evidence(INSTANCES, limit.to_string()));
    }
    Ok(found)
}

/// Nothing when it is fine.
fn judge(settings: &Settings<'_>, uid: u32, used: Use, limits: Use) -> Option<Found> {
    let subject = format!("uid {uid}");
    let shares = [percent(used.instances, limits.instances)?, percent(used.watches, limits.watches)?];
    let share = shares[0].max(shares[1]);
    let status = settings.level(&subject, share);
    if status == Status::Ok {
        return None;
    }
    let (Use { instances, watches }, Use { instances: most_instances, watches: most_watches }) = (used, limits);
    let summary = words!(
        "user {uid} has {instances} of {most_instances} inotify instances and {watches} of {most_watches} watches",
        "用户 {uid} 已用 inotify 实例 {instances}/{most_instances}、监视 {watches}/{most_watches}"
    );
    let found = Found::new(subject, status, summary).value(share, "%");
    Some(found.evidence(INSTANCES, most_instances.to_string()).evidence(WATCHES, most_watches.to_string()))
}

/// Counts what one process has. It is charged to the user who made it, mostly the one who runs it.
fn look(host: &Host, pid: u32, seen: &mut Seen) {
    let entries = match host.list(&format!("/proc/{pid}/fd")) {
        Ok(entries) => entries,
        // It has ended.
        Err(Gap::NotHere(_)) => return,
        Err(Gap::Unknown(_)) => {
            seen.hidden += 1;
            return;
        }
    };
    seen.processes += 1;
    let Ok(uid) = host.stat(&format!("/proc/{pid}")).map(|stat| stat.uid) else { return };
    for entry in entries {
        seen.files += 1;
        if host.link(&format!("/proc/{pid}/fd/{}", entry.name)).is_ok_and(|target| target == "anon_inode:inotify") {
            let info = host.read(&format!("/proc/{pid}/fdinfo/{}", entry.name)).unwrap_or_default();
            let watches = info.lines().filter(|line| line.starts_with("inotify ")).count();
            let used = seen.users.entry(uid).or_default();
            used.instances += 1;
            used.watches += watches as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;

    fn watching(instances: usize, watches: usize) -> Fixture {
        let mut fixture =
            Fixture::live().file(INSTANCES, "10\n").file(WATCHES, "100\n").process(7, 'S', &["/usr/bin/agent"]);
        std::fs::create_dir_all(fixture.path("/proc/7/fd")).unwrap();
        for at in 0..instances {
            std::os::unix::fs::symlink("anon_inode:inotify", fixture.path(&format!("/proc/7/fd/{at}"))).unwrap();
            let info = format!("pos:\t0\nflags:\t02004000\n{}", "inotify wd:1 ino:2 sdev:3 mask:4\n".repeat(watches));
            fixture = fixture.file(&format!("/proc/7/fdinfo/{at}"), info);
        }
        fixture
    }

    #[test]
    fn krn_11_watches_per_user() {
        for (instances, watches, expected) in
            [(2, 10, Status::Ok), (9, 1, Status::Warning), (1, 90, Status::Warning), (0, 0, Status::Ok)]
        {
            assert_eq!(watching(instances, watches).status(&CHECK), expected, "{instances} {watches}");
        }
        assert!(watching(9, 1).run(&CHECK)[0].subject.starts_with("uid "));
        assert!(Fixture::live().has_none_of(&CHECK));
        assert_eq!(watching(1, 1).file(INSTANCES, "x").status(&CHECK), Status::Unknown);
        let empty = Fixture::live().file(INSTANCES, "10\n").file(WATCHES, "100\n");
        assert_eq!(empty.status(&CHECK), Status::Unknown);
    }
}
