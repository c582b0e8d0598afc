//! Space that deleted files still take because a process has them open: df says full, du finds nothing.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::{Deleted, DeletedFiles, Family, Host, Mount};
use crate::number::percent;
use crate::number::size;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;
use std::collections::BTreeMap;

pub(crate) const CHECK: Check = Check {
    id: "disk.deleted-open",
    title: Text { en: "Deleted files that are still open", zh: "已删除但仍被打开的文件" },
    reads: &["/proc/*/fd", "/proc/self/mountinfo", "statvfs"],
    needs: Needs { root: true, ..Needs::LIVE },
    params: &[
        Param::above("warning", 1.0, 0.5, "GiB", "ours; Lynis LOGG-2190 reports any"),
        Param::above("share", 5.0, 3.0, "%", "ours: of the file system"),
    ],
    impact: Text {
        en: "The disk fills up although files were deleted, and it goes on until the process closes them.",
        zh: "文件虽已删除但空间未释放，磁盘会持续被占用，直到进程关闭这些文件。",
    },
    remedy: Text {
        en: "Make the process open its files anew: reload or restart its service (for logs: a `postrotate` in logrotate). \
             When it may not restart: `truncate -s 0 /proc/PID/fd/NUMBER`, for log files only.",
        zh: "让进程重新打开文件：重载或重启其服务（日志请在 logrotate 中配置 `postrotate`）。\
             若不能重启：`truncate -s 0 /proc/PID/fd/编号`，仅限日志文件。",
    },
    run,
};

/// Files that are named.
const NAMED_MAX: usize = 5;

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let seen = host.deleted_files()?;
    let mut places: BTreeMap<String, (Mount, Vec<&Deleted>)> = BTreeMap::new();
    for mount in host.mounts()? {
        let on_disk = match mount.family() {
            Family::Disk => true,
            // A container's own view; its files are on the host's disk.
            Family::Pseudo => mount.kind == "overlay",
            Family::Memory | Family::Remote | Family::Image => false,
        };
        if on_disk && places.get(&mount.device).is_none_or(|(known, _)| mount.point.len() < known.point.len()) {
            places.insert(mount.device.clone(), (mount, Vec::new()));
        }
    }
    for file in &seen.files {
        if let Some((_, files)) = places.get_mut(&file.device) {
            files.push(file);
        }
    }
    let mut found: Vec<Found> =
        places.values().filter_map(|(mount, files)| judge(host, settings, mount, files)).collect();
    found.extend(unseen(&seen));
    if found.is_empty() {
        found.push(Found::new("", Status::Ok, words!("no deleted file is still open", "没有已删除但仍被打开的文件")));
    }
    Ok(found)
}

/// What this user could not look at.
fn unseen(seen: &DeletedFiles) -> Option<Found> {
    let hidden = seen.hidden;
    if hidden > 0 {
        let why = words!(
            "the open files of {hidden} processes could not be looked at; run it as root",
            "有 {hidden} 个进程打开的文件无法查看；请以 root 运行"
        );
        return Some(Found::new("", Status::Unknown, why));
    }
    let why = || words!("there are too many open files; only some were looked at", "打开的文件过多，仅检查了一部分");
    seen.cut.then(|| Found::new("", Status::Unknown, why()))
}

/// Nothing for a file system without such files.
fn judge(host: &Host, settings: &Settings<'_>, mount: &Mount, files: &[&Deleted]) -> Option<Found> {
    let largest = files.first()?;
    let bytes = files.iter().fold(0_u64, |sum, file| sum.saturating_add(file.bytes));
    #[expect(clippy::cast_precision_loss, reason = "a size for people")]
    let gib = bytes as f64 / f64::from(1 << 30);
    let all = host.space(&mount.point).ok().map(|space| space.bytes);
    let share = all.and_then(|all| percent(bytes, all));
    let by_share = share.map_or(Status::Ok, |share| settings.level_of(&mount.point, share, "share", ""));
    let (point, count, total, path, pid) = (&mount.point, files.len(), size(bytes), &largest.path, largest.pid);
    let mut found = Found::new(
        point,
        settings.level(point, gib).max(by_share),
        words!(
            "{count} deleted files that are still open take {total} on {point}, the largest is {path} of process {pid}",
            "{point} 上有 {count} 个已删除但仍被打开的文件，占用 {total}，最大的是进程 {pid} 的 {path}"
        ),
    );
    for file in files.iter().take(NAMED_MAX) {
        let source = format!("/proc/{}/fd/{}", file.pid, file.descriptor);
        found = found.evidence(source, format!("{} (deleted), {}", file.path, size(file.bytes)));
    }
    Some(found.value(gib, "GiB").detail("share_percent", share))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;
    use std::os::unix::fs::{MetadataExt as _, symlink};

    /// A process with one open file of `bytes` on the file system of this test.
    fn host(bytes: usize, suffix: &str) -> Fixture {
        let host = Fixture::live()
            .file(&format!("/var/log/app.log{suffix}"), vec![7; bytes])
            .process(42, 'S', &["/usr/bin/app"])
            .file("/proc/42/fd/not-a-number", "");
        let file = host.path(&format!("/var/log/app.log{suffix}"));
        let device = file.metadata().unwrap().dev();
        symlink(&file, host.path("/proc/42/fd/4")).unwrap();
        symlink(&file, host.path("/proc/42/fd/5")).unwrap();
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        host.file("/proc/self/mountinfo", format!("27 1 {major}:{minor} / / rw - ext4 /dev/vda1 rw\n"))
            .file("/.statvfs", "100000 50000 50000 0 0")
    }

    #[test]
    fn dsk_13_space_of_deleted_files_is_counted_once() {
        let small = "disk.deleted-open.warning=0.001";
        for (bytes, suffix, set, expected) in [
            (4096, " (deleted)", small, Status::Ok),
            (3 << 20, " (deleted)", small, Status::Warning),
            (3 << 20, "", small, Status::Ok),
            (3 << 20, " (deleted)", "disk.deleted-open.share=0.001", Status::Warning),
        ] {
            let host = host(bytes, suffix).set(set);
            assert_eq!(host.status(&CHECK), expected, "{bytes} {suffix}");
            let value = host.run(&CHECK)[0].value.unwrap_or(0.0);
            assert!(value < 0.005, "one file, open twice, is one: {value}");
        }
    }

    #[test]
    fn dsk_13_what_may_not_be_seen_is_unknown() {
        let hidden = DeletedFiles { hidden: 3, ..DeletedFiles::default() };
        assert_eq!(unseen(&hidden).unwrap().status, Status::Unknown);
        assert_eq!(unseen(&DeletedFiles { cut: true, ..DeletedFiles::default() }).unwrap().status, Status::Unknown);
        assert_eq!(unseen(&DeletedFiles::default()), None);
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
        assert_eq!(Fixture::live().process(42, 'S', &["a"]).status(&CHECK), Status::Unknown, "no list of mounts");
    }
}
