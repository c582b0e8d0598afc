//! Whether this host knows its own name without asking anybody.

use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;
use std::collections::BTreeMap;
use std::net::IpAddr;

pub(crate) const CHECK: Check = Check {
    id: "dns.host-name",
    title: Text { en: "The host's own name", zh: "主机名解析" },
    reads: &["/etc/hosts", "/etc/hostname", "/etc/nsswitch.conf"],
    needs: Needs::FILES,
    params: &[],
    impact: Text {
        en: "Programs that look up the host's own name (sudo, mail, Java, databases) stall at their start, or take a wrong address.",
        zh: "需要解析本机主机名的程序（sudo、邮件、Java、数据库）会在启动时卡顿，或得到错误的地址。",
    },
    remedy: Text {
        en: "Keep one line for the name in /etc/hosts: 127.0.1.1 FULL-NAME SHORT-NAME.",
        zh: "在 /etc/hosts 中为该主机名保留一行：127.0.1.1 完整主机名 短主机名。",
    },
    run,
};

const HOSTS: &str = "/etc/hosts";
/// Names that are told one by one.
const SHOWN_MAX: usize = 10;

fn run(host: &Host, _settings: &Settings<'_>) -> Outcome {
    let name = host.name();
    if name.is_empty() {
        return Err(Gap::Unknown(words!(
            "the host's name is not known (/etc/hostname)",
            "无法得知主机名（/etc/hostname）"
        )));
    }
    let text = host.read(HOSTS)?;
    let entries = entries(&text);
    let mut found: Vec<Found> = twice(&entries).take(SHOWN_MAX).collect();
    let short = name.split('.').next().unwrap_or(&name);
    let has_entry = [name.as_str(), short].iter().any(|name| entries.contains_key(name.to_ascii_lowercase().as_str()));
    found.push(if has_entry || found_by_service(host) {
        Found::new("", Status::Ok, words!("{name} is found without a nameserver", "无需 DNS 服务器即可解析 {name}"))
    } else {
        Found::advice("", words!("{name} does not stand in /etc/hosts", "/etc/hosts 中没有 {name}"))
            .evidence(HOSTS, format!("no line for {name}"))
    });
    Ok(found)
}

/// Lines of each name: number, address.
fn entries(text: &str) -> BTreeMap<String, Vec<(usize, IpAddr)>> {
    let mut entries: BTreeMap<String, Vec<(usize, IpAddr)>> = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
        let Some(address) = words.next().and_then(|address| address.parse().ok()) else { continue };
        for name in words {
            entries.entry(name.to_ascii_lowercase()).or_default().push((index + 1, address));
        }
    }
    entries
}

/// Names with two different addresses of one kind; the first one is taken.
fn twice(entries: &BTreeMap<String, Vec<(usize, IpAddr)>>) -> impl Iterator<Item = Found> {
    entries.iter().filter_map(|(name, lines)| {
        // Loopback is written in several ways by installers, and all of them are this host.
        let mut real = lines.iter().filter(|(_, address)| !address.is_loopback());
        let (first, address) = real.next()?;
        let (second, other) = real.find(|(_, other)| other.is_ipv4() == address.is_ipv4() && other != address)?;
        let summary = words!(
            "{name} has two addresses in /etc/hosts: {address} is taken, {other} is not",
            "/etc/hosts 中 {name} 有两个地址：使用 {address}，而 {other} 不会被使用"
        );
        let found = Found::advice(name, summary).evidence(format!("{HOSTS}:{first}"), format!("{address} {name}"));
        Some(found.evidence(format!("{HOSTS}:{second}"), format!("{other} {name}")))
    })
}

/// Whether a module of the C library answers for the own name: nss-myhostname(8), nss-resolve(8).
fn found_by_service(host: &Host) -> bool {
    let text = host.read("/etc/nsswitch.conf").unwrap_or_default();
    let hosts = text.lines().find_map(|line| line.trim_start().strip_prefix("hosts:"));
    hosts.is_some_and(|modules| {
        modules.split_ascii_whitespace().any(|module| module == "myhostname" || module == "resolve")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn dns_03_the_own_name_is_found_once() {
        const LOCAL: &str = "127.0.0.1\tlocalhost\n::1 localhost ip6-localhost\n";
        for (hosts, switch, notes) in [
            (format!("{LOCAL}127.0.1.1 web1.example.com web1\n"), "hosts: files dns\n", 0),
            (LOCAL.to_owned(), "hosts: files dns\n", 1),
            (LOCAL.to_owned(), "passwd: files\nhosts: files myhostname dns\n", 0),
            (format!("{LOCAL}10.0.0.5 web1 db\n10.0.0.6 db # old\n#10.0.0.7 web1\n"), "", 1),
            (format!("{LOCAL}10.0.0.5 WEB1\n10.0.0.5 web1\nfe80::1 web1\nrubbish web1\n"), "", 0),
        ] {
            let host =
                Fixture::image().file("/etc/hostname", "web1\n").file(HOSTS, &hosts).file("/etc/nsswitch.conf", switch);
            let found = host.run(&CHECK);
            assert_eq!(found.iter().filter(|found| found.note).count(), notes, "{hosts} {found:?}");
            assert!(found.iter().all(|found| found.status == Status::Ok));
        }
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
        assert!(Fixture::image().file("/etc/hostname", "web1\n").has_none_of(&CHECK));
    }
}
