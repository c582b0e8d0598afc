//! Groups of servers in a configuration, and which locations pass requests to them with which timeouts. What a variable
//! names is not guessed.

use super::instance::Instance;
use super::tree::{Directive, Scope, secs, visit, visit_scopes};
use crate::lb::{Setting, System};
use std::collections::BTreeMap;

/// Groups of one configuration; a very large one has a few hundred.
pub(crate) const UPSTREAMS_MAX: usize = 1000;
/// Servers of one group that are looked at.
pub(crate) const SERVERS_MAX: usize = 1000;
/// Passes to one group that are looked at; a template can write thousands.
const PASSES_MAX: usize = 200;

const CONNECT_DEFAULT: &str = "nginx: proxy_connect_timeout 60s (ngx_http_proxy_module)";
const READ_DEFAULT: &str = "nginx: proxy_read_timeout 60s (ngx_http_proxy_module)";
const STREAM_DEFAULT: &str = "nginx: proxy_connect_timeout 60s (ngx_stream_proxy_module)";

/// A group of servers.
#[derive(Debug)]
pub(crate) struct Upstream<'a> {
    pub(crate) name: &'a str,
    pub(crate) system: System,
    pub(crate) directive: &'a Directive,
    /// Whether it stands in `stream` and not in `http`.
    pub(crate) stream: bool,
    pub(crate) servers: Vec<Server<'a>>,
    pub(crate) passes: Vec<Pass<'a>>,
    /// Some `proxy_pass` that names a variable, which may mean this group.
    pub(crate) by_variable: Option<&'a Directive>,
    /// The `http` or `stream` that it stands in.
    pub(crate) root: &'a Directive,
}

/// A line `server` of a group.
#[derive(Debug)]
pub(crate) struct Server<'a> {
    pub(crate) directive: &'a Directive,
    pub(crate) address: &'a str,
}

/// A directive that passes requests to a group.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    pub(crate) module: Module,
    /// What holds where it stands.
    pub(super) scope: Scope<'a>,
}

/// What passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Module {
    Proxy,
    Grpc,
    Fastcgi,
    Uwsgi,
    Scgi,
    Memcached,
    Stream,
}

/// A time that was found, or the text that is none.
pub(crate) type Time = Result<Setting<f64>, String>;

impl Module {
    /// What its directives begin with.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Module::Proxy | Module::Stream => "proxy",
            Module::Grpc => "grpc",
            Module::Fastcgi => "fastcgi",
            Module::Uwsgi => "uwsgi",
            Module::Scgi => "scgi",
            Module::Memcached => "memcached",
        }
    }

    fn of(directive: &str, stream: bool) -> Option<Self> {
        Some(match directive {
            "proxy_pass" if stream => Module::Stream,
            "proxy_pass" => Module::Proxy,
            "grpc_pass" => Module::Grpc,
            "fastcgi_pass" => Module::Fastcgi,
            "uwsgi_pass" => Module::Uwsgi,
            "scgi_pass" => Module::Scgi,
            "memcached_pass" => Module::Memcached,
            _ => return None,
        })
    }
}

impl<'a> Pass<'a> {
    /// The directive of this module that is in effect here, by the end of its name.
    pub(crate) fn directive(&self, end: &str) -> Option<&'a Directive> {
        self.scope.inherited(&format!("{}_{end}", self.module.prefix())).last().copied()
    }

    fn time(&self, end: &str, default: f64, source: &'static str) -> Time {
        match self.directive(end) {
            Some(directive) => setting(directive),
            None => Ok(Setting::default(default, source)),
        }
    }

    /// How long a server may take to accept a connection.
    pub(crate) fn connect(&self) -> Time {
        let source = if self.module == Module::Stream { STREAM_DEFAULT } else { CONNECT_DEFAULT };
        self.time("connect_timeout", 60.0, source)
    }

    /// How long a server may be silent. In streams silence is no failure.
    pub(crate) fn read(&self) -> Option<Time> {
        (self.module != Module::Stream).then(|| self.time("read_timeout", 60.0, READ_DEFAULT))
    }
}

