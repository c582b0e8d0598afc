//! Whether each nameserver of this host answers, and how fast.

use super::{RESOLV_CONF, SERVERS_ASKED, Server, resolver};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::{DnsAnswer, Host, is_name};
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "dns.nameservers",
    title: Text { en: "Answers of the nameservers", zh: "DNS 服务器响应" },
    reads: &["/etc/resolv.conf", "/proc/sys/kernel/hostname", "a query to each nameserver of this host (UDP 53)"],
    needs: Needs { net: true, ..Needs::LIVE },
    params: &[Param::above("warning", 500.0, 300.0, "ms", "our recommendation: every new connection waits this long")],
    impact: Text {
        en: "Every name that is looked up waits for this server first, 5 s each time where nothing else is set; connections to databases, APIs and other servers start late or fail.",
        zh: "每次域名解析都会先等待该服务器（未另行设置时每次 5 秒），导致到数据库、API 及其他服务器的连接变慢或失败。",
    },
    remedy: Text {
        en: "Ask it by hand: dig @SERVER example.com. Let UDP and TCP 53 through to it, or put one that answers first (Alibaba Cloud: 100.100.2.136 and 100.100.2.138), where this file comes from: netplan, NetworkManager, systemd-resolved or DHCP.",
        zh: "手动查询：dig @SERVER example.com。放行到它的 UDP 与 TCP 53，或将可用的服务器排在首位（阿里云为 100.100.2.136 与 100.100.2.138）；请在该文件的来源处修改：netplan、NetworkManager、systemd-resolved 或 DHCP。",
    },
    run,
};

/// A name that every resolver that reaches the internet knows; it belongs to nobody (RFC 2606).
const PROBE_NAME: &str = "example.com";

/// What one server did.
#[derive(Debug, PartialEq)]
enum Health {
    /// It answers everything, the slowest name after this many milliseconds.
    Answers(u64),
    /// It answers, but not for these names.
    Fails {
        names: String,
        code: u8,
    },
    Silent,
    Unreachable,
}

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    host.must_live()?;
    let resolver = resolver(host)?;
    let own = own_name(host, resolver.domain.as_deref());
    let names: Vec<&str> = own.as_deref().into_iter().chain([PROBE_NAME]).collect();
    let mut asked = Vec::new();
    for server in resolver.servers.iter().take(SERVERS_ASKED) {
        let Some(address) = server.address else { continue };
        asked.push((server, health(&names, &host.ask_dns(address, &names)?)));
    }
    if asked.is_empty() {
        return Err(Gap::NotHere(words!("{RESOLV_CONF} names no server", "{RESOLV_CONF} 未指定 DNS 服务器")));
    }
    Ok(judge(settings, &asked))
}

/// The full name of this host; nothing when it has none that could be asked.
fn own_name(host: &Host, domain: Option<&str>) -> Option<String> {
    let name = host.name();
    let full = if name.contains('.') { name } else { format!("{name}.{}", domain?.trim_matches('.')) };
    is_name(&full).then_some(full)
}

/// That a name does not exist is an answer.
fn health(names: &[&str], answers: &[DnsAnswer]) -> Health {
    let (mut slowest, mut code, mut failed) = (0, 0, Vec::new());
    let (mut silent, mut unreachable) = (0, 0);
    for (name, answer) in names.iter().zip(answers) {
        match answer {
            DnsAnswer::Code { code: 0 | 3, millis } => slowest = slowest.max(*millis),
            DnsAnswer::Code { code: bad, .. } => {
                code = *bad;
                failed.push(*name);
            }
            DnsAnswer::Silent => {
                silent += 1;
                failed.push(*name);
            }
            DnsAnswer::Unreachable => unreachable += 1,
        }
    }
    if unreachable > 0 {
        Health::Unreachable
    } else if silent == answers.len() {
        Health::Silent
    } else if failed.is_empty() {
        Health::Answers(slowest)
    } else {
        Health::Fails { names: failed.join(", "), code }
    }
}

