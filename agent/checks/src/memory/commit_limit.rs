//! How close promised memory is to the limit, on hosts that keep one (`vm.overcommit_memory=2`).

use super::Meminfo;
use super::meminfo::PATH;
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::number::{percent, size};
use crate::run::Settings;
use crate::words;

const MODE: &str = "/proc/sys/vm/overcommit_memory";

pub(crate) const CHECK: Check = Check {
    id: "memory.commit-limit",
    title: Text { en: "Promised memory against its limit", zh: "已承诺内存与上限" },
    reads: &[MODE, PATH],
    needs: Needs::LIVE,
    params: &[Param::above("warning", 95.0, 90.0, "%", "our recommendation: one large program more does not start")],
    impact: Text {
        en: "Programs are refused memory although some is free: starts, forks and connections fail.",
        zh: "即使仍有空闲内存，程序的内存申请也会被拒绝：启动、派生进程和新建连接都会失败。",
    },
    remedy: Text {
        en: "Raise vm.overcommit_ratio, or go back to vm.overcommit_memory=0 if nobody chose 2 on purpose (databases sometimes ask for it).",
        zh: "调高 vm.overcommit_ratio；若并非有意设置为 2（部分数据库会要求），可改回 vm.overcommit_memory=0。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let mode: u8 = host.number(MODE)?;
    if mode != 2 {
        return Err(Gap::NotHere(words!(
            "vm.overcommit_memory is {mode}: promised memory has no limit",
            "vm.overcommit_memory 为 {mode}：不限制已承诺内存"
        )));
    }
    let meminfo = Meminfo::read(host)?;
    let (promised, limit) = (meminfo.bytes("Committed_AS")?, meminfo.bytes("CommitLimit")?);
    let share = percent(promised, limit)
        .ok_or_else(|| Gap::Unknown(words!("{PATH} says that the limit is zero", "{PATH} 显示上限为 0")))?;
    let (promised, limit) = (size(promised), size(limit));
    let found = Found::new(
        "",
        settings.level("", share),
        words!(
            "{promised} of memory are promised, {share:.0} % of the limit of {limit}",
            "已承诺内存 {promised}，为上限 {limit} 的 {share:.0}%"
        ),
    );
    Ok(vec![
        found.value(share, "%").evidence(PATH, meminfo.lines(&["CommitLimit", "Committed_AS"])).evidence(MODE, "2"),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use cloud_doctor_proto::finding::Status;

    #[test]
    fn mem_11_promised_memory() {
        for (promised, expected) in [("50", Status::Ok), ("96", Status::Warning), ("x", Status::Unknown)] {
            let text = format!("CommitLimit:   100 kB\nCommitted_AS:  {promised} kB\n");
            assert_eq!(Fixture::live().file(MODE, "2\n").file(PATH, text).status(&CHECK), expected, "{promised}");
        }
        let free = Fixture::live().file(MODE, "0\n").file(PATH, "CommitLimit: 1 kB\nCommitted_AS: 9 kB\n");
        assert!(free.has_none_of(&CHECK));
        assert_eq!(Fixture::live().file(MODE, "\n").status(&CHECK), Status::Unknown);
    }
}
