//! Settings of sshd that are weaker than a server needs. Advice only.

use super::sshd_config::{Effective, SshdConfig, secs};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "security.ssh-limits",
    title: Text { en: "Limits and forwarding of SSH", zh: "SSH 限制与转发" },
    reads: &["/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/"],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[
        Param::above("tries", 6.0, 6.0, "", "lynis include/tests_ssh, SSH-7408; 6 is OpenSSH's default"),
        Param::above("grace", 240.0, 240.0, "s", "lynis include/tests_ssh, SSH-7408"),
    ],
    impact: Text {
        en: "Guessing passwords is easier than it need be, or a stolen login reaches further into the network.",
        zh: "会让密码猜测更容易，或使被盗的登录可进一步渗透内网。",
    },
    remedy: Text {
        en: "Set what nobody needs to no, and the limits to OpenSSH's defaults, in a file of /etc/ssh/sshd_config.d; check \
             with sshd -t, then reload sshd.",
        zh: "在 /etc/ssh/sshd_config.d 下的文件中将不需要的功能设为 no，并将限制恢复为 OpenSSH 默认值；用 sshd -t 校验后重载 sshd。",
    },
    run,
};

/// Keywords whose `no` is the strongest, and what OpenSSH takes when they are not set.
const SWITCHES: [(&str, &str); 3] =
    [("X11Forwarding", "no"), ("AllowAgentForwarding", "yes"), ("AllowTcpForwarding", "yes")];

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let config = SshdConfig::read(host)?;
    let mut weak: Vec<(&str, Effective)> = Vec::new();
    let tries = config.get("MaxAuthTries", "6");
    if tries.value.parse::<f64>().is_ok_and(|tries| tries > settings.number("tries")) {
        weak.push(("MaxAuthTries", tries));
    }
    let grace = config.get("LoginGraceTime", "120");
    #[expect(clippy::cast_precision_loss, reason = "a time that an administrator set")]
    let grace_secs = secs(&grace.value).map(|secs| secs as f64);
    // 0 is no limit.
    if grace_secs.is_some_and(|secs| secs == 0.0 || secs > settings.number("grace")) {
        weak.push(("LoginGraceTime", grace));
    }
    for (keyword, default) in SWITCHES {
        let switch = config.get(keyword, default);
        if matches!(switch.value.as_str(), "yes" | "all") {
            weak.push((keyword, switch));
        }
    }
    if weak.is_empty() {
        let found = Found::new(
            "sshd",
            Status::Ok,
            words!("limits and forwarding of SSH are strict", "SSH 的限制与转发设置严格"),
        );
        return Ok(vec![found]);
    }
    let names = weak.iter().map(|(keyword, setting)| format!("{keyword} {}", setting.value)).collect::<Vec<_>>();
    let names = names.join(", ");
    let mut found = Found::advice("sshd", words!("sshd could be stricter: {names}", "sshd 可更严格：{names}"));
    for (keyword, Effective { value, source }) in weak {
        found = found.evidence(source, format!("{keyword} {value}"));
    }
    Ok(vec![found])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn sec_03_weak_settings_are_advice() {
        let strict = "AllowAgentForwarding no\nAllowTcpForwarding no\n";
        for (config, weak) in [
            (strict.to_owned(), None),
            (String::new(), Some("AllowAgentForwarding yes, AllowTcpForwarding yes")),
            (format!("{strict}MaxAuthTries 10\n"), Some("MaxAuthTries 10")),
            (format!("{strict}LoginGraceTime 5m\n"), Some("LoginGraceTime 5m")),
            (format!("{strict}LoginGraceTime 0\n"), Some("LoginGraceTime 0")),
            (format!("{strict}LoginGraceTime 2m\nMaxAuthTries x\n"), None),
            (format!("{strict}X11Forwarding yes\n"), Some("X11Forwarding yes")),
        ] {
            let found = Fixture::image().file("/etc/ssh/sshd_config", &config).run(&CHECK);
            assert_eq!((found.len(), found[0].status), (1, Status::Ok), "{config}");
            assert_eq!(found[0].note, weak.is_some(), "{config}");
            assert!(weak.is_none_or(|weak| found[0].summary.en.ends_with(weak)), "{config}: {}", found[0].summary.en);
        }
        assert_eq!(Fixture::image().file("/etc/ssh/sshd_config", b"\0").status(&CHECK), Status::Unknown);
        assert!(Fixture::image().has_none_of(&CHECK));
    }
}
