//! Pages that programs need and that must come from the disk first, over the time of the run.

use super::vmstat::{PATH, rise};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::number::per_second;
use crate::run::Settings;
use crate::words;

pub(crate) const CHECK: Check = Check {
    id: "memory.major-faults",
    title: Text { en: "Page faults that wait for a disk", zh: "需读盘的缺页（主缺页）" },
    reads: &[PATH],
    needs: Needs::RATES,
    params: &[Param::above("warning", 500.0, 250.0, "/s", "node-mixin, NodeMemoryMajorPagesFaults")],
    impact: Text {
        en: "Programs wait for their own memory or code to come back from the disk; everything gets slow at once.",
        zh: "程序要等待自己的内存或代码从磁盘读回，所有服务会同时变慢。",
    },
    remedy: Text {
        en: "If it lasts (sar -B 1), memory is too small for what runs here: find the largest processes, give them limits, or add memory. After a start it is normal for a while.",
        zh: "若持续存在（sar -B 1），说明内存不足以支撑当前负载：找出占用最大的进程、设置限额或增加内存。刚启动后的短时间内属于正常现象。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let twice = host.twice(PATH)?;
    let faults = rise(&twice, "pgmajfault")?;
    let (rate, secs) = (per_second(faults, twice.secs), twice.secs);
    let found = Found::new(
        "",
        settings.level("", rate),
        words!(
            "{rate:.0} page faults a second waited for a disk, over {secs:.1} s",
            "{secs:.1} 秒内平均每秒 {rate:.0} 次缺页需要读盘"
        ),
    );
    Ok(vec![found.value(rate, "/s").evidence(PATH, format!("pgmajfault rose by {faults}"))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use cloud_doctor_proto::finding::Status;

    #[test]
    fn mem_03_faults_a_second() {
        for (after, expected) in [
            ("pgfault 9\npgmajfault 1900\n", Status::Ok),
            ("pgfault 9\npgmajfault 2100\n", Status::Warning),
            ("pgfault 9\npgmajfault 999\n", Status::Unknown),
            ("pgfault 9\n", Status::Unknown),
        ] {
            let fixture = Fixture::live().file(PATH, "pgfault 5\npgmajfault 1000\n").later(PATH, after).secs(2.0);
            assert_eq!(fixture.status(&CHECK), expected, "{after}");
        }
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
    }
}
