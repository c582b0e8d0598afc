//! Which files HAProxy reads: those of the running processes' command lines, else those that the service is set up with.

use super::variables::Variables;
use crate::found::Gap;
use crate::host::{Host, Kind, Process};
use crate::lb::{Place, System, Trouble};
use crate::words;
use cloud_doctor_proto::finding::Words;

/// Files of one instance (CHK-02).
const FILES_MAX: usize = 2000;
/// Sets of files that are told apart.
const INSTANCES_MAX: usize = 16;
/// What a service is set up with, on Debian and on Red Hat.
const ENVIRONMENT_FILES: [&str; 2] = ["/etc/default/haproxy", "/etc/sysconfig/haproxy"];
/// What every package installs.
const CONFIG_DEFAULT: &str = "/etc/haproxy/haproxy.cfg";
/// Read besides on Red Hat 8 and later.
const FOLDER_RED_HAT: &str = "/etc/haproxy/conf.d";

/// One HAProxy with its files.
#[derive(Debug, Default)]
pub(super) struct Located {
    /// In the order in which they are read.
    pub(super) files: Vec<String>,
    /// Its processes, the master and old workers included.
    pub(super) pids: Vec<u32>,
    pub(super) troubles: Vec<Trouble>,
}

/// What an HAProxy was told on its command line.
#[derive(Debug, Default, PartialEq, Eq)]
struct Arguments {
    paths: Vec<String>,
    folder: Option<String>,
    /// It only looks at the configuration and ends.
    only_checks: bool,
}

/// The variables of the service's environment files.
pub(super) fn variables(host: &Host) -> Variables {
    let mut variables = Variables::default();
    for text in ENVIRONMENT_FILES.iter().filter_map(|path| host.read(path).ok()) {
        variables.read_assignments(&text);
    }
    variables
}

/// Every HAProxy of this host; none when it is not here.
pub(super) fn instances(host: &Host) -> Vec<Located> {
    let mut instances: Vec<Located> = Vec::new();
    for process in host.processes().iter().filter(|process| process.program() == "haproxy" && process.state != 'Z') {
        let arguments = arguments(process.argv.iter().skip(1).map(String::as_str));
        if arguments.only_checks {
            continue;
        }
        let mut located =
            if process.argv.is_empty() { of_service(host) } else { of_process(host, process, &arguments) };
        if let Some(known) = instances.iter_mut().find(|known| known.files == located.files) {
            known.pids.push(process.pid);
        } else if instances.len() < INSTANCES_MAX {
            located.pids.push(process.pid);
            instances.push(located);
        }
    }
    if instances.is_empty() {
        let located = of_service(host);
        instances.extend((!located.files.is_empty()).then_some(located));
    }
    instances
}

fn of_process(host: &Host, process: &Process, arguments: &Arguments) -> Located {
    let begin = host.link(&format!("/proc/{}/cwd", process.pid)).unwrap_or_default();
    let folder = arguments.folder.as_deref().map_or_else(|| begin.clone(), |folder| below(&begin, folder));
    let mut located = Located::default();
    for path in &arguments.paths {
        located.expand(host, &below(&folder, path));
    }
    located
}

/// What the service would be started with.
fn of_service(host: &Host) -> Located {
    let variables = variables(host);
    let config = variables.get("CONFIG").unwrap_or(CONFIG_DEFAULT);
    let more = ["EXTRAOPTS", "OPTIONS"].iter().filter_map(|name| variables.get(name));
    let more = arguments(more.flat_map(str::split_whitespace));
    let mut located = Located::default();
    if host.exists(config) || config != CONFIG_DEFAULT || !more.paths.is_empty() {
        located.expand(host, config);
    }
    if host.exists(ENVIRONMENT_FILES[1]) && host.exists(FOLDER_RED_HAT) {
        located.expand(host, FOLDER_RED_HAT);
    }
    for path in &more.paths {
        located.expand(host, &below(more.folder.as_deref().unwrap_or("/"), path));
    }
    located
}

/// `path` as seen from `folder`.
fn below(folder: &str, path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", folder.trim_end_matches('/')) }
}

/// Reads a command line as HAProxy does: options with one argument take the next one, whatever it looks like.
fn arguments<'a>(line: impl Iterator<Item = &'a str>) -> Arguments {
    let mut told = Arguments::default();
    let mut line = line.peekable();
    while let Some(argument) = line.next() {
        let Some(flag) = argument.strip_prefix('-') else { continue };
        let mut letters = flag.chars();
        match (letters.next(), letters.next()) {
            (Some('-'), None) => told.paths.extend(line.by_ref().map(str::to_owned)),
            (Some('c'), Some('c')) => told.only_checks = true,
            (Some('c'), _) => told.only_checks = true,
            (Some('f'), _) => told.paths.extend(line.next().map(str::to_owned)),
            (Some('C'), _) => told.folder = line.next().map(str::to_owned),
            (Some('s'), Some('f' | 't')) => while line.next_if(|next| !next.starts_with('-')).is_some() {},
            (Some('d'), Some('t')) if flag == "dt" => {
                line.next_if(|next| !next.starts_with('-'));
            }
            (Some('x' | 'S' | 'n' | 'm' | 'N' | 'L' | 'p'), _) => {
                line.next();
            }
            (Some(_) | None, _) => {}
        }
    }
    told
}

