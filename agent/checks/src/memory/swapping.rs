//! How fast memory is written out to swap, over the time of the run and reckoned for half an hour.

use super::Meminfo;
use super::vmstat::{PATH, rise};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::number::{per_second, percent, size};
use crate::run::Settings;
use crate::words;

pub(crate) const CHECK: Check = Check {
    id: "memory.swapping",
    title: Text { en: "Memory written out to swap", zh: "内存换出速度" },
    reads: &[PATH, super::meminfo::PATH],
    needs: Needs::RATES,
    params: &[Param::above(
        "warning",
        30.0,
        20.0,
        "% of memory in 30 min",
        "netdata health.d/swap.conf, 30min_ram_swapped_out",
    )],
    impact: Text {
        en: "Programs lose their memory to the disk and wait for it later: answers become slow without a pattern.",
        zh: "程序的内存被换出到磁盘，之后又要等待读回，响应会无规律地变慢。",
    },
    remedy: Text {
        en: "See whether it lasts (vmstat 1, column so). Then find the largest processes, give services limits (MemoryMax=), or add memory.",
        zh: "确认是否持续（vmstat 1 的 so 列）；若持续，找出占用最大的进程、为服务设置限额（MemoryMax=）或增加内存。",
    },
    run,
};

/// The time that the threshold is meant for, in seconds.
const SPAN_SECS: f64 = 1800.0;

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let twice = host.twice(PATH)?;
    let pages = rise(&twice, "pswpout")?;
    let meminfo = Meminfo::read(host)?;
    if meminfo.bytes("SwapTotal")? == 0 {
        return Err(Gap::NotHere(words!("there is no swap, and none is needed", "未启用交换空间（这不是故障）")));
    }
    let bytes = pages.saturating_mul(rustix::param::page_size() as u64);
    let share = percent(bytes, meminfo.bytes("MemTotal")?).ok_or_else(|| {
        Gap::Unknown(words!("/proc/meminfo says that there is no memory", "/proc/meminfo 显示内存总量为 0"))
    })?;
    let reckoned = share / twice.secs * SPAN_SECS;
    let (written, secs, rate) = (size(bytes), twice.secs, per_second(pages, twice.secs));
    let found = Found::new(
        "",
        settings.level("", reckoned),
        words!(
            "{written} were written out to swap over {secs:.1} s; at this rate {reckoned:.0} % of the memory in 30 min",
            "{secs:.1} 秒内换出 {written}；按此速度 30 分钟将换出内存总量的 {reckoned:.0}%"
        ),
    );
    let found = found.value(reckoned, "%").evidence(PATH, format!("pswpout rose by {pages}"));
    Ok(vec![found.detail("pages_per_second", rate)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use cloud_doctor_proto::finding::Status;

    #[test]
    fn mem_05_swapping_is_reckoned_for_half_an_hour() {
        let memory = |swap: &str| format!("MemTotal: 8388608 kB\nSwapTotal: {swap} kB\n");
        for (after, expected) in [
            ("pswpin 0\npswpout 100\n", Status::Ok),
            ("pswpin 0\npswpout 300\n", Status::Ok),
            // 450 pages a second are 40 % of 8 GiB in 30 minutes.
            ("pswpin 0\npswpout 550\n", Status::Warning),
            ("pswpin 0\npswpout 9\n", Status::Unknown),
            ("", Status::Unknown),
        ] {
            let fixture = Fixture::live().file(PATH, "pswpin 0\npswpout 100\n").later(PATH, after);
            assert_eq!(fixture.file("/proc/meminfo", memory("1000")).status(&CHECK), expected, "{after}");
        }
        let none = Fixture::live().file(PATH, "pswpout 1\n").later(PATH, "pswpout 1\n");
        assert!(none.file("/proc/meminfo", memory("0")).has_none_of(&CHECK));
    }
}
