//! Whether keepalived's virtual addresses are where its configuration wants them, as far as this one host can tell.
//!
//! The other routers are not asked: that an address is nowhere, or twice, is never claimed, only that it is or is not here.

use super::keepalived::{Configuration, configuration};
use super::statement::Statement;
use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::{ADDRESSES_FROM, Host};
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::{Status, Words};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

pub(crate) const CHECK: Check = Check {
    id: "lb.virtual-router",
    title: Text { en: "Virtual addresses of keepalived", zh: "keepalived 虚拟地址" },
    reads: &["keepalived's configuration as it is in effect", "/proc/net/fib_trie", "/proc/net/if_inet6"],
    needs: Needs::LIVE,
    params: &[],
    impact: Text {
        en: "Clients reach the service through this address: if no router holds it the service is gone, if two do connections break.",
        zh: "客户端通过该地址访问服务：若没有任何路由器持有它，服务不可达；若两台同时持有，连接会中断。",
    },
    remedy: Text {
        en: "Compare on all routers: ip address show, systemctl status keepalived, and its log of state changes (journalctl -u keepalived).",
        zh: "在所有路由器上比对：ip address show、systemctl status keepalived，以及其状态切换日志（journalctl -u keepalived）。",
    },
    run,
};

fn run(host: &Host, _settings: &Settings<'_>) -> Outcome {
    let Some(configuration) = configuration(host) else {
        return Err(Gap::NotHere(words!("keepalived is not installed here", "此主机未安装 keepalived")));
    };
    let Configuration { statements, troubles, is_running } = &configuration;
    let instances: Vec<_> = statements.iter().filter(|one| one.name() == "vrrp_instance").collect();
    if instances.is_empty() {
        return match troubles.first() {
            Some(trouble) => Err(Gap::Unknown(trouble.why.clone())),
            None => {
                Err(Gap::NotHere(words!("keepalived has no virtual router here", "此处的 keepalived 未配置虚拟路由器")))
            }
        };
    }
    if let Some(namespace) = statements.iter().find(|one| one.name() == "net_namespace") {
        let name = namespace.argument();
        return Err(Gap::Unknown(words!(
            "keepalived runs in the network namespace {name}, which is not seen here",
            "keepalived 运行在网络命名空间 {name} 中，此处无法查看"
        )));
    }
    // Where others' processes are hidden the first one is too.
    if !is_running && !host.processes().iter().any(|process| process.pid == 1) {
        return Err(Gap::Unknown(words!(
            "this user does not see whether keepalived runs; run it as root",
            "当前用户无法得知 keepalived 是否在运行；请以 root 运行"
        )));
    }
    let addresses = host.addresses()?;
    let mut routers = BTreeMap::new();
    let mut names = BTreeSet::new();
    let unread = troubles.iter().map(|trouble| {
        let found = Found::new(trouble.place.source(), Status::Unknown, trouble.why.clone());
        found.evidence(trouble.place.source(), &trouble.place.text)
    });
    let judged = instances.iter().filter(|one| names.insert(one.argument())).map(|one| {
        let router = Router::new(one);
        match router.twin(&mut routers) {
            Some(other) => router.duplicate(other),
            None => router.judge(&addresses, *is_running),
        }
    });
    Ok(judged.chain(unread).collect())
}

/// One `vrrp_instance`.
struct Router<'a> {
    instance: &'a Statement,
    name: &'a str,
    is_master: bool,
    addresses: Vec<IpAddr>,
}

impl<'a> Router<'a> {
    fn new(instance: &'a Statement) -> Self {
        let lists = ["virtual_ipaddress", "virtual_ipaddress_excluded"].iter().flat_map(|name| instance.all(name));
        let words = lists.flat_map(|list| &list.inside).map(Statement::name);
        let addresses = words.filter_map(|word| word.split('/').next()?.parse().ok()).collect();
        let is_master = instance.last("state").is_some_and(|state| state.argument() == "MASTER");
        Self { instance, name: instance.argument(), is_master, addresses }
    }

