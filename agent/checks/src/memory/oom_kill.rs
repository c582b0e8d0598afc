//! Processes that the kernel killed for lack of memory: which, when, and of which service.
//!
//! `/proc/vmstat` counts them since boot; the kernel log says who and when, where it may be read.

use super::vmstat::{PATH, counter};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::{Host, KernelMessage, control_groups};
use crate::number::span;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::{Status, Words};

pub(crate) const CHECK: Check = Check {
    id: "memory.oom-kill",
    title: Text { en: "Processes killed for lack of memory", zh: "因内存不足被杀的进程" },
    reads: &[PATH, "/dev/kmsg", "the journal", "/var/log/kern.log", "/var/log/messages", "/proc/uptime"],
    needs: Needs { root: true, ..Needs::LIVE },
    params: &[
        Param::plain("recent", 1800.0, "s", "netdata health.d/ram.conf, oom_kill: any in 30 min"),
        Param::plain("past", 86_400.0, "s", "our recommendation: worth a look for a day"),
    ],
    impact: Text {
        en: "A program was ended in the middle of its work: connections broke, and what it held in memory is lost.",
        zh: "程序在运行途中被强制终止：连接中断，其内存中的数据丢失。",
    },
    remedy: Text {
        en: "Look at what was killed and what filled the memory (journalctl -k | grep -i -A40 'invoked oom-killer'); give the largest services a limit (MemoryMax=), mend the leak, or add memory.",
        zh: "查看被杀的进程以及占满内存的进程（journalctl -k | grep -i -A40 'invoked oom-killer'）；为占用大的服务设置限额（MemoryMax=）、修复泄漏或增加内存。",
    },
    run,
};

/// One killed process.
pub(crate) struct Kill<'a> {
    pub(crate) message: &'a KernelMessage,
    /// Its short name; anybody can choose it.
    pub(crate) name: &'a str,
    /// The service or container it belonged to.
    pub(crate) service: Option<String>,
}

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    // The counter came with Linux 4.13; before, only the log tells.
    let count = host.read(PATH).ok().and_then(|text| counter(&text, "oom_kill"));
    if count == Some(0) {
        let summary = words!("no process was killed for lack of memory since boot", "自启动以来没有进程因内存不足被杀");
        return Ok(vec![Found::new("", Status::Ok, summary).value(0.0, "").evidence(PATH, "oom_kill 0")]);
    }
    let log = match (host.kernel_log(), count) {
        (Ok(log), _) => log,
        (Err(gap), None) => return Err(gap),
        (Err(Gap::NotHere(why) | Gap::Unknown(why)), Some(count)) => {
            return Ok(vec![only_counted(host, settings, count, &why)]);
        }
    };
    let kills = kills(&log.messages);
    let reach = log.reach();
    let Some(last) = kills.last() else {
        // What the log has forgotten is older than it.
        let (counted, Words { en, zh }) = (count.unwrap_or(0), reach);
        let summary = words!(
            "no process was killed for lack of memory in {en}; {counted} since boot",
            "{zh} 中没有进程因内存不足被杀；自启动以来共 {counted} 个"
        );
        return Ok(vec![Found::new("", Status::Ok, summary).evidence(&log.path, "no \"Killed process\"")]);
    };
    Ok(vec![judge(settings, &kills, last, &reach)])
}

fn judge(settings: &Settings<'_>, kills: &[Kill<'_>], last: &Kill<'_>, reach: &Words) -> Found {
    let age = last.message.age_secs;
    let recent = age.is_some_and(|age| age <= settings.number("recent"));
    let past = age.is_none_or(|age| age <= settings.number("past"));
    let supervised =
        kills.iter().rev().take_while(|kill| kill.message.age_secs == age).any(|kill| kill.service.is_some());
    let (count, name) = (kills.len(), last.name);
    let of = last.service.as_ref().map_or_else(Words::default, |service| words!(" of {service}", "（属于 {service}）"));
    let when = age.map_or_else(
        || words!("at a time that the log does not tell", "时间未知"),
        |age| {
            let span = span(age);
            words!("{span} ago", "{span} 前")
        },
    );
    let summary = Words {
        en: format!(
            "{count} processes were killed for lack of memory, the last one {name}{} {} ({})",
            of.en, when.en, reach.en
        ),
        zh: format!("有 {count} 个进程因内存不足被杀，最近一个是 {name}{}，{}；日志来源：{}", of.zh, when.zh, reach.zh),
    };
    let status = match (recent, past) {
        (true, _) if supervised => Status::Critical,
        (true, _) | (false, true) => Status::Warning,
        (false, false) => Status::Ok,
    };
    let found = if past { Found::new("", status, summary) } else { Found::advice("", summary) };
    kills.iter().rev().take(5).fold(found, |found, kill| found.evidence(&kill.message.source, &kill.message.text))
}

