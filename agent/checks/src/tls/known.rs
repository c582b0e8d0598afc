//! Every certificate of this host, once for all checks: in files, and as services show them.

use super::certificate::{Certificate, from_pem};
use super::named::{Holds, Named, named};
use crate::found::Gap;
use crate::host::{Host, Listening, Shown};
use crate::words;
use cloud_doctor_proto::finding::Words;
use std::collections::BTreeSet;

/// Ports where TLS begins with the first byte: HTTPS, LDAP, mail, AMQP, MQTT, Kubernetes, DNS.
const PORTS: [u16; 13] = [443, 465, 636, 853, 990, 993, 995, 5671, 6443, 8443, 8883, 9443, 10250];
/// Handshakes of one run.
const HANDSHAKES_MAX: usize = 40;
/// Names that each port is asked for.
const NAMES_MAX: usize = 12;
/// Services that did not answer, after which no more are asked.
const SILENT_MAX: usize = 3;
/// A certificate file is not larger; bundles of authorities are.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Everything that is known.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(super) files: Vec<File>,
    pub(super) served: Vec<Served>,
    /// Private keys, and files that hold one among others.
    pub(super) keys: Vec<Named>,
    /// What could not be looked at.
    pub(super) gaps: Vec<(String, Words)>,
}

/// A file with certificates: the first one is the server's own.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: String,
    /// Where the configuration names it; nothing for one that only lies there.
    pub(super) at: Option<String>,
    pub(super) chain: Vec<Certificate>,
}

/// What a service shows.
#[derive(Debug)]
pub(super) struct Served {
    /// The address, and the name it was asked for.
    pub(super) subject: String,
    pub(super) chain: Vec<Certificate>,
}

impl Host {
    /// The certificates of this host.
    ///
    /// # Errors
    /// [`Gap::NotHere`] when there is no sign of any.
    pub(super) fn certificates(&self) -> Result<&Known, Gap> {
        let known = self.known_certificates();
        if known.files.is_empty() && known.served.is_empty() && known.gaps.is_empty() {
            return Err(Gap::NotHere(words!(
                "no certificate is named in a configuration or shown by a service here",
                "此主机的配置和服务中均未发现证书"
            )));
        }
        Ok(known)
    }

    /// The same where nothing is an answer too.
    pub(super) fn known_certificates(&self) -> &Known {
        self.memo.certificates.get_or_init(|| gather(self))
    }
}

fn gather(host: &Host) -> Known {
    let mut known = Known::default();
    let (mut paths, mut seen) = (Vec::new(), BTreeSet::new());
    for named in named(host) {
        if named.holds != Holds::Key {
            paths.push((named.path.clone(), Some(named.at.clone())));
        }
        if named.holds != Holds::Certificates {
            known.keys.push(named);
        }
    }
    for pattern in ["/etc/letsencrypt/live/*/fullchain.pem", "/etc/ssl/private/*.crt", "/etc/ssl/private/*.pem"] {
        match host.glob(pattern) {
            Ok(found) => paths.extend(found.into_iter().map(|path| (path, None))),
            Err(Gap::NotHere(_)) => {}
            Err(Gap::Unknown(why)) => known.gaps.push((pattern.to_owned(), why)),
        }
    }
    for (path, at) in paths {
        if !seen.insert(path.clone()) {
            continue;
        }
        match read(host, &path) {
            // A file that only lies there and holds none is another kind of file.
            Ok(chain) if chain.is_empty() && at.is_none() => {}
            Ok(chain) => known.files.push(File { path, at, chain }),
            Err(Gap::NotHere(why) | Gap::Unknown(why)) => known.gaps.push((path, why)),
        }
    }
    #[cfg(test)]
    for entry in host.list(PRETENDED).unwrap_or_default() {
        let chain = read(host, &format!("{PRETENDED}/{}", entry.name)).unwrap_or_default();
        known.served.push(Served { subject: entry.name, chain });
    }
    if host.is_live() {
        ask(host, &mut known);
    }
    known
}

fn read(host: &Host, path: &str) -> Result<Vec<Certificate>, Gap> {
    if host.stat(path)?.size > FILE_BYTES_MAX {
        return Err(Gap::Unknown(words!("{path} is too large for a certificate", "{path} 过大，不像证书文件")));
    }
    Ok(from_pem(&host.read(path)?))
}

