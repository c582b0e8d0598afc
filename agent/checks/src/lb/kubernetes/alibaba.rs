//! Load balancers of Alibaba Cloud that annotations describe: CLB and NLB of Services, ALB of Ingresses.
//!
//! CLB's timeout below its interval becomes the interval. Listeners of TCP and UDP are checked unless that is
//! switched off; those of HTTP and HTTPS, and server groups of an Ingress, only when somebody has said so
//! (kubernetes/cloud-provider-alibaba-cloud docs/usage.md; help.aliyun.com, ALB Ingress configuration dictionary).

use super::object::{Object, alb, backends};
use crate::document::Node;
use crate::lb::located::Located;
use crate::lb::{Accepted, Active, Cadence, Fleet, Layer, Member, Pool, Probe, Setting, System};
use crate::words;
use cloud_doctor_proto::finding::Words;

/// Numbers of one product, with the range that it takes.
struct Product {
    interval: (u32, u32, u32),
    timeout: (u32, u32, u32),
    threshold: u32,
    /// Whether a timeout below the interval is ignored, and the interval holds.
    interval_is_least: bool,
    source: &'static str,
}

const CLB: Product = Product {
    interval: (2, 1, 50),
    timeout: (5, 1, 300),
    threshold: 3,
    interval_is_least: true,
    source: "CLB 2 s, 5 s, 3, 3 (cloud-provider-alibaba-cloud docs/usage.md)",
};
const NLB: Product = Product {
    interval: (10, 5, 50),
    timeout: (5, 1, 300),
    threshold: 2,
    interval_is_least: false,
    source: "NLB 10 s, 5 s, 2, 2 (terraform-provider-alicloud nlb_server_group)",
};
const ALB: Product = Product {
    interval: (2, 1, 50),
    timeout: (5, 1, 300),
    threshold: 3,
    interval_is_least: false,
    source: "ALB 2 s, 5 s, 3, 3 (help.aliyun.com ALB Ingress configuration dictionary)",
};

/// Both spellings of the annotations' common beginning.
fn clb(one: &str, key: &str) -> bool {
    let prefixes =
        ["service.beta.kubernetes.io/alibaba-cloud-loadbalancer-", "service.beta.kubernetes.io/alicloud-loadbalancer-"];
    prefixes.iter().any(|prefix| one.strip_prefix(prefix) == Some(key))
}

/// The load balancer of a Service, when it is one of Alibaba Cloud's.
pub(super) fn balancer(service: &Object<'_>) -> Option<Fleet> {
    let spec = service.at.get("spec").filter(|spec| spec.text("type") == Some("LoadBalancer"))?;
    let class = spec.text("loadBalancerClass").unwrap_or_default();
    let annotations = service.annotations(clb);
    let is_ours = |one: Located<'_>| {
        one.node.entries().iter().any(|entry| entry.key.contains("/alibaba-cloud-") || entry.key.contains("/alicloud-"))
    };
    if !class.starts_with("alibabacloud.com/") && !annotations.is_some_and(is_ours) {
        return None;
    }
    let annotations = annotations.unwrap_or(service.at);
    let product = if class.ends_with("/nlb") { &NLB } else { &CLB };
    let ports: Vec<Located<'_>> = spec.list("ports").take(100).collect();
    let members: Vec<Member> = ports.iter().filter_map(|port| listener(annotations, *port, product)).collect();
    let is_http = |member: &Member| member.name.starts_with("http");
    let layer = if !members.is_empty() && members.iter().all(is_http) { Layer::Http } else { Layer::Tcp };
    let pool = Pool { system: System::Kubernetes, name: service.path(), place: service.place(), layer, members };
    let accepted = accepted(annotations, "health-check-httpcode", &pool.subject());
    Some(Fleet { pools: vec![pool], accepted: accepted.into_iter().collect(), ..Fleet::default() })
}

fn listener(annotations: Located<'_>, port: Located<'_>, product: &Product) -> Option<Member> {
    let entry = port.entry("port")?;
    let number = entry.node.text()?;
    let listed = annotations.text("protocol-port").unwrap_or_default().split(',');
    let protocol = listed.filter_map(|one| one.trim().split_once(':')).find(|(_, port)| *port == number);
    let protocol = protocol.map_or_else(|| port.text("protocol").unwrap_or("TCP"), |(protocol, _)| protocol);
    let protocol = protocol.to_ascii_lowercase();
    let probe = listener_probe(annotations, protocol.starts_with("http"), product).unwrap_or_else(Probe::Unresolved);
    Some(Member {
        name: format!("{protocol}:{number}"),
        address: format!(":{number}"),
        place: entry.place(port.file),
        probe,
        disabled: false,
        backup: false,
    })
}

