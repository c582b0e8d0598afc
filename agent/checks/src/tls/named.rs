//! Which certificate and key files the configuration of web, proxy and mail servers names: a scan of lines, no parser.
//! It finds more than what is in effect, and never decides what is.

use crate::host::Host;
use std::collections::BTreeMap;

/// Configuration files that are scanned.
const FILES_MAX: usize = 500;
/// Certificates and keys that are taken from them.
const NAMED_MAX: usize = 500;

/// Where configuration stands, and the folder that its relative paths begin in.
const PLACES: [(&str, &str); 19] = [
    ("/etc/nginx/*.conf", "/etc/nginx"),
    ("/etc/nginx/conf.d/*", "/etc/nginx"),
    ("/etc/nginx/sites-enabled/*", "/etc/nginx"),
    ("/etc/nginx/snippets/*", "/etc/nginx"),
    ("/etc/nginx/vhost*/*", "/etc/nginx"),
    ("/usr/local/nginx/conf/*.conf", "/usr/local/nginx/conf"),
    ("/usr/local/nginx/conf/vhost*/*.conf", "/usr/local/nginx/conf"),
    ("/usr/local/openresty/nginx/conf/*.conf", "/usr/local/openresty/nginx/conf"),
    ("/www/server/panel/vhost/nginx/*.conf", "/www/server/nginx/conf"),
    ("/etc/haproxy/*.cfg", "/etc/haproxy"),
    ("/etc/haproxy/conf.d/*.cfg", "/etc/haproxy"),
    ("/etc/apache2/sites-enabled/*", "/etc/apache2"),
    ("/etc/apache2/mods-enabled/ssl.conf", "/etc/apache2"),
    ("/etc/httpd/conf/httpd.conf", "/etc/httpd"),
    ("/etc/httpd/conf.d/*.conf", "/etc/httpd"),
    ("/etc/postfix/main.cf", "/etc/postfix"),
    ("/etc/dovecot/dovecot.conf", "/etc/dovecot"),
    ("/etc/dovecot/conf.d/*.conf", "/etc/dovecot"),
    ("/etc/caddy/Caddyfile", "/etc/caddy"),
];

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Holds {
    Certificates,
    Key,
    /// HAProxy puts both into one.
    Both,
}

/// Words before a path, in lower case.
const WORDS: [(&str, Holds); 10] = [
    ("ssl_certificate", Holds::Certificates),
    ("ssl_certificate_key", Holds::Key),
    ("sslcertificatefile", Holds::Certificates),
    ("sslcertificatekeyfile", Holds::Key),
    ("crt", Holds::Both),
    ("smtpd_tls_cert_file", Holds::Certificates),
    ("smtpd_tls_key_file", Holds::Key),
    ("smtpd_tls_chain_files", Holds::Both),
    ("ssl_cert", Holds::Certificates),
    ("ssl_key", Holds::Key),
];

/// A file that the configuration names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) path: String,
    pub(super) holds: Holds,
    /// The first place that names it, `file:line`.
    pub(super) at: String,
}

/// All of them, each once, by path.
pub(super) fn named(host: &Host) -> Vec<Named> {
    let mut by_path: BTreeMap<String, Named> = BTreeMap::new();
    let mut left = FILES_MAX;
    for (pattern, base) in PLACES {
        for file in host.glob(pattern).unwrap_or_default() {
            if left == 0 {
                break;
            }
            left -= 1;
            let text = host.read(&file).unwrap_or_default();
            // HAProxy's own beginning of relative paths.
            let own = text.lines().find_map(|line| line.trim().strip_prefix("crt-base "));
            let base = own.map_or(base, str::trim);
            for (line, text) in (1..).zip(text.lines()) {
                for (path, holds) in paths(text, base) {
                    for path in files(host, path, holds) {
                        if by_path.len() < NAMED_MAX {
                            let at = format!("{file}:{line}");
                            by_path.entry(path.clone()).or_insert(Named { path, holds, at });
                        }
                    }
                }
            }
        }
    }
    by_path.into_values().collect()
}

/// HAProxy's `crt` may name a folder of files.
fn files(host: &Host, path: String, holds: Holds) -> Vec<String> {
    if holds != Holds::Both {
        return vec![path];
    }
    match host.list(&path) {
        Ok(entries) => {
            let files = entries.iter().filter(|entry| entry.name.ends_with(".pem") || entry.name.ends_with(".crt"));
            files.map(|entry| format!("{}/{}", path.trim_end_matches('/'), entry.name)).collect()
        }
        Err(_) => vec![path],
    }
}

/// The paths that one line names.
fn paths(line: &str, base: &str) -> Vec<(String, Holds)> {
    let line = line.trim_start();
    if line.starts_with('#') {
        return Vec::new();
    }
    let parts = line.split(|one: char| one.is_whitespace() || matches!(one, ';' | '=' | '"' | '\'' | '<' | ','));
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    let pairs = parts.windows(2).filter_map(|pair| {
        let [word, path] = pair else { return None };
        let (_, holds) = WORDS.iter().find(|(one, _)| word.eq_ignore_ascii_case(one))?;
        // Variables, and certificates that stand in the line itself.
        if path.contains(['$', '{', ':']) {
            return None;
        }
        Some((if path.starts_with('/') { (*path).to_owned() } else { format!("{base}/{path}") }, *holds))
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn tls_01_lines_of_every_server_name_their_files() {
        for (line, path, holds) in [
            ("    ssl_certificate     /etc/a/full.pem;", "/etc/a/full.pem", Holds::Certificates),
            ("ssl_certificate_key a.key; # x", "/base/a.key", Holds::Key),
            ("  SSLCertificateFile \"/etc/b c.crt\"", "/etc/b", Holds::Certificates),
            ("bind :443 ssl crt /etc/haproxy/site.pem alpn h2", "/etc/haproxy/site.pem", Holds::Both),
            ("smtpd_tls_cert_file=/etc/ssl/certs/x.pem", "/etc/ssl/certs/x.pem", Holds::Certificates),
            ("ssl_cert = </etc/dovecot/x.pem", "/etc/dovecot/x.pem", Holds::Certificates),
        ] {
            assert_eq!(paths(line, "/base"), [(path.to_owned(), holds)], "{line}");
        }
        for line in [
            "# ssl_certificate /a;",
            "ssl_certificate $cert;",
            "ssl_certificate data:$x;",
            "ssl_trusted_certificate /a;",
            "crt",
            "",
        ] {
            assert!(paths(line, "/base").is_empty(), "{line}");
        }
    }

    #[test]
    fn tls_01_a_folder_stands_for_its_files() {
        let fixture = Fixture::image()
            .file(
                "/etc/haproxy/haproxy.cfg",
                "  crt-base /etc/haproxy\n  bind :443 ssl crt certs/\n  bind :444 ssl crt /gone.pem\n",
            )
            .file("/etc/haproxy/certs/a.pem", "")
            .file("/etc/haproxy/certs/README", "")
            .file("/etc/nginx/conf.d/a.conf", "ssl_certificate /etc/haproxy/certs/a.pem;\n");
        let found = named(&fixture.host());
        let found: Vec<_> = found.iter().map(|one| (one.path.as_str(), one.at.as_str())).collect();
        assert_eq!(
            found,
            [("/etc/haproxy/certs/a.pem", "/etc/nginx/conf.d/a.conf:1"), ("/gone.pem", "/etc/haproxy/haproxy.cfg:3")]
        );
    }
}
