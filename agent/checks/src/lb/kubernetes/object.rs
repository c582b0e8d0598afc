//! Objects of manifests: what every kind has, and annotations.

use crate::document::{Documents, Node};
use crate::lb::Place;
use crate::lb::located::Located;

/// One object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object<'a> {
    pub(super) kind: &'a str,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    pub(super) at: Located<'a>,
}

/// Keys have a case, and one spelling.
pub(super) fn same(one: &str, key: &str) -> bool {
    one == key
}

/// The objects of a file; those of a list too.
pub(super) fn objects<'a>(file: &'a str, documents: &'a Documents) -> impl Iterator<Item = Object<'a>> {
    let nodes = documents.all.iter().flat_map(|node| {
        let is_list = node.get("kind").and_then(Node::text).is_some_and(|kind| kind.ends_with("List"));
        let items = node.get("items").filter(|_| is_list).map(Node::items).unwrap_or_default();
        std::iter::once(node).filter(move |_| !is_list).chain(items)
    });
    nodes.filter_map(move |node| {
        let at = Located { file, node, same };
        let metadata = at.get("metadata")?;
        Some(Object {
            kind: at.text("kind")?,
            namespace: metadata.text("namespace").unwrap_or("default"),
            // Names that the cluster makes up.
            name: metadata.text("name").or_else(|| metadata.text("generateName"))?,
            at,
        })
    })
}

impl<'a> Object<'a> {
    /// `prod/deployment/web`.
    pub(super) fn path(&self) -> String {
        format!("{}/{}/{}", self.namespace, self.kind.to_ascii_lowercase(), self.name)
    }

    pub(super) fn place(&self) -> Place {
        self.at.place(self.at.node.line, format!("kind: {} {}", self.kind, self.name))
    }

    /// Its annotations, whose names are the same as `same` says.
    pub(super) fn annotations(&self, same: fn(&str, &str) -> bool) -> Option<Located<'a>> {
        Some(Located { same, ..self.at.at(&["metadata", "annotations"])? })
    }
}

/// Who makes a load balancer of an Ingress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Controller {
    Alibaba,
    Aws,
}

const ALB: &str = "alb.ingress.kubernetes.io/";

/// Names of an Ingress's annotations, without the prefix that both clouds share.
pub(super) fn alb(one: &str, key: &str) -> bool {
    one.strip_prefix(ALB) == Some(key)
}

/// Whether an Ingress is one for a load balancer of either cloud.
pub(super) fn is_alb(ingress: &Object<'_>) -> bool {
    let annotations = ingress.at.at(&["metadata", "annotations"]);
    let annotated = annotations.is_some_and(|all| all.node.entries().iter().any(|one| one.key.starts_with(ALB)));
    annotated || class(ingress) == Some("alb")
}

fn class<'a>(ingress: &Object<'a>) -> Option<&'a str> {
    let set = ingress.at.get("spec").and_then(|spec| spec.text("ingressClassName"));
    set.or_else(|| ingress.at.at(&["metadata", "annotations"])?.text("kubernetes.io/ingress.class"))
}

/// Annotations that only one of them has.
const ALIBABA_ONLY: [&str; 7] = [
    "healthcheck-enabled",
    "healthcheck-httpcode",
    "healthcheck-method",
    "healthcheck-connect-port",
    "vswitch-ids",
    "address-type",
    "albconfig.name",
];
const AWS_ONLY: [&str; 7] = [
    "scheme",
    "target-type",
    "success-codes",
    "healthcheck-port",
    "certificate-arn",
    "subnets",
    "load-balancer-attributes",
];

/// Who reads `ingress`: as its class says, or its annotations give away.
pub(super) fn controller(ingress: &Object<'_>, objects: &[Object<'_>]) -> Option<Controller> {
    let class = class(ingress);
    let named = objects.iter().find(|one| one.kind == "IngressClass" && Some(one.name) == class);
    match named.and_then(|class| class.at.get("spec")?.text("controller")) {
        Some("ingress.k8s.alibabacloud/alb") => return Some(Controller::Alibaba),
        Some("ingress.k8s.aws/alb") => return Some(Controller::Aws),
        Some(_) | None => (),
    }
    let annotations = ingress.annotations(alb)?;
    let has = |names: [&str; 7]| names.iter().any(|name| annotations.entry(name).is_some());
    match (has(ALIBABA_ONLY), has(AWS_ONLY)) {
        (true, false) => Some(Controller::Alibaba),
        (false, true) => Some(Controller::Aws),
        (true, true) | (false, false) => None,
    }
}

/// Services that an Ingress leads to, each once, with their lines.
pub(super) fn backends<'a>(ingress: &Object<'a>) -> Vec<(&'a str, u32)> {
    let Some(spec) = ingress.at.get("spec") else { return Vec::new() };
    let rules = spec.list("rules").flat_map(|rule| rule.get("http").into_iter().flat_map(|http| http.list("paths")));
    let backends = rules.filter_map(|path| path.get("backend"));
    let default = spec.get("defaultBackend").or_else(|| spec.get("backend"));
    let mut names: Vec<(&str, u32)> = backends
        .chain(default)
        .filter_map(|backend| {
            let name = backend.get("service").and_then(|service| service.entry("name"));
            let entry = name.or_else(|| backend.entry("serviceName"))?;
            Some((entry.node.text()?, entry.line))
        })
        .collect();
    names.sort_unstable();
    names.dedup_by_key(|(name, _)| *name);
    names
}
