//! Workloads: containers behind a Service, and the probes that decide whether they are. One member stands for the
//! container in all replicas, besides where nothing probes it: then each replica is one that nobody would miss.

use super::object::Object;
use super::probe::{PORTS_MAX, active, asks, ports};
use crate::document::Node;
use crate::lb::liveness_as_readiness::Beside;
use crate::lb::located::Located;
use crate::lb::{Active, Fleet, Layer, Liveness, Member, Pool, Probe, System};

const KINDS: [&str; 7] =
    ["Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Rollout"];
/// How long a container may take to end (core/v1 PodSpec): it gets traffic until then.
const GRACE_SECS: u32 = 30;
/// Replicas that are shown of a container that nothing probes.
const REPLICAS_MAX: u32 = 10;

/// Reads a workload; of anything else nothing.
pub(super) fn read(object: &Object<'_>, objects: &[Object<'_>]) -> Fleet {
    let mut fleet = Fleet::default();
    let spec = object.at.get("spec");
    let template = if object.kind == "Pod" { Some(object.at) } else { spec.and_then(|spec| spec.get("template")) };
    let Some((template, pod)) = template.and_then(|template| Some((template, template.get("spec")?))) else {
        return fleet;
    };
    if !KINDS.contains(&object.kind) {
        return fleet;
    }
    let labels = template.node.at(&["metadata", "labels"]);
    let services: Vec<&Object<'_>> = objects.iter().filter(|one| selects(one, object, labels)).collect();
    let name = object.path();
    let containers: Vec<Located<'_>> = pod.list("containers").take(PORTS_MAX).collect();
    let targeted = |container: Located<'_>| {
        !services.is_empty() && (containers.len() == 1 || services.iter().any(|service| targets(service, container)))
    };
    let read = containers.iter().map(|container| Container::read(*container, pod, targeted(*container)));
    let read: Vec<Container<'_>> = read.filter(|container| container.is_of_interest()).collect();
    if read.is_empty() {
        return fleet;
    }
    let replicas = spec.and_then(|spec| spec.text("replicas")).and_then(|number| number.parse().ok());
    let replicas: u32 = replicas.unwrap_or(if object.kind == "DaemonSet" { 2 } else { 1 });
    let members = read.iter().flat_map(|container| container.members(replicas)).collect();
    let layer = read.iter().map(|container| container.layer(&services)).max().unwrap_or(Layer::Tcp);
    let pool = Pool { system: System::Kubernetes, name, place: object.place(), layer, members };
    fleet.liveness = read.iter().filter_map(|container| container.liveness(&pool)).collect();
    fleet.pools.push(pool);
    fleet
}

/// Whether a Service sends traffic to pods with these labels.
fn selects(service: &Object<'_>, workload: &Object<'_>, labels: Option<&Node>) -> bool {
    if service.kind != "Service" || service.namespace != workload.namespace {
        return false;
    }
    let selector = service.at.at(&["spec", "selector"]).map(|selector| selector.node.entries()).unwrap_or_default();
    let fits =
        |key: &str, value: Option<&str>| value.is_some() && labels.and_then(|labels| labels.get(key)?.text()) == value;
    !selector.is_empty() && selector.iter().take(PORTS_MAX).all(|entry| fits(&entry.key, entry.node.text()))
}

/// Whether a Service's ports lead to a container.
fn targets(service: &Object<'_>, container: Located<'_>) -> bool {
    let own = ports(container);
    service_ports(service).any(|port| {
        let target = port.text("targetPort").or_else(|| port.text("port"));
        target.is_some() && own.iter().any(|one| [one.text("containerPort"), one.text("name")].contains(&target))
    })
}

fn service_ports<'a>(service: &Object<'a>) -> impl Iterator<Item = Located<'a>> {
    service.at.get("spec").into_iter().flat_map(|spec| spec.list("ports")).take(PORTS_MAX)
}

/// A container, and what is known of it.
struct Container<'a> {
    at: Located<'a>,
    readiness: Option<Located<'a>>,
    liveness: Option<Located<'a>>,
    /// Whether a Service sends traffic to it.
    is_targeted: bool,
    grace_secs: u32,
}

