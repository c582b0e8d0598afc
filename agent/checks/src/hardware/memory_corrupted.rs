//! Memory that the kernel has taken out of use because it is broken.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::memory::Meminfo;
use crate::number::size;
use crate::run::Settings;
use crate::words;

const PATH: &str = "/proc/meminfo";

pub(crate) const CHECK: Check = Check {
    id: "hardware.memory-corrupted",
    title: Text { en: "Memory taken out of use", zh: "被停用的损坏内存" },
    reads: &[PATH],
    needs: Needs::LIVE,
    params: &[Param::above("warning", 0.0, 0.0, "KiB", "netdata health.d/memory.conf, 1hour_memory_hw_corrupted")],
    impact: Text {
        en: "A memory module is failing: programs that used this memory were killed, and more of it may follow.",
        zh: "内存条正在损坏：使用过这部分内存的程序会被杀掉，且损坏可能继续扩大。",
    },
    remedy: Text {
        en: "Have the module replaced (ras-mc-ctl --errors says which). On a cloud instance tell the provider and move to another machine.",
        zh: "更换内存条（ras-mc-ctl --errors 可定位）。云实例请联系云厂商并迁移到其他宿主机。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let meminfo = Meminfo::read(host)?;
    let Ok(kib) = meminfo.count("HardwareCorrupted") else {
        return Err(Gap::NotHere(words!(
            "this kernel does not take broken memory out of use",
            "此内核不支持停用损坏内存（无 HardwareCorrupted 项）"
        )));
    };
    let bytes = size(kib.saturating_mul(1024));
    #[expect(clippy::cast_precision_loss, reason = "compared with nothing")]
    let value = kib as f64;
    let found = Found::new(
        "",
        settings.level("", value),
        words!("{bytes} of memory are out of use because they are broken", "有 {bytes} 内存因损坏被停用"),
    );
    Ok(vec![found.value(value, "KiB").evidence(PATH, meminfo.lines(&["HardwareCorrupted"]))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use cloud_doctor_proto::finding::Status;

    #[test]
    fn krn_04_broken_memory() {
        for (text, expected) in [
            ("MemTotal: 9 kB\nHardwareCorrupted:     0 kB\n", Status::Ok),
            ("MemTotal: 9 kB\nHardwareCorrupted:     4 kB\n", Status::Warning),
        ] {
            assert_eq!(Fixture::live().file(PATH, text).status(&CHECK), expected, "{text}");
        }
        assert!(Fixture::live().file(PATH, "MemTotal: 9 kB\n").has_none_of(&CHECK));
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
    }
}
