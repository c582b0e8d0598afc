//! Whether the controllers of NVMe disks work. Their wear and media errors take an ioctl, which is not made here.

use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "hardware.nvme-state",
    title: Text { en: "NVMe controllers", zh: "NVMe 控制器状态" },
    reads: &["/sys/class/nvme/nvme*/state", "/sys/class/nvme/nvme*/model"],
    needs: Needs::LIVE,
    params: &[],
    impact: Text {
        en: "The disk behind this controller does not answer: what is on it is out of reach.",
        zh: "该控制器后的磁盘没有响应，其上的数据无法访问。",
    },
    remedy: Text {
        en: "Read why (dmesg -T | grep nvme). Make a backup if it still answers, then have the disk or the volume replaced; nvme smart-log /dev/nvmeN tells its health.",
        zh: "查看原因（dmesg -T | grep nvme）。若仍有响应请立即备份，然后更换磁盘或云盘；可用 nvme smart-log /dev/nvmeN 查看健康状态。",
    },
    run,
};

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    host.must_live()?;
    let paths = host.glob("/sys/class/nvme/nvme[0-9]*/state")?;
    let found: Vec<Found> = paths.iter().filter_map(|path| judge(host, path)).collect();
    if found.is_empty() {
        return Err(Gap::NotHere(words!("there is no NVMe disk", "没有 NVMe 磁盘")));
    }
    Ok(found)
}

fn judge(host: &Host, path: &str) -> Option<Found> {
    let folder = path.strip_suffix("/state")?;
    let name = folder.rsplit('/').next()?;
    let state = match host.read(path) {
        Ok(state) => state.trim().to_owned(),
        Err(Gap::NotHere(_)) => return None,
        Err(Gap::Unknown(why)) => return Some(Found::new(name, Status::Unknown, why)),
    };
    // nvme core, nvme_sysfs_show_state.
    let status = match state.as_str() {
        "live" => Status::Ok,
        "dead" => Status::Critical,
        "new" | "resetting" | "connecting" | "deleting" | "deleting (no IO)" => Status::Warning,
        _ => Status::Unknown,
    };
    let found =
        Found::new(name, status, words!("NVMe controller {name} is {state}", "NVMe 控制器 {name} 的状态为 {state}"));
    let found = found.evidence(path, &state);
    let model = host.read(&format!("{folder}/model")).ok();
    Some(found.detail("model", model.as_deref().map(str::trim)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn dsk_12_nvme_controllers() {
        for (state, expected) in [
            ("live\n", Status::Ok),
            ("resetting\n", Status::Warning),
            ("dead\n", Status::Critical),
            ("\n", Status::Unknown),
        ] {
            let fixture = Fixture::live().file("/sys/class/nvme/nvme0/state", state);
            assert_eq!(fixture.file("/sys/class/nvme/nvme0/model", "X\n").status(&CHECK), expected, "{state}");
        }
        assert!(Fixture::live().has_none_of(&CHECK));
    }
}
