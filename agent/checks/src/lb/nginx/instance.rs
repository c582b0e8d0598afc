//! Which nginx runs here, with which configuration: the master's title tells, else the usual places. The program itself is
//! never started, so its edition is told by its path, its package and directives that only one edition knows; `told_by`
//! says by which. A master inside a container has its files elsewhere: it is named and not read.

use super::parse::{self, Read};
use super::tree::{Directive, visit};
use crate::host::{Host, Process};
use crate::lb::{Place, System, Trouble};
use crate::words;
use cloud_doctor_proto::finding::Words;

/// Where configurations stand when nobody says otherwise, and what relative paths in them are relative to.
const USUAL: [(&str, &str); 9] = [
    ("/etc/nginx/nginx.conf", "/etc/nginx"),
    ("/usr/local/nginx/conf/nginx.conf", "/usr/local/nginx"),
    ("/usr/local/tengine/conf/nginx.conf", "/usr/local/tengine"),
    ("/opt/tengine/conf/nginx.conf", "/opt/tengine"),
    ("/etc/tengine/nginx.conf", "/etc/tengine"),
    ("/usr/local/openresty/nginx/conf/nginx.conf", "/usr/local/openresty/nginx"),
    ("/opt/bitnami/nginx/conf/nginx.conf", "/opt/bitnami/nginx"),
    ("/www/server/nginx/conf/nginx.conf", "/www/server/nginx"),
    ("/usr/local/etc/nginx/nginx.conf", "/usr/local/etc/nginx"),
];
/// Masters that are looked at.
const MASTERS_MAX: usize = 16;
/// What NGINX Plus packages leave behind.
const PLUS_FILES: [&str; 3] =
    ["/var/lib/dpkg/info/nginx-plus.list", "/usr/share/doc/nginx-plus", "/etc/nginx/license.jwt"];
/// Directives that only NGINX Plus knows.
const PLUS_DIRECTIVES: [&str; 5] = ["health_check", "mgmt", "zone_sync", "auth_jwt", "least_time"];
/// Directives that only Tengine knows, or a module that is taken from it.
const TENGINE_DIRECTIVES: [&str; 5] = ["check", "check_status", "check_shm_size", "check_http_send", "dyups_interface"];

/// One nginx.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) system: System,
    /// How the edition is known.
    pub(crate) told_by: &'static str,
    /// The main configuration file.
    pub(crate) file: String,
    /// What relative paths of logs are relative to.
    prefix: String,
    pub(crate) tree: Vec<Directive>,
    pub(crate) troubles: Vec<Trouble>,
    /// The running master.
    pub(crate) master: Option<u32>,
}

/// How a master was started.
#[derive(Debug, Default, PartialEq, Eq)]
struct Started {
    program: String,
    file: Option<String>,
    prefix: Option<String>,
    global: String,
}

impl Instance {
    /// The first directive of a name outside of all blocks.
    pub(crate) fn top(&self, name: &str) -> Option<&Directive> {
        self.tree.iter().rfind(|directive| directive.name == name)
    }

    /// A path as this nginx would open it.
    pub(crate) fn path(&self, path: &str) -> String {
        if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", self.prefix) }
    }

    /// What findings about this nginx as a whole are about: stable, and short where there is only one.
    pub(crate) fn subject(&self) -> String {
        format!("{} {}", self.system.name(), self.file)
    }

    /// Its worker processes that take new connections.
    pub(crate) fn workers<'a>(&self, host: &'a Host) -> Vec<&'a Process> {
        let of_master = |process: &&Process| self.master == Some(process.ppid);
        let takes = |process: &&Process| {
            let title = process.argv.first().map_or("", String::as_str);
            title.starts_with("nginx: worker process") && !title.contains("shutting down")
        };
        host.processes().iter().filter(of_master).filter(takes).collect()
    }
}

/// Every nginx of this host, read anew.
pub(super) fn find(host: &Host) -> Vec<Instance> {
    let mut found: Vec<Instance> = Vec::new();
    let mut contained = None;
    for process in host.processes() {
        let Some(started) = started(&process.argv) else { continue };
        if found.len() == MASTERS_MAX {
            break;
        }
        if in_container(host, process.pid) {
            contained = Some(process.pid);
            continue;
        }
        let one = running(host, process.pid, started);
        // The new and the old master during an upgrade of the program.
        if !found.iter().any(|other| other.file == one.file) {
            found.push(one);
        }
    }
    if found.is_empty() {
        let usual = USUAL.iter().find(|(file, _)| host.exists(file));
        found.extend(usual.map(|(file, prefix)| open(host, file, prefix, &Started::default(), None)));
    }
    found.extend(
        contained.map(|pid| unread(Place { file: "container".into(), ..Place::default() }, contained_words(pid))),
    );
    found
}

fn contained_words(pid: u32) -> Words {
    words!(
        "nginx runs in a container (process {pid}); its configuration is inside and was not read",
        "nginx 运行在容器中（进程 {pid}），其配置位于容器内，未读取"
    )
}

