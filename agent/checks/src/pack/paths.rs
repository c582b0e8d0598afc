//! Which files a pack may have read (CHK-06): below a few folders, and never what holds secrets by trade.
//!
//! Asked twice: of the path as it is written, and of the place that it led to.

use crate::words;
use cloud_doctor_proto::finding::Words;
use cloud_doctor_proto::refusal::one_line;

const ROOTS: &[&str] = &["/etc/", "/var/log/", "/proc/sys/", "/sys/"];
/// Never, with all that begins so: `shadow-`, `shadow.bak`.
const SECRET_FILES: &[&str] = &[
    "/etc/shadow",
    "/etc/gshadow",
    "/etc/security/opasswd",
    "/etc/krb5.keytab",
    "/etc/sudoers",
    "/etc/cloud-doctor/",
    "/etc/ssl/private/",
    "/etc/pki/tls/private/",
    "/etc/letsencrypt/",
    "/etc/wireguard/",
    "/etc/openvpn/",
    "/etc/kubernetes/pki/",
];
const SECRET_ENDINGS: &[&str] = &[".key", ".pem", ".p12", ".pfx", ".jks", ".keytab", "_key", ".htpasswd", ".pgpass"];

/// Whether a pack may have `path` read.
///
/// # Errors
/// A sentence about why not.
pub(crate) fn allowed(path: &str) -> Result<(), Words> {
    let shown = one_line(path, 200);
    let parts: Vec<_> = path.split('/').collect();
    if !path.starts_with('/') || parts.iter().any(|part| *part == ".." || *part == ".") || path.contains("//") {
        return Err(words!(
            "{shown} is no plain absolute path; write it out, without . and ..",
            "{shown} 不是规范的绝对路径，请写全，不含 . 和 .."
        ));
    }
    if path.starts_with("/proc/") && path.ends_with("/environ") {
        return Err(words!(
            "{shown} holds a program's environment, with its passwords; packs may not read it (CHK-06)",
            "{shown} 包含进程环境变量（可能有密码），检查包不得读取（CHK-06）"
        ));
    }
    let lower = path.to_ascii_lowercase();
    let secret = SECRET_FILES.iter().any(|name| lower.starts_with(name))
        || SECRET_ENDINGS.iter().any(|ending| lower.ends_with(ending));
    if secret {
        return Err(words!(
            "{shown} holds passwords or keys; packs may not read it (CHK-06)",
            "{shown} 包含密码或密钥，检查包不得读取（CHK-06）"
        ));
    }
    if !ROOTS.iter().any(|root| path.starts_with(root)) {
        let roots = ROOTS.join(", ");
        return Err(words!(
            "{shown} is outside of what packs may read: {roots} (CHK-06)",
            "{shown} 不在检查包可读取的范围内：{roots}（CHK-06）"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::found::Gap;
    use crate::host::fixture::Fixture;

    #[test]
    fn chk_06_what_holds_secrets_is_refused_by_name() {
        for path in ["/etc/haproxy/haproxy.cfg", "/var/log/syslog", "/proc/sys/vm/swappiness", "/sys/block/sda/size"] {
            assert_eq!(allowed(path), Ok(()), "{path}");
        }
        for (path, part) in [
            ("/etc/shadow", "passwords or keys"),
            ("/etc/shadow-", "passwords or keys"),
            ("/etc/gshadow", "passwords or keys"),
            ("/etc/ssh/ssh_host_ed25519_key", "passwords or keys"),
            ("/etc/ssl/private/web.crt", "passwords or keys"),
            ("/etc/nginx/Web.KEY", "passwords or keys"),
            ("/etc/cloud-doctor/agent.toml", "passwords or keys"),
            ("/proc/1/environ", "environment"),
            ("/proc/self/environ", "environment"),
            ("/proc/1/mem", "outside"),
            ("/root/.ssh/id_ed25519", "outside"),
            ("/home/a", "outside"),
            ("/etcetera", "outside"),
            ("/etc/../root/x", "no plain"),
            ("/etc/./shadow", "no plain"),
            ("/etc//shadow", "no plain"),
            ("etc/hosts", "no plain"),
            ("", "no plain"),
        ] {
            let why = allowed(path).unwrap_err();
            assert!(why.en.contains(part), "{path}: {}", why.en);
        }
    }

    #[test]
    fn chk_06_a_link_that_leads_to_a_secret_is_refused_for_what_it_leads_to() {
        let fixture =
            Fixture::live().file("/etc/shadow", "root:secret").file("/root/token", "secret").file("/etc/real", "fine");
        for (link, to) in [("a", "/etc/shadow"), ("b", "../root/token"), ("c", "real")] {
            std::os::unix::fs::symlink(to, fixture.path("/etc").join(link)).unwrap();
        }
        let host = fixture.host();
        let read = |path: &str| host.read_within(path, 100, allowed);
        for (path, part) in [("/etc/a", "/etc/shadow holds passwords"), ("/etc/b", "/root/token is outside")] {
            let Err(Gap::Unknown(why)) = read(path) else { panic!("{path} was read") };
            assert!(why.en.contains(part), "{path}: {}", why.en);
        }
        assert_eq!(read("/etc/c").unwrap(), "fine");
        assert!(matches!(read("/etc/none"), Err(Gap::NotHere(_))));
        let big = Fixture::live().file("/etc/big", "x".repeat(101));
        assert!(matches!(big.host().read_within("/etc/big", 100, allowed), Err(Gap::Unknown(_))));
    }
}
