//! Requests that a disk answered with an error, counted by the kernel since it found the disk.
//!
//! A few are normal: disks answer so to questions about features that they lack. What counts is that they go on, or that
//! they are a share of all requests.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::number::percent;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "hardware.disk-errors",
    title: Text { en: "Requests that disks answer with errors", zh: "磁盘请求错误" },
    reads: &["/sys/block/*/device/ioerr_cnt", "/sys/block/*/device/iorequest_cnt"],
    needs: Needs::RATES,
    params: &[
        Param::above("warning", 0.0, 0.0, "errors", "our recommendation: any while we look"),
        Param::above("share", 1.0, 0.5, "%", "our recommendation: features that are missing make far fewer"),
    ],
    impact: Text {
        en: "The disk or the way to it is failing: programs wait for repeated requests, then lose data.",
        zh: "磁盘或其链路正在出现故障：程序会因重试而变慢，之后可能丢失数据。",
    },
    remedy: Text {
        en: "Make a backup now. Then read what failed (dmesg -T | grep 'I/O error', smartctl -a /dev/DISK) and have the disk, the cable or the volume replaced.",
        zh: "立即备份。然后查看失败原因（dmesg -T | grep 'I/O error'、smartctl -a /dev/盘符），并更换磁盘、线缆或云盘。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    host.must_live()?;
    let paths = host.glob("/sys/block/*/device/ioerr_cnt")?;
    let found: Vec<Found> = paths.iter().filter_map(|path| judge(host, settings, path)).collect();
    if found.is_empty() {
        return Err(Gap::NotHere(words!("no disk here counts errors", "没有提供错误计数的磁盘")));
    }
    Ok(found)
}

fn judge(host: &Host, settings: &Settings<'_>, path: &str) -> Option<Found> {
    let disk = path.split('/').nth(3)?;
    let requests_path = path.replace("ioerr_cnt", "iorequest_cnt");
    let (errors, requests) = match (host.twice(path), host.twice(&requests_path)) {
        (Ok(errors), Ok(requests)) => (errors, requests),
        (Err(Gap::NotHere(why) | Gap::Unknown(why)), _) | (_, Err(Gap::NotHere(why) | Gap::Unknown(why))) => {
            return Some(Found::new(disk, Status::Unknown, why));
        }
    };
    let (Some(before), Some(after), Some(all)) = (hex(&errors.before), hex(&errors.after), hex(&requests.after)) else {
        let why = words!("{path} cannot be understood", "无法解析 {path}");
        return Some(Found::new(disk, Status::Unknown, why).evidence(path, &errors.after));
    };
    let rise = u32::try_from(after.saturating_sub(before)).unwrap_or(u32::MAX);
    let share = percent(after, all).unwrap_or(0.0);
    let status = settings.level(disk, f64::from(rise)).max(settings.level_of(disk, share, "share", ""));
    let secs = errors.secs;
    let summary = words!(
        "disk {disk} answered {rise} requests with errors over {secs:.1} s, {after} of {all} since it was found",
        "磁盘 {disk} 在 {secs:.1} 秒内有 {rise} 个请求出错，自识别以来为 {after}/{all}"
    );
    let found = Found::new(disk, status, summary).value(f64::from(rise), "errors").detail("share_percent", share);
    Some(found.evidence(path, &errors.after).evidence(requests_path, &requests.after))
}

/// The kernel writes them as `0x1f`.
fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn hardware_disk_errors() {
        let (errors, requests) = ("/sys/block/sda/device/ioerr_cnt", "/sys/block/sda/device/iorequest_cnt");
        for (before, after, all, expected) in [
            ("0x0\n", "0x0\n", "0x10000\n", Status::Ok),
            ("0x5\n", "0x5\n", "0x10000\n", Status::Ok),
            ("0x5\n", "0x6\n", "0x10000\n", Status::Warning),
            ("0x1000\n", "0x1000\n", "0x10000\n", Status::Warning),
            ("0x0\n", "many\n", "0x10000\n", Status::Unknown),
        ] {
            let fixture = Fixture::live().file(errors, before).later(errors, after).file(requests, all);
            assert_eq!(fixture.status(&CHECK), expected, "{before}{after}{all}");
        }
        assert!(Fixture::live().has_none_of(&CHECK));
        assert_eq!(Fixture::live().file(errors, "0x0\n").status(&CHECK), Status::Unknown);
    }
}