fn running(host: &Host, pid: u32, started: Started) -> Instance {
    let own = started.program.strip_suffix("/sbin/nginx").filter(|own| !own.is_empty() && *own != "/usr");
    let prefix = started.prefix.clone().or_else(|| own.map(str::to_owned));
    let by_prefix = prefix.iter().map(|prefix| format!("{}/conf/nginx.conf", prefix.trim_end_matches('/')));
    let file = match (&started.file, &prefix) {
        (Some(file), _) if file.starts_with('/') => Some(file.clone()),
        (Some(file), Some(prefix)) => Some(format!("{}/{file}", prefix.trim_end_matches('/'))),
        (Some(file), None) => USUAL.iter().map(|(_, prefix)| format!("{prefix}/{file}")).find(|path| host.exists(path)),
        (None, _) => by_prefix.chain(USUAL.iter().map(|(file, _)| (*file).to_owned())).find(|path| host.exists(path)),
    };
    let Some(file) = file else {
        let why = words!(
            "nginx runs (process {pid}), but its configuration is in none of the usual places",
            "nginx 正在运行（进程 {pid}），但在常见位置均未找到其配置文件"
        );
        return unread(Place { file: "nginx.conf".into(), ..Place::default() }, why);
    };
    let usual = USUAL.iter().find(|(path, _)| *path == file).map(|(_, prefix)| (*prefix).to_owned());
    let prefix = prefix.or(usual).unwrap_or_else(|| parent(&file).to_owned());
    open(host, &file, prefix.trim_end_matches('/'), &started, Some(pid))
}

fn open(host: &Host, file: &str, prefix: &str, started: &Started, master: Option<u32>) -> Instance {
    let Read { tree, troubles } = parse::read(host, file, parent(file), &started.global);
    let (system, told_by) = edition(host, file, &started.program, &tree);
    let troubles = troubles.into_iter().map(|(place, why)| Trouble { system, place, why }).collect();
    Instance { system, told_by, file: file.to_owned(), prefix: prefix.to_owned(), tree, troubles, master }
}

