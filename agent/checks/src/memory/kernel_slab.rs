//! Memory that the kernel itself holds and cannot give back.

use super::Meminfo;
use super::meminfo::PATH;
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::number::{percent, size};
use crate::run::Settings;
use crate::words;

pub(crate) const CHECK: Check = Check {
    id: "memory.kernel-slab",
    title: Text { en: "Memory held by the kernel", zh: "内核占用的不可回收内存" },
    reads: &[PATH],
    needs: Needs::LIVE,
    params: &[Param::above("warning", 15.0, 12.0, "%", "our recommendation: healthy servers stay far below")],
    impact: Text {
        en: "This memory is missing for programs, no process shows it, and when it grows it ends in killed processes.",
        zh: "这部分内存无法供程序使用，也不会显示在任何进程名下；若持续增长，最终会导致进程被杀。",
    },
    remedy: Text {
        en: "See which objects hold it (slabtop -o -s c). Known causes are a leaking driver or module, or millions of containers' leftovers; update the kernel, then plan a reboot.",
        zh: "查看是哪类内核对象占用（slabtop -o -s c）。常见原因是驱动或模块泄漏，或大量已删除容器的残留；请先升级内核，再安排重启。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let meminfo = Meminfo::read(host)?;
    let (held, total) = (meminfo.bytes("SUnreclaim")?, meminfo.bytes("MemTotal")?);
    let share = percent(held, total)
        .ok_or_else(|| Gap::Unknown(words!("{PATH} says that there is no memory", "{PATH} 显示内存总量为 0")))?;
    let held = size(held);
    let found = Found::new(
        "",
        settings.level("", share),
        words!(
            "the kernel holds {share:.0} % of the memory that it cannot give back ({held})",
            "内核占用了 {share:.0}% 的不可回收内存（{held}）"
        ),
    );
    Ok(vec![found.value(share, "%").evidence(PATH, meminfo.lines(&["MemTotal", "Slab", "SReclaimable", "SUnreclaim"]))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use cloud_doctor_proto::finding::Status;

    #[test]
    fn mem_07_what_the_kernel_holds() {
        for (text, expected) in [
            ("MemTotal: 1000000 kB\nSlab: 200000 kB\nSUnreclaim: 50000 kB\n", Status::Ok),
            ("MemTotal: 1000000 kB\nSlab: 200000 kB\nSUnreclaim: 160000 kB\n", Status::Warning),
            ("MemTotal: 1000000 kB\nSlab: 200000 kB\n", Status::Unknown),
        ] {
            assert_eq!(Fixture::live().file(PATH, text).status(&CHECK), expected, "{text}");
        }
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }
}
