//! Errors that memory modules reported: corrected ones announce a failure, uncorrected ones are one.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "hardware.memory-errors",
    title: Text { en: "Errors of memory modules (ECC)", zh: "内存条错误（ECC）" },
    reads: &["/sys/devices/system/edac/mc/mc*/ce_count", "/sys/devices/system/edac/mc/mc*/ue_count"],
    needs: Needs::LIVE,
    params: &[
        Param::above(
            "warning",
            0.0,
            0.0,
            "corrected errors",
            "netdata health.d/memory.conf, ecc_memory_mc_correctable",
        ),
        Param::above(
            "critical",
            0.0,
            0.0,
            "uncorrected errors",
            "netdata health.d/memory.conf, ecc_memory_mc_uncorrectable",
        ),
    ],
    impact: Text {
        en: "Uncorrected errors destroy data or stop the server; many corrected ones are how a memory module begins to fail.",
        zh: "不可纠正的错误会破坏数据或导致宕机；可纠正错误增多则是内存条开始损坏的征兆。",
    },
    remedy: Text {
        en: "Find the module (ras-mc-ctl --errors, edac-util -v, or dimm*/dimm_label below the folder in evidence) and have it replaced. On a cloud instance tell the provider and move to another machine.",
        zh: "定位内存条（ras-mc-ctl --errors、edac-util -v，或证据目录下的 dimm*/dimm_label）并更换。云实例请联系云厂商并迁移到其他宿主机。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    host.must_live()?;
    let folders = host.glob("/sys/devices/system/edac/mc/mc[0-9]*")?;
    if folders.is_empty() {
        return Err(Gap::NotHere(words!(
            "no memory controller reports errors here (virtual machines never do)",
            "没有上报错误的内存控制器（虚拟机通常没有）"
        )));
    }
    Ok(folders.iter().map(|folder| judge(host, settings, folder)).collect())
}

fn judge(host: &Host, settings: &Settings<'_>, folder: &str) -> Found {
    let name = folder.rsplit('/').next().unwrap_or(folder);
    let count = |what: &str| host.number::<u32>(&format!("{folder}/{what}"));
    let (corrected, uncorrected) = match (count("ce_count"), count("ue_count")) {
        (Ok(corrected), Ok(uncorrected)) => (corrected, uncorrected),
        (Err(Gap::NotHere(why) | Gap::Unknown(why)), _) | (_, Err(Gap::NotHere(why) | Gap::Unknown(why))) => {
            return Found::new(name, Status::Unknown, why);
        }
    };
    let status = settings.level_of(name, f64::from(corrected), "warning", "");
    let status = status.max(settings.level_of(name, f64::from(uncorrected), "", "critical"));
    let summary = words!(
        "memory controller {name} counted {uncorrected} uncorrected and {corrected} corrected errors since boot",
        "自启动以来内存控制器 {name} 记录到不可纠正错误 {uncorrected} 次、可纠正错误 {corrected} 次"
    );
    let found = Found::new(name, status, summary).value(f64::from(uncorrected.max(corrected)), "");
    let found = found.evidence(format!("{folder}/ue_count"), uncorrected.to_string());
    found.evidence(format!("{folder}/ce_count"), corrected.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn krn_03_errors_of_memory() {
        let folder = "/sys/devices/system/edac/mc/mc0";
        for (corrected, uncorrected, expected) in [
            ("0", "0", Status::Ok),
            ("3", "0", Status::Warning),
            ("0", "1", Status::Critical),
            ("few", "0", Status::Unknown),
        ] {
            let fixture = Fixture::live()
                .file(&format!("{folder}/ce_count"), format!("{corrected}\n"))
                .file(&format!("{folder}/ue_count"), format!("{uncorrected}\n"));
            assert_eq!(fixture.status(&CHECK), expected, "{corrected} {uncorrected}");
        }
        assert!(Fixture::live().has_none_of(&CHECK));
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }
}
