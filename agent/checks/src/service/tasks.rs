//! How near each service is to the number of processes and threads that it may have.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "service.tasks",
    title: Text {
        en: "Processes and threads of services against their limit", zh: "服务的进程与线程数及上限"
    },
    reads: &["/sys/fs/cgroup/**/pids.current", "/sys/fs/cgroup/**/pids.max"],
    needs: Needs::LIVE,
    params: &[Param::above(
        "warning",
        90.0,
        80.0,
        "%",
        "awesome-prometheus-alerts, systemd: tasks above 90 % of their limit",
    )],
    impact: Text {
        en: "At the limit the service can start no process and no thread: requests fail with \"Resource temporarily unavailable\".",
        zh: "达到上限后，服务无法再创建进程或线程，请求会因 \"Resource temporarily unavailable\" 而失败。",
    },
    remedy: Text {
        en: "Raise it: systemctl edit UNIT, [Service] TasksMax=8192, then systemctl daemon-reload (no restart is needed). If the number only ever grows, the program leaks threads.",
        zh: "提高上限：systemctl edit UNIT，在 [Service] 下设置 TasksMax=8192，然后执行 systemctl daemon-reload（无需重启服务）。如果数量只增不减，则程序存在线程泄漏。",
    },
    run,
};

/// Where a hierarchy with numbers of tasks may be: version 2, version 1, and both at once.
const HIERARCHIES: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/pids"];
/// Services, templates' instances, users.
const GROUPS: [&str; 4] = ["system.slice/*", "system.slice/*.slice/*", "user.slice/*", "machine.slice/*"];
/// Groups that are told one by one.
const SHOWN_MAX: usize = 30;

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let (mut found, mut count) = (Vec::new(), 0);
    for hierarchy in HIERARCHIES {
        for group in GROUPS {
            for path in host.glob(&format!("{hierarchy}/{group}/pids.max"))? {
                let Some(one) = judge(host, settings, path.trim_end_matches("/pids.max")) else { continue };
                count += 1;
                if one.status != Status::Ok && found.len() < SHOWN_MAX {
                    found.push(one);
                }
            }
        }
    }
    if count == 0 {
        return Err(Gap::NotHere(words!(
            "no service has a limit of tasks here (/sys/fs/cgroup)",
            "此主机没有设置任务数上限的服务（/sys/fs/cgroup）"
        )));
    }
    if found.is_empty() {
        let summary = words!("none of {count} services is near its limit of tasks", "{count} 个服务均未接近任务数上限");
        found.push(Found::new("", Status::Ok, summary));
    }
    Ok(found)
}

/// Nothing for a group that is gone or has no limit.
fn judge(host: &Host, settings: &Settings<'_>, group: &str) -> Option<Found> {
    let number = |name: &str| host.read(&format!("{group}/{name}")).ok()?.trim().parse::<u32>().ok();
    let limit = number("pids.max").filter(|limit| *limit > 0)?;
    let tasks = number("pids.current")?;
    let percent = 100.0 * f64::from(tasks) / f64::from(limit);
    let name = group.rsplit('/').next().unwrap_or(group);
    let summary = words!(
        "{name} has {tasks} tasks, {percent:.0} % of the {limit} that it may",
        "{name} 有 {tasks} 个任务，占上限 {limit} 的 {percent:.0}%"
    );
    let found = Found::new(name, settings.level(name, percent), summary).value(percent, "%");
    Some(found.evidence(format!("{group}/pids.current"), format!("{tasks} of {limit}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    fn host(group: &str, current: &str, max: &str) -> Fixture {
        let group = format!("/sys/fs/cgroup/{group}");
        Fixture::live().file(&format!("{group}/pids.current"), current).file(&format!("{group}/pids.max"), max)
    }

    #[test]
    fn prc_10_tasks_are_judged_against_their_limit() {
        for (group, current, max, expected) in [
            ("system.slice/nginx.service", "12\n", "4915\n", Status::Ok),
            ("system.slice/nginx.service", "4500\n", "4915\n", Status::Warning),
            ("pids/system.slice/java.service", "470\n", "512\n", Status::Warning),
            ("system.slice/system-app.slice/app@1.service", "500\n", "512\n", Status::Warning),
            ("user.slice/user-1000.slice", "10000\n", "10813\n", Status::Warning),
        ] {
            assert_eq!(host(group, current, max).status(&CHECK), expected, "{group} {current}");
        }
        for (current, max) in [("5\n", "max\n"), ("x\n", "9\n"), ("5\n", "0\n")] {
            assert!(host("system.slice/a.service", current, max).has_none_of(&CHECK), "{current} {max}");
        }
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }
}
