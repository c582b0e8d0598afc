//! What Cloud Doctor itself costs this server.

use super::{all, uptime_secs};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::{Host, Process};
use crate::run::Settings;
use crate::words;

pub(crate) const CHECK: Check = Check {
    id: "process.own-agent",
    title: Text { en: "What Cloud Doctor's own agent costs", zh: "Cloud Doctor 自身代理的开销" },
    reads: &["/proc/*/stat", "/proc/uptime"],
    needs: Needs::LIVE,
    params: &[
        Param::above("warning", 200.0, 160.0, "MiB", "osquery's watchdog (200 MB); ours is stopped at 128 by its unit"),
        Param::above("processor", 10.0, 7.0, "%", "osquery's watchdog (10 %)"),
    ],
    impact: Text {
        en: "What watches this server takes from it what its customers should get.",
        zh: "监护程序占用了本应服务于业务的资源。",
    },
    remedy: Text {
        en: "Restart it (systemctl restart cloud-doctor.target; open sessions survive) and tell your Cloud Doctor contact.",
        zh: "请重启代理（systemctl restart cloud-doctor.target，已打开的会话不受影响），并告知 Cloud Doctor 联系人。",
    },
    run,
};

const PROGRAM: &str = "cloud-doctor-agent";
/// Younger ones are this run itself, or have not lived long enough for a share.
const AGE_SECS_MIN: f64 = 60.0;

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let now_secs = uptime_secs(host)?;
    let own = all(host)?.iter().filter(|process| process.program() == PROGRAM);
    let found: Vec<Found> = own.filter_map(|process| judge(settings, process, now_secs)).collect();
    if found.is_empty() {
        return Err(Gap::NotHere(words!("no agent of Cloud Doctor runs here", "此主机未运行 Cloud Doctor 代理")));
    }
    Ok(found)
}

fn judge(settings: &Settings<'_>, process: &Process, now_secs: f64) -> Option<Found> {
    #[expect(clippy::cast_precision_loss, reason = "bytes and hundredths of a second, shown rounded")]
    let (mib, started_secs, used_secs) = (
        process.resident_bytes as f64 / f64::from(1 << 20),
        process.start_ticks as f64 / 100.0,
        process.cpu_ticks as f64 / 100.0,
    );
    let age_secs = now_secs - started_secs;
    if age_secs < AGE_SECS_MIN {
        return None;
    }
    // `guard` or `tunnel`: the word says what the process is for.
    let part = process.argv.get(1).filter(|part| part.bytes().all(|byte| byte.is_ascii_lowercase()));
    let part = part.map_or("", String::as_str);
    let subject = format!("{PROGRAM} {part}").trim_end().to_owned();
    let share = 100.0 * used_secs / age_secs;
    let status = settings.level(&subject, mib).max(settings.level_of(&subject, share, "processor", ""));
    let pid = process.pid;
    let summary = words!(
        "{subject} holds {mib:.0} MiB and has used {share:.1} % of one processor since its start",
        "{subject} 占用内存 {mib:.0} MiB，自启动以来平均占用单个处理器的 {share:.1}%"
    );
    let used = format!("{mib:.1} MiB resident, {used_secs:.1} s of processor time in {age_secs:.0} s");
    let found = Found::new(subject, status, summary).value(mib, "MiB").detail("processor_percent", share);
    Some(found.evidence(format!("/proc/{pid}/stat"), used))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use cloud_doctor_proto::finding::Status;

    fn host(uptime: &str, pages: u64, ticks: u64) -> Fixture {
        let stat = format!("9 (cloud-doctor-ag) S 1 9 9 0 -1 0 0 0 0 0 {ticks} 0 0 0 20 0 1 0 1000 1 {pages} 0 0\n");
        let host = Fixture::live().process(1, 'S', &["/sbin/init"]).file("/proc/uptime", uptime);
        host.process(9, 'S', &["/usr/bin/cloud-doctor-agent", "guard"]).file("/proc/9/stat", stat)
    }

    #[test]
    fn prc_11_the_agent_is_measured_like_anybody_else() {
        let page = rustix::param::page_size() as u64;
        let mib = |count: u64| count * (1 << 20) / page;
        for (pages, ticks, expected) in [
            (mib(12), 100, Status::Ok),
            (mib(201), 100, Status::Warning),
            // 15 s of 100.
            (mib(12), 1500, Status::Warning),
        ] {
            let found = host("110.00 1.0", pages, ticks).run(&CHECK);
            assert_eq!((found[0].status, found[0].subject.as_str()), (expected, "cloud-doctor-agent guard"));
        }
        assert!(host("20.00 1.0", mib(500), 0).has_none_of(&CHECK));
        assert_eq!(host("damaged", 1, 1).status(&CHECK), Status::Unknown);
    }
}
