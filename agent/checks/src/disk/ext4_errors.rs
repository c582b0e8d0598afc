//! Errors that ext4 keeps in its superblock until fsck clears them; the kernel log may have lost them long ago.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;
use cloud_doctor_proto::time::DAY_SECS;

pub(crate) const CHECK: Check = Check {
    id: "disk.ext4-errors",
    title: Text { en: "Errors of ext4 file systems", zh: "ext4 文件系统错误" },
    reads: &["/sys/fs/ext4/*/errors_count", "/sys/fs/ext4/*/last_error_time"],
    needs: Needs::LIVE,
    params: &[Param::plain("recent", 30.0, "days", "ours: an older error without fsck is worth a look, not an alarm")],
    impact: Text {
        en: "The file system is damaged, or the disk below it fails: files can be lost or wrong without anybody noticing.",
        zh: "文件系统已损坏或底层磁盘出现故障：文件可能在无人察觉的情况下丢失或出错。",
    },
    remedy: Text {
        en: "Make a backup now. Read `dmesg` and the disk's health (`smartctl -a`), then run `e2fsck -f` on the unmounted \
             file system; for the root file system boot once with `fsck.mode=force`.",
        zh: "立即备份。查看 `dmesg` 和磁盘健康状态（`smartctl -a`），然后在卸载后运行 `e2fsck -f`；\
             根文件系统可用 `fsck.mode=force` 启动一次。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let devices = host.list("/sys/fs/ext4")?;
    let found: Vec<Found> = devices.iter().filter_map(|entry| look(host, settings, &entry.name)).collect();
    if found.is_empty() {
        return Err(Gap::NotHere(words!("no ext4 file system is mounted", "没有挂载 ext4 文件系统")));
    }
    Ok(found)
}

/// Nothing for what is no file system: `features`.
fn look(host: &Host, settings: &Settings<'_>, device: &str) -> Option<Found> {
    let number = |name: &str| match host.read(&format!("/sys/fs/ext4/{device}/{name}")) {
        Ok(text) => {
            let unclear = words!("{name} of {device} is no number", "{device} 的 {name} 不是数字");
            text.trim().parse::<u64>().map_err(|_| Gap::Unknown(unclear))
        }
        Err(gap) => Err(gap),
    };
    let count = match number("errors_count") {
        Ok(count) => count,
        Err(Gap::NotHere(_)) => return None,
        Err(Gap::Unknown(why)) => return Some(Found::new(device, Status::Unknown, why)),
    };
    if count == 0 {
        let none = words!("ext4 on {device} has no errors", "{device} 上的 ext4 没有错误");
        return Some(Found::new(device, Status::Ok, none).value(0.0, ""));
    }
    // Zero is what kernels say that do not know.
    let last = number("last_error_time").ok().filter(|last| *last > 0);
    #[expect(clippy::cast_precision_loss, reason = "days")]
    let age_days = last.map(|last| host.now().0.saturating_sub(last) as f64 / DAY_SECS as f64);
    let old = age_days.is_some_and(|days| days > settings.number("recent"));
    let (when, when_zh) = age_days.map_or((String::new(), String::new()), |days| {
        (format!(", the last {days:.0} days ago"), format!("，最近一次在 {days:.0} 天前"))
    });
    let found = Found::new(
        device,
        if old { Status::Warning } else { Status::Critical },
        words!(
            "ext4 on {device} has recorded {count} errors since its last fsck{when}",
            "{device} 上的 ext4 自上次 fsck 以来记录了 {count} 个错误{when_zh}"
        ),
    );
    let function = host.read(&format!("/sys/fs/ext4/{device}/last_error_func")).unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "a count for people")]
    let found =
        found.value(count as f64, "").evidence(format!("/sys/fs/ext4/{device}/errors_count"), count.to_string());
    Some(match function.trim() {
        "" => found,
        function => found.evidence(format!("/sys/fs/ext4/{device}/last_error_func"), function),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn dsk_09_errors_in_the_superblock_are_told() {
        let host = |count: &str, last: &str| {
            Fixture::live()
                .file("/sys/fs/ext4/features/lazy_itable_init", "supported\n")
                .file("/sys/fs/ext4/vda1/errors_count", count)
                .file("/sys/fs/ext4/vda1/last_error_time", last)
                .file("/sys/fs/ext4/vda1/last_error_func", "ext4_find_entry\n")
        };
        for (count, last, expected) in [
            ("0\n", "0\n", Status::Ok),
            ("3\n", "1767200000\n", Status::Critical),
            ("3\n", "1700000000\n", Status::Warning),
            ("3\n", "0\n", Status::Critical),
            ("many\n", "0\n", Status::Unknown),
        ] {
            assert_eq!(host(count, last).status(&CHECK), expected, "{count} {last}");
        }
        assert!(Fixture::live().has_none_of(&CHECK));
        assert!(Fixture::live().file("/sys/fs/ext4/features/x", "").has_none_of(&CHECK));
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }
}
