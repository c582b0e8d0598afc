//! How many requests wait for a disk. A deep queue that is worked off quickly is what fast disks are for.

use super::activity::{Activity, activity, is_moment};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "disk.queue",
    title: Text { en: "Queue of disks", zh: "磁盘队列" },
    reads: &["/proc/diskstats", "/proc/pressure/io"],
    needs: Needs::RATES,
    params: &[
        Param::above("warning", 10.0, 5.0, "", "prometheus node-mixin, NodeDiskIOSaturation"),
        Param::plain("slow", 20.0, "ms", "ours: a deep queue hurts when one operation takes longer than this"),
        Param::plain("waited", 5.0, "%", "ours: below this share of the last minute it was a moment only"),
    ],
    impact: Text {
        en: "More is asked of the disk than it can do: each request waits for those before it, and pages get slow.",
        zh: "请求量超过磁盘处理能力：每个请求都要等待前面的请求，页面变慢。",
    },
    remedy: Text {
        en: "Find who writes: `iotop -oPa` or `pidstat -d 5`. Spread backups and batch jobs, or take a disk with more \
             operations per second.",
        zh: "查找写入来源：`iotop -oPa` 或 `pidstat -d 5`。错开备份和批处理任务，或更换 IOPS 更高的磁盘。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let (disks, secs) = activity(host)?;
    let moment = is_moment(host, settings);
    Ok(disks.iter().map(|disk| judge(settings, disk, secs, moment)).collect())
}

fn judge(settings: &Settings<'_>, disk: &Activity, secs: f64, moment: bool) -> Found {
    let (name, queue, mean) = (&disk.name, disk.queue, disk.mean_ms.unwrap_or(0.0));
    // Nothing ended at all while there is a queue: slower than anything.
    let quick = disk.mean_ms.is_some_and(|mean| mean < settings.number("slow"));
    let status = if quick || moment { Status::Ok } else { settings.level(name, queue) };
    let found = Found::new(
        name,
        status,
        words!(
            "{queue:.1} requests wait for {name} on average over {secs:.1} s, {mean:.1} ms each",
            "{secs:.1} 秒内平均有 {queue:.1} 个请求在等待 {name}，每个耗时 {mean:.1} 毫秒"
        ),
    );
    found.value(queue, "").evidence("/proc/diskstats", &disk.line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::activity::tests::disk;
    use crate::host::fixture::Fixture;

    #[test]
    fn dsk_07_a_deep_queue_counts_when_it_is_slow() {
        for (ended, ended_ms, weighted_ms, expected) in [
            (100, 1000, 50_000, Status::Ok),
            (1000, 150_000, 150_000, Status::Warning),
            (100_000, 150_000, 150_000, Status::Ok),
            (0, 0, 150_000, Status::Warning),
        ] {
            let host = disk("vda", ended, ended_ms, 10_000, weighted_ms);
            assert_eq!(host.status(&CHECK), expected, "{ended} {ended_ms} {weighted_ms}");
            let moment = host.file("/proc/pressure/io", "some avg10=0.00 avg60=0.50 avg300=0.00 total=0\n");
            assert_eq!(moment.status(&CHECK), Status::Ok);
        }
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
    }
}
