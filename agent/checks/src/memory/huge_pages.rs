//! Memory that is set aside as huge pages and that nobody uses.

use super::Meminfo;
use super::meminfo::PATH;
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::number::{percent, size};
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "memory.huge-pages",
    title: Text { en: "Huge pages that nobody uses", zh: "未被使用的大页内存" },
    reads: &[PATH],
    needs: Needs::LIVE,
    params: &[Param::plain("idle", 20.0, "%", "our recommendation: a fifth of the memory is worth having back")],
    impact: Text {
        en: "This memory is paid for and reserved, but no program can use it unless it asks for huge pages.",
        zh: "这部分内存已被预留，除非程序申请大页，否则任何程序都无法使用，相当于白白占用。",
    },
    remedy: Text {
        en: "If the program that they were meant for is gone, lower vm.nr_hugepages (sysctl -w vm.nr_hugepages=N, and the same in /etc/sysctl.d).",
        zh: "若需要大页的程序已不再使用，请降低 vm.nr_hugepages（sysctl -w vm.nr_hugepages=N，并同步修改 /etc/sysctl.d）。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let meminfo = Meminfo::read(host)?;
    let none = || Gap::NotHere(words!("no huge pages are set aside", "没有预留大页内存"));
    // A kernel without huge pages has no such line.
    let pages = meminfo.count("HugePages_Total").map_err(|_| none())?;
    if pages == 0 {
        return Err(none());
    }
    // Reserved ones are promised to a program that has not touched them yet.
    let free = meminfo.count("HugePages_Free")?.saturating_sub(meminfo.count("HugePages_Rsvd").unwrap_or(0));
    let bytes = free.saturating_mul(meminfo.bytes("Hugepagesize")?);
    let share = percent(bytes, meminfo.bytes("MemTotal")?)
        .ok_or_else(|| Gap::Unknown(words!("{PATH} says that there is no memory", "{PATH} 显示内存总量为 0")))?;
    let idle = size(bytes);
    let summary = words!(
        "{free} of {pages} huge pages are not used: {idle}, {share:.0} % of the memory",
        "{pages} 个大页中有 {free} 个未使用：{idle}，占内存的 {share:.0}%"
    );
    let found =
        if share > settings.number("idle") { Found::advice("", summary) } else { Found::new("", Status::Ok, summary) };
    let names = ["MemTotal", "HugePages_Total", "HugePages_Free", "HugePages_Rsvd", "Hugepagesize"];
    Ok(vec![found.value(share, "%").evidence(PATH, meminfo.lines(&names))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn mem_08_pages_that_nobody_uses() {
        let text = |total: &str, free: &str, reserved: &str| {
            format!(
                "MemTotal: 10240000 kB\nHugePages_Total:  {total}\nHugePages_Free:  {free}\nHugePages_Rsvd: {reserved}\nHugepagesize:  2048 kB\n"
            )
        };
        for (total, free, reserved, note) in
            [("1500", "1400", "0", true), ("1500", "1400", "1000", false), ("1500", "10", "0", false)]
        {
            let findings = Fixture::live().file(PATH, text(total, free, reserved)).run(&CHECK);
            assert_eq!((findings[0].status, findings[0].note), (Status::Ok, note), "{free} {reserved}");
        }
        assert!(Fixture::live().file(PATH, text("0", "0", "0")).has_none_of(&CHECK));
        assert!(Fixture::live().file(PATH, "MemTotal: 1 kB\n").has_none_of(&CHECK));
        assert_eq!(Fixture::live().file(PATH, text("5", "x", "0")).status(&CHECK), Status::Unknown);
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
    }
}
