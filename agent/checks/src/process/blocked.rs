//! Processes that wait in the kernel and cannot be woken (state D), and for how long at least.
//!
//! `/proc/PID/sched` says when a process ran last, on a clock that stands still while its processor serves interrupts or
//! is stolen by the hypervisor. What those took since boot is subtracted, so the time that is told is never too long.

use super::{all, uptime_secs};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::{Host, Process};
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "process.blocked",
    title: Text { en: "Processes blocked in the kernel", zh: "在内核中阻塞的进程" },
    reads: &["/proc/*/stat", "/proc/*/sched", "/proc/*/wchan", "/proc/uptime", "/proc/stat"],
    needs: Needs { root: true, ..Needs::LIVE },
    params: &[Param::above(
        "critical",
        300.0,
        240.0,
        "s",
        "our recommendation: the kernel itself reports tasks after 120 s (hung_task_timeout_secs)",
    )],
    impact: Text {
        en: "It can neither go on nor be killed: what it serves stands still, and what waits for it too.",
        zh: "该进程既无法继续，也无法被杀死：其提供的服务及等待它的一切都会停滞。",
    },
    remedy: Text {
        en: "It waits for a disk or a network file system. Look at dmesg for disk errors and \"hung_task\", and at the NFS server or the cloud disk that it uses; only that coming back, or a reboot, frees it.",
        zh: "该进程在等待磁盘或网络文件系统。请在 dmesg 中查找磁盘错误与 \"hung_task\"，并检查其使用的 NFS 服务器或云盘；只有存储恢复或重启主机才能使其解除阻塞。",
    },
    run,
};

/// Blocked processes that are told one by one.
const SHOWN_MAX: usize = 20;

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let blocked: Vec<&Process> = all(host)?.iter().filter(|process| process.state == 'D').collect();
    let now_secs = uptime_secs(host)? - interrupted_secs(&host.must_read("/proc/stat")?);
    let mut found = Vec::new();
    for process in blocked.iter().take(SHOWN_MAX) {
        found.extend(judge(host, settings, process, now_secs));
    }
    if found.iter().all(|found| found.status == Status::Ok) {
        let count = found.len();
        let summary = words!(
            "no process is blocked for long ({count} wait for a moment)",
            "没有长时间阻塞的进程（{count} 个在短暂等待）"
        );
        return Ok(vec![Found::new("", Status::Ok, summary)]);
    }
    if let Some(rest) = blocked.len().checked_sub(SHOWN_MAX).filter(|rest| *rest > 0) {
        let summary = words!("{rest} more processes are blocked at this moment", "此刻还有 {rest} 个进程处于阻塞状态");
        found.push(Found::new("", Status::Unknown, summary));
    }
    Ok(found)
}

/// Nothing when it has gone on meanwhile.
fn judge(host: &Host, settings: &Settings<'_>, process: &Process, now_secs: f64) -> Option<Found> {
    let (pid, name) = (process.pid, process.program());
    let stat = host.read(&format!("/proc/{pid}/stat")).ok()?;
    if !stat.rsplit_once(") ")?.1.starts_with('D') {
        return None;
    }
    let subject = format!("{name} {pid}");
    let path = format!("/proc/{pid}/sched");
    let Some(ran_secs) = host.read(&path).ok().as_deref().and_then(ran_secs) else {
        let summary = words!(
            "{name} (process {pid}) is blocked in the kernel; for how long cannot be told: {path} does not say",
            "{name}（进程 {pid}）在内核中阻塞；{path} 未提供信息，无法判断时长"
        );
        return Some(Found::new(subject, Status::Unknown, summary));
    };
    let secs = (now_secs - ran_secs).max(0.0);
    let waits_in = host.read(&format!("/proc/{pid}/wchan")).unwrap_or_default();
    let waits_in = if waits_in.is_empty() || waits_in == "0" { "?".to_owned() } else { waits_in };
    let summary = words!(
        "{name} (process {pid}) is blocked in the kernel for at least {secs:.0} s",
        "{name}（进程 {pid}）在内核中已阻塞至少 {secs:.0} 秒"
    );
    let status = settings.level(&subject, secs);
    Some(Found::new(subject, status, summary).value(secs, "s").evidence(path, format!("state D, waits in {waits_in}")))
}

/// When a process ran last, seconds on its processor's clock.
fn ran_secs(sched: &str) -> Option<f64> {
    let line = sched.lines().find(|line| line.starts_with("se.exec_start "))?;
    line.rsplit_once(':')?
        .1
        .trim()
        .parse::<f64>()
        .ok()
        .filter(|millis| millis.is_finite())
        .map(|millis| millis / 1000.0)
}

/// The most that one processor spent since boot on interrupts and lost to others, seconds.
fn interrupted_secs(stat: &str) -> f64 {
    let lines = stat.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu "));
    let lost = lines.map(|line| {
        // proc_stat(5), after the name: user nice system idle iowait irq softirq steal.
        let ticks = line.split_ascii_whitespace().skip(6).take(3);
        ticks.filter_map(|tick| tick.parse::<u64>().ok()).fold(0, u64::saturating_add)
    });
    #[expect(clippy::cast_precision_loss, reason = "hundredths of a second since boot")]
    let ticks = lost.max().unwrap_or(0) as f64;
    ticks / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    fn host(stat: &str) -> Fixture {
        Fixture::live()
            .process(1, 'S', &["/sbin/init"])
            .file("/proc/uptime", "1000.00 900.00\n")
            .file("/proc/stat", stat)
    }

    fn blocked(last_ran_millis: &str) -> Fixture {
        let sched = format!("dd (42, #threads: 1)\n-----\nse.exec_start          :      {last_ran_millis}\n");
        let stat = "cpu  1 1 1 1 1 1 1 1 0 0\ncpu0 1 1 1 1 1 500 400 100 0 0\ncpu1 1 1 1 1 1 0 0 0 0 0\n";
        host(stat).process(42, 'D', &["/bin/dd"]).file("/proc/42/sched", sched).file("/proc/42/wchan", "io_schedule")
    }

    #[test]
    fn prc_04_blocked_processes_are_told_with_the_least_time() {
        // 1000 s up, 10 s of them lost to interrupts: 990 on the processor's clock.
        for (last_ran, expected) in
            [("689000.0", Status::Critical), ("691000.0", Status::Ok), ("999999.0", Status::Ok), ("x", Status::Unknown)]
        {
            assert_eq!(blocked(last_ran).status(&CHECK), expected, "{last_ran}");
        }
        let found = blocked("1000.5").run(&CHECK);
        assert_eq!((found[0].subject.as_str(), found[0].value), ("dd 42", Some(988.9995)));
        assert_eq!(found[0].evidence[0].text, "state D, waits in io_schedule");
        let many = (10..40).fold(blocked("1.0"), |host, pid| host.process(pid, 'D', &["/bin/ls"]));
        assert_eq!(many.run(&CHECK).len(), SHOWN_MAX + 1);
        assert_eq!(host("cpu  1 1 1 1\n").status(&CHECK), Status::Ok);
        assert_eq!(Fixture::live().process(1, 'S', &["init"]).status(&CHECK), Status::Unknown);
    }
}