impl<'a> Server<'a> {
    /// Failures within [`Server::window`] until it is left out for as long.
    pub(crate) fn fails(&self) -> Result<Setting<u32>, String> {
        match self.directive.value_of("max_fails") {
            Some(text) => match text.parse() {
                Ok(count) => Ok(Setting::at(count, self.directive.place())),
                Err(_) => Err(text.to_owned()),
            },
            None => Ok(Setting::default(1, "nginx: max_fails=1 (ngx_http_upstream_module)")),
        }
    }

    /// For how long failures are counted, and it is left out.
    pub(crate) fn window(&self) -> Time {
        match self.directive.value_of("fail_timeout") {
            Some(text) => time_at(text, false, self.directive),
            None => Ok(Setting::default(10.0, "nginx: fail_timeout=10s (ngx_http_upstream_module)")),
        }
    }

    /// Until it has its full weight again.
    pub(crate) fn slow_start_secs(&self) -> f64 {
        self.directive.value_of("slow_start").and_then(|text| secs(text, false)).unwrap_or(0.0)
    }

    pub(crate) fn is_down(&self) -> bool {
        self.directive.has("down")
    }

    pub(crate) fn is_backup(&self) -> bool {
        self.directive.has("backup")
    }

    /// Whether the address is one server for certain; a name may stand for several.
    pub(crate) fn is_one(&self) -> bool {
        let host = self.address.rsplit_once(':').map_or(self.address, |(host, _)| host);
        self.address.starts_with("unix:") || self.address.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok()
    }
}

impl Upstream<'_> {
    /// Whether there is another server to turn to.
    pub(crate) fn has_choice(&self) -> bool {
        self.servers.iter().filter(|server| !server.is_down()).count() > 1
    }

    /// Whether it is asked on its own whether they live (Tengine's module).
    pub(crate) fn check(&self) -> Option<&Directive> {
        self.directive.last("check").filter(|check| check.args.iter().any(|arg| arg.contains('=')))
    }

    /// `nginx upstream web`.
    pub(crate) fn subject(&self) -> String {
        format!("{} {} {}", self.system.name(), self.system.pool_word(), self.name)
    }
}

/// A directive's first argument as a time.
pub(crate) fn setting(directive: &Directive) -> Time {
    time_at(directive.arg(0).unwrap_or_default(), true, directive)
}

fn time_at(text: &str, with_millis: bool, directive: &Directive) -> Time {
    match secs(text, with_millis) {
        Some(secs) => Ok(Setting::at(secs, directive.place())),
        None => Err(text.chars().take(100).collect()),
    }
}

/// The groups of a configuration, [`UPSTREAMS_MAX`] at most, and how many more there are.
pub(crate) fn upstreams(instance: &Instance) -> (Vec<Upstream<'_>>, usize) {
    let mut all: Vec<Upstream<'_>> = Vec::new();
    let mut more = 0;
    visit(&instance.tree, &mut |chain, directive| {
        let (Some(root), "upstream", Some(name)) = (chain.last(), directive.name.as_str(), directive.arg(0)) else {
            return;
        };
        if all.len() == UPSTREAMS_MAX {
            more += 1;
            return;
        }
        let servers =
            directive.all("server").filter_map(|server| Some(Server { directive: server, address: server.arg(0)? }));
        all.push(Upstream {
            name,
            system: instance.system,
            directive,
            stream: root.name == "stream",
            servers: servers.take(SERVERS_MAX).collect(),
            passes: Vec::new(),
            by_variable: None,
            root,
        });
    });
    add_passes(instance, &mut all);
    (all, more)
}

