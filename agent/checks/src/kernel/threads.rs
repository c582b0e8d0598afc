//! How many threads there are on the whole host, against the kernel's limits.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::number::percent;
use crate::run::Settings;
use crate::words;

const COUNT: &str = "/proc/loadavg";
const LIMITS: [&str; 2] = ["/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"];

pub(crate) const CHECK: Check = Check {
    id: "kernel.threads",
    title: Text { en: "Threads against the kernel's limits", zh: "线程数与系统上限" },
    reads: &[COUNT, LIMITS[0], LIMITS[1]],
    needs: Needs::LIVE,
    params: &[
        Param::above("warning", 90.0, 85.0, "%", "netdata health.d/processes.conf, active_processes"),
        Param::above("critical", 95.0, 90.0, "%", "netdata health.d/processes.conf, active_processes"),
    ],
    impact: Text {
        en: "At the limit nothing new starts on this server: no login, no connection that needs a thread, no repair.",
        zh: "达到上限后，服务器上无法启动任何新进程或线程：无法登录，也无法处理新连接。",
    },
    remedy: Text {
        en: "Find who makes them (ps -eo nlwp,pid,comm --sort=-nlwp | head) and give that service TasksMax=; raise kernel.pid_max and kernel.threads-max only if the number is meant.",
        zh: "找出创建大量线程的进程（ps -eo nlwp,pid,comm --sort=-nlwp | head），为该服务设置 TasksMax=；仅当数量符合预期时才调高 kernel.pid_max 与 kernel.threads-max。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let text = host.must_read(COUNT)?;
    // The fourth field: runnable/all.
    let all = text.split_ascii_whitespace().nth(3).and_then(|field| field.split_once('/')?.1.parse::<u64>().ok());
    let all = all.ok_or_else(|| Gap::Unknown(words!("{COUNT} cannot be understood", "无法解析 {COUNT}")))?;
    let mut limits = Vec::new();
    for path in LIMITS {
        limits.push((host.number::<u64>(path)?, path));
    }
    let Some((limit, path)) = limits.into_iter().min() else { return Ok(Vec::new()) };
    let share = percent(all, limit)
        .ok_or_else(|| Gap::Unknown(words!("{path} says that the limit is 0", "{path} 显示上限为 0")))?;
    let found = Found::new(
        "",
        settings.level("", share),
        words!(
            "there are {all} threads, {share:.0} % of the limit of {limit}",
            "共有 {all} 个线程，为上限 {limit} 的 {share:.0}%"
        ),
    );
    Ok(vec![found.value(share, "%").evidence(COUNT, &text).evidence(path, limit.to_string())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use cloud_doctor_proto::finding::Status;

    #[test]
    fn krn_08_threads_against_the_lower_limit() {
        for (count, pids, threads, expected) in [
            ("594", "4194304", "15000", Status::Ok),
            ("910", "1000", "15000", Status::Warning),
            ("960", "15000", "1000", Status::Critical),
            ("x", "1000", "1000", Status::Unknown),
            ("9", "0", "1000", Status::Unknown),
            ("9", "", "1000", Status::Unknown),
        ] {
            let fixture = Fixture::live()
                .file(COUNT, format!("0.1 0.1 0.1 1/{count} 99\n"))
                .file(LIMITS[0], format!("{pids}\n"))
                .file(LIMITS[1], format!("{threads}\n"));
            assert_eq!(fixture.status(&CHECK), expected, "{count} {pids} {threads}");
        }
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
    }
}