impl Located {
    /// Adds a file, or the files of a folder.
    fn expand(&mut self, host: &Host, path: &str) {
        if self.files.len() >= FILES_MAX {
            return;
        }
        match host.stat(path).map(|stat| stat.kind) {
            Ok(Kind::Folder) => self.expand_folder(host, path.trim_end_matches('/')),
            Ok(Kind::File | Kind::Link | Kind::Socket | Kind::Other) => self.files.push(path.to_owned()),
            Err(Gap::NotHere(_)) => {
                // Named all the same, so that two instances that cannot be read stay two.
                self.files.push(path.to_owned());
            }
            Err(Gap::Unknown(why)) => self.trouble(path, why),
        }
    }

    /// Only names with their first `.cfg` at the end, only files: as `cfgfiles_expand_directories` does it.
    fn expand_folder(&mut self, host: &Host, folder: &str) {
        let entries = match host.list(folder) {
            Ok(entries) => entries,
            Err(Gap::NotHere(why) | Gap::Unknown(why)) => return self.trouble(folder, why),
        };
        let fits = |name: &str| !name.starts_with('.') && name.find(".cfg").is_some_and(|at| at + 4 == name.len());
        for entry in entries.iter().filter(|entry| fits(&entry.name)) {
            let path = format!("{folder}/{}", entry.name);
            if !host.stat(&path).is_ok_and(|stat| stat.kind == Kind::File) {
                continue;
            }
            if self.files.len() >= FILES_MAX {
                let why = words!(
                    "HAProxy reads more than {FILES_MAX} files; the others were not read here",
                    "HAProxy 读取的文件超过 {FILES_MAX} 个，其余未读取"
                );
                return self.trouble(folder, why);
            }
            self.files.push(path);
        }
    }

    fn trouble(&mut self, path: &str, why: Words) {
        let place = Place { file: path.to_owned(), line: 0, text: String::new() };
        self.troubles.push(Trouble { system: System::Haproxy, place, why });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn lb_01_command_lines_are_read_as_haproxy_reads_them() {
        for (line, paths, folder) in [
            (
                "-Ws -f /etc/haproxy/haproxy.cfg -p /run/haproxy.pid -S /run/m.sock",
                &["/etc/haproxy/haproxy.cfg"][..],
                None,
            ),
            ("-sf 12 13 -x sockpair@4 -Ws -f /a.cfg -f /b", &["/a.cfg", "/b"], None),
            ("-C /srv -f a.cfg -D -- b.cfg c.cfg", &["a.cfg", "b.cfg", "c.cfg"], Some("/srv")),
            ("-f -f", &["-f"], None),
            ("-p -f -f /a.cfg", &["/a.cfg"], None),
            ("-dt -f /a.cfg -dM -q -n 100", &["/a.cfg"], None),
            ("-f", &[], None),
        ] {
            let told = arguments(line.split(' '));
            assert_eq!(
                (told.paths.as_slice(), told.folder.as_deref()),
                (paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>().as_slice(), folder),
                "{line}"
            );
        }
        assert!(arguments("-c -f /a.cfg".split(' ')).only_checks);
    }

    #[test]
    fn lb_01_files_come_from_processes_or_from_the_service() {
        let files = |fixture: &Fixture| -> Vec<Vec<String>> {
            instances(&fixture.host()).into_iter().map(|one| one.files).collect()
        };
        assert!(instances(&Fixture::image().host()).is_empty());
        let installed = Fixture::image().file("/etc/haproxy/haproxy.cfg", "");
        assert_eq!(files(&installed), [["/etc/haproxy/haproxy.cfg"]]);
        let set = Fixture::image()
            .file("/etc/default/haproxy", "CONFIG=\"/srv/lb.cfg\"\nEXTRAOPTS=\"-f /srv/more -m 16\"\n")
            .file("/srv/lb.cfg", "")
            .file("/srv/more/b.cfg", "")
            .file("/srv/more/a.cfg", "")
            .file("/srv/more/.c.cfg", "")
            .file("/srv/more/d.cfg.cfg", "")
            .file("/srv/more/e.cfg/x", "");
        assert_eq!(files(&set), [["/srv/lb.cfg", "/srv/more/a.cfg", "/srv/more/b.cfg"]]);
        let running = Fixture::live()
            .file("/etc/haproxy/haproxy.cfg", "")
            .file("/srv/x/lb.cfg", "")
            .process(10, 'S', &["/usr/sbin/haproxy", "-Ws", "-C", "/srv/x", "-f", "lb.cfg"])
            .process(11, 'S', &["/usr/sbin/haproxy", "-Ws", "-C", "/srv/x", "-f", "lb.cfg"])
            .process(12, 'S', &["/usr/sbin/haproxy", "-c", "-f", "/other.cfg"]);
        assert_eq!(files(&running), [["/srv/x/lb.cfg"]]);
        // Without -C, paths begin where the process does.
        let here = Fixture::live().file("/srv/x/lb.cfg", "").process(10, 'S', &["haproxy", "-f", "lb.cfg"]);
        std::os::unix::fs::symlink("/srv/x", here.path("/proc/10/cwd")).unwrap();
        assert_eq!(files(&here), [["/srv/x/lb.cfg"]]);
        // Whose command line may not be seen, and a dead one.
        let stat = "10 (haproxy) S 1 10 10 0 -1 0 0 0 0 0 5 7 0 0 20 0 1 0 1000 1000000 250 0 0\n";
        let hidden = Fixture::live().file("/etc/haproxy/haproxy.cfg", "").file("/proc/10/stat", stat).process(
            11,
            'Z',
            &["haproxy"],
        );
        assert_eq!(instances(&hidden.host())[0].pids, [10]);
        assert_eq!(files(&hidden), [["/etc/haproxy/haproxy.cfg"]]);
        assert_eq!(instances(&running.host())[0].pids, [10, 11]);
    }
}
