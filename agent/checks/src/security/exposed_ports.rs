//! Databases, caches and control ports that others than this host can reach.

use crate::check::{Check, Needs, Text};
use crate::found::{Found, Outcome};
use crate::host::{Addresses, Host, Listener, Protocol, Reach};
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;
use std::collections::BTreeMap;

pub(crate) const CHECK: Check = Check {
    id: "security.exposed-ports",
    title: Text { en: "Databases and control ports open to others", zh: "对外开放的数据库与管理端口" },
    reads: &[
        "/proc/net/tcp",
        "/proc/net/tcp6",
        "/proc/net/udp",
        "/proc/net/fib_trie",
        "/proc/net/if_inet6",
        "/proc/*/fd",
    ],
    needs: Needs { root: true, ..Needs::LIVE },
    params: &[],
    impact: Text {
        en: "Such ports are found within minutes and attacked by machines: data is stolen or encrypted, or the server is taken \
             over.",
        zh: "此类端口会在数分钟内被扫描发现并遭自动化攻击：数据被窃取或加密勒索，或服务器被接管。",
    },
    remedy: Text {
        en: "Bind the service to 127.0.0.1 or to the private address of this host, and let the security group allow the port \
             from its clients only. Containers: publish as 127.0.0.1:PORT:PORT.",
        zh: "将服务绑定到 127.0.0.1 或本机内网地址，并在安全组中只对其客户端放行该端口。容器请以 127.0.0.1：端口：端口 的形式发布。",
    },
    run,
};

/// A port that strangers have no business with.
struct Port {
    number: u16,
    protocol: Protocol,
    name: &'static str,
    /// Whether it asks nobody for a password as it comes.
    bare: bool,
}

const fn tcp(number: u16, name: &'static str, bare: bool) -> Port {
    Port { number, protocol: Protocol::Tcp, name, bare }
}

/// IANA's register and the projects' own defaults. memcached has a check of its own, which knows its options.
const PORTS: [Port; 20] = [
    tcp(1433, "SQL Server", false),
    tcp(1521, "Oracle", false),
    tcp(2181, "ZooKeeper", true),
    tcp(2375, "Docker without TLS", true),
    tcp(2379, "etcd", false),
    tcp(3306, "MySQL", false),
    tcp(33060, "MySQL X", false),
    tcp(5432, "PostgreSQL", false),
    tcp(5984, "CouchDB", false),
    tcp(6379, "Redis", false),
    tcp(8086, "InfluxDB", false),
    tcp(8123, "ClickHouse", false),
    tcp(9042, "Cassandra", false),
    tcp(9092, "Kafka", false),
    tcp(9200, "Elasticsearch", false),
    tcp(9300, "Elasticsearch", false),
    tcp(10250, "kubelet", false),
    tcp(10255, "kubelet without login", true),
    tcp(15672, "RabbitMQ management", false),
    tcp(27017, "MongoDB", false),
];

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let listening = &host.sockets()?.listening;
    let addresses = host.reachable()?;
    // The widest socket of each port.
    let mut widest: BTreeMap<(u16, Protocol), (Reach, &Listener)> = BTreeMap::new();
    for listener in listening {
        let reach = addresses.reach(listener.address.ip());
        let known = widest.entry((listener.address.port(), listener.protocol)).or_insert((reach, listener));
        if reach > known.0 {
            *known = (reach, listener);
        }
    }
    let mut all = Vec::new();
    for port in &PORTS {
        if let Some((reach, listener)) = widest.get(&(port.number, port.protocol)) {
            all.extend(judge(host, port, *reach, listener, &addresses));
        }
    }
    if all.is_empty() {
        let count = listening.len();
        let summary = words!(
            "none of {count} listening sockets is a database, cache or control port that others can reach",
            "{count} 个监听套接字中没有可被外部访问的数据库、缓存或管理端口"
        );
        all.push(Found::new("", Status::Ok, summary));
    }
    Ok(all)
}

fn judge(host: &Host, port: &Port, reach: Reach, listener: &Listener, addresses: &Addresses) -> Option<Found> {
    let (name, number, protocol) = (port.name, port.number, port.protocol.name());
    let subject = format!("{protocol} {number}");
    let found = match reach {
        Reach::Host => return None,
        Reach::Internet => Found::new(
            subject,
            Status::Critical,
            words!(
                "port {number} ({name}) is open to the internet, unless a firewall or security group blocks it",
                "端口 {number}（{name}）对互联网开放，除非防火墙或安全组已拦截"
            ),
        ),
        Reach::Networks if port.bare => Found::new(
            subject,
            Status::Warning,
            words!(
                "port {number} ({name}) asks for no password and is reachable from the networks of this host",
                "端口 {number}（{name}）无需密码，且可从本机所在网络访问"
            ),
        ),
        Reach::Networks => Found::advice(
            subject,
            words!(
                "port {number} ({name}) is reachable from the networks of this host; a public address of the cloud (EIP, NAT) \
                 cannot be seen from here",
                "端口 {number}（{name}）可从本机所在网络访问；云上的公网地址（EIP、NAT）在主机内不可见"
            ),
        )
        .impact(words!(
            "Every machine of the network can try to log in; if the cloud gives this host a public address, so can the internet.",
            "同一网络内的任何机器都可尝试登录；若云上绑定了公网地址，互联网同样可以。"
        )),
    };
    let owner = host.socket_owner(listener).map(|process| format!("{} (pid {})", process.name, process.pid));
    let owner_text = owner.as_deref().map(|owner| format!(", {owner}")).unwrap_or_default();
    let public = addresses.public.first().map(ToString::to_string);
    Some(
        found
            .evidence(listener.source, format!("{protocol} {} listens{owner_text}", listener.address))
            .detail("program", owner.as_deref())
            .detail("public_address", public.as_deref().filter(|_| reach == Reach::Internet)),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;

    fn host(sockets: &[&str], address: &str) -> Fixture {
        let row = |local: &&str| {
            format!("  0: {local} 00000000:0000 0A 00000000:00000000 00:00000000 00000000   112        0 1456 1 0\n")
        };
        Fixture::live()
            .file("/proc/net/tcp", format!("  sl  local\n{}", sockets.iter().map(row).collect::<String>()))
            .file("/proc/net/fib_trie", format!("Local:\n |-- {address}\n    /32 host LOCAL\n"))
    }

    #[test]
    fn sec_06_databases_are_not_for_the_internet() {
        for (sockets, address, expected) in [
            (&["0100007F:0CEA", "00000000:0016"][..], "47.96.0.10", Status::Ok),
            (&["00000000:0CEA"], "47.96.0.10", Status::Critical),
            (&["0A00602F:18EB"], "47.96.0.10", Status::Critical),
            (&["0100007F:0CEA", "00000000:0CEA"], "47.96.0.10", Status::Critical),
            // Docker's port on a private network is a root login without a password.
            (&["00000000:0947"], "172.16.0.10", Status::Warning),
            (&["00000000:0CEA"], "172.16.0.10", Status::Ok),
        ] {
            assert_eq!(host(sockets, address).status(&CHECK), expected, "{sockets:?} {address}");
        }
    }

    #[test]
    fn sec_06_a_private_network_is_named_and_no_table_is_unknown() {
        let found = host(&["00000000:0CEA"], "172.16.0.10").run(&CHECK);
        assert_eq!((found.len(), found[0].note, found[0].subject.as_str()), (1, true, "tcp 3306"));
        assert_eq!(found[0].evidence[0].source, "/proc/net/tcp");
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
        assert_eq!(Fixture::live().file("/proc/net/tcp", "").status(&CHECK), Status::Unknown);
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }
}
