//! Disks that are attached, paid for, and used by nothing that the kernel shows. Advice only.

use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;
use std::collections::BTreeSet;

pub(crate) const CHECK: Check = Check {
    id: "cloud.idle-disks",
    title: Text { en: "Disks that nothing uses", zh: "未使用的磁盘" },
    reads: &["/sys/block/", "/proc/self/mountinfo", "/proc/swaps"],
    needs: Needs::LIVE,
    params: &[],
    impact: Text {
        en: "The disk costs money every month; or a file system was forgotten after a restart, and its data are missing.",
        zh: "该磁盘每月持续计费；也可能是重启后漏挂载，导致数据缺失。",
    },
    remedy: Text {
        en: "Look with lsblk -f what is on it. Mount it by UUID in /etc/fstab with nofail, or take a snapshot and release the \
             disk. A program can also use a disk raw (ZFS, Ceph, Oracle), which cannot be seen here.",
        zh: "用 lsblk -f 查看其内容。在 /etc/fstab 中以 UUID 并加 nofail 挂载，或先做快照再释放磁盘。程序也可能直接使用裸盘（ZFS、Ceph、Oracle），此处无法识别。",
    },
    run,
};

/// Disks that are looked at.
const DISKS_MAX: usize = 200;
const SECTOR_BYTES: u64 = 512;
/// Names that are no attached disk.
const OTHERS: [&str; 10] = ["loop", "ram", "zram", "sr", "fd", "dm-", "md", "nbd", "mtd", "drbd"];

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let used = Used::read(host)?;
    let disks = host.list("/sys/block").map_err(|gap| match gap {
        Gap::NotHere(why) | Gap::Unknown(why) => Gap::Unknown(why),
    })?;
    let disks = disks.into_iter().map(|entry| entry.name).filter(|name| is_disk(host, name));
    let (mut count, mut found) = (0_u32, Vec::new());
    for name in disks.take(DISKS_MAX) {
        let sectors =
            host.read(&format!("/sys/block/{name}/size")).ok().and_then(|size| size.trim().parse::<u64>().ok());
        // A drive without a medium.
        let Some(bytes) = sectors.filter(|sectors| *sectors > 0).map(|sectors| sectors.saturating_mul(SECTOR_BYTES))
        else {
            continue;
        };
        count += 1;
        let parts = partitions(host, &name);
        if used.has(host, &format!("/sys/block/{name}"), &name)
            || parts.iter().any(|part| used.has(host, &format!("/sys/block/{name}/{part}"), part))
        {
            continue;
        }
        let (gib, number) = (bytes >> 30, parts.len());
        let summary = words!(
            "disk {name} ({gib} GiB) is attached and nothing is mounted from it",
            "磁盘 {name}（{gib} GiB）已挂载到实例，但未被使用"
        );
        let text = format!("{number} partitions; no mount, swap, LVM or RAID on it");
        found.push(Found::advice(format!("disk {name}"), summary).evidence(format!("/sys/block/{name}"), text));
    }
    if count == 0 {
        return Err(Gap::NotHere(words!("no disk is here", "此主机没有磁盘")));
    }
    if found.is_empty() {
        found.push(Found::new("", Status::Ok, words!("all {count} disks are in use", "{count} 块磁盘均在使用中")));
    }
    Ok(found)
}

/// Whether it was attached to stay: no medium that is put in, no boot part of a card, no single path to a disk.
fn is_disk(host: &Host, name: &str) -> bool {
    let is_set = |flag: &str| host.read(&format!("/sys/block/{name}/{flag}")).is_ok_and(|value| value.trim() == "1");
    let is_boot_part = name.starts_with("mmcblk") && (name.contains("boot") || name.contains("rpmb"));
    !OTHERS.iter().any(|begin| name.starts_with(begin)) && !is_boot_part && !is_set("removable") && !is_set("hidden")
}

