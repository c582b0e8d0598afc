//! Accounts besides root that have root's id.

use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "security.second-root",
    title: Text { en: "Accounts with root's id", zh: "UID 为 0 的其他账号" },
    reads: &["/etc/passwd"],
    needs: Needs::FILES,
    params: &[],
    impact: Text {
        en: "A second root is what intruders leave behind: it survives a new password of root.",
        zh: "第二个 root 账号是常见的入侵后门：即使修改 root 密码也依然有效。",
    },
    remedy: Text {
        en: "Find out who made it (last NAME, the auth log). If nobody did, treat this server as taken over; else give the \
             account an id of its own and sudo.",
        zh: "查明由谁创建（last 用户名、认证日志）。若无人认领，应按服务器已被入侵处理；否则为其分配独立 UID 并改用 sudo。",
    },
    run,
};

/// Accounts that are named one by one.
const NAMED_MAX: usize = 20;

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let passwd = host.read("/etc/passwd")?;
    let accounts = passwd.lines().enumerate().filter_map(|(at, line)| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        (!name.starts_with(['+', '-', '#'])).then_some((at + 1, name, id))
    });
    let (mut all, mut found) = (0, Vec::new());
    for (line, name, id) in accounts {
        all += 1;
        if id.trim().parse() == Ok(0_u32) && name != "root" && found.len() < NAMED_MAX {
            let summary = words!("account {name} has id 0: it is root", "账号 {name} 的 UID 为 0，等同于 root");
            let one = Found::new(name, Status::Critical, summary);
            found.push(one.evidence(format!("/etc/passwd:{line}"), format!("{name}, uid {id}")));
        }
    }
    if all == 0 {
        return Err(Gap::Unknown(words!("/etc/passwd names no account", "/etc/passwd 中没有账号")));
    }
    if found.is_empty() {
        let summary = words!("of {all} accounts only root has id 0", "{all} 个账号中只有 root 的 UID 为 0");
        found.push(Found::new("", Status::Ok, summary));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn sec_05_only_root_is_root() {
        let root = "root:x:0:0:root:/root:/bin/bash\n";
        for (more, expected) in [
            ("web:x:1000:0::/:/bin/sh\n", Status::Ok),
            ("toor:x:0:0::/root:/bin/sh\n", Status::Critical),
            ("toor:x:00:0::/root:/bin/sh\n", Status::Critical),
            ("odd\n#old:x:0:0\n", Status::Ok),
        ] {
            assert_eq!(
                Fixture::image().file("/etc/passwd", format!("{root}{more}")).status(&CHECK),
                expected,
                "{more}"
            );
        }
        assert_eq!(Fixture::image().file("/etc/passwd", "\n").status(&CHECK), Status::Unknown);
        assert!(Fixture::image().has_none_of(&CHECK));
    }
}