fn judge(settings: &Settings<'_>, asked: &[(&Server, Health)]) -> Vec<Found> {
    let some_answer = asked.iter().any(|(_, health)| matches!(health, Health::Answers(_)));
    let failing = if some_answer { Status::Warning } else { Status::Critical };
    let all = asked.iter().map(|(server, health)| {
        let name = &server.text;
        let subject = format!("nameserver {name}");
        let found = match health {
            Health::Answers(millis) => {
                let number = f64::from(u32::try_from(*millis).unwrap_or(u32::MAX));
                let summary = words!("nameserver {name} answers after {millis} ms", "DNS 服务器 {name} 在 {millis} 毫秒内响应");
                Found::new(&subject, settings.level(&subject, number), summary).value(number, "ms")
            }
            Health::Fails { names, code } => {
                let why = reason(*code);
                Found::new(
                    &subject,
                    failing,
                    words!("nameserver {name} does not resolve {names}: {why}", "DNS 服务器 {name} 无法解析 {names}：{why}"),
                )
            }
            Health::Silent => Found::new(
                &subject,
                failing,
                words!("nameserver {name} does not answer within 2 s", "DNS 服务器 {name} 在 2 秒内无响应"),
            ),
            Health::Unreachable => Found::new(
                &subject,
                failing,
                words!("nameserver {name} cannot be reached: nothing listens there, or there is no way", "DNS 服务器 {name} 不可达：端口未监听或无路由"),
            ),
        };
        let found = found.evidence(server.source(), format!("nameserver {name}"));
        if found.status == Status::Critical {
            found.impact(words!(
                "No nameserver of this host answers as it should: names cannot be looked up, so connections by name fail.",
                "此主机的所有 DNS 服务器均未正常响应：域名无法解析，所有按域名建立的连接都会失败。"
            ))
        } else {
            found
        }
    });
    all.collect()
}

/// RFC 1035 4.1.1. 0: it was silent for that name.
fn reason(code: u8) -> String {
    match code {
        0 => "no answer".to_owned(),
        2 => "SERVFAIL".to_owned(),
        5 => "REFUSED".to_owned(),
        other => format!("code {other}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;

    const OK: DnsAnswer = DnsAnswer::Code { code: 0, millis: 3 };
    const NONE: DnsAnswer = DnsAnswer::Code { code: 3, millis: 4 };
    const SERVFAIL: DnsAnswer = DnsAnswer::Code { code: 2, millis: 3 };
    const SLOW: DnsAnswer = DnsAnswer::Code { code: 0, millis: 501 };

    #[test]
    fn dns_01_servers_are_judged_by_what_they_answer() {
        let wanted = crate::Wanted::default();
        let settings = Settings::of(&CHECK, &wanted);
        for (servers, expected) in [
            (&[[OK, NONE]][..], &[Status::Ok][..]),
            (&[[OK, SLOW]], &[Status::Warning]),
            (&[[DnsAnswer::Silent, DnsAnswer::Silent], [OK, OK]], &[Status::Warning, Status::Ok]),
            (&[[DnsAnswer::Unreachable, DnsAnswer::Unreachable]], &[Status::Critical]),
            (&[[OK, SERVFAIL], [OK, OK]], &[Status::Warning, Status::Ok]),
            (&[[OK, DnsAnswer::Silent], [SERVFAIL, SERVFAIL]], &[Status::Critical, Status::Critical]),
        ] {
            let server = Server { line: 1, text: "10.0.0.2".into(), address: None };
            let names = ["web1.example.com", PROBE_NAME];
            let asked: Vec<_> = servers.iter().map(|answers| (&server, health(&names, answers))).collect();
            let found = judge(&settings, &asked);
            assert_eq!(found.iter().map(|found| found.status).collect::<Vec<_>>(), expected, "{servers:?}");
        }
    }

    #[test]
    fn dns_01_only_a_running_host_with_servers_can_tell() {
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
        assert!(Fixture::live().has_none_of(&CHECK));
        assert!(Fixture::live().file(RESOLV_CONF, "nameserver what\n").has_none_of(&CHECK));
        for (name, domain, full) in [
            ("web1", Some("example.com"), Some("web1.example.com")),
            ("web1.corp", None, Some("web1.corp")),
            ("web1", None, None),
            ("web 1", Some("example.com"), None),
        ] {
            let fixture = Fixture::live().file("/proc/sys/kernel/hostname", format!("{name}\n"));
            assert_eq!(own_name(&fixture.host(), domain).as_deref(), full, "{name}");
        }
    }
}
