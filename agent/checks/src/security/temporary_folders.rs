//! Folders that everybody writes to: sticky, and no place for programs of other users.

use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::{Host, Kind};
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "security.temporary-folders",
    title: Text { en: "Temporary folders", zh: "临时目录" },
    reads: &["/tmp", "/var/tmp", "/dev/shm", "/proc/self/mounts"],
    needs: Needs::FILES,
    params: &[],
    impact: Text {
        en: "Any user can replace the temporary files of another, root's included.",
        zh: "任何用户都可替换他人（包括 root）的临时文件。",
    },
    remedy: Text { en: "Run chmod 1777 on the folder.", zh: "对该目录执行 chmod 1777。" },
    run,
};

const FOLDERS: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];
const STICKY: u32 = 0o1000;
const WRITTEN_BY_ALL: u32 = 0o002;

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let mounts = if host.is_live() { host.read("/proc/self/mounts").unwrap_or_default() } else { String::new() };
    let mut all = Vec::new();
    for path in FOLDERS {
        let stat = match host.stat(path) {
            Ok(stat) => stat,
            Err(Gap::NotHere(_)) => continue,
            Err(Gap::Unknown(why)) => {
                all.push(Found::new(path, Status::Unknown, why));
                continue;
            }
        };
        let mode = format!("mode {:04o}", stat.mode);
        all.push(if stat.kind == Kind::Folder && stat.mode & WRITTEN_BY_ALL != 0 && stat.mode & STICKY == 0 {
            let summary = words!("{path} is open to all users and not sticky", "{path} 对所有用户可写且未设置粘滞位");
            Found::new(path, Status::Warning, summary).evidence(path, mode)
        } else if let Some((line, missing)) = weak_mount(&mounts, path) {
            Found::advice(path, words!("{path} is mounted without {missing}", "{path} 挂载时缺少 {missing}"))
                .impact(words!(
                    "A user can leave a program there that runs with the rights of another.",
                    "用户可在其中放置以他人权限运行的程序。"
                ))
                .remedy(words!(
                    "Add {missing} to its options in /etc/fstab and remount it.",
                    "在 /etc/fstab 的挂载选项中加入 {missing} 并重新挂载。"
                ))
                .evidence("/proc/self/mounts", line)
        } else {
            Found::new(path, Status::Ok, words!("{path} is as it should be", "{path} 设置正确")).evidence(path, mode)
        });
    }
    if all.is_empty() {
        return Err(Gap::NotHere(words!("there is no temporary folder", "没有临时目录")));
    }
    Ok(all)
}

/// What a mount of its own lacks. A folder of the root's file system cannot have other options than the root.
fn weak_mount<'a>(mounts: &'a str, path: &str) -> Option<(&'a str, String)> {
    // The last one is what is seen.
    let line = mounts.lines().rfind(|line| line.split(' ').nth(1) == Some(path))?;
    let options: Vec<&str> = line.split(' ').nth(3)?.split(',').collect();
    let missing: Vec<&str> = ["nosuid", "nodev"].into_iter().filter(|option| !options.contains(option)).collect();
    (!missing.is_empty()).then(|| (line, missing.join(",")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;

    fn host(mode: u32, mounts: &str) -> Fixture {
        let fixture = Fixture::live().file("/tmp/x", "").file("/proc/self/mounts", mounts);
        set_permissions(fixture.path("/tmp"), Permissions::from_mode(mode)).unwrap();
        fixture
    }

    #[test]
    fn sec_13_what_everybody_writes_is_sticky() {
        let own = "/dev/vda1 / ext4 rw 0 0\ntmpfs /tmp tmpfs rw,nosuid,nodev,size=1g 0 0\n";
        for (mode, mounts, expected, note) in [
            (0o1777, "/dev/vda1 / ext4 rw 0 0\n", Status::Ok, false),
            (0o777, own, Status::Warning, false),
            (0o755, own, Status::Ok, false),
            (0o1777, own, Status::Ok, false),
            (0o1777, "tmpfs /tmp tmpfs rw,nodev 0 0\n", Status::Ok, true),
            (0o1777, "", Status::Ok, false),
        ] {
            let found = host(mode, mounts).run(&CHECK);
            assert_eq!((found.len(), found[0].status, found[0].note), (1, expected, note), "{mode:o} {mounts}");
        }
        assert!(Fixture::image().has_none_of(&CHECK));
    }
}
