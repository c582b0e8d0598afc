//! Apache httpd: the balancers of mod_proxy_balancer, and how mod_proxy_hcheck checks their members.
//!
//! Balancers changed at run time (balancer-manager, BalancerPersist) are not in its files and not seen here.

mod balancer;
mod reader;
#[cfg(test)]
mod tests;
mod words;

use super::command_line::{path_of, running, values};
use super::includes::{Includes, join};
use super::{Fleet, System};
use crate::host::{Host, Process};
use reader::Reader;
use std::collections::BTreeMap;

/// The main file and the `ServerRoot` that it is built with: Debian, CentOS, its own default.
const PLACES: [(&str, &str); 3] = [
    ("/etc/apache2/apache2.conf", "/etc/apache2"),
    ("/etc/httpd/conf/httpd.conf", "/etc/httpd"),
    ("/usr/local/apache2/conf/httpd.conf", "/usr/local/apache2"),
];

/// Where an instance reads from.
struct Instance {
    file: String,
    root: String,
    defines: Vec<String>,
}

/// The balancers; nothing without httpd or without one.
pub(crate) fn read(host: &Host) -> Option<Fleet> {
    let instance = instance(host)?;
    let mut includes = Includes::new(host, System::Apache);
    let mut reader = Reader::new(&mut includes, instance.root.clone());
    reader.defines = instance.defines.into_iter().map(|name| (name, String::new())).collect();
    reader.environment = environment(&host.read(&format!("{}/envvars", instance.root)).unwrap_or_default());
    let directives = reader.read(&instance.file);
    let pools = balancer::pools(&directives, &mut includes);
    let fleet = Fleet { pools, troubles: includes.troubles, ..Fleet::default() };
    (!fleet.pools.is_empty() || !fleet.troubles.is_empty()).then_some(fleet)
}

fn instance(host: &Host) -> Option<Instance> {
    let process = running(host, &["apache2", "httpd"]).find(|process| !process.argv.is_empty());
    if let Some(process) = process {
        return Some(of_process(host, process));
    }
    let (file, root) = PLACES.iter().find(|(file, _)| host.exists(file))?;
    Some(Instance { file: (*file).to_owned(), root: (*root).to_owned(), defines: Vec::new() })
}

fn of_process(host: &Host, process: &Process) -> Instance {
    let arguments = process.argv.get(1..).unwrap_or_default();
    let built = PLACES.iter().find(|(file, _)| host.exists(file));
    let (built_file, built_root) = match built {
        Some(place) => *place,
        None if process.program() == "apache2" => PLACES[0],
        None => PLACES[1],
    };
    let root = values(arguments, &["-d"]).last().map_or(built_root.to_owned(), |path| path_of(host, process, path));
    let relative = built_file.strip_prefix(built_root).unwrap_or(built_file).trim_start_matches('/');
    let file = values(arguments, &["-f"]).last().map_or_else(|| join(&root, relative), |path| join(&root, path));
    let defines = values(arguments, &["-D"]).into_iter().map(str::to_owned).collect();
    Instance { file, root, defines }
}

/// What Debian's `envvars` exports. It is a shell script: only plain assignments are taken.
fn environment(script: &str) -> BTreeMap<String, String> {
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    for line in script.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((name, value)) = line.split_once('=') else { continue };
        let is_name = name.chars().all(|one| one.is_ascii_alphanumeric() || one == '_');
        // What stands in the branch for a second instance has an expansion of its own.
        if !is_name || value.contains(['`', '(']) || value.contains("##") {
            continue;
        }
        let value = value.trim_matches(['"', '\'']);
        let suffix = values.get("SUFFIX").cloned().unwrap_or_default();
        values.insert(name.to_owned(), value.replace("${SUFFIX}", &suffix).replace("$SUFFIX", &suffix));
    }
    values.retain(|_, value| !value.contains('$'));
    values
}
