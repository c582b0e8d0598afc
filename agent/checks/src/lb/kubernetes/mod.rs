//! Kubernetes: readiness probes of manifests, which decide who is behind a Service, and health checks of cloud load
//! balancers that are set by annotations of Services and Ingresses. What runs in the cluster may differ from what lies
//! here; only files are read, never the API.

mod alibaba;
mod aws;
mod object;
mod probe;
#[cfg(test)]
mod tests;
mod workload;

use super::{Fleet, Place, System, Trouble};
use crate::document::{self, Documents};
use crate::found::Gap;
use crate::host::Host;
use crate::words;
use cloud_doctor_proto::finding::Words;
use object::{Object, objects};

/// Folders that a kubelet or a distribution applies by itself.
const FOLDERS: [&str; 4] = [
    "/etc/kubernetes/manifests",
    "/var/lib/rancher/k3s/server/manifests",
    "/var/lib/rancher/rke2/server/manifests",
    "/var/lib/rancher/rke2/agent/pod-manifests",
];
/// In an image: where somebody puts manifests to have them looked at.
const GIVEN: [&str; 3] = ["/manifests/*", "/manifests/*/*", "/manifests/*/*/*"];
/// Objects that are looked at: each workload is compared with each Service.
const OBJECTS_MAX: usize = 2000;

/// All manifests here.
pub(crate) fn read(host: &Host) -> Option<Fleet> {
    let mut fleet = Fleet::default();
    let files: Vec<(String, Documents)> = paths(host, &mut fleet)
        .into_iter()
        .filter_map(|path| {
            let documents = open(host, &path, &mut fleet)?;
            Some((path, documents))
        })
        .collect();
    let mut objects: Vec<Object<'_>> = files.iter().flat_map(|(path, documents)| objects(path, documents)).collect();
    if objects.len() > OBJECTS_MAX {
        let why = words!(
            "more than {OBJECTS_MAX} objects in manifests; the rest was not read",
            "清单中的对象超过 {OBJECTS_MAX} 个，其余未读取"
        );
        trouble(&mut fleet, objects[OBJECTS_MAX].place(), why);
        objects.truncate(OBJECTS_MAX);
    }
    if objects.is_empty() && fleet.troubles.is_empty() {
        return None;
    }
    for object in &objects {
        fleet.extend(match object.kind {
            "Service" => alibaba::balancer(object).or_else(|| aws::balancer(object)).unwrap_or_default(),
            "Ingress" => ingress(object, &objects),
            _ => workload::read(object, &objects),
        });
    }
    Some(fleet)
}

/// Both clouds use the same annotations for an Ingress, with different defaults.
fn ingress(ingress: &Object<'_>, objects: &[Object<'_>]) -> Fleet {
    if !object::is_alb(ingress) {
        return Fleet::default();
    }
    match object::controller(ingress, objects) {
        Some(object::Controller::Alibaba) => alibaba::ingress(ingress),
        Some(object::Controller::Aws) => aws::ingress(ingress, objects),
        None => {
            let mut fleet = Fleet::default();
            let why = words!(
                "whether Alibaba Cloud or AWS reads this Ingress is not in these files, so its health check is not known",
                "这些文件未说明此 Ingress 由阿里云还是 AWS 处理，因此无法得知其健康检查"
            );
            trouble(&mut fleet, ingress.place(), why);
            fleet
        }
    }
}

fn paths(host: &Host, fleet: &mut Fleet) -> Vec<String> {
    let mut patterns: Vec<String> = FOLDERS.iter().map(|folder| format!("{folder}/*")).collect();
    // A kubelet may have its static pods elsewhere.
    if let Ok(config) = document::open(host, "/var/lib/kubelet/config.yaml") {
        let folder = config.all.first().and_then(|config| config.get("staticPodPath")?.text().map(str::to_owned));
        patterns.extend(folder.filter(|folder| folder.starts_with('/')).map(|folder| format!("{folder}/*")));
    }
    if !host.is_live() {
        patterns.extend(GIVEN.map(str::to_owned));
    }
    let mut paths = Vec::new();
    for pattern in patterns {
        match host.glob(&pattern) {
            Ok(found) => paths.extend(found),
            Err(Gap::NotHere(_)) => (),
            Err(Gap::Unknown(why)) => trouble(fleet, Place { file: pattern, ..Place::default() }, why),
        }
    }
    paths.retain(|path| [".yaml", ".yml", ".json"].iter().any(|end| path.ends_with(end)));
    paths.sort();
    paths.dedup();
    paths
}

fn open(host: &Host, path: &str, fleet: &mut Fleet) -> Option<Documents> {
    match document::open(host, path) {
        Ok(documents) => {
            if let Some(broken) = &documents.broken {
                let place = Place { file: path.to_owned(), line: broken.line, text: String::new() };
                trouble(fleet, place, broken.why.clone());
            }
            Some(documents)
        }
        Err(Gap::NotHere(why) | Gap::Unknown(why)) => {
            trouble(fleet, Place { file: path.to_owned(), ..Place::default() }, why);
            None
        }
    }
}

fn trouble(fleet: &mut Fleet, place: Place, why: Words) {
    fleet.troubles.push(Trouble { system: System::Kubernetes, place, why });
}
