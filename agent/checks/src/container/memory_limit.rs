//! How near containers are to the memory that they may have.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "container.memory",
    title: Text { en: "Memory of containers", zh: "容器内存" },
    reads: &["/sys/fs/cgroup/**/memory.current", "/sys/fs/cgroup/memory/**/memory.usage_in_bytes"],
    needs: Needs::LIVE,
    params: &[
        Param::above("warning", 90.0, 80.0, "%", "netdata health.d/cgroups.conf, cgroup_ram_in_use"),
        Param::above("critical", 98.0, 90.0, "%", "netdata health.d/cgroups.conf, cgroup_ram_in_use"),
    ],
    impact: Text {
        en: "At its limit the kernel ends a process of the container, and its service is gone until it has started again.",
        zh: "达到上限后内核会杀死容器中的进程，服务中断直至重新启动。",
    },
    remedy: Text {
        en: "Raise the limit (docker update --memory, or the pod's resources), or find what grows in it with docker stats and \
             the program's own figures.",
        zh: "调大上限（docker update --memory 或 Pod 的 resources），或用 docker stats 与程序自身指标查找增长原因。",
    },
    run,
};

/// Where containers are: the second is the first version of cgroups.
const ROOTS: [(&str, Version); 2] = [("/sys/fs/cgroup", Version::Two), ("/sys/fs/cgroup/memory", Version::One)];
/// Groups that are looked at, and how deep: pods are at the fourth level.
const GROUPS_MAX: usize = 5000;
const DEPTH_MAX: usize = 6;
/// Containers that are told one by one.
const NAMED_MAX: usize = 50;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let version = |(path, version): (&'static str, Version)| {
        let sign = if version == Version::Two { "cgroup.controllers" } else { "memory.usage_in_bytes" };
        host.exists(&format!("{path}/{sign}")).then_some((path, version))
    };
    let Some((root, version)) = ROOTS.into_iter().find_map(version) else {
        return Err(Gap::Unknown(words!("/sys/fs/cgroup shows no memory", "/sys/fs/cgroup 中没有内存信息")));
    };
    let groups = container_groups(host, root)?;
    if groups.is_empty() {
        return Err(Gap::NotHere(words!("no container runs here", "此主机没有运行中的容器")));
    }
    let (mut found, mut limited) = (Vec::new(), 0_u32);
    for path in &groups {
        let Some(usage) = Usage::read(host, path, version) else { continue };
        limited += 1;
        let one = judge(settings, path, &usage);
        if one.status > Status::Unknown && found.len() < NAMED_MAX {
            found.push(one);
        }
    }
    if found.is_empty() {
        let count = groups.len();
        let summary = words!(
            "no container is near its memory limit ({count} run, {limited} have a limit)",
            "没有容器接近内存上限（{count} 个在运行，{limited} 个设有上限）"
        );
        found.push(Found::new("", Status::Ok, summary));
    }
    Ok(found)
}

fn judge(settings: &Settings<'_>, path: &str, usage: &Usage) -> Found {
    let name = container_name(path);
    let subject = format!("container {name}");
    #[expect(clippy::cast_precision_loss, reason = "bytes of memory, as a share")]
    let percent = 100.0 * usage.used as f64 / usage.limit as f64;
    let mib = usage.limit >> 20;
    let summary = words!(
        "container {name} uses {percent:.0} % of its {mib} MiB",
        "容器 {name} 已用内存上限 {mib} MiB 的 {percent:.0}%"
    );
    let text = format!("{} of {} bytes, without what could be dropped from the file cache", usage.used, usage.limit);
    Found::new(subject.clone(), settings.level(&subject, percent), summary).value(percent, "%").evidence(path, text)
}

/// `docker-0123….scope`, `cri-containerd-….scope`, or the plain id, shortened as docker does.
fn container_name(path: &str) -> String {
    let last = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".scope");
    last.rsplit('-').next().unwrap_or(last).chars().take(12).collect()
}

