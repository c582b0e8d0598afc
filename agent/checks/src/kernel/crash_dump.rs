//! Whether the kernel would leave a dump behind when it crashes.

use crate::check::{Check, Needs, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

const LOADED: &str = "/sys/kernel/kexec_crash_loaded";
const RESERVED: &str = "/sys/kernel/kexec_crash_size";

pub(crate) const CHECK: Check = Check {
    id: "kernel.crash-dump",
    title: Text { en: "Dump of a crashed kernel", zh: "内核崩溃转储（kdump）" },
    reads: &[LOADED, RESERVED],
    needs: Needs::LIVE,
    params: &[],
    impact: Text {
        en: "After a crash of the kernel there is nothing to find the cause with.",
        zh: "内核崩溃后将没有任何可供定位原因的转储文件。",
    },
    remedy: Text {
        en: "Install and enable kdump (Debian: kdump-tools; Red Hat: kexec-tools, systemctl enable --now kdump), reserve memory with crashkernel= on the kernel's command line, and reboot in a window.",
        zh: "安装并启用 kdump（Debian:kdump-tools；Red Hat 系：kexec-tools 并执行 systemctl enable --now kdump），在内核启动参数中用 crashkernel= 预留内存，并在维护窗口重启。",
    },
    run,
};

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    // A kernel without kexec, and a container, has no such file.
    let loaded: u8 = host.number(LOADED)?;
    let reserved: Option<u64> = host.number(RESERVED).ok();
    let found = match (loaded, reserved) {
        (1.., _) => Found::new("", Status::Ok, words!("a crashed kernel leaves a dump", "内核崩溃转储已就绪")),
        (0, Some(0)) => Found::advice(
            "",
            words!(
                "a crashed kernel leaves no dump: no memory is reserved (crashkernel=)",
                "内核崩溃时不会留下转储：未预留内存（crashkernel=）"
            ),
        ),
        (0, Some(_) | None) => Found::advice(
            "",
            words!("a crashed kernel leaves no dump: kdump is not loaded", "内核崩溃时不会留下转储：kdump 未加载"),
        ),
    };
    let found = found.evidence(LOADED, loaded.to_string());
    Ok(vec![match reserved {
        Some(reserved) => found.evidence(RESERVED, reserved.to_string()),
        None => found,
    }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn krn_10_a_dump_is_advice() {
        for (loaded, reserved, note) in [("1", "268435456", false), ("0", "268435456", true), ("0", "0", true)] {
            let findings = Fixture::live().file(LOADED, loaded).file(RESERVED, reserved).run(&CHECK);
            assert_eq!((findings[0].status, findings[0].note), (Status::Ok, note), "{loaded} {reserved}");
        }
        assert!(Fixture::live().has_none_of(&CHECK));
        assert_eq!(Fixture::live().file(LOADED, "yes\n").status(&CHECK), Status::Unknown);
    }
}
