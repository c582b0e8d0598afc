//! Whether root may log in over SSH with a password.

use super::sshd_config::{Line, SshdConfig};
use crate::check::{Check, Needs, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "security.ssh-root-login",
    title: Text { en: "Root logins over SSH", zh: "SSH 的 root 登录" },
    reads: &["/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/"],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[],
    impact: Text {
        en: "Whoever guesses or steals root's password owns this server, and the log does not say which person it was.",
        zh: "任何人猜中或窃取 root 密码即可完全控制此服务器，且日志无法区分是谁登录的。",
    },
    remedy: Text {
        en: "Make sure that another account logs in with a key and has sudo. Then set PermitRootLogin no (or prohibit-password) \
             in sshd_config, check it with sshd -t, reload sshd, and try a second login before you close the first.",
        zh: "先确认另有账号可用密钥登录且有 sudo 权限，再在 sshd_config 中设置 PermitRootLogin no（或 prohibit-password），用 sshd -t \
             校验后重载 sshd，并在关闭当前会话前用新会话验证登录。",
    },
    run,
};

/// Since OpenSSH 7.0 (2015); before, it was yes.
const DEFAULT: &str = "prohibit-password";

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let config = SshdConfig::read(host)?;
    let root = config.get("PermitRootLogin", DEFAULT);
    let value = &root.value;
    let mut all = vec![
        match value.as_str() {
            "yes" => Found::new(
                "sshd",
                Status::Warning,
                words!("root may log in over SSH with a password", "允许 root 用密码通过 SSH 登录"),
            ),
            _ => Found::new("sshd", Status::Ok, words!("PermitRootLogin is {value}", "PermitRootLogin 为 {value}")),
        }
        .evidence(root.source, format!("PermitRootLogin {value}")),
    ];
    let blocks = config.in_blocks("permitrootlogin");
    all.extend(blocks.into_iter().filter(|(_, line)| says_yes(line)).map(|(condition, line)| block(condition, line)));
    Ok(all)
}

fn says_yes(line: &Line) -> bool {
    line.arguments.first().is_some_and(|value| value.eq_ignore_ascii_case("yes"))
}

/// A block for some addresses is somebody's decision; one for users alone holds for the whole internet.
fn block(condition: &str, line: &Line) -> Found {
    let words = condition.to_ascii_lowercase();
    let is_limited = ["address", "host", "localaddress", "localport", "rdomain"]
        .iter()
        .any(|kind| words.split_ascii_whitespace().any(|word| word.split('=').next() == Some(kind)));
    let subject = format!("sshd Match {condition}");
    let summary = words!(
        "root may log in over SSH with a password where {condition:?} matches",
        "在匹配 {condition:?} 时允许 root 用密码通过 SSH 登录"
    );
    let found =
        if is_limited { Found::advice(subject, summary) } else { Found::new(subject, Status::Warning, summary) };
    found.evidence(line.source.clone(), "PermitRootLogin yes")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;

    /// What Debian 12 ships, without its comments.
    const DEBIAN: &str = "Include /etc/ssh/sshd_config.d/*.conf\nKbdInteractiveAuthentication no\nUsePAM yes\n\
        X11Forwarding yes\nPrintMotd no\nAcceptEnv LANG LC_*\nSubsystem\tsftp\t/usr/lib/openssh/sftp-server\n";

    #[test]
    fn sec_01_root_with_a_password_is_a_warning() {
        for (more, expected, findings) in [
            ("", Status::Ok, 1),
            ("PermitRootLogin yes\n", Status::Warning, 1),
            ("PermitRootLogin no\nPermitRootLogin yes\n", Status::Ok, 1),
            ("permitrootlogin=YES\n", Status::Warning, 1),
            ("#PermitRootLogin yes\nPermitRootLogin without-password\n", Status::Ok, 1),
            ("PermitRootLogin no\nMatch Address 10.0.0.0/8\n PermitRootLogin yes\n", Status::Ok, 2),
            ("PermitRootLogin no\nMatch User root\n PermitRootLogin yes\n", Status::Warning, 2),
            ("PermitRootLogin no\nMatch all\n PermitRootLogin yes\n", Status::Warning, 1),
        ] {
            let found = Fixture::image().file("/etc/ssh/sshd_config", format!("{DEBIAN}{more}")).run(&CHECK);
            assert_eq!(found.iter().map(|one| one.status).max(), Some(expected), "{more}");
            assert_eq!(found.len(), findings, "{more}");
        }
    }

    #[test]
    fn sec_01_what_cannot_be_read_is_unknown() {
        assert_eq!(Fixture::image().file("/etc/ssh/sshd_config", b"a\0b").status(&CHECK), Status::Unknown);
        assert!(Fixture::image().has_none_of(&CHECK));
        let found = Fixture::image().file("/etc/ssh/sshd_config", "Port 22\n").run(&CHECK);
        assert!(found[0].evidence[0].source.contains("default"));
    }
}
