//! Whether network file systems answer. Runs last in its group: one that hangs can hang this check.
//!
//! Each is asked by a thread that is left behind when it does not come back.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::{Asked, Family, Host, Mount, Space};
use crate::number::size;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;
use std::time::Duration;

pub(crate) const CHECK: Check = Check {
    id: "disk.hung-mount",
    title: Text { en: "Network file systems that do not answer", zh: "无响应的网络文件系统" },
    reads: &["/proc/self/mountinfo", "statvfs"],
    needs: Needs { net: true, ..Needs::LIVE },
    params: &[
        Param::plain("wait", 2.0, "s", "github.com/prometheus/node_exporter/issues/868"),
        Param::above("warning", 90.0, 80.0, "%", "netdata health.d/disks.conf, disk_space_usage"),
        Param::above("critical", 98.0, 90.0, "%", "netdata health.d/disks.conf, disk_space_usage"),
    ],
    impact: Text {
        en: "Every program that touches it stops and cannot be killed: requests, backups and even df hang.",
        zh: "任何访问它的程序都会卡住且无法终止：请求、备份乃至 df 都会挂起。",
    },
    remedy: Text {
        en: "Check the file server and the network to it. If it will not come back: `umount -f -l MOUNT`, then mount it \
             again. Mount what is not vital with `soft,timeo=50,retrans=2` or by automount.",
        zh: "检查文件服务器及到它的网络。若无法恢复：`umount -f -l 挂载点` 后重新挂载。\
             非关键数据建议使用 `soft,timeo=50,retrans=2` 或自动挂载。",
    },
    run,
};

/// Mounts that are asked; the rest is said not to have been.
const ASKED_MAX: usize = 30;
/// Threads that may be left behind: a dead server takes all its mounts along.
const HANGING_MAX: usize = 5;

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let mut mounts = host.mounts()?;
    mounts.retain(|mount| mount.family() == Family::Remote);
    if mounts.is_empty() {
        return Err(Gap::NotHere(words!("no network file system is mounted", "没有挂载网络文件系统")));
    }
    let (mut found, mut hanging) = (Vec::new(), 0);
    for (index, mount) in mounts.iter().enumerate() {
        if index >= ASKED_MAX || hanging >= HANGING_MAX {
            let rest = mounts.len() - index;
            found.push(Found::new(
                "",
                Status::Unknown,
                words!("{rest} more network mounts were not asked", "另有 {rest} 个网络挂载未查询"),
            ));
            break;
        }
        let (one, hangs) = look(host, settings, mount);
        hanging += usize::from(hangs);
        found.push(one);
    }
    Ok(found)
}

/// What is found, and whether a thread was left behind for it.
fn look(host: &Host, settings: &Settings<'_>, mount: &Mount) -> (Found, bool) {
    let (point, wait) = (&mount.point, settings.number("wait"));
    let asked = host.space_within(point, Duration::try_from_secs_f64(wait).unwrap_or_default());
    let hangs = matches!(asked, Ok(Asked::Hangs));
    let found = match asked {
        Err(Gap::NotHere(why) | Gap::Unknown(why)) => return (Found::new(point, Status::Unknown, why), hangs),
        Ok(Asked::Hangs) => {
            let silent = words!("{point} does not answer within {wait} s", "{point} 在 {wait} 秒内无响应");
            Found::new(point, Status::Critical, silent)
        }
        Ok(Asked::Gone(why)) => {
            let gone = words!("what is mounted at {point} is gone: {why}", "{point} 上挂载的文件系统已失联：{why}");
            Found::new(point, Status::Critical, gone).evidence(format!("statvfs {point}"), &why)
        }
        Ok(Asked::Answer(space)) => judge(settings, point, &space),
    };
    let mounted = format!("{} {}", mount.kind, mount.shown_source());
    (found.evidence(format!("/proc/self/mountinfo:{}", mount.line), mounted), hangs)
}

/// One that answers can still be full.
fn judge(settings: &Settings<'_>, point: &str, space: &Space) -> Found {
    let (used, left) = (space.used_percent().unwrap_or(0.0), size(space.bytes_available));
    let found = Found::new(
        point,
        settings.level(point, used),
        words!("{point} answers, {used:.0} % full, {left} left", "{point} 有响应，已使用 {used:.0}%，剩余 {left}"),
    );
    let found = found.value(used, "%");
    if found.status <= Status::Unknown {
        return found;
    }
    let found = found.impact(words!(
        "When it is full, everybody who shares it stops writing.",
        "空间用尽后，所有共享者都将无法写入。"
    ));
    found.remedy(words!(
        "Find what grew with `du -xh --max-depth=2 {point} | sort -h | tail`, or ask for more space there.",
        "使用 `du -xh --max-depth=2 {point} | sort -h | tail` 查找增长来源，或申请扩容。"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    const MOUNTS: &str = "27 1 254:1 / / rw - ext4 /dev/vda1 rw\n34 27 0:42 / /mnt/nfs rw - nfs4 far:/x rw\n";

    #[test]
    fn dsk_14_a_mount_that_does_not_answer_is_critical() {
        let host =
            |answer: &str| Fixture::live().file("/proc/self/mountinfo", MOUNTS).file("/mnt/nfs/.statvfs", answer);
        for (answer, expected) in [
            ("hangs", Status::Critical),
            ("gone", Status::Critical),
            ("1000 500 500 0 0", Status::Ok),
            ("1000 50 50 0 0", Status::Warning),
            ("1000 5 5 0 0", Status::Critical),
        ] {
            assert_eq!(host(answer).status(&CHECK), expected, "{answer}");
        }
        // The mount point is not to be seen: nothing is known of it.
        assert_eq!(Fixture::live().file("/proc/self/mountinfo", MOUNTS).status(&CHECK), Status::Unknown);
        let local = Fixture::live().file("/proc/self/mountinfo", "27 1 254:1 / / rw - ext4 /dev/vda1 rw\n");
        assert!(local.has_none_of(&CHECK));
    }

    #[test]
    fn dsk_14_a_dead_server_takes_few_threads() {
        let mut mounts = String::new();
        let mut host = Fixture::live();
        for number in 10..30 {
            mounts += &format!("{number} 1 0:{number} / /mnt/{number} rw - nfs4 far:/x rw\n");
            host = host.file(&format!("/mnt/{number}/.statvfs"), "hangs");
        }
        let found = host.file("/proc/self/mountinfo", mounts).run(&CHECK);
        assert_eq!(found.len(), HANGING_MAX + 1);
        assert!(found.last().is_some_and(|last| last.summary.en.starts_with("15 more")));
    }
}
