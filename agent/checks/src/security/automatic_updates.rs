//! Whether security updates install themselves. Advice only.

use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "security.automatic-updates",
    title: Text { en: "Automatic security updates", zh: "自动安全更新" },
    reads: &["/etc/apt/apt.conf.d/", "/etc/dnf/automatic.conf", "/etc/yum/yum-cron.conf", "/etc/systemd/system/"],
    needs: Needs::FILES,
    params: &[],
    impact: Text {
        en: "Holes stay open until somebody remembers to update.",
        zh: "漏洞会一直存在，直到有人想起来更新。",
    },
    remedy: Text {
        en: "If nothing else patches this server: apt-get install unattended-upgrades, or dnf install dnf-automatic with \
             apply_updates = yes and its timer enabled.",
        zh: "若没有其他补丁机制：执行 apt-get install unattended-upgrades，或安装 dnf-automatic，设置 apply_updates = yes 并启用其定时器。",
    },
    run,
};

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let set = if host.exists("/var/lib/dpkg/status") {
        apt(host)?
    } else if host.exists("/var/lib/rpm") || host.exists("/usr/lib/sysimage/rpm") {
        rpm(host)?
    } else {
        return Err(Gap::NotHere(words!("no package manager that is known is here", "此主机没有已知的软件包管理器")));
    };
    let found = match set {
        Some((source, line)) => {
            let summary = words!("security updates install themselves", "安全更新会自动安装");
            Found::new("", Status::Ok, summary).evidence(source, line)
        }
        None => Found::advice("", words!("security updates do not install themselves", "未启用自动安全更新")),
    };
    Ok(vec![found])
}

/// What turns it on.
type Set = Option<(String, String)>;

/// apt.conf(5): files in the order of their names, the last value holds.
fn apt(host: &Host) -> Result<Set, Gap> {
    if !host.exists("/usr/bin/unattended-upgrade") && !host.exists("/usr/bin/unattended-upgrades") {
        return Ok(None);
    }
    let mut last = None;
    for path in host.glob("/etc/apt/apt.conf.d/*")? {
        let text = match host.read(&path) {
            Err(Gap::NotHere(_)) => continue,
            other => other?,
        };
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            let key = "apt::periodic::unattended-upgrade";
            if line.get(..key.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(key)) {
                let value = line.split('"').nth(1).unwrap_or_default();
                last = Some((format!("{path}:{}", at + 1), line.to_owned(), value.to_owned()));
            }
        }
    }
    Ok(last.filter(|(_, _, value)| !matches!(value.as_str(), "" | "0")).map(|(source, line, _)| (source, line)))
}

fn rpm(host: &Host) -> Result<Set, Gap> {
    for (path, enabled) in [
        ("/etc/dnf/automatic.conf", "/etc/systemd/system/timers.target.wants/dnf-automatic*.timer"),
        ("/etc/yum/yum-cron.conf", "/etc/systemd/system/multi-user.target.wants/yum-cron.service"),
    ] {
        let text = match host.read(path) {
            Err(Gap::NotHere(_)) => continue,
            other => other?,
        };
        let (folder, unit) = enabled.rsplit_once('/').unwrap_or_default();
        // The link itself counts; what it points to may be elsewhere in an image.
        let entries = match host.list(folder) {
            Err(Gap::NotHere(_)) => Vec::new(),
            other => other?,
        };
        let is_on = |name: &str| match unit.split_once('*') {
            Some((begin, end)) => name.starts_with(begin) && name.ends_with(end),
            None => name == unit,
        };
        let Some(timer) = entries.into_iter().find(|entry| is_on(&entry.name)) else { continue };
        // This timer installs whatever the file says.
        if timer.name == "dnf-automatic-install.timer" {
            return Ok(Some((format!("{folder}/{}", timer.name), "enabled".to_owned())));
        }
        let apply = text.lines().enumerate().find(|(_, line)| {
            let (key, value) = line.split_once('=').unwrap_or_default();
            key.trim() == "apply_updates" && matches!(value.trim().to_ascii_lowercase().as_str(), "yes" | "true" | "1")
        });
        if let Some((at, line)) = apply {
            return Ok(Some((format!("{path}:{}", at + 1), line.trim().to_owned())));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn sec_10_updates_that_install_themselves() {
        let debian = || Fixture::image().file("/var/lib/dpkg/status", "");
        let apt = |text: &str| {
            debian().file("/usr/bin/unattended-upgrade", "").file("/etc/apt/apt.conf.d/20auto-upgrades", text)
        };
        let on = "APT::Periodic::Update-Package-Lists \"1\";\nAPT::Periodic::Unattended-Upgrade \"1\";\n";
        let rpm = || Fixture::image().file("/var/lib/rpm/Packages", "");
        let timers = "/etc/systemd/system/timers.target.wants";
        for (name, fixture, advised) in [
            ("on", apt(on), false),
            ("off", apt(&on.replace('1', "0")), true),
            ("off later", apt(on).file("/etc/apt/apt.conf.d/90x", "APT::Periodic::Unattended-Upgrade \"0\";"), true),
            ("no program", debian().file("/etc/apt/apt.conf.d/20auto-upgrades", on), true),
            ("rpm", rpm(), true),
            (
                "dnf",
                rpm()
                    .file("/etc/dnf/automatic.conf", "[commands]\napply_updates = yes\n")
                    .file(&format!("{timers}/dnf-automatic.timer"), ""),
                false,
            ),
            ("dnf, no timer", rpm().file("/etc/dnf/automatic.conf", "apply_updates = yes\n"), true),
        ] {
            let found = fixture.run(&CHECK);
            assert_eq!((found[0].status, found[0].note), (Status::Ok, advised), "{name}");
        }
        assert_eq!(apt("a\0").status(&CHECK), Status::Unknown);
        assert!(Fixture::image().has_none_of(&CHECK));
    }
}
