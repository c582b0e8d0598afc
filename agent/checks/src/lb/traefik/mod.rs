//! Traefik: services of its file provider. Its static configuration says where those files are; what other providers give
//! it (labels of containers, resources of a cluster, key-value stores) is not on this host and is said to be unseen.

mod duration;
mod service;
#[cfg(test)]
mod tests;

use super::located::Located;
use super::{Fleet, Place, System, Trouble};
use crate::document::{self, Documents, Node};
use crate::found::Gap;
use crate::host::{Host, Process};
use crate::words;
use cloud_doctor_proto::finding::Words;
use std::collections::BTreeSet;

/// Where Traefik looks when it is not told.
const STATIC_FILES: [&str; 3] = ["/etc/traefik/traefik.toml", "/etc/traefik/traefik.yaml", "/etc/traefik/traefik.yml"];
/// Folders within a provider's folder.
const DEPTH_MAX: usize = 5;
/// Processes of one host.
const STARTS_MAX: usize = 20;
/// Files of the file provider.
const FILES_MAX: usize = 500;

/// All of Traefik here.
pub(crate) fn read(host: &Host) -> Option<Fleet> {
    let running = host.processes().iter().filter(|process| process.program() == "traefik");
    // Two of the same arguments in the same folder read the same files.
    let mut starts: BTreeSet<(String, Vec<String>)> =
        running.map(|process| (folder(host, process), arguments(process))).take(STARTS_MAX).collect();
    if starts.is_empty() && static_file(host).is_some() {
        starts.insert((String::new(), Vec::new()));
    }
    let mut reader = Reader::default();
    for (folder, arguments) in &starts {
        reader.folder.clone_from(folder);
        reader.take_start(host, arguments);
    }
    (!starts.is_empty()).then_some(reader.fleet)
}

/// Where it was started: paths may be relative to that.
fn folder(host: &Host, process: &Process) -> String {
    host.link(&format!("/proc/{}/cwd", process.pid)).unwrap_or_default()
}

fn arguments(process: &Process) -> Vec<String> {
    process.argv.iter().skip(1).cloned().collect()
}

#[derive(Default)]
struct Reader {
    fleet: Fleet,
    folder: String,
    seen: BTreeSet<String>,
    /// Traefik takes the first of two services of one name and warns.
    names: BTreeSet<String>,
}

impl Reader {
    /// The static file, or without one the arguments: Traefik never takes both.
    fn take_start(&mut self, host: &Host, arguments: &[String]) {
        let named = argument(arguments, "configfile").map(str::to_owned);
        match named.or_else(|| static_file(host)) {
            Some(path) => self.take_static_file(host, &self.whole_path(&path)),
            None => self.take_static_arguments(host, arguments),
        }
    }

    fn take_static_file(&mut self, host: &Host, path: &str) {
        let Some(documents) = self.open(host, path) else { return };
        let Some(root) = documents.all.first().map(|node| Located { file: path, node, same }) else { return };
        if root.entry("backends").is_some() || root.entry("frontends").is_some() {
            let why = words!("configuration of Traefik 1 is not read here", "此处不读取 Traefik 1 的配置");
            self.trouble(whole(path), why);
        }
        let Some(providers) = root.get("providers") else { return };
        for entry in providers.node.entries() {
            let is_on = !entry.node.is_null() && entry.node.flag() != Some(false);
            if is_on && !same(&entry.key, "file") && !same(&entry.key, "providersThrottleDuration") {
                self.unseen(&entry.key, entry.place(path));
            }
        }
        if let Some(file) = providers.get("file") {
            self.take_provider(host, file.text("filename"), file.text("directory"));
        }
    }

    fn take_static_arguments(&mut self, host: &Host, arguments: &[String]) {
        let names = arguments.iter().filter_map(|argument| {
            let argument = argument.trim_start_matches('-').to_ascii_lowercase();
            let (name, value) = argument.split_once('=').unwrap_or((&argument, "true"));
            let name = name.strip_prefix("providers.")?.split('.').next()?.to_owned();
            (value != "false" && name != "file" && name != "providersthrottleduration").then_some(name)
        });
        for name in names.collect::<BTreeSet<_>>() {
            let text = format!("--providers.{name}");
            self.unseen(&name, Place { file: "traefik".into(), line: 0, text });
        }
        let filename = argument(arguments, "providers.file.filename");
        self.take_provider(host, filename, argument(arguments, "providers.file.directory"));
    }

    fn take_provider(&mut self, host: &Host, filename: Option<&str>, directory: Option<&str>) {
        match (directory, filename) {
            (Some(directory), _) => {
                let directory = self.whole_path(directory.trim_end_matches('/'));
                self.take_directory(host, &directory, DEPTH_MAX);
            }
            (None, Some(filename)) => self.take_dynamic(host, &self.whole_path(filename)),
            (None, None) => (),
        }
    }

