//! Whether a newer kernel is installed than the one that runs, or a package asks for a reboot.

use super::version::{compare, flavour};
use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;
use std::cmp::Ordering;
use std::collections::BTreeSet;

const RUNNING: &str = "/proc/sys/kernel/osrelease";
/// Debian and Ubuntu leave it there, and which packages asked for it beside it.
const FLAG: &str = "/run/reboot-required";
const PACKAGES: &str = "/run/reboot-required.pkgs";

pub(crate) const CHECK: Check = Check {
    id: "kernel.reboot-needed",
    title: Text { en: "Reboot into the newest kernel", zh: "需要重启以启用新内核" },
    reads: &[RUNNING, "/boot", "/lib/modules", "/usr/lib/modules", FLAG, PACKAGES],
    needs: Needs::LIVE,
    params: &[],
    impact: Text {
        en: "Security fixes of the newer kernel are installed but not in effect.",
        zh: "新内核中的安全修复已安装但尚未生效。",
    },
    remedy: Text {
        en: "Reboot in the next maintenance window; take the server out of its load balancer first.",
        zh: "在下一个维护窗口重启；重启前先将该服务器从负载均衡中摘除。",
    },
    run,
};

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let running = host.must_read(RUNNING)?.trim().to_owned();
    let installed = installed(host)?;
    let same = installed.iter().filter(|(version, _)| flavour(version) == flavour(&running));
    let newest = same.max_by(|(a, _), (b, _)| compare(a, b));
    let newer = newest.filter(|(version, _)| compare(version, &running) == Ordering::Greater);
    let flag = host.exists(FLAG);
    if let Some((version, path)) = newer {
        let summary =
            words!("kernel {version} is installed, {running} is running", "已安装内核 {version}，正在运行 {running}");
        let found = Found::advice("", summary).evidence(path, version).evidence(RUNNING, &running);
        return Ok(vec![if flag { found.evidence(FLAG, "is there") } else { found }]);
    }
    if flag {
        let packages = host.read(PACKAGES).unwrap_or_default();
        let mut names: Vec<&str> = packages.lines().map(str::trim).filter(|name| !name.is_empty()).collect();
        names.dedup();
        names.truncate(10);
        let names = names.join(", ");
        let summary = words!("packages ask for a reboot: {names}", "有软件包要求重启：{names}");
        let impact = words!(
            "What was updated is installed but not in effect until then.",
            "在重启之前，这些更新虽已安装但尚未生效。"
        );
        return Ok(vec![
            Found::advice("", summary).impact(impact).evidence(FLAG, "is there").evidence(PACKAGES, names),
        ]);
    }
    let Some((version, path)) = newest else {
        return Err(Gap::Unknown(words!(
            "no installed kernel of the kind of {running} is to be found in /boot or /lib/modules; a container or a kernel that the host below brings",
            "/boot 与 /lib/modules 中找不到与 {running} 同类的内核；可能是容器，或内核由宿主机提供"
        )));
    };
    let summary = words!("the newest installed kernel is running ({running})", "正在运行已安装的最新内核（{running}）");
    Ok(vec![Found::new("", Status::Ok, summary).evidence(path, version).evidence(RUNNING, &running)])
}

/// Versions of the kernels that could be started, each with where it was seen. A folder of modules that holds none is a
/// leftover; one file of modules.dep is in each that a package put there.
fn installed(host: &Host) -> Result<BTreeSet<(String, String)>, Gap> {
    let mut installed = BTreeSet::new();
    let images = match host.list("/boot") {
        Ok(entries) => entries,
        Err(Gap::NotHere(_)) => Vec::new(),
        Err(gap) => return Err(gap),
    };
    for entry in images {
        let version = ["vmlinuz-", "vmlinux-", "Image-"].iter().find_map(|prefix| entry.name.strip_prefix(prefix));
        // Rescue images carry the machine's id, and compressed or old copies an ending.
        let is_version =
            |version: &&str| version.starts_with(|first: char| first.is_ascii_digit()) && version.contains('.');
        if let Some(version) = version.filter(is_version) {
            installed.insert((version.to_owned(), format!("/boot/{}", entry.name)));
        }
    }
    // Where /boot is not mounted, and on systems that keep the kernel beside its modules.
    if installed.is_empty() {
        for folder in ["/lib/modules", "/usr/lib/modules"] {
            let Ok(entries) = host.list(folder) else { continue };
            for entry in entries.into_iter().filter(|entry| entry.is_folder) {
                let path = format!("{folder}/{}", entry.name);
                if host.exists(&format!("{path}/modules.dep")) {
                    installed.insert((entry.name, path));
                }
            }
        }
    }
    Ok(installed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    fn running(version: &str) -> Fixture {
        Fixture::live().file(RUNNING, format!("{version}\n"))
    }

    #[test]
    fn krn_05_a_newer_kernel_waits_for_a_reboot() {
        for (version, installed, note) in [
            ("6.1.0-9-amd64", &["/boot/vmlinuz-6.1.0-9-amd64", "/boot/vmlinuz-6.1.0-18-amd64"][..], true),
            ("6.1.0-18-amd64", &["/boot/vmlinuz-6.1.0-9-amd64", "/boot/vmlinuz-6.1.0-18-amd64"], false),
            // Another flavour is no update of this one.
            ("6.1.0-9-amd64", &["/boot/vmlinuz-6.1.0-9-amd64", "/boot/vmlinuz-6.1.0-18-cloud-amd64"], false),
            ("3.10.0-957.el7.x86_64", &["/boot/vmlinuz-3.10.0-1160.el7.x86_64", "/boot/vmlinuz-0-rescue-5f3a"], true),
            ("6.1.0-9-amd64", &["/lib/modules/6.1.0-18-amd64/modules.dep"], true),
            // Modules without their list are a leftover.
            ("6.1.0-9-amd64", &["/lib/modules/6.1.0-9-amd64/modules.dep", "/lib/modules/6.1.0-18-amd64/x.ko"], false),
        ] {
            let fixture = installed.iter().fold(running(version), |fixture, path| fixture.file(path, ""));
            let findings = fixture.run(&CHECK);
            assert_eq!((findings[0].status, findings[0].note), (Status::Ok, note), "{version} {installed:?}");
        }
    }

    #[test]
    fn krn_05_packages_can_ask_and_containers_cannot_tell() {
        let asked = running("6.1.0-9-amd64")
            .file("/boot/vmlinuz-6.1.0-9-amd64", "")
            .file(FLAG, "*** System restart required ***\n")
            .file(PACKAGES, "libc6\nlibc6\nlibssl3\n");
        let findings = asked.run(&CHECK);
        assert!(findings[0].note && findings[0].summary.en.ends_with("libc6, libssl3"), "{findings:?}");
        assert_eq!(running("6.18.44-fc-v769").status(&CHECK), Status::Unknown);
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }
}
