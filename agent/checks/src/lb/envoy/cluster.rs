//! One cluster: its endpoints, and how each is probed.

use super::health_check;
use crate::lb::located::{Located, port_of};
use crate::lb::{Accepted, Layer, Member, Pool, Probe, System};
use crate::words;
use std::collections::BTreeSet;

/// A cluster, and the statuses that its probes accept.
pub(super) struct Cluster {
    pub(super) pool: Pool,
    pub(super) accepted: Option<Accepted>,
}

/// Reads a cluster. `routed` are those that HTTP routes lead to.
pub(super) fn read(cluster: Located<'_>, routed: &BTreeSet<String>) -> Cluster {
    let name = cluster.text("name").unwrap_or_default().to_owned();
    let layer = layer(cluster, routed.contains(&name));
    let probe = health_check::probe(cluster, layer);
    let place = cluster.place(cluster.node.line, format!("name: {name}"));
    let mut members: Vec<Member> = endpoints(cluster, &probe).collect();
    if members.is_empty() {
        members.extend(unseen(cluster, probe));
    }
    let pool = Pool { system: System::Envoy, name, place, layer, members };
    let accepted = health_check::accepted(cluster, &pool.subject());
    Cluster { pool, accepted }
}

fn layer(cluster: Located<'_>, routed: bool) -> Layer {
    let http = ["http_protocol_options", "http2_protocol_options", "common_http_protocol_options"];
    let typed = cluster.entry("typed_extension_protocol_options").map(|entry| entry.node.entries()).unwrap_or_default();
    if routed
        || http.iter().any(|key| cluster.entry(key).is_some())
        || typed.iter().any(|one| one.key.contains("HttpProtocolOptions"))
    {
        Layer::Http
    } else if health_check::is_tls(cluster) {
        Layer::Tls
    } else {
        Layer::Tcp
    }
}

/// Endpoints that stand in the file; `hosts` is what they were called in the second version of the API.
fn endpoints<'a>(cluster: Located<'a>, probe: &'a Probe) -> impl Iterator<Item = Member> + 'a {
    let groups = cluster.get("load_assignment").into_iter().flat_map(|load| load.list("endpoints"));
    let endpoints = groups.flat_map(move |group| {
        let backup = group.text("priority").is_some_and(|priority| priority != "0");
        group.list("lb_endpoints").filter_map(move |one| {
            let endpoint = one.get("endpoint")?;
            let member = member(endpoint.get("address")?, probe)?;
            let status = one.text("health_status").unwrap_or_default();
            let disabled = ["UNHEALTHY", "DRAINING", "TIMEOUT"].contains(&status);
            Some(Member { probe: own_probe(cluster, endpoint, &member), disabled, backup, ..member })
        })
    });
    endpoints.chain(cluster.list("hosts").filter_map(move |address| member(address, probe)))
}

fn member(address: Located<'_>, probe: &Probe) -> Option<Member> {
    let socket = address.get("socket_address");
    let text = match (socket, address.at(&["pipe", "path"])) {
        (Some(socket), _) => {
            let host = socket.text("address")?;
            let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
            match socket.text("port_value").or_else(|| socket.text("named_port")) {
                Some(port) => format!("{host}:{port}"),
                None => host,
            }
        }
        (None, Some(pipe)) => pipe.node.text()?.to_owned(),
        (None, None) => return None,
    };
    let line = socket.and_then(|socket| socket.entry("address")).map_or(address.node.line, |entry| entry.line);
    let place = address.place(line, format!("address: {text}"));
    Some(Member { name: text.clone(), address: text, place, probe: probe.clone(), disabled: false, backup: false })
}

/// An endpoint may be probed elsewhere, or not at all.
fn own_probe(cluster: Located<'_>, endpoint: Located<'_>, member: &Member) -> Probe {
    let Some(config) = endpoint.get("health_check_config") else { return member.probe.clone() };
    if config.flag("disable_active_health_check") == Some(true) {
        return health_check::without_active(cluster);
    }
    let other = config.entry("port_value").filter(|entry| {
        let port = entry.node.text().and_then(|port| port.parse().ok());
        port.is_some_and(|port: u16| port != 0 && Some(port) != port_of(&member.address))
    });
    match (&member.probe, other.or_else(|| config.entry("address"))) {
        (Probe::Active(active), Some(entry)) => {
            let mut active = active.clone();
            active.elsewhere = Some(entry.place(config.file));
            Probe::Active(active)
        }
        (probe, _) => probe.clone(),
    }
}

/// What stands for endpoints that are not in the file.
fn unseen(cluster: Located<'_>, probe: Probe) -> Option<Member> {
    let kind = cluster.text("type").or_else(|| cluster.at(&["cluster_type", "name"])?.node.text()).unwrap_or("STATIC");
    if ["STATIC", "STRICT_DNS", "LOGICAL_DNS"].contains(&kind) {
        return None;
    }
    let probe = match probe {
        // The probe is known, whoever is probed.
        Probe::Active(_) | Probe::Passive { .. } | Probe::Unresolved(_) | Probe::Tracks(_) => probe,
        Probe::Never => Probe::Unresolved(words!(
            "its endpoints are not in this file (type {kind}); who checks them is known only where they come from",
            "其端点不在此文件中（类型 {kind}），由谁检查只有其来源方知道"
        )),
    };
    let place = cluster
        .entry("type")
        .map_or_else(|| cluster.place(cluster.node.line, format!("type: {kind}")), |entry| entry.place(cluster.file));
    let name = format!("endpoints of {kind}");
    Some(Member { name, address: String::new(), place, probe, disabled: false, backup: false })
}
