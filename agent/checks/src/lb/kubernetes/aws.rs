//! Load balancers of AWS that annotations describe, as the AWS Load Balancer Controller makes them: NLB of Services, ALB
//! of Ingresses (kubernetes-sigs/aws-load-balancer-controller docs/guide). Each of its nodes probes by itself, every
//! interval.

use super::object::{Object, alb, backends};
use crate::document::Node;
use crate::lb::located::Located;
use crate::lb::{Accepted, Active, Cadence, Fleet, Layer, Member, Pool, Probe, Setting, System};
use crate::words;
use cloud_doctor_proto::finding::Words;

const NLB_SOURCE: &str = "10 s, 10 s, 3, 3 (aws-load-balancer-controller docs/guide/service/annotations.md)";
const ALB_SOURCE: &str = "15 s, 5 s, 2, 2 (aws-load-balancer-controller docs/guide/ingress/annotations.md)";
/// Intervals, timeouts and thresholds that target groups take (AWS elasticloadbalancing, target-group-health-checks).
const LIMITS: [(u32, u32); 3] = [(5, 300), (2, 120), (2, 10)];

fn nlb(one: &str, key: &str) -> bool {
    one.strip_prefix("service.beta.kubernetes.io/aws-load-balancer-") == Some(key)
}

/// Names and defaults of the settings of one kind of load balancer.
struct Kind {
    interval: (&'static str, u32),
    timeout: (&'static str, u32),
    fall: (&'static str, u32),
    rise: (&'static str, u32),
    port: &'static str,
    source: &'static str,
}

const NLB: Kind = Kind {
    interval: ("healthcheck-interval", 10),
    timeout: ("healthcheck-timeout", 10),
    fall: ("healthcheck-unhealthy-threshold", 3),
    rise: ("healthcheck-healthy-threshold", 3),
    port: "healthcheck-port",
    source: NLB_SOURCE,
};
const ALB: Kind = Kind {
    interval: ("healthcheck-interval-seconds", 15),
    timeout: ("healthcheck-timeout-seconds", 5),
    fall: ("unhealthy-threshold-count", 2),
    rise: ("healthy-threshold-count", 2),
    port: "healthcheck-port",
    source: ALB_SOURCE,
};

/// The load balancer of a Service, when it is one of AWS's.
pub(super) fn balancer(service: &Object<'_>) -> Option<Fleet> {
    let spec = service.at.get("spec").filter(|spec| spec.text("type") == Some("LoadBalancer"))?;
    let annotations = service.annotations(nlb);
    let is_ours = |one: Located<'_>| one.node.entries().iter().any(|entry| entry.key.contains("/aws-load-balancer-"));
    let class = spec.text("loadBalancerClass");
    if class != Some("service.k8s.aws/nlb") && !annotations.is_some_and(is_ours) {
        return None;
    }
    let annotations = annotations.unwrap_or(service.at);
    let kind = annotations.text("type");
    let is_known = class.is_some() || matches!(kind, Some("external" | "nlb-ip"));
    let protocol = annotations.text("healthcheck-protocol").unwrap_or("TCP").to_ascii_uppercase();
    let layer = if protocol.starts_with("HTTP") { Layer::Http } else { Layer::Tcp };
    let probe = active(&[annotations], &NLB, layer, is_known);
    let probe = probe.map_or_else(Probe::Unresolved, |active| Probe::Active(Box::new(active)));
    let member = |port: Located<'_>| {
        let entry = port.entry("port")?;
        let number = entry.node.text()?;
        let place = entry.place(port.file);
        let (name, address) = (format!("port {number}"), format!(":{number}"));
        Some(Member { name, address, place, probe: probe.clone(), disabled: false, backup: false })
    };
    let members = spec.list("ports").take(100).filter_map(member).collect();
    let pool =
        Pool { system: System::Kubernetes, name: service.path(), place: service.place(), layer: Layer::Tcp, members };
    let accepted = accepted(annotations, "healthcheck-success-codes", &pool.subject());
    Some(Fleet { pools: vec![pool], accepted: accepted.into_iter().collect(), ..Fleet::default() })
}

/// The target groups of an Ingress: one for each Service that it leads to, whose own annotations go first.
pub(super) fn ingress(ingress: &Object<'_>, objects: &[Object<'_>]) -> Fleet {
    let own = ingress.annotations(alb).unwrap_or(ingress.at);
    let mut fleet = Fleet::default();
    let mut members = Vec::new();
    let subject = format!("{} {} {}", System::Kubernetes.name(), System::Kubernetes.pool_word(), ingress.path());
    for (name, line) in backends(ingress).into_iter().take(100) {
        let service =
            objects.iter().find(|one| (one.kind, one.namespace, one.name) == ("Service", ingress.namespace, name));
        let first = service.and_then(|service| service.annotations(alb));
        let layers: Vec<Located<'_>> = first.into_iter().chain([own]).collect();
        let probe = active(&layers, &ALB, Layer::Http, true);
        let probe = probe.map_or_else(Probe::Unresolved, |active| Probe::Active(Box::new(active)));
        let place = ingress.at.place(line, format!("name: {name}"));
        fleet.accepted.extend(first.and_then(|first| accepted(first, "success-codes", &format!("{subject}/{name}"))));
        members.push(Member {
            name: name.to_owned(),
            address: String::new(),
            place,
            probe,
            disabled: false,
            backup: false,
        });
    }
    fleet.accepted.extend(accepted(own, "success-codes", &subject));
    let (name, place) = (ingress.path(), ingress.place());
    fleet.pools.push(Pool { system: System::Kubernetes, name, place, layer: Layer::Http, members });
    fleet
}

/// The settings of the first of `layers` that has each.
fn active(layers: &[Located<'_>], kind: &Kind, layer: Layer, is_known: bool) -> Result<Active, Words> {
    let [secs, timeouts, thresholds] = LIMITS;
    let number = |(key, default): (&'static str, u32), (low, high): (u32, u32)| {
        let from = layers.iter().find(|one| one.entry(key).is_some()).or(layers.last());
        let Some(from) = from else { return Ok(Setting::default(default, kind.source)) };
        if from.entry(key).is_none() && !is_known {
            return Err(words!(
                "{key} is not set, and which controller makes this load balancer is not written, so its default is not known",
                "未设置 {key}，且未写明由哪个控制器创建此负载均衡器，因此无法得知其默认值"
            ));
        }
        let within = |node: &Node| node.text()?.parse::<u32>().ok().filter(|number| (low..=high).contains(number));
        from.setting(key, within, Some((default, kind.source)))
    };
    let as_secs = |set: Setting<u32>| Setting { value: f64::from(set.value), origin: set.origin };
    let interval = as_secs(number(kind.interval, secs)?);
    let port = layers.iter().find_map(|one| Some((one, one.entry(kind.port)?)));
    let port = port.filter(|(_, entry)| entry.node.text() != Some("traffic-port"));
    Ok(Active {
        layer,
        cadence: Cadence::Fixed,
        fast: interval.clone(),
        down: interval.clone(),
        interval,
        hang_secs: as_secs(number(kind.timeout, timeouts)?),
        fall: number(kind.fall, thresholds)?,
        rise: number(kind.rise, thresholds)?,
        consecutive: true,
        slow_start_secs: 0.0,
        queue_secs: 0.0,
        elsewhere: port.map(|(layer, entry)| entry.place(layer.file)),
    })
}

/// `200,202` or `200-399`.
fn accepted(annotations: Located<'_>, key: &str, subject: &str) -> Option<Accepted> {
    let entry = annotations.entry(key)?;
    let range = |one: &str| {
        let (first, last) = one.trim().split_once('-').unwrap_or((one.trim(), one.trim()));
        let range: (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
        (range.0 <= range.1).then_some(range)
    };
    let ranges: Vec<_> = entry.node.text()?.split(',').filter_map(range).take(20).collect();
    (!ranges.is_empty()).then(|| Accepted { subject: subject.to_owned(), ranges, place: entry.place(annotations.file) })
}