    /// The router that has the same number on the same interface and in the same family, if one came before.
    fn twin(&self, routers: &mut BTreeMap<(&'a str, &'a str, bool), &'a Statement>) -> Option<&'a Statement> {
        let of = |name| self.instance.last(name).map_or("", Statement::argument);
        let (number, interface) = (of("virtual_router_id"), of("interface"));
        // Routers that speak to named peers may share a number when their own addresses differ.
        if number.is_empty() || self.instance.last("unicast_peer").is_some() {
            return None;
        }
        let is_v6 = self.addresses.first().is_some_and(IpAddr::is_ipv6);
        let key = (number, interface, is_v6);
        let other = routers.get(&key).copied();
        routers.entry(key).or_insert(self.instance);
        other
    }

    fn found(&self, status: Status, summary: Words) -> Found {
        let place = &self.instance.place;
        let found = Found::new(format!("keepalived vrrp_instance {}", self.name), status, summary);
        let found = found.evidence(place.source(), &place.text);
        match self.instance.last("state") {
            Some(state) => found.evidence(state.place.source(), &state.place.text),
            None => found,
        }
    }

    fn duplicate(&self, other: &Statement) -> Found {
        let (name, number) = (self.name, self.instance.last("virtual_router_id").map_or("", Statement::argument));
        let other_name = other.argument();
        let summary = words!(
            "virtual router {name} has the number {number} of {other_name} on the same interface",
            "虚拟路由器 {name} 与 {other_name} 在同一接口上使用了相同的编号 {number}"
        );
        self.found(Status::Warning, summary).evidence(other.place.source(), &other.place.text).remedy(words!(
            "Give each virtual router on an interface its own virtual_router_id, the same on all of its hosts.",
            "为同一接口上的每个虚拟路由器设置各自的 virtual_router_id，并在其所有主机上保持一致。"
        ))
    }

    fn judge(&self, own: &BTreeSet<IpAddr>, is_running: bool) -> Found {
        let (name, all) = (self.name, self.addresses.len());
        let here: Vec<_> = self.addresses.iter().filter(|address| own.contains(address)).collect();
        let missing = self.addresses.iter().filter(|address| !own.contains(address));
        let held = here.len();
        let (status, summary) = match (held, is_running) {
            (_, true) if all == 0 => (
                Status::Unknown,
                words!("virtual router {name} has no address that can be read", "虚拟路由器 {name} 没有可读取的地址"),
            ),
            (0, false) => (
                Status::Warning,
                words!(
                    "keepalived does not run, and virtual router {name} cannot take over here",
                    "keepalived 未运行，虚拟路由器 {name} 无法在此接管"
                ),
            ),
            (_, false) => (
                Status::Warning,
                words!(
                    "{held} of {all} addresses of {name} are here although keepalived does not run",
                    "keepalived 未运行，但 {name} 的 {all} 个地址中有 {held} 个在本机"
                ),
            ),
            (0, true) if self.is_master => (
                Status::Warning,
                words!(
                    "{name} is configured as MASTER but holds none of its {all} addresses",
                    "{name} 配置为 MASTER，但未持有其 {all} 个地址中的任何一个"
                ),
            ),
            (0, true) => (
                Status::Ok,
                words!("{name} stands by: its addresses are not here", "{name} 处于备用状态：其地址不在本机"),
            ),
            (_, true) if held < all => (
                Status::Warning,
                words!("{name} holds only {held} of its {all} addresses", "{name} 仅持有其 {all} 个地址中的 {held} 个"),
            ),
            (_, true) => (Status::Ok, words!("{name} holds its {all} addresses", "{name} 持有其全部 {all} 个地址")),
        };
        let text = |state: &str, addresses: &mut dyn Iterator<Item = &IpAddr>| {
            let list: Vec<_> = addresses.take(10).map(IpAddr::to_string).collect();
            (!list.is_empty()).then(|| format!("{state}: {}", list.join(" ")))
        };
        let lists = [text("here", &mut here.iter().copied()), text("not here", &mut { missing })];
        let found = lists
            .into_iter()
            .flatten()
            .fold(self.found(status, summary), |found, list| found.evidence(ADDRESSES_FROM[0], list));
        self.advise(found, held, is_running)
    }

    /// What is known of this case beyond the check's own texts.
    fn advise(&self, found: Found, held: usize, is_running: bool) -> Found {
        if !is_running && held == 0 {
            found.impact(words!(
                "When the other router fails nobody takes over.",
                "另一台路由器故障时，将没有主机接管。"
            ))
            .remedy(words!(
                "Start it (systemctl start keepalived) and see why it stopped (journalctl -u keepalived), or remove its configuration.",
                "启动它（systemctl start keepalived）并查明其停止的原因（journalctl -u keepalived），或移除其配置。"
            ))
        } else if is_running && held == 0 && self.is_master {
            found.impact(words!(
                "Another router has taken over, or nobody has: then clients reach nothing.",
                "已由另一台路由器接管；若无人接管，则客户端无法访问服务。"
            ))
        } else {
            found
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    const FILE: &str = "/etc/keepalived/keepalived.conf";

    fn instance(name: &str, number: u32, state: &str, addresses: &str) -> String {
        format!(
            "vrrp_instance {name} {{\n state {state}\n interface eth0\n virtual_router_id {number}\n authentication {{\n  auth_type PASS\n  auth_pass hunter2\n }}\n virtual_ipaddress {{\n{addresses}\n }}\n}}\n"
        )
    }

    fn fixture(text: &str, own: &[&str], is_running: bool) -> Fixture {
        let trie: String = own.iter().map(|own| format!("  |-- {own}\n     /32 host LOCAL\n")).collect();
        let fixture =
            Fixture::live().process(1, 'S', &["/sbin/init"]).file("/proc/net/fib_trie", trie).file(FILE, text);
        if is_running { fixture.process(9, 'S', &["/usr/sbin/keepalived", "--dont-fork"]) } else { fixture }
    }

    #[test]
    fn lb_23_a_virtual_address_is_here_or_it_is_not() {
        let two = "10.0.0.1/24 dev eth0\n10.0.0.2";
        for (name, state, own, is_running, expected) in [
            ("holds all", "MASTER", &["10.0.0.1", "10.0.0.2"][..], true, Status::Ok),
            ("has taken over", "BACKUP", &["10.0.0.1", "10.0.0.2"], true, Status::Ok),
            ("stands by", "BACKUP", &["10.0.0.9"], true, Status::Ok),
            ("master without", "MASTER", &["10.0.0.9"], true, Status::Warning),
            ("only a part", "MASTER", &["10.0.0.2"], true, Status::Warning),
            ("dead, and still here", "MASTER", &["10.0.0.1"], false, Status::Warning),
            ("dead, and cannot take over", "BACKUP", &[], false, Status::Warning),
        ] {
            let fixture = fixture(&instance("VI_1", 51, state, two), own, is_running);
            let findings = fixture.run(&CHECK);
            assert_eq!(findings[0].status, expected, "{name}: {findings:?}");
            assert_eq!(findings[0].subject, "keepalived vrrp_instance VI_1");
            assert!(!format!("{findings:?}").contains("hunter2"));
        }
    }

    #[test]
    fn lb_23_routers_with_one_number_are_found() {
        let own = &["10.0.0.1", "10.0.0.2"];
        for (text, expected) in [
            (instance("A", 51, "MASTER", "10.0.0.1") + &instance("B", 52, "MASTER", "10.0.0.2"), Status::Ok),
            (instance("A", 51, "MASTER", "10.0.0.1") + &instance("B", 51, "MASTER", "10.0.0.2"), Status::Warning),
            (instance("A", 51, "MASTER", "10.0.0.1") + &instance("B", 51, "BACKUP", "fd00::1"), Status::Ok),
        ] {
            assert_eq!(fixture(&text, own, true).status(&CHECK), expected, "{text}");
        }
    }

    #[test]
    fn lb_23_what_cannot_be_told_is_unknown() {
        let text = instance("A", 51, "MASTER", "10.0.0.1");
        let hidden = Fixture::live().file(FILE, &text).file("/proc/net/fib_trie", "");
        let no_table = Fixture::live().process(9, 'S', &["keepalived"]).file(FILE, &text);
        let elsewhere = fixture(&format!("net_namespace x\n{text}"), &[], true);
        let odd = fixture(&instance("A", 51, "MASTER", "${VIP}"), &[], true);
        let broken = fixture("vrrp_instance", &[], true).file(FILE, "a\0b");
        let image = Fixture::image().file(FILE, &text);
        for (name, fixture) in [hidden, no_table, elsewhere, odd, broken, image].iter().enumerate() {
            assert_eq!(fixture.status(&CHECK), Status::Unknown, "{name}");
        }
        assert!(fixture("global_defs { }", &[], true).has_none_of(&CHECK));
        assert!(Fixture::live().has_none_of(&CHECK));
    }
}