fn only_counted(host: &Host, settings: &Settings<'_>, count: u64, why: &Words) -> Found {
    let up = host.uptime_secs();
    let status = if up.is_some_and(|up| up <= settings.number("past")) { Status::Warning } else { Status::Unknown };
    let (up, Words { en, zh }) = (up.map_or_else(|| "?".to_owned(), span), why);
    let summary = words!(
        "{count} processes were killed for lack of memory in {up} since boot; which and when cannot be told: {en}",
        "自启动以来的 {up} 内有 {count} 个进程因内存不足被杀；无法判断具体进程和时间：{zh}"
    );
    Found::new("", status, summary).evidence(PATH, format!("oom_kill {count}"))
}

/// The killed processes, oldest first.
pub(crate) fn kills<'a>(messages: impl IntoIterator<Item = &'a KernelMessage>) -> Vec<Kill<'a>> {
    let mut service: Option<(&str, String)> = None;
    let mut kills = Vec::new();
    for message in messages {
        // The line before, since Linux 5.0: oom-kill:constraint=…,task_memcg=/system.slice/a.service,task=a,pid=12,uid=0
        if let Some(rest) = message.text.strip_prefix("oom-kill:") {
            service = group_of(rest);
        } else if let Some((_, rest)) = message.text.split_once("Killed process ") {
            // Other messages hold names that programs chose.
            let Some((pid, rest)) = rest.split_once(' ').filter(|(pid, _)| pid.parse::<u32>().is_ok()) else {
                continue;
            };
            let name = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')).map_or("?", |(name, _)| name);
            let of = service.take().filter(|(of, _)| *of == pid).map(|(_, service)| service);
            kills.push(Kill { message, name, service: of });
        }
    }
    kills
}

/// The process id and the service of a line; slices and sessions of people are no service.
fn group_of(rest: &str) -> Option<(&str, String)> {
    let (group, after) = rest.split_once(",task_memcg=")?.1.split_once(",task=")?;
    let pid = after.rsplit_once(",pid=")?.1.split(',').next()?;
    let name = control_groups::name(group);
    let is_service = name.ends_with(".service")
        || group.contains("docker")
        || group.contains("kubepods")
        || group.contains("containerd");
    is_service.then_some((pid, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    const SERVICE: &str = "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/system.slice/mysql.service,task=mysqld,pid=812,uid=106";
    const KILLED: &str = "Out of memory: Killed process 812 (mysqld) total-vm:4096000kB, anon-rss:2048000kB, file-rss:0kB, shmem-rss:0kB, UID:106 pgtables:4300kB oom_score_adj:0";
    const OLD: &str = "Killed process 99 (java) total-vm:1kB, anon-rss:1kB, file-rss:0kB";

    fn killed(at_secs: u64, lines: &[&str]) -> Fixture {
        let log: String =
            lines.iter().enumerate().map(|(at, line)| format!("4,{at},{at_secs}000000,-;{line}\n")).collect();
        Fixture::live().file(PATH, "oom_kill 1\n").file("/proc/uptime", "200000.0 1.0\n").file("/dev/kmsg", log)
    }

    #[test]
    fn mem_02_killed_processes_by_age_and_service() {
        for (at, lines, expected, note) in [
            (199_000, &[SERVICE, KILLED][..], Status::Critical, false),
            (199_000, &[OLD], Status::Warning, false),
            (150_000, &[SERVICE, KILLED], Status::Warning, false),
            (1000, &[SERVICE, KILLED], Status::Ok, true),
            (199_000, &["Linux version 6.1"], Status::Ok, false),
            (199_000, &["Killed process [77]: segfault at 0 ip 4 sp 5 error 4"], Status::Ok, false),
        ] {
            let findings = killed(at, lines).run(&CHECK);
            assert_eq!((findings[0].status, findings[0].note), (expected, note), "{at} {lines:?}");
        }
        let summary = &killed(199_000, &[SERVICE, KILLED]).run(&CHECK)[0].summary;
        assert!(summary.en.contains("mysqld of mysql.service 16.7 min ago"), "{}", summary.en);
        assert!(summary.zh.contains("mysqld（属于 mysql.service），16.7 min 前"), "{}", summary.zh);
    }

    #[test]
    fn mem_02_without_a_log_the_counter_tells_less() {
        let none = Fixture::live().file(PATH, "oom_kill 0\n");
        assert_eq!(none.status(&CHECK), Status::Ok);
        let short = Fixture::live().file(PATH, "oom_kill 3\n").file("/proc/uptime", "4000.0 1.0\n");
        assert_eq!(short.status(&CHECK), Status::Warning);
        let long = Fixture::live().file(PATH, "oom_kill 3\n").file("/proc/uptime", "400000.0 1.0\n");
        assert_eq!(long.status(&CHECK), Status::Unknown);
        assert_eq!(Fixture::live().file(PATH, "pgfault 1\n").status(&CHECK), Status::Unknown);
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }
}
