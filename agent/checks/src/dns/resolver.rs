//! How this host's resolver is set up: how many servers, and how long it waits for a dead one.

use super::{RESOLV_CONF, Resolver, SERVERS_ASKED, resolver};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "dns.resolver",
    title: Text { en: "Resolver configuration", zh: "解析器配置" },
    reads: &["/etc/resolv.conf"],
    needs: Needs::FILES,
    params: &[Param::above("warning", 3.0, 3.0, "", "resolv.conf(5): the C library asks the first three (MAXNS)")],
    impact: Text {
        en: "When a nameserver dies, every lookup waits 5 s for it, and with one server all fail.",
        zh: "DNS 服务器故障时，每次解析都会等待 5 秒；若只有一台服务器，则全部失败。",
    },
    remedy: Text {
        en: "Name two or three servers, and add: options timeout:1 attempts:2 rotate. Set it where this file comes from: netplan, NetworkManager, systemd-resolved or DHCP.",
        zh: "配置两到三台服务器，并添加：options timeout:1 attempts:2 rotate。请在该文件的来源处修改：netplan、NetworkManager、systemd-resolved 或 DHCP。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let resolver = resolver(host)?;
    let mut found = Vec::new();
    for server in resolver.servers.iter().filter(|server| server.address.is_none()).take(10) {
        let text = &server.text;
        let summary = words!("{text:?} is no address of a nameserver", "{text:?} 不是有效的 DNS 服务器地址");
        let bad = Found::new(format!("nameserver {text}"), Status::Warning, summary);
        found.push(bad.evidence(server.source(), format!("nameserver {text}")));
    }
    found.push(judge(settings, &resolver));
    Ok(found)
}

/// What is set up, all servers together.
fn judge(settings: &Settings<'_>, resolver: &Resolver) -> Found {
    let count = resolver.servers.iter().filter(|server| server.address.is_some()).count();
    let local = resolver.servers.iter().any(|server| server.address.is_some_and(|address| address.ip().is_loopback()));
    let waits_briefly = |name: &str| resolver.options.iter().any(|(_, option)| option.starts_with(name));
    #[expect(clippy::cast_precision_loss, reason = "lines of one file")]
    let number = count as f64;
    let status = settings.level("", number);
    let found = if count == 0 {
        let summary = words!("{RESOLV_CONF} names no nameserver", "{RESOLV_CONF} 未指定 DNS 服务器");
        Found::new("", Status::Warning, summary).impact(words!(
            "Names cannot be looked up unless a nameserver runs on this host itself.",
            "除非本机运行 DNS 服务，否则无法解析域名。"
        ))
    } else if status != Status::Ok {
        let ignored = count.saturating_sub(SERVERS_ASKED);
        let summary = words!(
            "{count} nameservers are named; the last {ignored} are never asked",
            "配置了 {count} 台 DNS 服务器，最后 {ignored} 台不会被使用"
        );
        Found::new("", status, summary)
    } else if local {
        Found::new("", status, words!("a resolver on this host is asked", "使用本机的解析服务"))
    } else if count == 1 {
        Found::advice("", words!("there is only one nameserver", "只配置了一台 DNS 服务器"))
    } else if !waits_briefly("timeout:") && !waits_briefly("attempts:") {
        Found::advice(
            "",
            words!(
                "a dead nameserver is waited for 5 s, twice (the defaults)",
                "对故障 DNS 服务器会等待 5 秒并重试 2 次（默认值）"
            ),
        )
    } else {
        Found::new("", status, words!("{count} nameservers are named", "配置了 {count} 台 DNS 服务器"))
    };
    let first = resolver.servers.first();
    let source = first.map_or_else(|| RESOLV_CONF.to_owned(), super::Server::source);
    let text =
        first.map_or_else(|| "no line \"nameserver\"".to_owned(), |server| format!("nameserver {}", server.text));
    found.value(number, "").evidence(source, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn dns_02_the_resolver_is_set_up() {
        for (text, expected, note) in [
            ("nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch .\n", Status::Ok, false),
            ("nameserver 10.0.0.2\nnameserver 10.0.0.3\noptions timeout:1 attempts:2\n", Status::Ok, false),
            ("nameserver 10.0.0.2\nnameserver 10.0.0.3\n", Status::Ok, true),
            ("nameserver 10.0.0.2\n", Status::Ok, true),
            ("# nothing\n", Status::Warning, false),
            (
                "nameserver 1.1.1.1\nnameserver 1.1.1.2\nnameserver 1.1.1.3\nnameserver 1.1.1.4\n",
                Status::Warning,
                false,
            ),
            ("nameserver 10.0.0.2,10.0.0.3\nnameserver 127.0.0.1\n", Status::Warning, false),
        ] {
            let found = Fixture::image().file(RESOLV_CONF, text).run(&CHECK);
            assert_eq!((found[0].status, found.iter().any(|found| found.note)), (expected, note), "{text}");
        }
        assert!(Fixture::image().has_none_of(&CHECK));
        assert_eq!(Fixture::image().file(RESOLV_CONF, "a\0b").status(&CHECK), Status::Unknown);
    }
}