/// Whether a group is one container: its name ends with an id of 64 digits.
fn is_container(name: &str) -> bool {
    let bare = name.strip_suffix(".scope").unwrap_or(name);
    let id = bare.rsplit('-').next().unwrap_or(bare);
    id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn container_groups(host: &Host, root: &str) -> Result<Vec<String>, Gap> {
    let (mut found, mut seen) = (Vec::new(), 0_usize);
    let mut folders = vec![(root.to_owned(), 0_usize)];
    while let Some((folder, depth)) = folders.pop() {
        let entries = match host.list(&folder) {
            Ok(entries) => entries,
            // A container that ended meanwhile.
            Err(Gap::NotHere(_)) if depth > 0 => continue,
            Err(gap) => return Err(gap),
        };
        for entry in entries.into_iter().filter(|entry| entry.is_folder) {
            seen += 1;
            if seen > GROUPS_MAX {
                return Err(Gap::Unknown(words!(
                    "{root} has more than {GROUPS_MAX} groups; not read",
                    "{root} 的 cgroup 超过 {GROUPS_MAX} 个，未读取"
                )));
            }
            let path = format!("{folder}/{}", entry.name);
            if is_container(&entry.name) {
                found.push(path);
            } else if depth + 1 < DEPTH_MAX {
                folders.push((path, depth + 1));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Bytes of a group with a limit.
struct Usage {
    used: u64,
    limit: u64,
}

impl Usage {
    /// Nothing without a limit: `max`, or a number that no host has.
    fn read(host: &Host, path: &str, version: Version) -> Option<Self> {
        let (used, limit, inactive) = match version {
            Version::Two => ("memory.current", "memory.max", "inactive_file "),
            Version::One => ("memory.usage_in_bytes", "memory.limit_in_bytes", "total_inactive_file "),
        };
        let number = |name: &str| host.read(&format!("{path}/{name}")).ok()?.trim().parse::<u64>().ok();
        let limit = number(limit).filter(|limit| (1..1 << 60).contains(limit))?;
        let used = number(used)?;
        let stat = host.read(&format!("{path}/memory.stat")).unwrap_or_default();
        // What docker and kubelet call working set: the kernel drops this first.
        let cache = stat.lines().find_map(|line| line.strip_prefix(inactive)?.trim().parse::<u64>().ok()).unwrap_or(0);
        Some(Self { used: used.saturating_sub(cache), limit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn two(group: &str, current: u64, max: &str, cache: u64) -> Fixture {
        let path = format!("/sys/fs/cgroup/{group}");
        Fixture::live()
            .file("/sys/fs/cgroup/cgroup.controllers", "cpu memory\n")
            .file("/sys/fs/cgroup/system.slice/ssh.service/memory.current", "5\n")
            .file(&format!("{path}/memory.current"), format!("{current}\n"))
            .file(&format!("{path}/memory.max"), format!("{max}\n"))
            .file(&format!("{path}/memory.stat"), format!("anon 1\ninactive_file {cache}\n"))
    }

    #[test]
    fn con_04_memory_near_the_limit_is_told() {
        let docker = format!("system.slice/docker-{ID}.scope");
        let pod = format!("kubepods.slice/kubepods-burstable.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope");
        for (group, current, max, cache, expected) in [
            (&docker, 50, "100", 0, Status::Ok),
            (&docker, 95, "100", 0, Status::Warning),
            (&docker, 99, "100", 50, Status::Ok),
            (&docker, 99, "max", 0, Status::Ok),
            (&docker, 99, "0", 0, Status::Ok),
            (&pod, 99, "100", 0, Status::Critical),
        ] {
            assert_eq!(two(group, current, max, cache).status(&CHECK), expected, "{group} {current} {max} {cache}");
        }
        let found = two(&pod, 99, "100", 0).run(&CHECK);
        assert_eq!(found[0].subject, "container 0123456789ab");
        let path = format!("/sys/fs/cgroup/memory/docker/{ID}");
        let one = Fixture::live()
            .file("/sys/fs/cgroup/memory/memory.usage_in_bytes", "1")
            .file(&format!("{path}/memory.usage_in_bytes"), "99")
            .file(&format!("{path}/memory.limit_in_bytes"), "100");
        assert_eq!(one.status(&CHECK), Status::Critical);
    }

    #[test]
    fn con_04_without_containers_or_cgroups() {
        assert!(Fixture::live().file("/sys/fs/cgroup/cgroup.controllers", "").has_none_of(&CHECK));
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }
}
