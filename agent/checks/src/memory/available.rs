//! How much memory is left for programs without swapping.

use super::Meminfo;
use super::meminfo::PATH;
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::number::{percent, size};
use crate::run::Settings;
use crate::words;

pub(crate) const CHECK: Check = Check {
    id: "memory.available",
    title: Text { en: "Memory that is left", zh: "可用内存" },
    reads: &[PATH],
    needs: Needs::LIVE,
    params: &[
        Param::below("warning", 10.0, 15.0, "%", "netdata health.d/ram.conf, ram_available"),
        Param::below("critical", 5.0, 7.0, "%", "our recommendation: the next spike meets the OOM killer"),
    ],
    impact: Text {
        en: "When it is used up the server stalls, then the kernel kills the largest process, often the database or the application itself.",
        zh: "内存耗尽时服务器会先卡顿，随后内核会杀掉占用最大的进程，通常就是数据库或业务程序本身。",
    },
    remedy: Text {
        en: "Find the largest processes (ps -eo pid,rss,comm --sort=-rss | head) and services (systemd-cgtop -m); give them limits, restart what leaks, or add memory.",
        zh: "找出占用最大的进程（ps -eo pid,rss,comm --sort=-rss | head）和服务（systemd-cgtop -m）；为其设置限额、重启存在泄漏的程序，或增加内存。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let meminfo = Meminfo::read(host)?;
    let (available, total) = (meminfo.bytes("MemAvailable")?, meminfo.bytes("MemTotal")?);
    let share = percent(available, total)
        .ok_or_else(|| Gap::Unknown(words!("{PATH} says that there is no memory", "{PATH} 显示内存总量为 0")))?;
    let (left, of) = (size(available), size(total));
    let found = Found::new(
        "",
        settings.level("", share),
        words!("{share:.0} % of the memory is available ({left} of {of})", "可用内存为 {share:.0}%（{left}，共 {of}）"),
    );
    Ok(vec![
        found.value(share, "%").evidence(PATH, meminfo.lines(&["MemTotal", "MemAvailable", "MemFree", "SwapFree"])),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use cloud_doctor_proto::finding::Status;

    #[test]
    fn mem_01_what_is_left() {
        for (text, expected) in [
            ("MemTotal:        1000000 kB\nMemFree:  1 kB\nMemAvailable:     500000 kB\n", Status::Ok),
            ("MemTotal:        1000000 kB\nMemAvailable:      99000 kB\n", Status::Warning),
            ("MemTotal:        1000000 kB\nMemAvailable:      49000 kB\n", Status::Critical),
            // Free is not available: caches are given back. Kernels before 3.14 do not say.
            ("MemTotal:        1000000 kB\nMemFree:  1 kB\n", Status::Unknown),
            ("MemTotal:  0 kB\nMemAvailable:  0 kB\n", Status::Unknown),
            ("MemTotal:  18446744073709551615 kB\nMemAvailable:  18446744073709551615 kB\n", Status::Ok),
            ("", Status::Unknown),
        ] {
            assert_eq!(Fixture::live().file(PATH, text).status(&CHECK), expected, "{text}");
        }
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }
}
