//! Faults of the kernel itself: oopses, processors that do not come back, stalls.

use super::messages;
use crate::check::{Check, Needs, Param, Text};
use crate::found::Outcome;
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "kernel.fault",
    title: Text { en: "Faults of the kernel", zh: "内核故障" },
    reads: &["/dev/kmsg", "the journal", "/var/log/{kern.log,messages,dmesg}", "/proc/uptime"],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[
        Param::plain("recent", 86_400.0, "s", "node-problem-detector kernel-monitor.json, KernelOops; our time"),
        Param::plain(
            "past",
            604_800.0,
            "s",
            "our recommendation: a kernel that failed is not trusted until it is restarted",
        ),
    ],
    impact: Text {
        en: "The kernel has failed in itself: from here on anything may hang, be lost or crash until the next reboot.",
        zh: "内核自身发生故障：在下次重启之前，任何操作都可能挂起、丢失数据或崩溃。",
    },
    remedy: Text {
        en: "Save the messages (dmesg -T), set up kdump, install the newest kernel and plan a reboot soon. A soft lockup once after a live migration or snapshot of a virtual machine is harmless.",
        zh: "保存日志（dmesg -T），配置 kdump，安装最新内核并尽快安排重启。虚拟机热迁移或快照后偶发一次 soft lockup 可忽略。",
    },
    run,
};

/// How the messages begin. What user programs caused begins with `traps:` or with their name.
const BEGINNINGS: [&str; 13] = [
    "BUG: unable to handle kernel ",
    "BUG: kernel NULL pointer dereference",
    "BUG: unable to handle page fault",
    "Unable to handle kernel ",
    "Internal error: Oops",
    "Oops: ",
    "kernel BUG at ",
    "divide error: 0000 [#",
    "general protection fault",
    "Kernel panic - not syncing",
    "watchdog: BUG: soft lockup",
    "NMI watchdog: BUG: soft lockup",
    "BUG: soft lockup",
];

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let what = words!("faults of the kernel", "内核故障");
    messages::judge(host, settings, &what, Status::Critical, is_fault)
}

fn is_fault(text: &str) -> bool {
    let stalls = text.contains("INFO: rcu_") && text.contains("stall");
    stalls || BEGINNINGS.iter().any(|beginning| text.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::super::messages::tests::logged;
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn krn_02_faults_of_the_kernel_and_not_of_programs() {
        for (at, text, expected, note) in [
            (199_000, "BUG: kernel NULL pointer dereference, address: 0000000000000008", Status::Critical, false),
            (
                199_000,
                "BUG: unable to handle kernel NULL pointer dereference at 0000000000000008",
                Status::Critical,
                false,
            ),
            (199_000, "divide error: 0000 [#1] SMP PTI", Status::Critical, false),
            (199_000, "watchdog: BUG: soft lockup - CPU#1 stuck for 23s! [kworker/1:2:345]", Status::Critical, false),
            (199_000, "rcu: INFO: rcu_preempt self-detected stall on CPU", Status::Critical, false),
            (1000, "Oops: 0002 [#1] SMP", Status::Warning, false),
            (199_000, "traps: app[77] general protection fault ip:4 sp:5 error:0 in app[40+1]", Status::Ok, false),
            (199_000, "app[77]: segfault at 0 ip 4 sp 5 error 4", Status::Ok, false),
        ] {
            let findings = logged(at, text).run(&CHECK);
            assert_eq!((findings[0].status, findings[0].note), (expected, note), "{text}");
        }
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }
}
