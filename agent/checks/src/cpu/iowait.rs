//! How much processor time passed idle because tasks waited for a disk, over the time of the run.

use super::ticks::{Use, no_time, passed};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;

pub(crate) const CHECK: Check = Check {
    id: "cpu.iowait",
    title: Text { en: "Processors waiting for disks", zh: "处理器等待磁盘" },
    reads: &["/proc/stat"],
    needs: Needs::RATES,
    params: &[Param::above("warning", 40.0, 20.0, "%", "netdata health.d/cpu.conf, 10min_cpu_iowait")],
    impact: Text {
        en: "Work stands still because disks or network file systems do not keep up.",
        zh: "磁盘或网络文件系统跟不上，任务处于停滞等待状态。",
    },
    remedy: Text {
        en: "Find what reads and writes most (iotop -o, pidstat -d 1) and which device is slow (iostat -x 1); look at the disk checks.",
        zh: "找出读写最多的进程（iotop -o、pidstat -d 1）和响应慢的设备（iostat -x 1），并查看磁盘类检查结果。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let (ticks, stat) = passed(host)?;
    let waited = ticks.percent(Use::IoWait).ok_or_else(no_time)?;
    let secs = stat.secs;
    let found = Found::new(
        "",
        settings.level("", waited),
        words!(
            "processors waited for disks {waited:.0} % of the time over {secs:.1} s",
            "{secs:.1} 秒内处理器有 {waited:.0}% 的时间在等待磁盘"
        ),
    );
    Ok(vec![found.value(waited, "%").evidence("/proc/stat", stat.after.lines().next().unwrap_or_default())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use cloud_doctor_proto::finding::Status;

    #[test]
    fn cpu_03_waiting_for_disks() {
        let before = "cpu  100 0 100 1000 10 0 0 0 0 0\n";
        for (after, expected) in [
            ("cpu  110 0 110 1050 30 0 0 0 0 0\n", Status::Ok),
            ("cpu  110 0 110 1030 60 0 0 0 0 0\n", Status::Warning),
            // It may go back a little.
            ("cpu  110 0 110 1050 9 0 0 0 0 0\n", Status::Ok),
            (before, Status::Unknown),
            ("cpu\n", Status::Unknown),
        ] {
            let fixture = Fixture::live().file("/proc/stat", before).later("/proc/stat", after);
            assert_eq!(fixture.status(&CHECK), expected, "{after}");
        }
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }
}
