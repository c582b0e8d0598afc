//! Services and containers against their own memory limit, and whether the kernel killed any of their processes for it.
//!
//! Judged is what cannot be given back: use less the inactive file cache, as kubelet and docker count it. Judging use alone
//! would report every service that reads many files.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::host::control_groups::{ControlGroup, Controller};
use crate::number::{percent, size};
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "memory.service-limit",
    title: Text { en: "Services against their memory limit", zh: "服务的内存限额" },
    reads: &[
        "/sys/fs/cgroup/**/memory.max, memory.current, memory.stat, memory.events",
        "/sys/fs/cgroup/memory/**/memory.limit_in_bytes, memory.usage_in_bytes, memory.stat, memory.oom_control",
    ],
    needs: Needs::LIVE,
    params: &[
        Param::above("warning", 90.0, 80.0, "%", "netdata health.d/cgroups.conf, cgroup_ram_in_use"),
        Param::above("critical", 98.0, 90.0, "%", "netdata health.d/cgroups.conf, cgroup_ram_in_use"),
    ],
    impact: Text {
        en: "At its limit the service slows down, then the kernel kills its processes although the server has memory left.",
        zh: "达到限额后该服务会先变慢，随后其进程会被内核杀掉，即使服务器仍有空闲内存。",
    },
    remedy: Text {
        en: "Raise the limit (systemctl set-property UNIT MemoryMax=, docker update --memory, resources.limits.memory in Kubernetes), or find out why the service needs more than planned.",
        zh: "提高限额（systemctl set-property 单元 MemoryMax=、docker update --memory 或 Kubernetes 的 resources.limits.memory），或排查该服务为何超出预期。",
    },
    run,
};

/// Findings for services that are fine are summed up beyond so many.
const FINE_MAX: usize = 50;

/// The files of one version.
struct Files {
    limit: &'static str,
    used: &'static str,
    cache: &'static str,
    kills: &'static str,
}

const VERSION_2: Files =
    Files { limit: "memory.max", used: "memory.current", cache: "inactive_file", kills: "memory.events" };
const VERSION_1: Files = Files {
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    cache: "total_inactive_file",
    kills: "memory.oom_control",
};
/// Version 1 says "no limit" with the largest number of pages that it can think of.
const NO_LIMIT: u64 = 1 << 60;

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let found = host.control_groups(Controller::Memory)?;
    let files = if found.unified { &VERSION_2 } else { &VERSION_1 };
    let all: Vec<Found> = found.groups.iter().filter_map(|group| judge(host, settings, group, files)).collect();
    let (fine, mut rest): (Vec<Found>, Vec<Found>) = all.into_iter().partition(|found| found.status == Status::Ok);
    if found.cut {
        let why = words!("there are more groups than are looked at", "控制组过多，仅检查了其中一部分");
        rest.push(Found::new("/sys/fs/cgroup", Status::Unknown, why));
    }
    if fine.is_empty() && rest.is_empty() {
        return Err(Gap::NotHere(words!("no service here has a memory limit", "没有设置内存限额的服务")));
    }
    let count = fine.len();
    if count <= FINE_MAX {
        rest.extend(fine);
    } else {
        let summary = words!("{count} services are within their memory limit", "{count} 个服务未触及内存限额");
        rest.push(Found::new("", Status::Ok, summary));
    }
    Ok(rest)
}

