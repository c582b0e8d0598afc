//! Whether something has happened to the running kernel that makes it less trustworthy.

use crate::check::{Check, Needs, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::{Status, Words};

const PATH: &str = "/proc/sys/kernel/tainted";

/// Bits that tell of trouble, kernel Documentation/admin-guide/tainted-kernels.rst. The others tell of modules.
const TROUBLES: [(u32, &str, &str); 4] = [
    (4, "the hardware reported a machine check", "硬件上报过机器检查异常（MCE）"),
    (5, "a bad memory page was found", "发现过损坏的内存页"),
    (7, "the kernel has died once (oops)", "内核发生过 oops"),
    (9, "the kernel warned about itself", "内核发出过自身警告（WARN）"),
];

pub(crate) const CHECK: Check = Check {
    id: "kernel.taint",
    title: Text { en: "Marks of trouble in the running kernel", zh: "内核污染标记" },
    reads: &[PATH],
    needs: Needs::LIVE,
    params: &[],
    impact: Text {
        en: "What happened once since boot may come back, and vendors ask about it first.",
        zh: "自启动以来出现过的问题可能再次发生，厂商支持也会首先询问这一点。",
    },
    remedy: Text {
        en: "Read what it was (dmesg -T, journalctl -k -b); for hardware look at mcelog or rasdaemon and at the provider. A reboot into the newest kernel clears the marks.",
        zh: "查看具体情况（dmesg -T、journalctl -k -b）；硬件问题请查看 mcelog 或 rasdaemon 并联系厂商。重启到最新内核后标记会清除。",
    },
    run,
};

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    host.must_live()?;
    let taint: u64 = host.number(PATH)?;
    let troubles = || TROUBLES.iter().filter(|(bit, _, _)| taint >> bit & 1 == 1);
    let found = if troubles().next().is_none() {
        Found::new("", Status::Ok, words!("the running kernel bears no mark of trouble", "当前内核没有异常标记"))
    } else {
        let en = troubles().map(|(_, en, _)| *en).collect::<Vec<_>>().join("; ");
        let zh = troubles().map(|(_, _, zh)| *zh).collect::<Vec<_>>().join(";");
        Found::advice("", Words { en: format!("since boot: {en}"), zh: format!("自启动以来：{zh}") })
    };
    Ok(vec![found.evidence(PATH, taint.to_string())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn krn_12_marks_of_trouble_and_not_of_modules() {
        for (taint, note) in [("0", false), ("4097", false), ("512", true), ("16", true), ("144", true)] {
            let findings = Fixture::live().file(PATH, format!("{taint}\n")).run(&CHECK);
            assert_eq!((findings[0].status, findings[0].note), (Status::Ok, note), "{taint}");
        }
        assert_eq!(Fixture::live().file(PATH, "-1\n").status(&CHECK), Status::Unknown);
        assert!(Fixture::live().has_none_of(&CHECK));
    }
}
