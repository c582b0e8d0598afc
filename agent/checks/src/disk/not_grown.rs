//! Disks that were made larger than what uses them: space that is paid for and not there.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::{Host, Mount};
use crate::many::many;
use crate::number::size;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "disk.not-grown",
    title: Text { en: "Disks larger than their file systems", zh: "未扩展到磁盘大小的文件系统" },
    reads: &["/proc/self/mountinfo", "/sys/dev/block/*/size", "statvfs"],
    needs: Needs::LIVE,
    params: &[
        Param::plain("unused", 10.0, "%", "ours: ext4 itself needs up to 7 % of a disk for its tables"),
        Param::plain("least", 1.0, "GiB", "ours"),
    ],
    impact: Text {
        en: "The disk was made larger, but nobody can use the new space.",
        zh: "磁盘已扩容，但新增空间尚不可用。",
    },
    remedy: Text {
        en: "Take a snapshot, then grow the partition (`growpart DISK NUMBER`) and the file system (`resize2fs DEVICE`, or \
             `xfs_growfs MOUNT`). Both work while it is mounted.",
        zh: "先创建快照，再扩展分区（`growpart 磁盘 分区号`）和文件系统（`resize2fs 设备` 或 `xfs_growfs 挂载点`），均可在线操作。",
    },
    run,
};

/// Of a device, as sysfs counts.
const SECTOR_BYTES: u64 = 512;

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let mounts = host.local_mounts(false)?;
    // Those that lie on one device, whole.
    let plain = mounts.iter().filter(|mount| ["ext2", "ext3", "ext4", "xfs"].contains(&mount.kind.as_str()));
    let found: Vec<Found> = plain.filter_map(|mount| look(host, settings, mount)).collect();
    if found.is_empty() {
        return Err(Gap::NotHere(words!(
            "no ext4 or XFS file system on a disk is mounted",
            "没有挂载磁盘上的 ext4 或 XFS 文件系统"
        )));
    }
    Ok(many(found))
}

/// Nothing for a file system whose device sysfs does not know.
fn look(host: &Host, settings: &Settings<'_>, mount: &Mount) -> Option<Found> {
    let folder = format!("/sys/dev/block/{}", mount.device);
    let device = number(host, &format!("{folder}/size"))?.checked_mul(SECTOR_BYTES)?;
    let point = &mount.point;
    let space = match host.space(point) {
        Ok(space) => space,
        Err(Gap::NotHere(why) | Gap::Unknown(why)) => return Some(Found::new(point, Status::Unknown, why)),
    };
    let (used, all) = (size(space.bytes), size(device));
    if unused(settings, space.bytes, device) {
        let found = Found::advice(
            point,
            words!("{point} uses {used} of a device of {all}", "{point} 仅使用 {used}，而所在设备为 {all}"),
        );
        return Some(found.evidence(format!("{folder}/size"), all).evidence(format!("statvfs {point}"), used));
    }
    if let Some((end, disk)) = last_partition(host, &folder).filter(|(end, disk)| unused(settings, *end, *disk)) {
        let (end, disk) = (size(end), size(disk));
        let found = Found::advice(
            point,
            words!(
                "the partition of {point} is the last of its disk and ends at {end} of {disk}",
                "{point} 所在分区是磁盘上的最后一个分区，只到 {end}，而磁盘为 {disk}"
            ),
        );
        return Some(found.evidence(format!("{folder}/../size"), disk).evidence(format!("{folder}/start"), end));
    }
    Some(Found::new(point, Status::Ok, words!("{point} uses all of its disk", "{point} 已使用整个磁盘")))
}

fn unused(settings: &Settings<'_>, used: u64, all: u64) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "sizes compared with a threshold")]
    let (rest, all) = (all.saturating_sub(used) as f64, all as f64);
    rest > all * settings.number("unused") / 100.0 && rest > settings.number("least") * f64::from(1 << 30)
}

/// Where the partition ends and how large its disk is, when no other partition begins behind it.
fn last_partition(host: &Host, folder: &str) -> Option<(u64, u64)> {
    if !host.exists(&format!("{folder}/partition")) {
        return None;
    }
    let start = number(host, &format!("{folder}/start"))?;
    let end = start.checked_add(number(host, &format!("{folder}/size"))?)?;
    let disk = number(host, &format!("{folder}/../size"))?;
    let parts = host.list(&format!("{folder}/..")).ok()?;
    let behind = parts
        .iter()
        .filter_map(|part| number(host, &format!("{folder}/../{}/start", part.name)))
        .any(|other| other > start);
    if behind { None } else { Some((end.checked_mul(SECTOR_BYTES)?, disk.checked_mul(SECTOR_BYTES)?)) }
}

fn number(host: &Host, path: &str) -> Option<u64> {
    host.number(path).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;
    use std::os::unix::fs::symlink;

    /// A partition of `part_gib` on a disk of `disk_gib`, with a file system of `space_mib`.
    fn host(space_mib: u64, part_gib: u64, disk_gib: u64) -> Fixture {
        let host = Fixture::live()
            .file("/proc/self/mountinfo", "27 1 254:1 / / rw - ext4 /dev/vda1 rw\n")
            .file("/.statvfs", format!("{space_mib} 50 50 0 0"))
            .file("/sys/devices/virtio0/block/vda/size", format!("{}\n", disk_gib << 21))
            .file("/sys/devices/virtio0/block/vda/vda1/size", format!("{}\n", part_gib << 21))
            .file("/sys/devices/virtio0/block/vda/vda1/start", "2048\n")
            .file("/sys/devices/virtio0/block/vda/vda1/partition", "1\n")
            .file("/sys/dev/block/README", "");
        symlink("../../devices/virtio0/block/vda/vda1", host.path("/sys/dev/block/254:1")).unwrap();
        host
    }

    #[test]
    fn dsk_16_space_that_nobody_can_use_is_advice() {
        for (space_mib, part_gib, disk_gib, note) in [
            // ext4 takes 2 % for itself.
            (20_070, 20, 20, false),
            (20_070, 40, 40, true),
            (20_070, 20, 40, true),
        ] {
            let found = host(space_mib, part_gib, disk_gib).run(&CHECK);
            assert_eq!((found[0].status, found[0].note), (Status::Ok, note), "{space_mib} {part_gib} {disk_gib}");
        }
        let other = host(20_070, 20, 40)
            .file("/sys/devices/virtio0/block/vda/vda2/start", "41945088\n")
            .file("/sys/devices/virtio0/block/vda/vda2/size", "41940000\n");
        assert!(!other.run(&CHECK)[0].note, "another partition stands behind it");
        let unknown = Fixture::live().file("/proc/self/mountinfo", "27 1 254:1 / / rw - ext4 /dev/vda1 rw\n");
        assert!(unknown.has_none_of(&CHECK), "sysfs does not know the device");
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
    }
}