/// Nothing for a group without a limit whose processes were never killed, and for one that ended meanwhile.
fn judge(host: &Host, settings: &Settings<'_>, group: &ControlGroup, files: &Files) -> Option<Found> {
    let path = |file: &str| format!("{}/{file}", group.path);
    let limit = host.read(&path(files.limit)).ok()?;
    let name = &group.name;
    let limit = match limit.trim() {
        "max" => None,
        text => match text.parse::<u64>() {
            Ok(limit) => Some(limit).filter(|limit| *limit < NO_LIMIT),
            Err(_) => {
                let file = path(files.limit);
                let why = words!("{file} cannot be understood", "无法解析 {file}");
                return Some(Found::new(name, Status::Unknown, why).evidence(&file, text));
            }
        },
    };
    let limit = limit?;
    let used: u64 = host.number(&path(files.used)).ok()?;
    let cache = host.read(&path("memory.stat")).ok().and_then(|stat| value(&stat, files.cache)).unwrap_or(0);
    let needed = used.saturating_sub(cache);
    let kills = host.read(&path(files.kills)).ok().and_then(|events| value(&events, "oom_kill"));
    // A limit of nothing is a limit that is reached.
    let share = percent(needed, limit).unwrap_or(100.0);
    let (needed, of) = (size(needed), size(limit));
    let killed = kills.unwrap_or(0);
    // Killing is what the limit does in the end; the counter begins anew when the service starts.
    let status = settings.level(name, share).max(if killed > 0 { Status::Warning } else { Status::Ok });
    let summary = words!(
        "{name} needs {share:.0} % of its memory limit ({needed} of {of}); {killed} of its processes were killed for it since it started",
        "{name} 使用了内存限额的 {share:.0}%（{needed}，限额 {of}）；自启动以来有 {killed} 个进程因超限被杀"
    );
    let found = Found::new(name, status, summary).value(share, "%");
    let found = found.evidence(path(files.used), format!("{used}, of these {cache} inactive file cache"));
    let found = found.evidence(path(files.limit), limit.to_string());
    Some(match kills {
        Some(kills) => found.evidence(path(files.kills), format!("oom_kill {kills}")),
        None => found,
    })
}

fn value(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    fn v2(limit: &str, used: &str, cache: &str, kills: &str) -> Fixture {
        let folder = "/sys/fs/cgroup/system.slice/app.service";
        Fixture::live()
            .file("/sys/fs/cgroup/cgroup.controllers", "cpu memory\n")
            .file(&format!("{folder}/memory.max"), format!("{limit}\n"))
            .file(&format!("{folder}/memory.current"), format!("{used}\n"))
            .file(&format!("{folder}/memory.stat"), format!("anon 1\ninactive_file {cache}\n"))
            .file(&format!("{folder}/memory.events"), format!("low 0\noom 0\noom_kill {kills}\noom_group_kill 0\n"))
    }

    #[test]
    fn mem_10_services_against_their_limit() {
        for (limit, used, cache, kills, expected) in [
            ("1000", "950", "500", "0", Status::Ok),
            ("1000", "950", "10", "0", Status::Warning),
            ("1000", "995", "10", "0", Status::Critical),
            ("1000", "100", "0", "2", Status::Warning),
            ("0", "0", "0", "0", Status::Critical),
            ("lots", "0", "0", "0", Status::Unknown),
        ] {
            let findings = v2(limit, used, cache, kills).run(&CHECK);
            assert_eq!((findings[0].status, findings[0].subject.as_str()), (expected, "app.service"), "{limit} {used}");
        }
        assert!(v2("max", "9", "0", "0").has_none_of(&CHECK));
        assert!(Fixture::live().has_none_of(&CHECK));
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }

    #[test]
    fn mem_10_version_1() {
        let folder = "/sys/fs/cgroup/memory/system.slice/app.service";
        let fixture = |limit: &str| {
            Fixture::live()
                .file(&format!("{folder}/memory.limit_in_bytes"), limit)
                .file(&format!("{folder}/memory.usage_in_bytes"), "1000\n")
                .file(&format!("{folder}/memory.stat"), "inactive_file 0\ntotal_inactive_file 60\n")
                .file(&format!("{folder}/memory.oom_control"), "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n")
                .file("/sys/fs/cgroup/memory/system.slice/memory.limit_in_bytes", "9223372036854771712\n")
        };
        assert_eq!(fixture("1000\n").run(&CHECK)[0].status, Status::Warning);
        assert!(fixture("9223372036854771712\n").has_none_of(&CHECK));
    }
}
