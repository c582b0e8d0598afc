//! Who asks only to see whether this server lives: health checks of load balancers, by their agent, or by where they come
//! from and how they ask.

use crate::web::access_log::Record;
use std::net::IpAddr;

/// Agents of health checks, by their beginning.
const AGENTS: [(&str, &str); 7] = [
    ("ELB-HealthChecker", "AWS ELB"),
    ("kube-probe", "kubelet"),
    ("GoogleHC", "Google Cloud LB"),
    ("Envoy/HC", "Envoy"),
    ("clb-healthcheck", "Tencent CLB"),
    ("KeepAliveClient", "keepalived"),
    ("Consul Health Check", "Consul"),
];

/// The kind of load balancer whose health check a request is; nothing for other requests.
pub(crate) fn prober(record: &Record) -> Option<&'static str> {
    if let Some((_, name)) = AGENTS.iter().find(|(begin, _)| record.agent.starts_with(begin)) {
        return Some(name);
    }
    // Users' requests that pass a balancer bring an agent.
    let nameless = record.agent.is_empty() || record.agent == "-";
    match record.method.as_str() {
        "OPTIONS" if nameless => Some("HAProxy"),
        "HEAD" | "GET" if nameless && is_alibaba(&record.source) => Some("Alibaba Cloud SLB"),
        _ => None,
    }
}

/// 100.64.0.0/10, from where Alibaba Cloud's balancers probe.
fn is_alibaba(source: &str) -> bool {
    match source.parse() {
        Ok(IpAddr::V4(address)) => address.octets()[0] == 100 && address.octets()[1] & 0b1100_0000 == 64,
        Ok(IpAddr::V6(_)) | Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lb_22_probers_are_recognised() {
        for (source, method, agent, expected) in [
            ("10.0.0.1", "GET", "ELB-HealthChecker/2.0", Some("AWS ELB")),
            ("10.0.0.1", "GET", "kube-probe/1.29", Some("kubelet")),
            ("10.0.0.1", "OPTIONS", "-", Some("HAProxy")),
            ("10.0.0.1", "OPTIONS", "Mozilla/5.0", None),
            ("100.64.3.4", "HEAD", "-", Some("Alibaba Cloud SLB")),
            ("100.127.3.4", "GET", "", Some("Alibaba Cloud SLB")),
            ("100.64.3.4", "GET", "Mozilla/5.0", None),
            ("100.128.0.1", "HEAD", "-", None),
            ("::1", "HEAD", "-", None),
            ("not an address", "HEAD", "-", None),
        ] {
            let record =
                Record { source: source.into(), method: method.into(), agent: agent.into(), ..Record::default() };
            assert_eq!(prober(&record), expected, "{source} {method} {agent}");
        }
    }
}