impl<'a> Container<'a> {
    fn read(at: Located<'a>, pod: Located<'a>, is_targeted: bool) -> Self {
        let (readiness, liveness) = (at.get("readinessProbe"), at.get("livenessProbe"));
        let own = liveness.and_then(|probe| probe.text("terminationGracePeriodSeconds"));
        let grace = own.or_else(|| pod.text("terminationGracePeriodSeconds"));
        let grace_secs = grace.and_then(|secs| secs.parse().ok()).unwrap_or(GRACE_SECS);
        Self { at, readiness, liveness, is_targeted, grace_secs }
    }

    /// A readiness probe counts without a Service too: that may lie elsewhere.
    fn is_of_interest(&self) -> bool {
        self.is_targeted || self.readiness.is_some()
    }

    fn probe(&self) -> Probe {
        let read = match (self.readiness, self.liveness) {
            (Some(readiness), _) => active(self.at, readiness),
            // A restart takes it out as well, once it has ended.
            (None, Some(liveness)) => active(self.at, liveness)
                .map(|active| Active { queue_secs: active.queue_secs + f64::from(self.grace_secs), ..active }),
            (None, None) => return Probe::Never,
        };
        read.map_or_else(Probe::Unresolved, |active| Probe::Active(Box::new(active)))
    }

    fn members(&self, replicas: u32) -> Vec<Member> {
        let name = self.at.text("name").unwrap_or("?");
        let address = ports(self.at).first().and_then(|port| port.text("containerPort")).map(|port| format!(":{port}"));
        let place = self.at.place(self.at.node.line, format!("name: {name}"));
        let probe = self.probe();
        let count = if matches!(probe, Probe::Never) { replicas.clamp(1, REPLICAS_MAX) } else { 1 };
        let member = |number: u32| Member {
            name: if number == 1 { name.to_owned() } else { format!("{name}#{number}") },
            address: address.clone().unwrap_or_default(),
            place: place.clone(),
            probe: probe.clone(),
            disabled: replicas == 0,
            backup: false,
        };
        (1..=count).map(member).collect()
    }

    /// What it speaks, as far as names, well-known ports and its own probes give away.
    fn layer(&self, services: &[&Object<'_>]) -> Layer {
        let own = ports(self.at);
        let named = |port: &Located<'_>| port.text("name").is_some_and(|name| name.starts_with("http"));
        let known = |port: &Located<'_>| port.text("containerPort").is_some_and(|port| port == "80" || port == "8080");
        let said = |port: Located<'_>| {
            port.text("appProtocol").is_some_and(|protocol| protocol.to_ascii_lowercase().contains("http"))
        };
        let asked = [self.readiness, self.liveness].into_iter().flatten().any(|probe| {
            let port = probe.get("httpGet").and_then(|http| http.text("port"));
            port.is_some() && own.iter().any(|one| [one.text("containerPort"), one.text("name")].contains(&port))
        });
        let is_http = asked
            || own.iter().any(|port| named(port) || known(port))
            || (self.is_targeted && services.iter().any(|service| service_ports(service).any(said)));
        if is_http { Layer::Http } else { Layer::Tcp }
    }

    fn liveness(&self, pool: &Pool) -> Option<Liveness> {
        let liveness = self.liveness.filter(|_| self.is_targeted)?;
        let beside = match self.readiness {
            None => Beside::Nothing,
            Some(readiness) if asks(readiness) == asks(liveness) && self.dies_first(readiness, liveness) => {
                Beside::TheSame
            }
            Some(_) => Beside::Another,
        };
        let name = self.at.text("name").unwrap_or("?");
        let subject = format!("{}/{name}", pool.subject());
        Some(Liveness { subject, place: self.at.entry("livenessProbe")?.place(self.at.file), beside })
    }

    /// Whether liveness fails as early as readiness.
    fn dies_first(&self, readiness: Located<'_>, liveness: Located<'_>) -> bool {
        let fails_after =
            |probe| active(self.at, probe).map(|active| active.interval.value * f64::from(active.fall.value));
        match (fails_after(readiness), fails_after(liveness)) {
            (Ok(readiness), Ok(liveness)) => liveness <= readiness,
            (Ok(_) | Err(_), Ok(_) | Err(_)) => false,
        }
    }
}