    fn whole_path(&self, path: &str) -> String {
        if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("{}/{}", self.folder, path.trim_start_matches("./"))
        }
    }

    fn take_directory(&mut self, host: &Host, directory: &str, depth: usize) {
        let entries = match host.list(directory) {
            Ok(entries) => entries,
            Err(Gap::NotHere(why) | Gap::Unknown(why)) => return self.trouble(whole(directory), why),
        };
        for entry in entries {
            let path = format!("{directory}/{}", entry.name);
            if !entry.is_folder && [".toml", ".yaml", ".yml"].iter().any(|end| path.ends_with(end)) {
                self.take_dynamic(host, &path);
            } else if entry.is_folder && depth > 0 {
                self.take_directory(host, &path, depth - 1);
            } else if entry.is_folder {
                let why = words!("folders lie too deep within each other; not read", "文件夹嵌套过深，未读取");
                self.trouble(whole(&path), why);
            }
        }
    }

    fn take_dynamic(&mut self, host: &Host, path: &str) {
        if !self.seen.insert(path.to_owned()) || self.seen.len() > FILES_MAX + 1 {
            return;
        }
        if self.seen.len() == FILES_MAX + 1 {
            let why = words!(
                "more than {FILES_MAX} files of Traefik; the rest was not read",
                "Traefik 的文件超过 {FILES_MAX} 个，其余未读取"
            );
            return self.trouble(whole(path), why);
        }
        let Some(documents) = self.open(host, path) else { return };
        if documents.all.len() > 1 {
            let why = words!("Traefik reads only the first document of a file", "Traefik 只读取文件中的第一个文档");
            self.trouble(whole(path), why);
        }
        let Some(root) = documents.all.first().map(|node| Located { file: path, node, same }) else { return };
        for protocol in ["http", "tcp"] {
            let services = root.at(&[protocol, "services"]).map(|services| services.node.entries()).unwrap_or_default();
            for entry in services {
                let Some(balancer) = root.of(&entry.node).get("loadBalancer") else { continue };
                if self.names.insert(format!("{protocol} {}", entry.key)) {
                    let (pool, accepted) = service::read(protocol, entry, balancer);
                    self.fleet.add(pool);
                    self.fleet.accepted.extend(accepted);
                }
            }
        }
    }

    /// A file that Traefik takes: whole, without a key that stands twice, and without a template's loops.
    fn open(&mut self, host: &Host, path: &str) -> Option<Documents> {
        let (documents, has_template) = match host.read(path) {
            Ok(text) => (document::read(path, &text), text.lines().any(|line| line.trim_start().starts_with("{{"))),
            Err(Gap::NotHere(why) | Gap::Unknown(why)) => {
                self.trouble(whole(path), why);
                return None;
            }
        };
        if has_template {
            let why =
                words!("it is a template, which is not evaluated here; not read", "此文件是模板，此处不求值，未读取");
            self.trouble(whole(path), why);
            return None;
        }
        if let Some(broken) = &documents.broken {
            let place = Place { file: path.to_owned(), line: broken.line, text: String::new() };
            self.trouble(place, broken.why.clone());
            return None;
        }
        if let Some(twice) = documents.all.iter().find_map(Node::repeated) {
            let key = &twice.key;
            let why = words!(
                "the key {key} stands twice, so Traefik refuses the file",
                "键 {key} 重复，Traefik 会拒绝此文件"
            );
            self.trouble(twice.place(path), why);
            return None;
        }
        Some(documents)
    }

    fn unseen(&mut self, provider: &str, place: Place) {
        let why = words!(
            "services that Traefik takes from {provider} are in no file of this host; not seen here",
            "Traefik 从 {provider} 获取的服务不在此主机的文件中，此处无法看到"
        );
        self.trouble(place, why);
    }

    fn trouble(&mut self, place: Place, why: Words) {
        self.fleet.troubles.push(Trouble { system: System::Traefik, place, why });
    }
}

/// The first that is there; one that may not be seen is there too.
fn static_file(host: &Host) -> Option<String> {
    let is_there = |path: &&&str| !matches!(host.stat(path), Err(Gap::NotHere(_)));
    STATIC_FILES.iter().find(is_there).map(|path| (*path).to_owned())
}

fn whole(path: &str) -> Place {
    Place { file: path.to_owned(), ..Place::default() }
}

/// The value of `--name=value` or `--name value`; names have no case.
fn argument<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    arguments.iter().enumerate().find_map(|(at, argument)| {
        let argument = argument.strip_prefix('-')?.trim_start_matches('-');
        let (own, value) = match argument.split_once('=') {
            Some((own, value)) => (own, Some(value)),
            None => (argument, arguments.get(at + 1).map(String::as_str)),
        };
        own.eq_ignore_ascii_case(name).then_some(value).flatten().map(|value| value.trim_matches('"'))
    })
}

/// Names of settings have no case.
fn same(one: &str, key: &str) -> bool {
    one.eq_ignore_ascii_case(key)
}
