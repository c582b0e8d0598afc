//! How much of the time a disk had something to do. For disks that do many things at once that is no limit.

use super::activity::{Activity, activity, is_moment};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "disk.busy",
    title: Text { en: "Disk utilisation", zh: "磁盘利用率" },
    reads: &["/proc/diskstats", "/proc/pressure/io"],
    needs: Needs::RATES,
    params: &[
        Param::above("warning", 98.0, 90.0, "%", "netdata health.d/disks.conf, 10min_disk_utilization"),
        Param::plain("waited", 5.0, "%", "ours: below this share of the last minute it was a moment only"),
    ],
    impact: Text {
        en: "Whatever reads or writes on this disk waits, and there is nothing left for a busier hour.",
        zh: "所有读写该磁盘的操作都在等待，业务高峰时没有余量。",
    },
    remedy: Text {
        en: "Find who writes: `iotop -oPa` or `pidstat -d 5`. Move backups and reports to quiet hours, give databases more \
             memory, or take a faster disk (cloud disks have a limit of operations per second that can be raised).",
        zh: "查找写入来源：`iotop -oPa` 或 `pidstat -d 5`。将备份和报表移到空闲时段，为数据库增加内存，\
             或更换更快的磁盘（云盘的 IOPS 上限可以提升）。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let (disks, secs) = activity(host)?;
    let moment = is_moment(host, settings);
    Ok(disks.iter().map(|disk| judge(settings, disk, secs, moment)).collect())
}

fn judge(settings: &Settings<'_>, disk: &Activity, secs: f64, moment: bool) -> Found {
    let (name, busy, per_sec) = (&disk.name, disk.busy_percent, disk.per_sec);
    let summary = words!(
        "{name} is {busy:.0} % busy over {secs:.1} s, with {per_sec:.0} operations per second",
        "{name} 在 {secs:.1} 秒内繁忙 {busy:.0}%，每秒 {per_sec:.0} 次操作"
    );
    let status = settings.level(name, busy);
    let found = match status {
        Status::Warning | Status::Critical if disk.parallel => {
            let many = words!(
                "It works on many requests at once: only latency and queue say whether this is too much.",
                "该设备可并行处理多个请求：是否过载需结合延迟和队列判断。"
            );
            Found::advice(name, summary).impact(many)
        }
        Status::Warning | Status::Critical if moment => Found::new(name, Status::Ok, summary),
        Status::Warning | Status::Critical | Status::Ok | Status::Unknown => Found::new(name, status, summary),
    };
    found.value(busy, "%").evidence("/proc/diskstats", &disk.line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::activity::tests::disk;
    use crate::host::fixture::Fixture;

    #[test]
    fn dsk_06_a_busy_disk_is_told_but_not_a_moment() {
        for (name, busy_ms, waited, expected) in [
            ("vda", 5000, "80.00", Status::Ok),
            ("vda", 9950, "80.00", Status::Warning),
            ("vda", 9950, "1.00", Status::Ok),
            ("nvme0n1", 9950, "80.00", Status::Ok),
        ] {
            let host = disk(name, 50, 1000, busy_ms, 9000)
                .file("/proc/pressure/io", format!("some avg10=0.00 avg60={waited} avg300=0.00 total=0\n"));
            assert_eq!(host.status(&CHECK), expected, "{name} {busy_ms} {waited}");
        }
        assert_eq!(disk("vda", 50, 1000, 9950, 9000).status(&CHECK), Status::Warning, "kernels without pressure");
        assert!(disk("nvme0n1", 50, 1000, 9950, 9000).run(&CHECK)[0].note);
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
    }
}
