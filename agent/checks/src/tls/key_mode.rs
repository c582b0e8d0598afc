//! Who may read private keys. Their content is never read here: what the file system says of them is enough.

use super::named::Named;
use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::{Host, Kind};
use crate::many::many;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;
use std::collections::BTreeMap;

pub(crate) const CHECK: Check = Check {
    id: "tls.key-mode",
    title: Text { en: "Permissions of private keys", zh: "私钥文件权限" },
    reads: &["/etc/{nginx,haproxy,apache2,httpd,postfix,dovecot}", "/etc/letsencrypt/archive", "/etc/ssl/private"],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[],
    impact: Text {
        en: "Every user and every hacked application of this server can take the key and pose as this site.",
        zh: "此服务器上的任何用户或被入侵的应用都能取走私钥并冒充本站点。",
    },
    remedy: Text {
        en: "`chmod 640 FILE && chown root:GROUP FILE`; if others could read it for long, have the certificate issued anew \
             with a new key.",
        zh: "`chmod 640 文件 && chown root:组 文件`；若长期可被他人读取，请使用新私钥重新签发证书。",
    },
    run,
};

/// Findings that are listed.
const KEYS_MAX: usize = 200;

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let known = host.known_certificates().keys.iter();
    let mut keys: BTreeMap<String, String> = known.map(|Named { path, at, .. }| (path.clone(), at.clone())).collect();
    let mut found = Vec::new();
    for pattern in ["/etc/letsencrypt/archive/*/privkey*.pem", "/etc/ssl/private/*"] {
        match host.glob(pattern) {
            Ok(paths) => {
                for path in paths {
                    keys.entry(path.clone()).or_insert(path);
                }
            }
            Err(Gap::NotHere(_)) => {}
            Err(Gap::Unknown(why)) => found.push(Found::new(pattern, Status::Unknown, why)),
        }
    }
    found.extend(keys.iter().take(KEYS_MAX).filter_map(|(path, at)| look(host, path, at)));
    if found.is_empty() {
        return Err(Gap::NotHere(words!("there is no private key in the usual places", "常见位置没有私钥文件")));
    }
    Ok(many(found))
}

/// Nothing for what is no file.
fn look(host: &Host, path: &str, at: &str) -> Option<Found> {
    let stat = match host.stat(path) {
        Ok(stat) => stat,
        Err(Gap::NotHere(_)) => return None,
        Err(Gap::Unknown(why)) => return Some(Found::new(path, Status::Unknown, why)),
    };
    match stat.kind {
        Kind::File => {}
        Kind::Folder | Kind::Link | Kind::Socket | Kind::Other => return None,
    }
    let mode = stat.mode;
    let open = mode & 0o777 & !0o640 & !0o100;
    let reachable = is_reachable(host, path);
    let found = if open == 0 {
        return Some(Found::new(
            path,
            Status::Ok,
            words!("{path} is closed to others ({mode:04o})", "{path} 未对他人开放（{mode:04o}）"),
        ));
    } else if open & 0o027 != 0 && !reachable {
        let shut = words!(
            "{path} has mode {mode:04o}, but its folder is closed to others",
            "{path} 权限为 {mode:04o}，但其所在目录未对他人开放"
        );
        return Some(Found::new(path, Status::Ok, shut));
    } else {
        Found::new(
            path,
            Status::Warning,
            words!("{path} has mode {mode:04o}, wider than 0640", "{path} 权限为 {mode:04o}，宽于 0640"),
        )
    };
    let found = found.evidence(path, format!("mode {mode:04o}, uid {}, gid {}", stat.uid, stat.gid));
    Some(if at == path { found } else { found.evidence(at, "named there") })
}

/// Whether everybody may pass all folders above it.
fn is_reachable(host: &Host, path: &str) -> bool {
    let above = path.match_indices('/').skip(1).filter_map(|(at, _)| path.get(..at));
    let mut folders = above.filter_map(|folder| host.stat(folder).ok());
    folders.all(|folder| folder.mode & 0o001 != 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;
    use std::os::unix::fs::PermissionsExt as _;

    fn host(folder: u32, key: u32) -> Fixture {
        let host = Fixture::image()
            .file("/etc/nginx/nginx.conf", "ssl_certificate_key /etc/keys/a.key;\n")
            .file("/etc/keys/a.key", "secret")
            .file("/etc/letsencrypt/archive/README", "");
        for (path, mode) in [("/etc/keys/a.key", key), ("/etc/keys", folder)] {
            std::fs::set_permissions(host.path(path), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        host
    }

    #[test]
    fn tls_05_a_key_that_others_can_read_is_told() {
        for (folder, key, expected) in [
            (0o755, 0o600, Status::Ok),
            (0o755, 0o640, Status::Ok),
            (0o755, 0o644, Status::Warning),
            (0o755, 0o660, Status::Warning),
            (0o700, 0o644, Status::Ok),
        ] {
            let found = host(folder, key).run(&CHECK);
            assert_eq!(found[0].status, expected, "{folder:o} {key:o}");
            assert!(!format!("{found:?}").contains("secret"));
        }
        assert!(Fixture::image().has_none_of(&CHECK));
        let folder = Fixture::image().file("/etc/ssl/private/sub/x", "");
        assert!(folder.has_none_of(&CHECK), "a folder is no key");
    }
}