fn add_passes<'a>(instance: &'a Instance, all: &mut [Upstream<'a>]) {
    let index: BTreeMap<(bool, String), usize> =
        all.iter().enumerate().map(|(at, one)| ((one.stream, one.name.to_ascii_lowercase()), at)).collect();
    let mut by_variable: [Option<&'a Directive>; 2] = [None, None];
    visit_scopes(&instance.tree, is_of_passing, &mut |scope, directive| {
        let stream = scope.chain.first().is_some_and(|root| root.name == "stream");
        let Some(module) = Module::of(&directive.name, stream) else { return };
        let Some(target) = directive.arg(0).map(target) else { return };
        if target.contains('$') {
            by_variable[usize::from(stream)].get_or_insert(directive);
        } else if let Some(one) = index.get(&(stream, target.to_ascii_lowercase())).and_then(|at| all.get_mut(*at))
            && one.passes.len() < PASSES_MAX
        {
            one.passes.push(Pass { module, scope: scope.clone() });
        }
    });
    for one in all {
        one.by_variable = by_variable[usize::from(one.stream)];
    }
}

/// Whether a directive says how requests are passed.
fn is_of_passing(name: &str) -> bool {
    ["_connect_timeout", "_read_timeout", "_next_upstream", "_next_upstream_tries", "_next_upstream_timeout"]
        .iter()
        .any(|end| name.ends_with(end))
        || name.starts_with("health_check")
}

/// The group that `http://web/path` names.
fn target(text: &str) -> &str {
    let behind = text.split_once("://").map_or(text, |(_, behind)| behind);
    behind.split(['/', '?']).next().unwrap_or(behind)
}

/// The `match` block of a name.
pub(super) fn match_block<'a>(root: &'a Directive, name: &str) -> Option<&'a Directive> {
    root.all("match").find(|block| block.arg(0) == Some(name))
}

/// `health_check_timeout` of streams.
pub(super) fn stream_check_timeout(pass: &Pass<'_>) -> Time {
    match pass.scope.inherited("health_check_timeout").last() {
        Some(directive) => setting(directive),
        None => Ok(Setting::default(5.0, "NGINX Plus: health_check_timeout 5s (ngx_stream_upstream_hc_module)")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::instance::find;
    use super::*;
    use crate::host::fixture::Fixture;

    fn connect(text: &str) -> Vec<f64> {
        let text = format!("http {{ upstream Web {{ server 10.0.0.1; server 10.0.0.2; }} {text} }}");
        let fixture = Fixture::image().file("/etc/nginx/nginx.conf", text);
        let instances = find(&fixture.host());
        let (all, _) = upstreams(instances.first().unwrap());
        all[0].passes.iter().map(|pass| pass.connect().unwrap().value).collect()
    }

    #[test]
    fn lb_14_timeouts_are_inherited_from_the_innermost_block_that_says_them() {
        for (text, expected) in [
            ("server { location / { proxy_pass http://web; } }", &[60.0][..]),
            ("proxy_connect_timeout 5s; server { location / { proxy_pass http://web/x?y; } }", &[5.0]),
            (
                "proxy_connect_timeout 5s; server { proxy_connect_timeout 4; location / { proxy_pass https://WEB; } }",
                &[4.0],
            ),
            ("server { location / { proxy_connect_timeout 3s; proxy_pass http://web; } }", &[3.0]),
            ("server { location / { proxy_connect_timeout 3s; location /a { proxy_pass http://web; } } }", &[3.0]),
            ("server { location / { proxy_connect_timeout 3s; if ($a) { proxy_pass http://web; } } }", &[3.0]),
            (
                "server { location / { proxy_connect_timeout 3s; fastcgi_pass web; fastcgi_connect_timeout 300ms; } }",
                &[0.3],
            ),
            (
                "server { location / { grpc_pass grpc://web; } location /u { uwsgi_pass uwsgi://web; uwsgi_connect_timeout 2s; } }",
                &[60.0, 2.0],
            ),
            ("server { location / { proxy_pass http://web:8080; } location /v { proxy_pass http://$up; } }", &[]),
        ] {
            assert_eq!(connect(text), expected, "{text}");
        }
    }

    #[test]
    fn lb_16_a_name_may_be_several_servers() {
        for (address, one) in [
            ("10.0.0.1", true),
            ("10.0.0.1:80", true),
            ("[::1]:80", true),
            ("unix:/run/a.sock", true),
            ("app.example.com:80", false),
            ("localhost", false),
        ] {
            let directive =
                Directive { name: "server".into(), args: Vec::new(), block: None, file: "f".into(), line: 1 };
            assert_eq!(Server { directive: &directive, address }.is_one(), one, "{address}");
        }
    }
}
