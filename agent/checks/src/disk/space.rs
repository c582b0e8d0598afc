//! How full the file systems of this host are. Those behind a network are asked by `disk.hung-mount`.

use super::each_local;
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::{Host, Mount, Space};
use crate::many::many;
use crate::number::size;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "disk.space",
    title: Text { en: "Space on file systems", zh: "文件系统空间" },
    reads: &["/proc/self/mountinfo", "statvfs"],
    needs: Needs::LIVE,
    params: &[
        Param::above("warning", 90.0, 80.0, "%", "netdata health.d/disks.conf, disk_space_usage"),
        Param::above("critical", 98.0, 90.0, "%", "netdata health.d/disks.conf, disk_space_usage"),
        Param::plain("critical-available", 5.0, "GiB", "netdata health.d/disks.conf: critical only below 5 GiB"),
    ],
    impact: Text {
        en: "When it is full, databases stop, logs and uploads are lost, and services do not start again.",
        zh: "空间用尽后，数据库会停止写入，日志和上传会丢失，服务也无法再次启动。",
    },
    remedy: Text {
        en: "Find what grew: `du -xh --max-depth=2 MOUNT | sort -h | tail`. Often: `journalctl --vacuum-size=500M`, \
             `apt-get clean` or `dnf clean all`, old rotated logs, old container images. If df and du disagree, look at \
             disk.deleted-open.",
        zh: "查找增长来源：`du -xh --max-depth=2 挂载点 | sort -h | tail`。常见做法：`journalctl --vacuum-size=500M`、\
             `apt-get clean` 或 `dnf clean all`，清理旧的轮转日志和容器镜像。如果 df 与 du 不一致，请查看 disk.deleted-open。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let found = each_local(host, |mount, space| judge(settings, mount, space))?;
    if found.is_empty() {
        return Err(Gap::NotHere(words!(
            "no local file system is mounted that can be written to",
            "没有挂载可写的本地文件系统"
        )));
    }
    Ok(many(found))
}

/// Nothing for a file system without blocks.
fn judge(settings: &Settings<'_>, mount: &Mount, space: &Space) -> Option<Found> {
    let used = space.used_percent()?;
    #[expect(clippy::cast_precision_loss, reason = "a size compared with a threshold")]
    let available_gib = space.bytes_available as f64 / f64::from(1 << 30);
    let roomy = available_gib >= settings.number("critical-available");
    let status = match settings.level(&mount.point, used) {
        Status::Critical if roomy => Status::Warning,
        status @ (Status::Critical | Status::Warning | Status::Ok | Status::Unknown) => status,
    };
    let (point, left, all) = (&mount.point, size(space.bytes_available), size(space.bytes));
    let found = Found::new(
        point,
        status,
        words!(
            "{point} is {used:.0} % full, {left} of {all} are left",
            "{point} 已使用 {used:.0}%，剩余 {left}（共 {all}）"
        ),
    );
    let found = found
        .value(used, "%")
        .evidence(format!("statvfs {point}"), format!("{} B of {} B available", space.bytes_available, space.bytes))
        .evidence(format!("/proc/self/mountinfo:{}", mount.line), format!("{} {}", mount.kind, mount.shown_source()));
    #[expect(clippy::cast_precision_loss, reason = "a size for people")]
    Some(found.detail("available_bytes", space.bytes_available as f64).detail("size_bytes", space.bytes as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    const MOUNTS: &str = "27 1 254:1 / / rw - ext4 /dev/vda1 rw\n33 27 0:41 / /run rw - tmpfs tmpfs rw\n\
                          34 27 0:42 / /mnt/nfs rw - nfs4 far:/x rw\n";

    fn host(root: &str) -> Fixture {
        Fixture::live()
            .file("/proc/self/mountinfo", MOUNTS)
            .file("/.statvfs", root)
            .file("/run/.statvfs", "100 99 99 0 0")
            .file("/mnt/nfs/.statvfs", "100 0 0 0 0")
    }

    #[test]
    fn dsk_01_space_is_judged_by_share_and_what_is_left() {
        for (space, expected) in [
            ("20000 10000 9000 1 1", Status::Ok),
            ("20000 2500 2300 1 1", Status::Ok),
            // Five percent are reserved for root: others see it full earlier.
            ("20000 2000 1000 1 1", Status::Warning),
            ("20000 300 300 1 1", Status::Critical),
            ("20000 1000 0 1 1", Status::Critical),
            // 1 % of 10 TiB is a lot.
            ("10000000 100000 100000 1 1", Status::Warning),
        ] {
            assert_eq!(host(space).status(&CHECK), expected, "{space}");
        }
        assert_eq!(host("20000 10000 9000 1 1").run(&CHECK).len(), 2, "what is behind a network is not asked");
    }

    #[test]
    fn dsk_01_what_cannot_be_asked_is_unknown() {
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
        let gone = Fixture::live().file("/proc/self/mountinfo", "27 1 254:1 / /gone rw - ext4 /dev/vda1 rw\n");
        assert_eq!(gone.status(&CHECK), Status::Unknown);
        let none = Fixture::live().file("/proc/self/mountinfo", "27 1 0:1 / /proc rw - proc proc rw\n");
        assert!(none.has_none_of(&CHECK));
    }
}
