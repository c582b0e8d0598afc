//! Envoy: clusters of its bootstrap files, and of cluster files that those name. What a management server sends (xDS) is
//! not on this host; it is said to be unseen, never guessed.

mod cluster;
mod health_check;
#[cfg(test)]
mod tests;

use super::located::Located;
use super::{Fleet, Place, System, Trouble};
use crate::document::{self, Documents, Node};
use crate::found::Gap;
use crate::host::{Host, Process};
use crate::words;
use cloud_doctor_proto::finding::Words;
use std::collections::{BTreeSet, VecDeque};

/// Where Envoy's packages and images put their configuration.
const PATTERNS: [&str; 3] = ["/etc/envoy/*.yaml", "/etc/envoy/*.yml", "/etc/envoy/*.json"];
/// Files of one host: sidecars of containers come in dozens, with one file each.
const FILES_MAX: usize = 100;

/// All of Envoy here.
pub(crate) fn read(host: &Host) -> Option<Fleet> {
    let running: Vec<&Process> = host.processes().iter().filter(|process| process.program() == "envoy").collect();
    let mut reader = Reader::default();
    for process in &running {
        reader.take_arguments(host, process);
    }
    if running.is_empty() {
        reader.take_patterns(host);
    }
    while let Some(path) = reader.wanted.pop_front() {
        reader.take_file(host, &path);
    }
    (!running.is_empty() || !reader.seen.is_empty() || !reader.fleet.troubles.is_empty()).then_some(reader.fleet)
}

/// What is read so far, and which files are still to be read.
#[derive(Default)]
struct Reader {
    fleet: Fleet,
    seen: BTreeSet<String>,
    wanted: VecDeque<String>,
}

impl Reader {
    fn take_patterns(&mut self, host: &Host) {
        for pattern in PATTERNS {
            match host.glob(pattern) {
                Ok(paths) => paths.into_iter().for_each(|path| self.want(path)),
                Err(Gap::NotHere(_)) => (),
                Err(Gap::Unknown(why)) => {
                    return self.trouble(Place { file: "/etc/envoy".into(), ..Place::default() }, why);
                }
            }
        }
    }

    fn want(&mut self, path: String) {
        if !self.seen.insert(path.clone()) {
            return;
        }
        if self.seen.len() <= FILES_MAX {
            return self.wanted.push_back(path);
        }
        if self.seen.len() == FILES_MAX + 1 {
            let why = words!(
                "more than {FILES_MAX} files of Envoy; the rest was not read",
                "Envoy 的文件超过 {FILES_MAX} 个，其余未读取"
            );
            self.trouble(Place { file: path, ..Place::default() }, why);
        }
    }

    /// `-c FILE`, `--config-path FILE`, and `--config-yaml TEXT`, which is merged into the file's.
    fn take_arguments(&mut self, host: &Host, process: &Process) {
        let value = |names: [&str; 2]| {
            process.argv.iter().enumerate().find_map(|(at, argument)| {
                let joined = names.iter().find_map(|name| argument.strip_prefix(name)?.strip_prefix('='));
                let next = names.contains(&argument.as_str()).then(|| process.argv.get(at + 1)).flatten();
                joined.map(str::to_owned).or_else(|| next.cloned())
            })
        };
        if let Some(path) = value(["--config-path", "-c"]) {
            let folder = || host.link(&format!("/proc/{}/cwd", process.pid)).unwrap_or_default();
            self.want(if path.starts_with('/') { path } else { format!("{}/{path}", folder()) });
        }
        if let Some(text) = value(["--config-yaml", "--config-yaml"]) {
            let file = format!("/proc/{}/cmdline", process.pid);
            self.take_documents(&file, &document::read(&file, &text));
        }
    }

    fn take_file(&mut self, host: &Host, path: &str) {
        if [".pb", ".pb_text", ".textproto"].iter().any(|end| path.ends_with(end)) {
            let why = words!("{path} is no YAML or JSON; not read", "{path} 不是 YAML 或 JSON，未读取");
            return self.trouble(Place { file: path.to_owned(), ..Place::default() }, why);
        }
        match document::open(host, path) {
            Ok(documents) => self.take_documents(path, &documents),
            Err(Gap::NotHere(why) | Gap::Unknown(why)) => {
                self.trouble(Place { file: path.to_owned(), ..Place::default() }, why);
            }
        }
    }

    fn take_documents(&mut self, file: &str, documents: &Documents) {
        if let Some(broken) = &documents.broken {
            let place = Place { file: file.to_owned(), line: broken.line, text: String::new() };
            self.trouble(place, broken.why.clone());
        }
        for node in &documents.all {
            self.take_bootstrap(Located { file, node, same });
        }
    }

    fn take_bootstrap(&mut self, bootstrap: Located<'_>) {
        let mut routed = BTreeSet::new();
        collect_routed(bootstrap.node, &mut routed);
        let fixed = bootstrap.get("static_resources");
        let fixed = fixed.into_iter().flat_map(|resources| resources.list("clusters"));
        // Files that a bootstrap names hold a list of resources, each with its type.
        let named =
            bootstrap.list("resources").filter(|one| one.text("@type").is_some_and(|kind| kind.ends_with(".Cluster")));
        for cluster in fixed.chain(named) {
            let read = cluster::read(cluster, &routed);
            self.fleet.add(read.pool);
            self.fleet.accepted.extend(read.accepted);
        }
        let Some(dynamic) = bootstrap.get("dynamic_resources") else { return };
        let Some(entry) = dynamic.entry("cds_config") else { return };
        let config = dynamic.of(&entry.node);
        let path = config.at(&["path_config_source", "path"]).or_else(|| config.get("path"));
        if let Some(path) = path.and_then(|path| path.node.text()) {
            return self.want(path.to_owned());
        }
        let why = words!(
            "clusters come from a management server (CDS) as well; those are not seen here",
            "部分集群由管理服务器（CDS）下发，此处无法看到"
        );
        self.trouble(entry.place(bootstrap.file), why);
    }

    fn trouble(&mut self, place: Place, why: Words) {
        self.fleet.troubles.push(Trouble { system: System::Envoy, place, why });
    }
}

/// Protobuf's JSON form takes a field's own name and its camel case.
fn same(one: &str, key: &str) -> bool {
    let letters = |text: &str| {
        text.bytes().filter(|byte| *byte != b'_').map(|byte| byte.to_ascii_lowercase()).collect::<Vec<_>>()
    };
    one == key || (!one.contains('_') && letters(one) == letters(key))
}

/// Names of the clusters that HTTP routes lead to.
fn collect_routed(node: &Node, routed: &mut BTreeSet<String>) {
    for entry in node.entries() {
        if entry.key == "route" {
            let route = Located { file: "", node: &entry.node, same };
            let weighted = route.get("weighted_clusters");
            let weighted = weighted.into_iter().flat_map(|weighted| weighted.list("clusters"));
            routed.extend(weighted.filter_map(|cluster| cluster.text("name")).map(str::to_owned));
            routed.extend(route.text("cluster").map(str::to_owned));
        }
        collect_routed(&entry.node, routed);
    }
    for item in node.items() {
        collect_routed(item, routed);
    }
}
