//! Whether nginx's certificates are for the names that it serves them for. Of files only: a block whose certificate comes
//! from an include, a variable or the level above is not judged.

use super::certificate::Certificate;
use super::known::Known;
use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::many::many;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "tls.name",
    title: Text { en: "Names in certificates", zh: "证书域名匹配" },
    reads: &["/etc/nginx/**", "the certificates named there"],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[],
    impact: Text {
        en: "Visitors of these names get a full-page warning instead of the site, and applications refuse to connect.",
        zh: "访问这些域名的用户会看到整页警告而非网站，应用程序会拒绝连接。",
    },
    remedy: Text {
        en: "Have the certificate issued for all names (`certbot --expand -d NAME -d NAME`), or take the name out of \
             server_name, then reload nginx.",
        zh: "为所有域名重新签发证书（`certbot --expand -d 域名 -d 域名`），或从 server_name 中移除该域名，然后重载 nginx。",
    },
    run,
};

/// Where nginx keeps its servers.
const FILES: [&str; 6] = [
    "/etc/nginx/nginx.conf",
    "/etc/nginx/conf.d/*.conf",
    "/etc/nginx/sites-enabled/*",
    "/usr/local/nginx/conf/*.conf",
    "/usr/local/nginx/conf/vhost*/*.conf",
    "/www/server/panel/vhost/nginx/*.conf",
];
const FILES_MAX: usize = 500;
const SERVERS_MAX: usize = 500;
/// Names of one server that are listed.
const LISTED_MAX: usize = 5;

/// One `server` block.
#[derive(Debug, Default, PartialEq, Eq)]
struct Server {
    line: usize,
    names: Vec<String>,
    certificates: Vec<String>,
}

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let known = host.known_certificates();
    let mut found = Vec::new();
    let files = FILES.iter().flat_map(|pattern| host.glob(pattern).unwrap_or_default());
    for file in files.take(FILES_MAX) {
        let text = host.read(&file).unwrap_or_default();
        for server in servers(&text) {
            if found.len() < SERVERS_MAX {
                found.extend(judge(known, &file, &server));
            }
        }
    }
    if found.is_empty() {
        return Err(Gap::NotHere(words!(
            "no server of nginx here names both a certificate and a name",
            "此主机的 nginx 没有同时配置证书和域名的站点"
        )));
    }
    // A name that stands in several blocks is one finding, the worst.
    found.sort_by(|one, other| one.subject.cmp(&other.subject).then(other.status.cmp(&one.status)));
    found.dedup_by(|other, one| other.subject == one.subject);
    Ok(many(found))
}

/// Nothing for a server of which a certificate could not be read.
fn judge(known: &Known, file: &str, server: &Server) -> Option<Found> {
    let read = |path: &String| known.files.iter().find(|one| one.path == *path)?.chain.first();
    let leaves: Option<Vec<&Certificate>> = server.certificates.iter().map(read).collect();
    let leaves = leaves.filter(|leaves| !leaves.is_empty())?;
    let subject = server.names.first()?;
    let uncovered: Vec<&str> = server
        .names
        .iter()
        .filter(|name| !leaves.iter().any(|leaf| leaf.names.iter().any(|pattern| covers(pattern, name))))
        .map(String::as_str)
        .collect();
    let (all, count) = (server.names.len(), uncovered.len());
    if uncovered.is_empty() {
        let fine =
            words!("the certificate of {subject} is for all {all} names", "{subject} 的证书覆盖全部 {all} 个域名");
        return Some(Found::new(subject, Status::Ok, fine));
    }
    let listed = uncovered.get(..LISTED_MAX).unwrap_or(&uncovered).join(", ");
    let found = Found::new(
        subject,
        if count == all { Status::Critical } else { Status::Warning },
        words!(
            "{count} of {all} names of the server {subject} are not in its certificate: {listed}",
            "站点 {subject} 的 {all} 个域名中有 {count} 个不在其证书内：{listed}"
        ),
    );
    let found = found.evidence(format!("{file}:{}", server.line), format!("server_name {}", server.names.join(" ")));
    let paths = server.certificates.iter().zip(&leaves);
    Some(paths.fold(found, |found, (path, leaf)| found.evidence(path, format!("for {}", leaf.names.join(" ")))))
}

