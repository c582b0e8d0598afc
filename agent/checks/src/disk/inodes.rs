//! Whether files can still be made: a file system without inodes is full, whatever its space.

use super::each_local;
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::{Host, Mount, Space};
use crate::many::many;
use crate::run::Settings;
use crate::words;

pub(crate) const CHECK: Check = Check {
    id: "disk.inodes",
    title: Text { en: "Inodes of file systems", zh: "文件系统 inode" },
    reads: &["/proc/self/mountinfo", "statvfs"],
    needs: Needs::LIVE,
    params: &[
        Param::above("warning", 90.0, 80.0, "%", "netdata health.d/disks.conf, disk_inode_usage"),
        Param::above("critical", 98.0, 90.0, "%", "netdata health.d/disks.conf, disk_inode_usage"),
    ],
    impact: Text {
        en: "No new file can be made although there is space: \"No space left on device\" in every service that writes.",
        zh: "虽有剩余空间却无法新建文件：所有写入的服务都会报 \"No space left on device\"。",
    },
    remedy: Text {
        en: "Find the folders with most files: `du --inodes -x MOUNT | sort -n | tail`. Often: session files, mail queues, \
             caches of small files. ext4 cannot be given more inodes later.",
        zh: "查找文件最多的目录：`du --inodes -x 挂载点 | sort -n | tail`。常见来源：会话文件、邮件队列、小文件缓存。\
             ext4 创建后无法再增加 inode。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let found = each_local(host, |mount, space| judge(settings, mount, space))?;
    if found.is_empty() {
        return Err(Gap::NotHere(words!(
            "no file system here has a fixed number of inodes",
            "此主机的文件系统都没有固定的 inode 数量"
        )));
    }
    Ok(many(found))
}

/// Nothing where inodes are made as needed: btrfs, vfat.
fn judge(settings: &Settings<'_>, mount: &Mount, space: &Space) -> Option<Found> {
    let used = space.inodes_used_percent()?;
    let (point, left, all) = (&mount.point, space.inodes_available, space.inodes);
    let found = Found::new(
        point,
        settings.level(point, used),
        words!(
            "{used:.0} % of the inodes of {point} are used, {left} of {all} are left",
            "{point} 的 inode 已使用 {used:.0}%，剩余 {left} 个（共 {all} 个）"
        ),
    );
    Some(
        found
            .value(used, "%")
            .evidence(format!("statvfs {point}"), format!("{left} of {all} inodes available"))
            .evidence(
                format!("/proc/self/mountinfo:{}", mount.line),
                format!("{} {}", mount.kind, mount.shown_source()),
            ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use cloud_doctor_proto::finding::Status;

    #[test]
    fn dsk_02_inodes_are_judged_apart_from_space() {
        let host = |space: &str| {
            Fixture::live()
                .file("/proc/self/mountinfo", "27 1 254:1 / / rw - ext4 /dev/vda1 rw\n")
                .file("/.statvfs", space)
        };
        for (space, expected) in [
            ("20000 10000 9000 1000000 500000", Status::Ok),
            ("20000 10000 9000 1000000 50000", Status::Warning),
            ("20000 10000 9000 1000000 0", Status::Critical),
        ] {
            assert_eq!(host(space).status(&CHECK), expected, "{space}");
        }
        assert!(host("20000 10000 9000 0 0").has_none_of(&CHECK), "btrfs has no fixed number");
        let gone = Fixture::live().file("/proc/self/mountinfo", "27 1 254:1 / /gone rw - ext4 /dev/vda1 rw\n");
        assert_eq!(gone.status(&CHECK), Status::Unknown);
    }
}
