//! Accounts that need no password. It must never show anything of /etc/shadow but names.

use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "security.empty-passwords",
    title: Text { en: "Accounts without a password", zh: "空密码账号" },
    reads: &["/etc/shadow", "/etc/passwd"],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[],
    impact: Text {
        en: "Whoever reaches a login of this server becomes that user without knowing anything.",
        zh: "任何能到达登录入口的人无需任何凭据即可成为该用户。",
    },
    remedy: Text {
        en: "Lock the account with passwd -l NAME, or set a password with passwd NAME, and look with last NAME who has used it.",
        zh: "用 passwd -l 用户名 锁定账号，或用 passwd 用户名 设置密码，并用 last 用户名 查看是否已被使用。",
    },
    run,
};

/// Accounts that are named one by one.
const NAMED_MAX: usize = 20;

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let passwd = host.read("/etc/passwd")?;
    // Some small systems have no shadow file; then the passwords are in the other.
    let shadow = match host.read("/etc/shadow") {
        Err(Gap::NotHere(_)) => String::new(),
        other => other?,
    };
    let mut open = without_password(&shadow, "/etc/shadow");
    // `x` says that the password is in /etc/shadow.
    open.extend(without_password(&passwd, "/etc/passwd"));
    if open.is_empty() {
        let count = passwd.lines().count();
        let found = Found::new(
            "",
            Status::Ok,
            words!("none of {count} accounts has an empty password", "{count} 个账号均无空密码"),
        );
        return Ok(vec![found]);
    }
    let all = open.len();
    let named = open.into_iter().take(NAMED_MAX).map(|(name, source)| judge(&passwd, &name, source, all));
    Ok(named.collect())
}

/// Names whose second field is empty, and where.
fn without_password(text: &str, path: &str) -> Vec<(String, String)> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.starts_with('#'));
    let open = lines.filter_map(|(at, line)| {
        let mut fields = line.split(':');
        let (name, password) = (fields.next()?, fields.next()?);
        let is_account = !name.is_empty() && !name.starts_with(['+', '-']);
        (is_account && password.is_empty()).then(|| (name.to_owned(), format!("{path}:{}", at + 1)))
    });
    open.collect()
}

fn judge(passwd: &str, name: &str, source: String, all: usize) -> Found {
    let fields = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let shell = fields.filter(|fields| fields.first() == Some(&name)).find_map(|fields| fields.get(6).copied());
    let shell = shell.unwrap_or_default();
    // Such a shell ends at once; what else trusts the password (FTP, mail) still lets in.
    let cannot_log_in = shell.ends_with("/nologin") || shell.ends_with("/false");
    let status = if cannot_log_in { Status::Warning } else { Status::Critical };
    #[expect(clippy::cast_precision_loss, reason = "a count of lines")]
    let all = all as f64;
    Found::new(name, status, words!("account {name} has an empty password", "账号 {name} 的密码为空"))
        .evidence(source, format!("{name}: the password field is empty"))
        .detail("shell", shell)
        .detail("accounts", all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nweb:x:1000:1000::/home/web:/bin/sh\n\
        ftp:x:14:50::/var/ftp:/usr/sbin/nologin\n+::::::\n";

    #[test]
    fn sec_04_an_empty_password_is_found_and_no_hash_is_shown() {
        for (passwd, shadow, expected) in [
            (PASSWD, "root:$6$salt$hash:19000:0:99999:7:::\nweb:!:19000::::::\nftp:*:1::::::\n", Status::Ok),
            (PASSWD, "root:$6$salt$hash:19000:0:99999:7:::\nweb::19000::::::\n", Status::Critical),
            (PASSWD, "root:$6$salt$hash:1::::::\nftp::19000::::::\n", Status::Warning),
            ("root::0:0:root:/root:/bin/ash\n", "", Status::Critical),
        ] {
            let found = Fixture::image().file("/etc/passwd", passwd).file("/etc/shadow", shadow).run(&CHECK);
            assert_eq!(found.iter().map(|one| one.status).max(), Some(expected), "{shadow}");
            assert!(!format!("{found:?}").contains("$6$"));
        }
    }

    #[test]
    fn sec_04_without_the_files_it_cannot_be_told() {
        assert!(Fixture::image().has_none_of(&CHECK));
        let binary = Fixture::image().file("/etc/passwd", PASSWD).file("/etc/shadow", b"a\0b");
        assert_eq!(binary.status(&CHECK), Status::Unknown);
    }
}
