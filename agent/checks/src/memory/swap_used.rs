//! How full the swap space is. A host without swap has no fault.

use super::Meminfo;
use super::meminfo::PATH;
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::number::{percent, size};
use crate::run::Settings;
use crate::words;

pub(crate) const CHECK: Check = Check {
    id: "memory.swap-used",
    title: Text { en: "Swap space in use", zh: "交换空间使用率" },
    reads: &[PATH],
    needs: Needs::LIVE,
    params: &[
        Param::above("warning", 90.0, 80.0, "%", "netdata health.d/swap.conf, used_swap"),
        Param::above("critical", 98.0, 90.0, "%", "netdata health.d/swap.conf, used_swap"),
    ],
    impact: Text {
        en: "The last reserve is nearly used up: after it the kernel kills processes.",
        zh: "最后的内存储备即将用尽，之后内核会开始杀进程。",
    },
    remedy: Text {
        en: "Find what was swapped out (grep VmSwap /proc/*/status | sort -k2 -n | tail), restart what leaks, give services limits, or add memory. Larger swap only delays it.",
        zh: "找出被换出的进程（grep VmSwap /proc/*/status | sort -k2 -n | tail），重启存在泄漏的程序、为服务设置限额或增加内存。仅扩大交换空间只能拖延问题。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let meminfo = Meminfo::read(host)?;
    let (total, free) = (meminfo.bytes("SwapTotal")?, meminfo.bytes("SwapFree")?);
    let used = total.saturating_sub(free);
    let Some(share) = percent(used, total) else {
        return Err(Gap::NotHere(words!("there is no swap, and none is needed", "未启用交换空间（这不是故障）")));
    };
    let (used, of) = (size(used), size(total));
    let found = Found::new(
        "",
        settings.level("", share),
        words!(
            "{share:.0} % of the swap space is in use ({used} of {of})",
            "交换空间已用 {share:.0}%（{used}，共 {of}）"
        ),
    );
    Ok(vec![found.value(share, "%").evidence(PATH, meminfo.lines(&["SwapTotal", "SwapFree", "MemAvailable"]))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use cloud_doctor_proto::finding::Status;

    #[test]
    fn mem_04_swap_in_use() {
        for (free, expected) in
            [("800", Status::Ok), ("99", Status::Warning), ("10", Status::Critical), ("much", Status::Unknown)]
        {
            let text = format!("SwapCached: 1 kB\nSwapTotal:  1000 kB\nSwapFree:  {free} kB\n");
            assert_eq!(Fixture::live().file(PATH, text).status(&CHECK), expected, "{free}");
        }
        assert!(Fixture::live().file(PATH, "SwapTotal: 0 kB\nSwapFree: 0 kB\n").has_none_of(&CHECK));
        assert_eq!(Fixture::live().file(PATH, "MemTotal: 5 kB\n").status(&CHECK), Status::Unknown);
    }
}
