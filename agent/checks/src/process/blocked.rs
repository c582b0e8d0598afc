//! Processes that wait in the kernel and cannot be woken (state D), and for how long at least.
//!
//! `/proc/PID/sched` says when a process ran last, on its processor's own clock, which stands still while the processor is
//! stolen or serves interrupts. What ran last of all on the same processor tells how late it is there: the difference is the
//! time that has passed at least.

use super::all;
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::{Host, Process};
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;
use std::collections::BTreeMap;

pub(crate) const CHECK: Check = Check {
    id: "process.blocked",
    title: Text { en: "Processes blocked in the kernel", zh: "在内核中阻塞的进程" },
    reads: &["/proc/*/stat", "/proc/*/sched", "/proc/*/wchan"],
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
/// Processes that are read to learn how late it is on each processor.
const READ_MAX: usize = 5000;

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let processes = all(host)?;
    let blocked: Vec<&Process> = processes.iter().filter(|process| process.state == 'D').collect();
    let clocks = if blocked.is_empty() { BTreeMap::new() } else { clocks(host, processes) };
    let shown = blocked.iter().take(SHOWN_MAX);
    let mut found: Vec<Found> = shown.filter_map(|process| judge(host, settings, process, &clocks)).collect();
    if found.iter().all(|found| found.status == Status::Ok) {
        let count = found.len();
        let summary = words!(
            "no process is blocked for long ({count} wait for a moment)",
            "没有长时间阻塞的进程（{count} 个在短暂等待）"
        );
        found = vec![Found::new("", Status::Ok, summary)];
    }
    if let Some(rest) = blocked.len().checked_sub(SHOWN_MAX).filter(|rest| *rest > 0) {
        let summary = words!("{rest} more processes are blocked at this moment", "此刻还有 {rest} 个进程处于阻塞状态");
        found.push(Found::new("more processes", Status::Unknown, summary));
    }
    Ok(found)
}

/// Where and when a process ran last.
struct LastRun {
    processor: u32,
    secs: f64,
}

/// How late it is on each processor, at least.
fn clocks(host: &Host, processes: &[Process]) -> BTreeMap<u32, f64> {
    let mut clocks: BTreeMap<u32, f64> = BTreeMap::new();
    for process in processes.iter().take(READ_MAX) {
        let stat = host.read(&format!("/proc/{}/stat", process.pid)).unwrap_or_default();
        if let Some(last) = last_run(host, process.pid, &stat) {
            let clock = clocks.entry(last.processor).or_insert(last.secs);
            *clock = clock.max(last.secs);
        }
    }
    clocks
}

/// Nothing when it has gone on meanwhile.
fn judge(host: &Host, settings: &Settings<'_>, process: &Process, clocks: &BTreeMap<u32, f64>) -> Option<Found> {
    let (pid, name) = (process.pid, process.program());
    let stat = host.read(&format!("/proc/{pid}/stat")).ok()?;
    if !stat.rsplit_once(") ")?.1.starts_with('D') {
        return None;
    }
    let subject = format!("{name} {pid}");
    let path = format!("/proc/{pid}/sched");
    let last = last_run(host, pid, &stat);
    let Some(secs) = last.and_then(|last| Some(clocks.get(&last.processor)? - last.secs)) else {
        let summary = words!(
            "{name} (process {pid}) is blocked in the kernel; for how long cannot be told: {path} does not say",
            "{name}（进程 {pid}）在内核中阻塞；{path} 未提供信息，无法判断时长"
        );
        return Some(Found::new(subject, Status::Unknown, summary));
    };
    let secs = secs.max(0.0);
    let waits_in = host.read(&format!("/proc/{pid}/wchan")).unwrap_or_default();
    let waits_in = if waits_in.is_empty() || waits_in == "0" { "?".to_owned() } else { waits_in };
    let summary = words!(
        "{name} (process {pid}) is blocked in the kernel for at least {secs:.0} s",
        "{name}（进程 {pid}）在内核中已阻塞至少 {secs:.0} 秒"
    );
    let status = settings.level(&subject, secs);
    Some(Found::new(subject, status, summary).value(secs, "s").evidence(path, format!("state D, waits in {waits_in}")))
}

fn last_run(host: &Host, pid: u32, stat: &str) -> Option<LastRun> {
    // proc_pid_stat(5): `processor` is field 39, the state after the name is field 3.
    let processor = stat.rsplit_once(") ")?.1.split_ascii_whitespace().nth(36)?.parse().ok()?;
    let sched = host.read(&format!("/proc/{pid}/sched")).ok()?;
    let line = sched.lines().find(|line| line.starts_with("se.exec_start "))?;
    let millis = line.rsplit_once(':')?.1.trim().parse::<f64>().ok().filter(|millis| millis.is_finite())?;
    Some(LastRun { processor, secs: millis / 1000.0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    /// A process that ran last on `processor` at `millis`.
    fn process(host: Fixture, pid: u32, state: char, processor: u32, millis: &str) -> Fixture {
        // Fields 4 to 38: the start and the memory are numbers as any other here.
        let stat = format!("{pid} (dd) {state} {}{processor} 0 0 0\n", "1 ".repeat(35));
        let sched = format!("dd ({pid}, #threads: 1)\n-----\nse.exec_start          :      {millis}\n");
        let host = host.process(pid, state, &["/bin/dd"]).file(&format!("/proc/{pid}/stat"), stat);
        host.file(&format!("/proc/{pid}/sched"), sched).file(&format!("/proc/{pid}/wchan"), "io_schedule")
    }

    fn blocked(millis: &str) -> Fixture {
        // It is later on the other processor.
        let host = process(Fixture::live(), 1, 'S', 0, "990000.0");
        process(process(host, 2, 'S', 1, "999999.0"), 42, 'D', 0, millis)
    }

    #[test]
    fn prc_04_blocked_processes_are_told_with_the_least_time() {
        for (millis, expected) in
            [("689000.0", Status::Critical), ("691000.0", Status::Ok), ("999999.0", Status::Ok), ("x", Status::Unknown)]
        {
            assert_eq!(blocked(millis).status(&CHECK), expected, "{millis}");
        }
        let found = blocked("1000.0").run(&CHECK);
        assert_eq!((found[0].subject.as_str(), found[0].value), ("dd 42", Some(989.0)));
        assert_eq!(found[0].evidence[0].text, "state D, waits in io_schedule");
        let many = (50..80).fold(blocked("1.0"), |host, pid| process(host, pid, 'D', 0, "1.0"));
        assert_eq!(many.run(&CHECK).len(), SHOWN_MAX + 1);
        assert_eq!(process(Fixture::live(), 1, 'S', 0, "1.0").status(&CHECK), Status::Ok);
        // A kernel that does not tell where and when.
        let silent = Fixture::live().process(1, 'S', &["init"]).process(9, 'D', &["dd"]);
        assert_eq!(silent.status(&CHECK), Status::Unknown);
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }
}
