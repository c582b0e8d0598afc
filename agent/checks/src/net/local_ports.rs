//! Whether local ports run out towards one destination: each connection to it needs one of its own.

use super::counters::setting;
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::number::percent;
use crate::run::Settings;
use crate::words;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(crate) const CHECK: Check = Check {
    id: "net.local-ports",
    title: Text { en: "Local ports towards one destination", zh: "到单一目标的本地端口" },
    reads: &["/proc/net/tcp", "/proc/net/tcp6", "/proc/sys/net/ipv4/ip_local_port_range"],
    needs: Needs::LIVE,
    params: &[
        Param::above("warning", 80.0, 60.0, "%", "ours: at 100 % connect() fails with EADDRNOTAVAIL"),
        Param::above("critical", 98.0, 80.0, "%", "ours"),
    ],
    impact: Text {
        en: "New connections to this backend fail with \"Cannot assign requested address\" although it is well.",
        zh: "到该后端的新连接会报 \"Cannot assign requested address\" 而失败，尽管后端正常。",
    },
    remedy: Text {
        en: "Keep connections open and use them again (nginx: `keepalive 64` in the upstream, pools in applications); widen \
             net.ipv4.ip_local_port_range to `1024 65535`; set net.ipv4.tcp_tw_reuse=1; or give the backend another \
             address or port.",
        zh: "复用长连接（nginx upstream 配置 `keepalive 64`，应用使用连接池）；将 net.ipv4.ip_local_port_range \
             扩大为 `1024 65535`；设置 net.ipv4.tcp_tw_reuse=1；或为后端增加地址或端口。",
    },
    run,
};

const RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let (low, high) = (setting(host, RANGE, 0)?, setting(host, RANGE, 1)?);
    let four = host.must_read("/proc/net/tcp")?;
    // Missing where IPv6 is off.
    let six = match host.read("/proc/net/tcp6") {
        Ok(text) => text,
        Err(Gap::NotHere(_)) => String::new(),
        Err(gap) => return Err(gap),
    };
    let sockets: Vec<Socket<'_>> = four.lines().chain(six.lines()).filter_map(Socket::parse).collect();
    let listening: BTreeSet<u16> = sockets.iter().filter(|one| one.listens).map(|one| one.port).collect();
    let mut ports: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for socket in sockets.iter().filter(|one| !one.listens && !listening.contains(&one.port)) {
        if (low..=high).contains(&u64::from(socket.port)) {
            *ports.entry((socket.from, socket.to)).or_default() += 1;
        }
    }
    let all = high.saturating_sub(low).saturating_add(1);
    let most = ports.iter().max_by_key(|(_, count)| **count);
    let (count, to) = most.map_or((0, String::new()), |((_, to), count)| (*count, destination(to).unwrap_or_default()));
    let used = percent(count, all).unwrap_or(0.0);
    let found = Found::new(
        "",
        settings.level("", used),
        words!(
            "{count} of {all} local ports are used towards one destination{}",
            "到同一目标使用了 {count}/{all} 个本地端口{}",
            if to.is_empty() { String::new() } else { format!(" ({to})") }
        ),
    );
    let found = found.value(used, "%").evidence(RANGE, format!("{low} {high}"));
    Ok(vec![if to.is_empty() { found } else { found.evidence("/proc/net/tcp", format!("{count} sockets to {to}")) }])
}

/// One line of `/proc/net/tcp`.
struct Socket<'a> {
    from: &'a str,
    port: u16,
    to: &'a str,
    listens: bool,
}

impl<'a> Socket<'a> {
    /// `0: 0100007F:1F90 00000000:0000 0A …`
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (local, to, state) = (fields.next()?, fields.next()?, fields.next()?);
        let (from, port) = local.split_once(':')?;
        Some(Self { from, port: u16::from_str_radix(port, 16).ok()?, to, listens: state == "0A" })
    }
}

/// `0100007F:1F90` for people. Addresses stand there as words of the machine.
fn destination(text: &str) -> Option<String> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| Some(u32::from_str_radix(address.get(at..at.checked_add(8)?)?, 16).ok()?.to_ne_bytes());
    let ip = match address.len() {
        8 => IpAddr::from(Ipv4Addr::from(word(0)?)),
        32 => {
            let bytes = [word(0)?, word(8)?, word(16)?, word(24)?].concat();
            IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)).to_canonical()
        }
        _ => return None,
    };
    Some(std::net::SocketAddr::new(ip, port).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use cloud_doctor_proto::finding::Status;

    /// `count` connections from a port each to 127.0.0.1:8080; port 32768 listens.
    fn host(count: u16) -> Fixture {
        let mut text =
            String::from("  sl  local_address rem_address   st tx_queue\n   0: 00000000:8000 00000000:0000 0A 0:0\n");
        for port in 0..count {
            text += &format!("   {port}: 0100007F:{:04X} 0100007F:1F90 06 0:0\n", 32769 + port);
            // Who came to a port that listens has taken none of ours.
            text += &format!("   {port}: 0100007F:8000 0100007F:{:04X} 01 0:0\n", 32769 + port);
        }
        Fixture::live().file("/proc/net/tcp", text).file(RANGE, "32768\t33767\n")
    }

    #[test]
    fn net_08_ports_are_counted_for_each_destination() {
        for (count, expected) in [(0, Status::Ok), (500, Status::Ok), (850, Status::Warning), (990, Status::Critical)] {
            assert_eq!(host(count).status(&CHECK), expected, "{count}");
        }
        assert!(host(850).run(&CHECK)[0].summary.en.contains("127.0.0.1:8080"));
        assert_eq!(destination("0000000000000000FFFF00000100007F:0050").as_deref(), Some("127.0.0.1:80"));
        for bad in ["", ":", "00:0050", "zzzzzzzz:0050", "0100007F:zz", "é100007F:0050"] {
            assert_eq!(destination(bad), None, "{bad}");
        }
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
    }
}
