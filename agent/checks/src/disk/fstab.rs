//! Whether `/etc/fstab` still fits: what is not mounted now, and what could stop the next boot.

use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::{Host, Mount, Row};
use crate::many::many;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "disk.fstab",
    title: Text { en: "Mounts at boot", zh: "开机挂载配置" },
    reads: &["/etc/fstab", "/proc/self/mountinfo", "/dev/disk/by-uuid"],
    needs: Needs::LIVE,
    params: &[],
    impact: Text {
        en: "The next boot can stop and wait for somebody at the console.",
        zh: "下次启动可能卡住，需要有人在控制台处理。",
    },
    remedy: Text {
        en: "Name disks by UUID (`blkid`), add `nofail,x-systemd.device-timeout=30s` to data disks, and try it with \
             `findmnt --verify`.",
        zh: "使用 UUID 标识磁盘（`blkid`），为数据盘添加 `nofail,x-systemd.device-timeout=30s`，并用 `findmnt --verify` 验证。",
    },
    run,
};

/// Without these there is nothing to boot into anyway.
const VITAL: [&str; 5] = ["/", "/boot", "/boot/efi", "/usr", "/var"];

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let rows = host.fstab()?;
    let mounts = host.mounts()?;
    let uuids: Option<Vec<String>> =
        host.list("/dev/disk/by-uuid").ok().map(|entries| entries.into_iter().map(|entry| entry.name).collect());
    let found: Vec<Found> =
        rows.iter().filter(|row| row.at_boot()).map(|row| judge(row, &mounts, uuids.as_deref())).collect();
    if found.is_empty() {
        return Err(Gap::NotHere(words!("/etc/fstab mounts nothing at boot", "/etc/fstab 未配置开机挂载")));
    }
    Ok(many(found))
}

fn judge(row: &Row, mounts: &[Mount], uuids: Option<&[String]>) -> Found {
    let (point, source) = (&row.point, row.shown_source());
    let mounted = mounts.iter().any(|mount| mount.point == *point);
    let optional = row.has("nofail") || row.options.iter().any(|one| one.starts_with("x-systemd.automount"));
    let missing = row.source.strip_prefix("UUID=").is_some_and(|uuid| {
        let uuid = uuid.trim_matches('"');
        uuids.is_some_and(|uuids| !uuids.iter().any(|one| one.eq_ignore_ascii_case(uuid)))
    });
    let found = if !mounted && !optional {
        not_mounted(row, missing)
    } else if let Some(name) = changing_name(&row.source) {
        Found::advice(
            point,
            words!(
                "{point} is mounted from {name}, a name that can mean another disk after a reboot",
                "{point} 使用设备名 {name} 挂载，重启后该名称可能指向另一块磁盘"
            ),
        )
    } else if local(row) && !optional && !VITAL.contains(&point.as_str()) {
        Found::advice(
            point,
            words!(
                "{point} has no nofail: without that disk this host does not boot",
                "{point} 未配置 nofail：缺少该磁盘时主机将无法启动"
            ),
        )
    } else {
        Found::new(point, Status::Ok, words!("{point} is as /etc/fstab says", "{point} 与 /etc/fstab 一致"))
    };
    found.evidence(format!("/etc/fstab:{}", row.line), format!("{source} {point} {}", row.kind))
}

fn not_mounted(row: &Row, missing: bool) -> Found {
    let point = &row.point;
    let summary = if missing {
        words!("{point} is not mounted, and its disk is not there", "{point} 未挂载，且对应的磁盘不存在")
    } else {
        words!("{point} is in /etc/fstab and not mounted", "{point} 已写入 /etc/fstab 但未挂载")
    };
    let found = Found::new(point, Status::Warning, summary);
    let found = found.impact(words!(
        "What is written below {point} lands on the disk above it, and the next boot can stop here.",
        "写入 {point} 的数据会落到上层磁盘，且下次启动可能卡在此处。"
    ));
    found.remedy(words!(
        "Mount it (`mount {point}`) after a look at what was written there meanwhile, or take the row out of /etc/fstab.",
        "先检查该目录下期间写入的数据，再挂载（`mount {point}`）；若不再需要，请从 /etc/fstab 删除该行。"
    ))
}

/// Whether it is a disk of this host's own.
fn local(row: &Row) -> bool {
    ["UUID=", "LABEL=", "PARTUUID=", "PARTLABEL=", "/dev/"].iter().any(|prefix| row.source.starts_with(prefix))
}

/// The kernel hands these out in the order in which disks answer.
fn changing_name(source: &str) -> Option<&str> {
    let name = source.strip_prefix("/dev/")?;
    let changing = ["sd", "vd", "xvd", "nvme", "hd"].iter().any(|prefix| {
        name.strip_prefix(prefix)
            .is_some_and(|rest| rest.starts_with(|one: char| one.is_ascii_lowercase() || one.is_ascii_digit()))
    });
    changing.then_some(source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn dsk_17_what_could_stop_the_next_boot_is_told() {
        let root = "UUID=7F-a / ext4 errors=remount-ro 0 1\n";
        for (row, mounted, expected, note) in [
            ("UUID=8f /srv xfs defaults,nofail 0 2", true, Status::Ok, false),
            ("UUID=8f /srv xfs defaults 0 2", true, Status::Ok, true),
            ("/dev/vdb1 /srv xfs nofail 0 2", true, Status::Ok, true),
            ("/dev/mapper/vg-srv /srv xfs nofail 0 2", true, Status::Ok, false),
            ("UUID=8f /srv xfs defaults 0 2", false, Status::Warning, false),
            ("UUID=9f /srv xfs defaults 0 2", false, Status::Warning, false),
            ("UUID=9f /srv xfs noauto 0 2", false, Status::Ok, false),
            ("UUID=9f none swap sw 0 0", false, Status::Ok, false),
            ("far:/x /srv nfs4 _netdev 0 0", true, Status::Ok, false),
        ] {
            let srv = if mounted { "28 27 254:16 / /srv rw - xfs /dev/vdb rw\n" } else { "" };
            let host = Fixture::live()
                .file("/etc/fstab", format!("{root}{row}\n"))
                .file("/proc/self/mountinfo", format!("27 1 254:1 / / rw - ext4 /dev/vda1 rw\n{srv}"))
                .file("/dev/disk/by-uuid/7f-A", "")
                .file("/dev/disk/by-uuid/8f", "");
            let found = host.run(&CHECK);
            let last = found.last().map(|last| (last.status, last.note));
            assert_eq!(last, Some((expected, note)), "{row}");
        }
        assert!(Fixture::live().has_none_of(&CHECK));
        assert_eq!(Fixture::live().file("/etc/fstab", root).status(&CHECK), Status::Unknown);
    }
}