/// RFC 6125 6.4.3: a star stands for one whole first label.
fn covers(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(rest) => name == pattern || name.split_once('.').is_some_and(|(_, behind)| behind == rest),
        None => pattern == name,
    }
}

/// The server blocks of one file, by counting braces. What stands in a location does not count.
fn servers(text: &str) -> Vec<Server> {
    let (mut all, mut open, mut depth, mut at) = (Vec::new(), None, 0_usize, 0_usize);
    let mut statement: Vec<&str> = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.split('#').next().unwrap_or_default();
        for part in text.split_inclusive(['{', '}', ';']) {
            let end = part.chars().last().filter(|last| matches!(last, '{' | '}' | ';'));
            let words = part.trim_end_matches(['{', '}', ';']);
            statement.extend(words.split_ascii_whitespace());
            match end {
                Some('{') => {
                    depth += 1;
                    if open.is_none() && statement.as_slice() == ["server"] {
                        (open, at) = (Some(Server { line, ..Server::default() }), depth);
                    }
                }
                Some('}') => {
                    if depth == at {
                        all.extend(open.take());
                    }
                    depth = depth.saturating_sub(1);
                }
                Some(_) => {
                    if let Some(server) = open.as_mut().filter(|_| depth == at) {
                        server.take(&statement);
                    }
                }
                None => continue,
            }
            statement.clear();
        }
    }
    all
}

impl Server {
    fn take(&mut self, statement: &[&str]) {
        let unquoted = |word: &&str| word.trim_matches(['"', '\'']).to_owned();
        match statement {
            ["server_name", names @ ..] => {
                let names = names.iter().map(|name| unquoted(name).trim_start_matches('.').to_ascii_lowercase());
                // Patterns, catch-alls, addresses and names of this host's own have no certificate.
                let plain = |name: &String| {
                    name.contains('.')
                        && !name.starts_with('~')
                        && !name.contains(['$', '_', '*'])
                        && !name.ends_with(".local")
                };
                self.names.extend(names.filter(plain).filter(|name| name.parse::<std::net::IpAddr>().is_err()));
            }
            ["ssl_certificate", path] => self.certificates.push(unquoted(path)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use crate::tls::certificate::tests::LEAF;

    fn host(names: &str) -> Fixture {
        Fixture::image().file("/a.pem", LEAF).file(
            "/etc/nginx/sites-enabled/shop",
            format!("server {{\n  listen 443 ssl; # }}\n  server_name {names};\n  ssl_certificate /a.pem;\n  location / {{ server_name other.example.org; }}\n}}\nserver {{ listen 80; server_name plain.example.org; }}\n"),
        )
    }

    #[test]
    fn tls_03_a_certificate_must_be_for_the_names_it_is_served_for() {
        for (names, expected) in [
            ("shop.example.com www.shop.example.com", Status::Ok),
            ("SHOP.example.com _ ~^x 10.0.0.1", Status::Ok),
            ("shop.example.com api.example.com", Status::Warning),
            ("\n  api.example.com\n  cdn.example.com", Status::Critical),
        ] {
            let found = host(names).run(&CHECK);
            assert_eq!((found.len(), found[0].status), (1, expected), "{names}");
        }
        assert!(host("_").has_none_of(&CHECK));
        assert!(host("a.example.com").file("/a.pem", "").has_none_of(&CHECK), "a certificate that cannot be read");
        assert!(Fixture::image().has_none_of(&CHECK));
    }

    #[test]
    fn stars_stand_for_one_label_and_broken_files_do_no_harm() {
        for (pattern, name, fits) in [
            ("*.a.com", "b.a.com", true),
            ("*.a.com", "a.com", false),
            ("*.a.com", "c.b.a.com", false),
            ("a.com", "a.com", true),
        ] {
            assert_eq!(covers(pattern, name), fits, "{pattern} {name}");
        }
        for bad in ["}}}}", "server {", "server { server { } }", "{;{;}", "server_name a.b;", "\u{4e2d}{"] {
            assert!(servers(bad).len() <= 1, "{bad}");
        }
    }
}
