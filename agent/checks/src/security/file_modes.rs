//! Files that decide who is root here: nobody else may write them, and secrets nobody else may read.

use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::{Host, Stat};
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "security.file-modes",
    title: Text { en: "Permissions of files that matter", zh: "关键文件权限" },
    reads: &["/etc/passwd", "/etc/shadow", "/etc/sudoers", "/etc/sudoers.d/", "/etc/ssh/", "/etc/cron*", "/root/.ssh/"],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[],
    impact: Text {
        en: "Another user than root can make himself root, or read what proves who this server is.",
        zh: "非 root 用户可借此获取 root 权限，或读取证明服务器身份的密钥。",
    },
    remedy: Text {
        en: "Give the file back to root (chown root) and take the rights away (chmod go-w, for keys and shadow files chmod \
             o-rwx). Then find out who widened them.",
        zh: "将文件属主改回 root（chown root）并收回权限（chmod go-w，密钥与 shadow 文件用 chmod o-rwx），并查明是谁放宽的。",
    },
    run,
};

/// Written by group or others.
const WRITE: u32 = 0o022;
/// Anything for others, writing for the group. Groups shadow and ssh_keys may read (Debian, Red Hat).
const SECRET: u32 = 0o027;

/// Patterns and the bits that must not be there. CISOfy/lynis default.prf (permfile, permdir) and AUTH-9252, without those
/// that only hide what every user may know.
const FILES: [(&str, u32); 20] = [
    ("/etc/passwd", WRITE),
    ("/etc/group", WRITE),
    ("/etc/shadow", SECRET),
    ("/etc/gshadow", SECRET),
    ("/etc/sudoers", WRITE),
    ("/etc/sudoers.d", WRITE),
    ("/etc/sudoers.d/*", WRITE),
    ("/etc/ssh/sshd_config", WRITE),
    ("/etc/ssh/sshd_config.d/*", WRITE),
    ("/etc/ssh/ssh_host_*_key", SECRET),
    ("/etc/crontab", WRITE),
    ("/etc/cron.d", WRITE),
    ("/etc/cron.d/*", WRITE),
    ("/etc/cron.hourly", WRITE),
    ("/etc/cron.daily", WRITE),
    ("/etc/cron.weekly", WRITE),
    ("/etc/cron.monthly", WRITE),
    ("/root/.ssh", WRITE),
    ("/root/.ssh/authorized_keys", WRITE),
    ("/etc/ld.so.preload", WRITE),
];

/// Findings one by one.
const FOUND_MAX: usize = 50;

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    // In an unpacked image everything belongs to whoever unpacked it.
    let root = host.stat("/")?.uid;
    let (mut seen, mut all, mut unread) = (0_u32, Vec::new(), 0_u32);
    for (pattern, forbidden) in FILES {
        let Ok(paths) = host.glob(pattern) else {
            unread += 1;
            continue;
        };
        for path in paths {
            match host.stat(&path) {
                Ok(stat) if all.len() < FOUND_MAX => {
                    seen += 1;
                    all.extend(judge(&path, &stat, forbidden, root));
                }
                Ok(_) | Err(Gap::NotHere(_)) => {}
                Err(Gap::Unknown(_)) => unread += 1,
            }
        }
    }
    if seen == 0 {
        return Err(Gap::NotHere(words!("none of the files is here", "此主机没有这些文件")));
    }
    if all.is_empty() && unread > 0 {
        return Err(Gap::Unknown(words!(
            "{unread} places could not be looked at; run it as root",
            "{unread} 处无法查看；请以 root 运行"
        )));
    }
    if all.is_empty() {
        let summary =
            words!("{seen} files and folders are root's alone to change", "{seen} 个关键文件与目录只有 root 可修改");
        all.push(Found::new("", Status::Ok, summary));
    }
    Ok(all)
}

fn judge(path: &str, stat: &Stat, forbidden: u32, root: u32) -> Option<Found> {
    let mode = stat.mode & 0o777;
    let summary = if stat.uid != root {
        let uid = stat.uid;
        words!("{path} belongs to user {uid}, not to root", "{path} 属于用户 {uid}，而非 root")
    } else if mode & forbidden != 0 {
        words!("{path} has mode {mode:04o}, which is too wide", "{path} 的权限为 {mode:04o}，过宽")
    } else {
        return None;
    };
    // What others can write or a hash that they can read is an open door; a group may be meant.
    let status = if mode & forbidden & 0o007 != 0 || stat.uid != root { Status::Critical } else { Status::Warning };
    let text = format!("mode {mode:04o}, uid {}, gid {}", stat.uid, stat.gid);
    Some(Found::new(path, status, summary).evidence(path, text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn sec_17_only_root_changes_who_is_root() {
        for (path, mode, expected) in [
            ("/etc/sudoers", 0o440, Status::Ok),
            ("/etc/sudoers.d/web", 0o646, Status::Critical),
            ("/etc/sudoers.d/web", 0o664, Status::Warning),
            ("/etc/shadow", 0o640, Status::Ok),
            ("/etc/shadow", 0o644, Status::Critical),
            ("/etc/ssh/ssh_host_rsa_key", 0o640, Status::Ok),
            ("/etc/ssh/ssh_host_rsa_key", 0o660, Status::Warning),
            ("/etc/crontab", 0o644, Status::Ok),
            ("/root/.ssh/authorized_keys", 0o666, Status::Critical),
        ] {
            let fixture = Fixture::image().file(path, "");
            set_permissions(fixture.path(path), Permissions::from_mode(mode)).unwrap();
            let found = fixture.run(&CHECK);
            assert_eq!(found[0].status, expected, "{path} {mode:o}");
            assert!(expected == Status::Ok || found[0].subject == path);
        }
        assert!(Fixture::image().has_none_of(&CHECK));
    }
}