/// Asks each TLS port for each name that a file is for.
fn ask(host: &Host, known: &mut Known) {
    let mut services = host.accept_queues().unwrap_or_default();
    services.retain(|service| PORTS.contains(&service.address.port()));
    // One that listens for both families is one.
    services.sort_by_key(|service| (service.address.port(), service.address));
    services.dedup_by(|other, one| {
        let everywhere = |service: &Listening| service.address.ip().is_unspecified();
        one.address.port() == other.address.port() && everywhere(one) && everywhere(other)
    });
    let names = names(&known.files);
    let (mut left, mut silent) = (HANDSHAKES_MAX, 0);
    for service in services {
        let mut leaves = BTreeSet::new();
        for name in names.iter().map(Some).chain([None]) {
            if left == 0 || silent == SILENT_MAX {
                return;
            }
            left -= 1;
            let name = name.map(String::as_str);
            match show(host, &service, name) {
                Ok(None) => break,
                Ok(Some(Ok(chain))) => {
                    // The same certificate by another name is the same finding.
                    if chain.first().is_some_and(|leaf| leaves.insert(leaf.der.clone())) {
                        known.served.push(Served { subject: subject(&service, name), chain });
                    }
                }
                Ok(Some(Err(why))) => {
                    known.gaps.push((service.address.to_string(), why));
                    break;
                }
                Err(Gap::NotHere(why) | Gap::Unknown(why)) => {
                    silent += 1;
                    known.gaps.push((service.address.to_string(), why));
                    break;
                }
            }
        }
    }
}

type Chain = Result<Vec<Certificate>, Words>;

/// Nothing for a service that speaks something else.
fn show(host: &Host, service: &Listening, name: Option<&str>) -> Result<Option<Chain>, Gap> {
    let address = service.address;
    Ok(match host.shown_certificates(service, name)? {
        Shown::NoTls => None,
        // No such name here: what it shows for others counts.
        Shown::Refused(_) if name.is_some() => Some(Ok(Vec::new())),
        Shown::Refused(alert) => Some(Err(words!(
            "{address} refuses a TLS handshake without a name (alert {alert})",
            "{address} 拒绝不带域名的 TLS 握手（告警 {alert}）"
        ))),
        Shown::Chain(chain) => {
            let all: Option<Vec<Certificate>> = chain.iter().map(|der| Certificate::parse(der)).collect();
            Some(all.ok_or_else(|| {
                words!("{address} shows a certificate that cannot be read", "{address} 出示的证书无法解析")
            }))
        }
    })
}

fn subject(service: &Listening, name: Option<&str>) -> String {
    let address = service.address;
    name.map_or_else(|| address.to_string(), |name| format!("{address} {name}"))
}

/// One name of each server certificate. A wildcard is asked for as a visitor would.
fn names(files: &[File]) -> Vec<String> {
    let leaves = files.iter().filter_map(|file| file.chain.first());
    let names: BTreeSet<String> = leaves
        .filter_map(|leaf| leaf.names.iter().find(|name| !name.starts_with('*')).or_else(|| leaf.names.first()))
        .map(|name| name.strip_prefix("*.").map_or_else(|| name.clone(), |rest| format!("www.{rest}")))
        .collect();
    names.into_iter().take(NAMES_MAX).collect()
}

/// In tests: the folder with what services show, each file named as its subject.
#[cfg(test)]
pub(super) const PRETENDED: &str = "/.served";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;
    use crate::tls::certificate::tests::{INTERMEDIATE, LEAF, SHORT};

    #[test]
    fn tls_01_files_are_found_where_they_are_named_and_where_they_lie() {
        let fixture = Fixture::image()
            .file(
                "/etc/nginx/conf.d/a.conf",
                "ssl_certificate /a.pem;\nssl_certificate_key /a.key;\nssl_certificate /gone.pem;\n",
            )
            .file("/a.pem", format!("{LEAF}{INTERMEDIATE}"))
            .file("/etc/letsencrypt/live/short/fullchain.pem", SHORT)
            .file("/etc/letsencrypt/live/README", "")
            .file("/etc/ssl/private/only-a-key.pem", "-----BEGIN PRIVATE KEY-----\n");
        let host = fixture.host();
        let known = host.certificates().unwrap();
        let files: Vec<_> =
            known.files.iter().map(|file| (file.path.as_str(), file.chain.len(), file.at.is_some())).collect();
        assert_eq!(files, [("/a.pem", 2, true), ("/etc/letsencrypt/live/short/fullchain.pem", 1, false)]);
        assert_eq!(known.keys.len(), 1);
        assert_eq!(known.gaps.len(), 1, "what is named must be there");
        assert_eq!(names(&known.files), ["shop.example.com", "short.example.com"]);
        assert!(Fixture::image().host().certificates().is_err());
    }
}
