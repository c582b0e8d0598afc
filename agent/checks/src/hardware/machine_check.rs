//! Hardware errors that the kernel logged: machine checks, memory read errors, errors of PCI devices that were not corrected.

use crate::check::{Check, Needs, Param, Text};
use crate::found::Outcome;
use crate::host::Host;
use crate::kernel::messages;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "hardware.machine-check",
    title: Text { en: "Hardware errors in the kernel log", zh: "内核日志中的硬件错误" },
    reads: &["/dev/kmsg", "the journal", "/var/log/{kern.log,messages,dmesg}", "/proc/uptime"],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[
        Param::plain("recent", 86_400.0, "s", "node-problem-detector kernel-monitor.json, MemoryReadError; our time"),
        Param::plain("past", 604_800.0, "s", "our recommendation: worth a look for a week"),
    ],
    impact: Text {
        en: "A processor, memory or a card reports that it is failing: data may be lost, and the server may stop without warning.",
        zh: "处理器、内存或板卡上报故障：可能丢失数据，服务器也可能毫无预警地宕机。",
    },
    remedy: Text {
        en: "Decode it (rasdaemon: ras-mc-ctl --errors; mcelog) and have the part replaced. On a cloud instance tell the provider and move to another machine. Check the backups now.",
        zh: "解析错误（rasdaemon:ras-mc-ctl --errors；或 mcelog）并更换故障部件。云实例请联系云厂商并迁移到其他宿主机。请立即确认备份可用。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let what = words!("hardware errors", "硬件错误");
    let log = host.kernel_log()?;
    let recent = |age: Option<f64>| age.is_none_or(|age| age <= settings.number("recent"));
    let mut errors = log.messages.iter().filter(|message| is_error(&message.text) && recent(message.age_secs));
    let lost = errors.any(|message| is_lost(&message.text));
    let worst = if lost { Status::Critical } else { Status::Warning };
    messages::judge(host, settings, &what, worst, is_error)
}

fn is_error(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    // The kernel begins every line of a report so; only what names an error counts, not "this is informational".
    let reported = text.contains("[Hardware Error]:")
        && ["machine check", "severity:", "uncorrected", "deferred error", "corrected error"]
            .iter()
            .any(|part| lower.contains(part));
    reported
        || text.contains("CE memory read error")
        || text.starts_with("EDAC ") && (text.contains(" CE ") || text.contains(" UE "))
        || text.starts_with("mce: Uncorrected hardware memory error")
        || text.contains("AER: Uncorrected (Fatal)")
        || text.starts_with("Memory failure: ")
}

fn is_lost(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower.contains("uncorrected")
        || lower.contains("fatal")
        || text.contains(" UE ")
        || text.starts_with("Memory failure: ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use crate::kernel::messages::tests::logged;

    #[test]
    fn krn_03_errors_in_the_kernel_log() {
        for (at, text, expected, note) in [
            (
                199_000,
                "mce: [Hardware Error]: CPU 0: Machine Check: 0 Bank 8: 9c00000001010091",
                Status::Warning,
                false,
            ),
            (
                199_000,
                "EDAC MC0: 1 CE memory read error on CPU_SrcID#0_Ha#0_Chan#1_DIMM#0 (channel:1 slot:0)",
                Status::Warning,
                false,
            ),
            (199_000, "EDAC MC0: 1 UE memory read error on CPU_SrcID#0_Ha#0_Chan#1_DIMM#0", Status::Critical, false),
            (
                199_000,
                "pcieport 0000:00:1c.0: AER: Uncorrected (Fatal) error received: 0000:01:00.0",
                Status::Critical,
                false,
            ),
            (1000, "EDAC MC0: 1 CE memory read error on DIMM#0", Status::Warning, false),
            (199_000, "EDAC MC: Ver: 3.0.0", Status::Ok, false),
            (199_000, "mce: CPU0: Thermal monitoring enabled (TM1)", Status::Ok, false),
        ] {
            let findings = logged(at, text).run(&CHECK);
            assert_eq!((findings[0].status, findings[0].note), (expected, note), "{text}");
        }
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
    }
}