/// An nginx of which nothing is known but that it is there.
fn unread(place: Place, why: Words) -> Instance {
    let system = System::Nginx;
    Instance {
        system,
        told_by: "its configuration was not read",
        file: place.file.clone(),
        prefix: String::new(),
        tree: Vec::new(),
        troubles: vec![Trouble { system, place, why }],
        master: None,
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// What a command line or a title says; nothing for what is no master.
fn started(argv: &[String]) -> Option<Started> {
    let first = argv.first()?;
    let words: Vec<String> = match first.strip_prefix("nginx: master process ") {
        // A title: the arguments with spaces between, quotes lost.
        Some(title) => title.split_ascii_whitespace().map(str::to_owned).collect(),
        // With `master_process off` it has no title.
        None if ["nginx", "tengine", "openresty"].contains(&first.rsplit('/').next()?) => argv.to_vec(),
        None => return None,
    };
    let mut words = words.into_iter();
    let mut started = Started { program: words.next()?, ..Started::default() };
    let mut flag = String::new();
    for word in words {
        match word.as_bytes() {
            [b'-', name @ (b'c' | b'p' | b'g' | b'e' | b's')] => flag = char::from(*name).to_string(),
            // Only asks, or speaks to a running one.
            [b'-', b'v' | b'V' | b't' | b'T' | b'h' | b'?'] => return None,
            [b'-', b'c', ..] => started.file = word.get(2..).map(str::to_owned),
            [b'-', b'p', ..] => started.prefix = word.get(2..).map(str::to_owned),
            _ => match flag.as_str() {
                "c" => started.file = Some(word),
                "p" => started.prefix = Some(word),
                "g" => {
                    started.global.push(' ');
                    started.global.push_str(&word);
                }
                "s" => return None,
                _ => {}
            },
        }
    }
    Some(started)
}

/// Whether a process sees other files than this host's. Without the right to see its name spaces its control group tells.
fn in_container(host: &Host, pid: u32) -> bool {
    let space = |pid: &str| host.link(&format!("/proc/{pid}/ns/mnt"));
    if let (Ok(its), Ok(first)) = (space(&pid.to_string()), space("1")) {
        // Units with their own /tmp have a name space too; what they run stands in a service's group.
        if its == first {
            return false;
        }
    }
    let group = |pid: &str| host.read(&format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let (its, first) = (group(&pid.to_string()), group("1"));
    // Where this agent runs in a container itself, the first process is in it too.
    let words = ["docker", "kubepods", "containerd", "libpod", "crio", "lxc"];
    words.iter().any(|word| its.contains(word) && !first.contains(word))
}

/// Which edition it is, and how that is known.
fn edition(host: &Host, file: &str, program: &str, tree: &[Directive]) -> (System, &'static str) {
    if program.contains("tengine") || file.contains("tengine") {
        return (System::Tengine, "its path names Tengine");
    }
    if PLUS_FILES.iter().any(|path| host.exists(path)) {
        return (System::NginxPlus, "the package nginx-plus is installed");
    }
    let (mut plus, mut tengine) = (false, false);
    visit(tree, &mut |_, directive| {
        plus |= PLUS_DIRECTIVES.contains(&directive.name.as_str());
        tengine |= TENGINE_DIRECTIVES.contains(&directive.name.as_str());
    });
    match (tengine, plus) {
        (true, _) => (
            System::Tengine,
            "assumed: directives of Tengine's health checks are used; nginx with nginx_upstream_check_module looks the same",
        ),
        (false, true) => (System::NginxPlus, "assumed: directives are used that only NGINX Plus knows"),
        (false, false) => (System::Nginx, "assumed: no directive of NGINX Plus or Tengine is used"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    fn one(argv: &[&str]) -> Option<(String, Option<String>, Option<String>, String)> {
        let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
        started(&argv).map(|one| (one.program, one.file, one.prefix, one.global.trim().to_owned()))
    }

    #[test]
    fn lb_24_a_masters_title_tells_its_configuration() {
        let some = |text: &str| Some(text.to_owned());
        for (argv, expected) in [
            (
                &["nginx: master process /usr/sbin/nginx -g daemon on; master_process on;"][..],
                Some(("/usr/sbin/nginx".to_owned(), None, None, "daemon on; master_process on;".to_owned())),
            ),
            (
                &["nginx: master process /usr/local/tengine/sbin/nginx -p /srv/t -c conf/a.conf"],
                Some(("/usr/local/tengine/sbin/nginx".to_owned(), some("conf/a.conf"), some("/srv/t"), String::new())),
            ),
            (
                &["nginx: master process nginx -g daemon off; -c /a.conf"],
                Some(("nginx".to_owned(), some("/a.conf"), None, "daemon off;".to_owned())),
            ),
            (
                &["/usr/sbin/nginx", "-c/x.conf", "-g", "daemon off; master_process off;"],
                Some((
                    "/usr/sbin/nginx".to_owned(),
                    some("/x.conf"),
                    None,
                    "daemon off; master_process off;".to_owned(),
                )),
            ),
            (&["nginx: worker process"], None),
            (&["nginx: master process "], None),
            (&["nginx", "-t"], None),
            (&["nginx", "-s", "reload"], None),
            (&["vim", "nginx"], None),
            (&[], None),
        ] {
            assert_eq!(one(argv), expected, "{argv:?}");
        }
    }

    fn found(fixture: &Fixture) -> Vec<(&'static str, String, usize)> {
        let found = find(&fixture.host());
        found.into_iter().map(|one| (one.system.name(), one.path("logs/x"), one.troubles.len())).collect()
    }

    #[test]
    fn lb_24_the_running_one_is_read_and_else_the_usual_one() {
        let base = || Fixture::live().file("/etc/nginx/nginx.conf", "events {}");
        let title = |text: &str| format!("nginx: master process {text}");
        assert_eq!(found(&base()), [("nginx", "/etc/nginx/logs/x".to_owned(), 0)]);
        assert_eq!(found(&Fixture::live()), []);
        let own = base().file("/usr/local/tengine/conf/nginx.conf", "").process(
            9,
            'S',
            &[&title("/usr/local/tengine/sbin/nginx")],
        );
        assert_eq!(found(&own), [("tengine", "/usr/local/tengine/logs/x".to_owned(), 0)]);
        let gone = base().process(9, 'S', &[&title("/usr/sbin/nginx -c /srv/gone.conf")]);
        assert_eq!(found(&gone), [("nginx", "/srv/logs/x".to_owned(), 1)]);
        let inside = Fixture::live()
            .process(9, 'S', &[&title("nginx -g daemon off;")])
            .file("/proc/9/cgroup", "0::/system.slice/docker-0123.scope\n");
        assert_eq!(found(&inside), [("nginx", "/logs/x".to_owned(), 1)]);
        let service = base()
            .process(9, 'S', &[&title("/usr/sbin/nginx")])
            .file("/proc/9/cgroup", "0::/system.slice/nginx.service\n");
        assert_eq!(found(&service), [("nginx", "/etc/nginx/logs/x".to_owned(), 0)]);
    }

    #[test]
    fn lb_14_the_editions_are_told_apart() {
        for (text, more, expected) in [
            ("http { upstream a { server b; } }", None, System::Nginx),
            ("http { upstream a { server b; check interval=3000; } }", None, System::Tengine),
            ("http { server { location / { health_check; } } }", None, System::NginxPlus),
            ("http { }", Some("/var/lib/dpkg/info/nginx-plus.list"), System::NginxPlus),
        ] {
            let fixture = Fixture::image().file("/etc/nginx/nginx.conf", text);
            let fixture = more.into_iter().fold(fixture, |fixture, path| fixture.file(path, ""));
            assert_eq!(find(&fixture.host()).first().map(|one| one.system), Some(expected), "{text}");
        }
    }
}
