//! How long one read or write takes.

use super::activity::{Activity, activity};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "disk.latency",
    title: Text { en: "Latency of disks", zh: "磁盘延迟" },
    reads: &["/proc/diskstats"],
    needs: Needs::RATES,
    params: &[
        Param::above("warning", 100.0, 50.0, "ms", "awesome-prometheus-alerts, HostUnusualDiskReadLatency"),
        Param::plain("least", 20.0, "", "ours: operations in the run below which a mean says nothing"),
    ],
    impact: Text {
        en: "Each database commit and each page that is read from disk takes at least this long.",
        zh: "每次数据库提交、每次从磁盘读取页面都至少需要这么长时间。",
    },
    remedy: Text {
        en: "Look for a failing disk (`dmesg`, `smartctl -a`), a cloud disk at its limit, or a neighbour such as a backup \
             (`iotop -oPa`).",
        zh: "检查磁盘是否故障（`dmesg`、`smartctl -a`）、云盘是否达到上限，或是否有备份等任务争用（`iotop -oPa`）。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let (disks, secs) = activity(host)?;
    Ok(disks.iter().map(|disk| judge(settings, disk, secs)).collect())
}

fn judge(settings: &Settings<'_>, disk: &Activity, secs: f64) -> Found {
    let (name, ended) = (&disk.name, disk.ended);
    let Some(mean) = disk.mean_ms else {
        return Found::new(
            name,
            Status::Ok,
            words!("{name} was not used for {secs:.1} s", "{name} 在 {secs:.1} 秒内未被使用"),
        );
    };
    let few = ended < settings.number("least");
    let found = Found::new(
        name,
        if few { Status::Ok } else { settings.level(name, mean) },
        words!(
            "one operation on {name} takes {mean:.1} ms, mean of {ended:.0} in {secs:.1} s",
            "{name} 单次操作耗时 {mean:.1} 毫秒（{secs:.1} 秒内 {ended:.0} 次的平均值）"
        ),
    );
    found.value(mean, "ms").evidence("/proc/diskstats", &disk.line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::activity::tests::disk;
    use crate::host::fixture::Fixture;

    #[test]
    fn dsk_08_latency_is_the_mean_of_enough_operations() {
        for (ended, ended_ms, expected) in
            [(1000, 5000, Status::Ok), (1000, 150_000, Status::Warning), (10, 5000, Status::Ok), (0, 0, Status::Ok)]
        {
            assert_eq!(disk("vda", ended, ended_ms, 100, 100).status(&CHECK), expected, "{ended} {ended_ms}");
        }
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
    }
}
