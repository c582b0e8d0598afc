//! Disks that the kernel has given up: it marks them offline and answers everything with an error.

use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "hardware.disk-state",
    title: Text { en: "Disks that the kernel has given up", zh: "被内核下线的磁盘" },
    reads: &["/sys/block/*/device/state"],
    needs: Needs::LIVE,
    params: &[],
    impact: Text {
        en: "Everything on this disk is out of reach, and what was being written is lost.",
        zh: "该磁盘上的数据均无法访问，正在写入的数据已丢失。",
    },
    remedy: Text {
        en: "Read why (dmesg -T | grep SD). Check cable, controller or the cloud volume; after that echo running > the file in evidence brings it back, and its file systems need a check.",
        zh: "查看原因（dmesg -T | grep 盘符）。检查线缆、控制器或云盘；恢复后向证据中的文件写入 running 可重新上线，并需检查其文件系统。",
    },
    run,
};

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    host.must_live()?;
    // NVMe controllers have a file of this name with other words in it.
    let paths = host.glob("/sys/block/[a-mo-z]*/device/state")?;
    let found: Vec<Found> = paths.iter().filter_map(|path| judge(host, path)).collect();
    if found.is_empty() {
        return Err(Gap::NotHere(words!("no disk here tells its state", "没有提供状态信息的磁盘")));
    }
    Ok(found)
}

/// Nothing for one that went away meanwhile.
fn judge(host: &Host, path: &str) -> Option<Found> {
    let disk = path.split('/').nth(3)?;
    let state = match host.read(path) {
        Ok(state) => state.trim().to_owned(),
        Err(Gap::NotHere(_)) => return None,
        Err(Gap::Unknown(why)) => return Some(Found::new(disk, Status::Unknown, why)),
    };
    // scsi_sysfs.c: created, running, cancel, deleted, quiesce, offline, transport-offline, blocked, created-blocked.
    let status = match state.as_str() {
        "running" | "created" => Status::Ok,
        "offline" | "transport-offline" | "deleted" | "cancel" => Status::Critical,
        "blocked" | "quiesce" | "created-blocked" => Status::Warning,
        _ => Status::Unknown,
    };
    let summary = words!("disk {disk} is {state}", "磁盘 {disk} 的状态为 {state}");
    Some(Found::new(disk, status, summary).evidence(path, &state))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn hardware_disk_state() {
        for (state, expected) in [
            ("running\n", Status::Ok),
            ("offline\n", Status::Critical),
            ("transport-offline\n", Status::Critical),
            ("blocked\n", Status::Warning),
            ("???\n", Status::Unknown),
        ] {
            let fixture = Fixture::live().file("/sys/block/sda/device/state", state);
            assert_eq!(fixture.status(&CHECK), expected, "{state}");
        }
        assert!(Fixture::live().file("/sys/block/nvme0n1/device/state", "live\n").has_none_of(&CHECK));
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }
}