fn partitions(host: &Host, name: &str) -> Vec<String> {
    let entries = host.list(&format!("/sys/block/{name}")).unwrap_or_default();
    let is_part = |part: &str| part.starts_with(name) && host.exists(&format!("/sys/block/{name}/{part}/partition"));
    entries.into_iter().map(|entry| entry.name).filter(|part| is_part(part)).collect()
}

/// Devices that something stands on.
struct Used {
    /// `major:minor` of what is mounted.
    numbers: BTreeSet<String>,
    /// Names of what is mounted (btrfs and ZFS show other numbers) and of what is swapped to.
    names: BTreeSet<String>,
}

impl Used {
    fn read(host: &Host) -> Result<Self, Gap> {
        let mounts = host.must_read("/proc/self/mountinfo")?;
        let (mut numbers, mut names) = (BTreeSet::new(), BTreeSet::new());
        // proc_pid_mountinfo(5): ID PARENT MAJOR:MINOR … - TYPE SOURCE OPTIONS
        for line in mounts.lines() {
            numbers.extend(line.split(' ').nth(2).map(str::to_owned));
            let source = line.split_once(" - ").and_then(|(_, rest)| rest.split(' ').nth(1));
            names.extend(source.and_then(|source| source.strip_prefix("/dev/")).map(str::to_owned));
        }
        let swaps = host.read("/proc/swaps").unwrap_or_default();
        names.extend(
            swaps
                .lines()
                .filter_map(|line| Some(line.split_ascii_whitespace().next()?.strip_prefix("/dev/")?.to_owned())),
        );
        Ok(Self { numbers, names })
    }

    /// Whether a disk or partition is mounted or swapped to, or LVM, RAID or encryption holds it.
    fn has(&self, host: &Host, folder: &str, name: &str) -> bool {
        let number = host.read(&format!("{folder}/dev")).unwrap_or_default();
        self.names.contains(name)
            || self.numbers.contains(number.trim())
            || host.list(&format!("{folder}/holders")).is_ok_and(|holders| !holders.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    fn disk(fixture: Fixture, name: &str, number: &str, size: &str) -> Fixture {
        let folder = format!("/sys/block/{name}");
        fixture
            .file(&format!("{folder}/dev"), format!("{number}\n"))
            .file(&format!("{folder}/size"), format!("{size}\n"))
    }

    fn host() -> Fixture {
        let mounts =
            "22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n30 22 0:40 / /data rw - btrfs /dev/vdc rw\n";
        let fixture = disk(Fixture::live().file("/proc/self/mountinfo", mounts), "vda", "254:0", "83886080");
        let fixture = fixture.file("/sys/block/vda/vda1/partition", "1\n").file("/sys/block/vda/vda1/dev", "254:1\n");
        disk(disk(fixture, "loop0", "7:0", "8"), "sr0", "11:0", "0")
    }

    #[test]
    fn cld_07_a_disk_that_nothing_uses_is_advice() {
        let second = || disk(host(), "vdb", "254:16", "209715200");
        let swaps = "Filename\tType\tSize\tUsed\tPriority\n/dev/vdb partition 1 0 -2\n";
        for (name, fixture, advised) in [
            ("one disk", host(), false),
            ("a second", second(), true),
            ("swap", second().file("/proc/swaps", swaps), false),
            ("LVM", second().file("/sys/block/vdb/holders/dm-0", ""), false),
            ("btrfs", disk(host(), "vdc", "254:32", "209715200"), false),
            (
                "a partition in LVM",
                second().file("/sys/block/vdb/vdb1/partition", "1").file("/sys/block/vdb/vdb1/holders/dm-0", ""),
                false,
            ),
            ("a partition that is not mounted", second().file("/sys/block/vdb/vdb1/partition", "1"), true),
            ("a stick", second().file("/sys/block/vdb/removable", "1\n"), false),
            ("no medium", disk(host(), "vdb", "254:16", "0"), false),
        ] {
            let found = fixture.run(&CHECK);
            assert_eq!((found.len(), found[0].status, found[0].note), (1, Status::Ok, advised), "{name}");
        }
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }
}