fn listener_probe(annotations: Located<'_>, is_http: bool, product: &Product) -> Result<Probe, Words> {
    let overridden = annotations.text("force-override-listeners") == Some("true");
    if annotations.entry("id").is_some() && !overridden {
        return Err(words!(
            "it uses a load balancer that exists already and does not overwrite its listeners; their health checks stand in the cloud only",
            "它使用已有的负载均衡实例且不覆盖其监听；健康检查设置只在云端"
        ));
    }
    let is_on = |key, default| annotations.text(key).unwrap_or(default) == "on";
    if !(if is_http { is_on("health-check-flag", "off") } else { is_on("health-check-switch", "on") }) {
        return Ok(Probe::Never);
    }
    let asks_http = is_http || annotations.text("health-check-type") == Some("http");
    let keys = Keys {
        interval: "health-check-interval",
        // What the listener speaks decides, not what the check asks: TCP listeners have the one setting only.
        timeout: if is_http { "health-check-timeout" } else { "health-check-connect-timeout" },
        fall: "unhealthy-threshold",
        rise: "healthy-threshold",
        port: "health-check-connect-port",
    };
    let layer = if asks_http { Layer::Http } else { Layer::Tcp };
    active(annotations, &keys, product, layer).map(|active| Probe::Active(Box::new(active)))
}

/// Names of the same settings in different products.
struct Keys {
    interval: &'static str,
    timeout: &'static str,
    fall: &'static str,
    rise: &'static str,
    port: &'static str,
}

fn active(annotations: Located<'_>, keys: &Keys, product: &Product, layer: Layer) -> Result<Active, Words> {
    let number = |key, (default, low, high): (u32, u32, u32)| {
        let within = |node: &Node| node.text()?.parse::<u32>().ok().filter(|number| (low..=high).contains(number));
        annotations.setting(key, within, Some((default, product.source)))
    };
    let secs = |set: Setting<u32>| Setting { value: f64::from(set.value), origin: set.origin };
    let interval = secs(number(keys.interval, product.interval)?);
    let timeout = secs(number(keys.timeout, product.timeout)?);
    let threshold = (product.threshold, 2, 10);
    let is_ignored = product.interval_is_least && timeout.value < interval.value;
    let elsewhere = annotations.entry(keys.port).filter(|entry| !matches!(entry.node.text(), Some("-520" | "0")));
    Ok(Active {
        layer,
        cadence: Cadence::AfterEnd,
        hang_secs: if is_ignored { interval.clone() } else { timeout },
        fast: interval.clone(),
        down: interval.clone(),
        interval,
        fall: number(keys.fall, threshold)?,
        rise: number(keys.rise, threshold)?,
        consecutive: true,
        slow_start_secs: 0.0,
        queue_secs: 0.0,
        elsewhere: elsewhere.map(|entry| entry.place(annotations.file)),
    })
}

/// The server groups of an Ingress: one for each Service that it leads to.
pub(super) fn ingress(ingress: &Object<'_>) -> Fleet {
    let annotations = ingress.annotations(alb).unwrap_or(ingress.at);
    let keys = Keys {
        interval: "healthcheck-interval-seconds",
        timeout: "healthcheck-timeout-seconds",
        fall: "unhealthy-threshold-count",
        rise: "healthy-threshold-count",
        port: "healthcheck-connect-port",
    };
    let is_tcp = annotations.text("healthcheck-protocol").is_some_and(|protocol| protocol.eq_ignore_ascii_case("tcp"));
    let probe = if annotations.flag("healthcheck-enabled") == Some(true) {
        let layer = if is_tcp { Layer::Tcp } else { Layer::Http };
        active(annotations, &keys, &ALB, layer).map_or_else(Probe::Unresolved, |active| Probe::Active(Box::new(active)))
    } else {
        Probe::Never
    };
    let members = backends(ingress).into_iter().take(100).map(|(name, line)| Member {
        name: name.to_owned(),
        address: String::new(),
        place: ingress.at.place(line, format!("name: {name}")),
        probe: probe.clone(),
        disabled: false,
        backup: false,
    });
    let (name, members) = (ingress.path(), members.collect());
    let pool = Pool { system: System::Kubernetes, name, place: ingress.place(), layer: Layer::Http, members };
    let accepted = accepted(annotations, "healthcheck-httpcode", &pool.subject());
    Fleet { pools: vec![pool], accepted: accepted.into_iter().collect(), ..Fleet::default() }
}

/// `http_2xx,http_3xx`.
fn accepted(annotations: Located<'_>, key: &str, subject: &str) -> Option<Accepted> {
    let entry = annotations.entry(key)?;
    let class = |one: &str| {
        let hundred = one.trim().strip_prefix("http_")?.strip_suffix("xx")?.parse::<u16>().ok()?;
        (1..=5).contains(&hundred).then_some((hundred * 100, hundred * 100 + 99))
    };
    let ranges: Vec<_> = entry.node.text()?.split(',').filter_map(class).take(10).collect();
    (!ranges.is_empty()).then(|| Accepted { subject: subject.to_owned(), ranges, place: entry.place(annotations.file) })
}
