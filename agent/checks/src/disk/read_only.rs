//! Whether a file system has become read-only: the kernel does that when the disk below it fails.

use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::{Family, Host, Mount, Row};
use crate::many::many;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "disk.read-only",
    title: Text { en: "File systems that became read-only", zh: "变为只读的文件系统" },
    reads: &["/proc/self/mountinfo", "/etc/fstab"],
    needs: Needs::LIVE,
    params: &[],
    impact: Text {
        en: "Nothing can be written: databases, logs and logins fail, and data that waits to be written is lost.",
        zh: "无法写入任何数据：数据库、日志和登录都会失败，等待写入的数据将丢失。",
    },
    remedy: Text {
        en: "Read `dmesg` for the disk's errors first and make a copy of the data. Then unmount, run fsck from a rescue \
             system, and replace the disk if it has errors. Do not only remount it read-write.",
        zh: "先查看 `dmesg` 中的磁盘错误并备份数据，再卸载并在救援系统中运行 fsck；磁盘有错误时请更换。不要只是重新挂载为读写。",
    },
    run,
};

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let rows = host.fstab()?;
    let mounts = host.mounts()?;
    let found: Vec<Found> = rows
        .iter()
        .filter(|row| row.at_boot() && !row.has("ro"))
        .filter_map(|row| Some(judge(mounts.iter().find(|mount| mount.point == row.point)?, row)))
        .flatten()
        .collect();
    if found.is_empty() {
        return Err(Gap::NotHere(words!(
            "/etc/fstab names no file system that is mounted here for writing",
            "/etc/fstab 中没有在此以读写方式挂载的文件系统"
        )));
    }
    Ok(many(found))
}

/// Nothing for what is read-only by nature.
fn judge(mount: &Mount, row: &Row) -> Option<Found> {
    match mount.family() {
        Family::Image | Family::Pseudo => return None,
        Family::Disk | Family::Memory | Family::Remote => {}
    }
    let point = &mount.point;
    if !mount.read_only && !mount.all_read_only {
        return Some(Found::new(point, Status::Ok, words!("{point} can be written to", "{point} 可写")));
    }
    let found = Found::new(
        point,
        Status::Critical,
        words!("{point} is read-only, and should not be", "{point} 处于只读状态，而配置为读写"),
    );
    Some(
        found
            .evidence(
                format!("/proc/self/mountinfo:{}", mount.line),
                format!("{} {} ro", mount.kind, mount.shown_source()),
            )
            .evidence(format!("/etc/fstab:{}", row.line), format!("{} {} without ro", row.point, row.kind)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    const FSTAB: &str = "UUID=7f / ext4 errors=remount-ro 0 1\nUUID=8f /srv xfs defaults 0 2\n\
                         UUID=9f /old ext4 ro 0 2\n/dev/sr0 /media/cdrom0 udf,iso9660 user,noauto 0 0\n";

    #[test]
    fn dsk_05_read_only_is_critical_when_fstab_says_otherwise() {
        let host = |root: &str, srv: &str| {
            Fixture::live().file("/etc/fstab", FSTAB).file(
                "/proc/self/mountinfo",
                format!(
                    "27 1 254:1 / / {root} - ext4 /dev/vda1 {root}\n28 27 254:2 / /srv rw - xfs /dev/vda2 {srv}\n\
                     29 27 254:3 / /old ro - ext4 /dev/vda3 ro\n"
                ),
            )
        };
        for (root, srv, expected) in
            [("rw", "rw", Status::Ok), ("ro", "rw", Status::Critical), ("rw", "ro,attr2", Status::Critical)]
        {
            assert_eq!(host(root, srv).status(&CHECK), expected, "{root} {srv}");
        }
        assert_eq!(host("rw", "rw").run(&CHECK).len(), 2);
        assert_eq!(Fixture::live().file("/etc/fstab", FSTAB).status(&CHECK), Status::Unknown);
        assert!(Fixture::live().has_none_of(&CHECK));
    }
}
