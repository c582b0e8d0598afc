//! Tasks that the kernel reports as blocked for minutes: they wait for a disk, a network file system or a lock.

use super::messages;
use crate::check::{Check, Needs, Param, Text};
use crate::found::Outcome;
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "kernel.hung-task",
    title: Text { en: "Tasks blocked for minutes", zh: "长时间阻塞的任务" },
    reads: &["/dev/kmsg", "the journal", "/var/log/{kern.log,messages,dmesg}", "/proc/uptime"],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[
        Param::plain("recent", 3600.0, "s", "node-problem-detector kernel-monitor.json, TaskHung; our time"),
        Param::plain("past", 86_400.0, "s", "our recommendation: worth a look for a day"),
    ],
    impact: Text {
        en: "The task and whatever waits for it stand still; a database or a file server in this state answers nobody.",
        zh: "该任务以及等待它的所有操作都处于停滞；若是数据库或文件服务，则对外完全无响应。",
    },
    remedy: Text {
        en: "See what it waits for (the call trace below the message in dmesg -T; /proc/PID/stack). Most often a disk, a full network volume or an NFS server that is gone: look at the disk checks and at the storage first.",
        zh: "查看它在等待什么（dmesg -T 中该消息下方的调用栈，或 /proc/PID/stack）。最常见的是磁盘、云盘或失联的 NFS 服务器：请先查看磁盘类检查结果和存储状态。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let what = words!("reports of tasks blocked for minutes", "任务长时间阻塞的报告");
    messages::judge(host, settings, &what, Status::Critical, is_hung_task)
}

/// `INFO: task NAME:PID blocked for more than 120 seconds.`; newer kernels put what it waits for after `blocked`.
fn is_hung_task(text: &str) -> bool {
    let Some((task, rest)) = text.split_once(" blocked ") else { return false };
    let named = task.split_once("task ").is_some_and(|(_, name)| name.contains(':'));
    named && rest.contains("for more than ") && rest.contains(" seconds")
}

#[cfg(test)]
mod tests {
    use super::super::messages::tests::logged;
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn krn_01_blocked_tasks() {
        for (at, text, expected, note) in [
            (199_000, "INFO: task jbd2/vda1-8:255 blocked for more than 120 seconds.", Status::Critical, false),
            (199_000, "INFO: task a b:7 blocked in I/O wait for more than 120 seconds.", Status::Critical, false),
            (150_000, "INFO: task mysqld:812 blocked for more than 120 seconds.", Status::Warning, false),
            (1000, "INFO: task mysqld:812 blocked for more than 120 seconds.", Status::Ok, true),
            (199_000, "audit: task blocked", Status::Ok, false),
        ] {
            let findings = logged(at, text).run(&CHECK);
            assert_eq!((findings[0].status, findings[0].note), (expected, note), "{text}");
        }
        // An image's log says when in its own time only.
        let line = "Nov 26 00:37:08 web1 kernel: [1234.5] INFO: task mysqld:812 blocked for more than 120 seconds.\n";
        assert_eq!(Fixture::image().file("/var/log/messages", line).status(&CHECK), Status::Warning);
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
    }
}
