//! Balancers and their members, with the values in effect of each member's health check (mod_proxy.c, mod_proxy_hcheck.c).

use super::super::includes::Includes;
use super::super::{Active, Cadence, Layer, Member, Place, Pool, Probe, Setting, System};
use super::reader::{Directive, without_user};
use super::words::seconds;
use crate::words;
use cloud_doctor_proto::finding::Words;
use std::collections::{BTreeMap, BTreeSet};

/// mod_watchdog looks ten times a second (mod_watchdog.h, `AP_WD_TM_SLICE`).
const INTERVAL_SECS_MIN: f64 = 0.1;
/// `ProxyHCTPsize`: threads that probe.
const THREADS: u32 = 16;
const TIMEOUT: &str = "Timeout 60, core";
const RETRY: &str = "retry 60, mod_proxy";

/// What a server of the configuration sets.
#[derive(Default)]
struct Server {
    name: String,
    timeout: Option<Setting<f64>>,
    proxy_timeout: Option<Setting<f64>>,
}

/// A health check as a template or a member sets it.
#[derive(Clone)]
struct Health {
    method: Method,
    interval: Setting<f64>,
    passes: Setting<u32>,
    fails: Setting<u32>,
}

#[derive(Clone, Copy, PartialEq)]
enum Method {
    None,
    Tcp,
    Cping,
    Http,
}

impl Method {
    fn of(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_str() {
            "NONE" => Self::None,
            "TCP" => Self::Tcp,
            "CPING" => Self::Cping,
            "OPTIONS" | "HEAD" | "GET" | "OPTIONS11" | "HEAD11" | "GET11" => Self::Http,
            _ => return None,
        })
    }
}

impl Health {
    fn new(method: Method) -> Self {
        Self {
            method,
            interval: Setting::default(30.0, "hcinterval 30, mod_proxy_hcheck"),
            passes: Setting::default(1, "hcpasses 1, mod_proxy_hcheck"),
            fails: Setting::default(1, "hcfails 1, mod_proxy_hcheck"),
        }
    }

    /// Takes `hc…=value`; others are of no concern here.
    fn set(&mut self, key: &str, value: &str, place: &Place) -> Result<(), Words> {
        let count = || Setting::at(leading_number(value).max(1), place.clone());
        match key {
            "hcmethod" => {
                self.method = Method::of(value).ok_or_else(|| refused(key, value))?;
            }
            "hcinterval" => {
                let secs = seconds(value).filter(|secs| *secs >= INTERVAL_SECS_MIN);
                self.interval = Setting::at(secs.ok_or_else(|| refused(key, value))?, place.clone());
            }
            "hcfails" => self.fails = count(),
            "hcpasses" => self.passes = count(),
            _ => {}
        }
        Ok(())
    }
}

/// As `atoi`: what does not begin with a digit is 0, which acts at once as 1 does.
fn leading_number(text: &str) -> u32 {
    let end = text.find(|one: char| !one.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end).and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

fn refused(key: &str, value: &str) -> Words {
    words!("httpd does not take {key}={value}", "httpd 不接受 {key}={value}")
}

/// Collects while directives come in the order of the files.
struct Collector<'a, 'h> {
    includes: &'a mut Includes<'h>,
    servers: BTreeMap<usize, Server>,
    /// Of each server: a virtual host does not see the main server's (mod_proxy_hcheck has no merge).
    templates: BTreeMap<(usize, String), Health>,
    /// By server and name.
    balancers: BTreeMap<(usize, String), Balancer>,
    threads: u32,
}

/// A balancer's members, in the order of the files.
#[derive(Default)]
struct Balancer {
    workers: Vec<Worker>,
    urls: BTreeSet<String>,
}

/// A member as it is written.
struct Worker {
    url: String,
    place: Place,
    parameters: Vec<(String, String)>,
    health: Result<Health, Words>,
}

/// The balancers that have members.
pub(super) fn pools(directives: &[Directive], includes: &mut Includes<'_>) -> Vec<Pool> {
    let mut collector = Collector {
        includes,
        servers: BTreeMap::new(),
        templates: BTreeMap::new(),
        balancers: BTreeMap::new(),
        threads: THREADS,
    };
    for directive in directives {
        collector.take(directive);
    }
    collector.finish()
}

impl Collector<'_, '_> {
    fn take(&mut self, directive: &Directive) {
        let first = directive.words.first().map_or("", String::as_str);
        let server = self.servers.entry(directive.server).or_default();
        match directive.name {
            "servername" => first.clone_into(&mut server.name),
            "timeout" | "proxytimeout" => match seconds(first) {
                Some(secs) if directive.name == "timeout" => {
                    server.timeout = Some(Setting::at(secs, directive.place.clone()));
                }
                Some(secs) => server.proxy_timeout = Some(Setting::at(secs, directive.place.clone())),
                None => self.includes.trouble(&directive.place, refused(directive.name, first)),
            },
            "proxyhctpsize" => self.threads = leading_number(first),
            "proxyhctemplate" => self.template(directive),
            "balancermember" => self.member(directive),
            _ => {}
        }
    }

    /// A template that names no method connects only: its method begins as TCP (`set_hc_template`).
    fn template(&mut self, directive: &Directive) {
        let Some((name, parameters)) = directive.words.split_first() else { return };
        let parameters = parameters.iter().filter_map(|word| word.split_once('='));
        let parameters: Vec<_> = parameters.map(|(key, value)| (key.to_ascii_lowercase(), value.to_owned())).collect();
        match self.health(Method::Tcp, &parameters, directive) {
            Ok(health) => {
                self.templates.entry((directive.server, name.to_ascii_lowercase())).or_insert(health);
            }
            Err(why) => self.includes.trouble(&directive.place, why),
        }
    }

    /// Parameters in their order: a template sets all, whatever stood before it.
    fn health(&self, method: Method, parameters: &[(String, String)], directive: &Directive) -> Result<Health, Words> {
        let mut health = Health::new(method);
        for (key, value) in parameters {
            if key == "hctemplate" {
                let found = self.templates.get(&(directive.server, value.to_ascii_lowercase()));
                let unknown = || {
                    words!(
                        "ProxyHCTemplate {value} is not known in this server",
                        "此服务器中没有 ProxyHCTemplate {value}"
                    )
                };
                health = found.ok_or_else(unknown)?.clone();
            } else {
                health.set(key, value, &directive.place)?;
            }
        }
        Ok(health)
    }

    fn member(&mut self, directive: &Directive) {
        let mut names: Vec<&str> = directive.proxy.iter().map(String::as_str).collect();
        let mut parameters: Vec<(String, String)> = Vec::new();
        for word in &directive.words {
            match word.split_once('=') {
                // The second of a name takes the first one's place.
                Some((key, value)) => {
                    let key = key.to_ascii_lowercase();
                    match parameters.iter_mut().find(|(known, _)| *known == key) {
                        Some((_, known)) => value.clone_into(known),
                        None => parameters.push((key, value.to_owned())),
                    }
                }
                None => names.push(word),
            }
        }
        let [balancer, url, ..] = names[..] else {
            let why = words!("BalancerMember without its balancer or address", "BalancerMember 缺少均衡器或地址");
            return self.includes.trouble(&directive.place, why);
        };
        let Some(name) = balancer.to_ascii_lowercase().strip_prefix("balancer://").map(str::to_owned) else { return };
        let key = (directive.server, name.trim_end_matches('/').to_owned());
        let health = self.health(Method::None, &parameters, directive);
        if let Err(why) = &health {
            self.includes.trouble(&directive.place, why.clone());
        }
        let worker = Worker { url: without_user(url), place: directive.place.clone(), parameters, health };
        let balancer = self.balancers.entry(key).or_default();
        if balancer.urls.insert(worker.url.clone()) {
            balancer.workers.push(worker);
        } else {
            // The first one counts, the second one's parameters do not.
            let url = worker.url;
            let why = words!("{url} is a member already; httpd ignores this", "{url} 已是成员，httpd 会忽略此行");
            self.includes.trouble(&worker.place, why);
        }
    }

    fn finish(self) -> Vec<Pool> {
        let probed = self.balancers.values().flat_map(|one| &one.workers).filter(|worker| worker.is_probed()).count();
        let others = u32::try_from(probed).unwrap_or(u32::MAX).saturating_sub(1);
        // Without threads one probe waits for all others.
        let rounds = f64::from(others.checked_div(self.threads).unwrap_or(others));
        let mut names = BTreeSet::new();
        let mut pools = Vec::new();
        for ((server, name), Balancer { workers, .. }) in &self.balancers {
            let own = self.servers.get(server);
            let main = self.servers.get(&0);
            let timeouts = Timeouts { own, main };
            let least = workers.iter().map(Worker::set).min().unwrap_or(0);
            let members: Vec<_> = workers.iter().map(|worker| worker.member(&timeouts, rounds, least)).collect();
            let Some(first) = workers.first() else { continue };
            let of = own.map_or("", |server| server.name.as_str());
            let unique = if names.insert(name.clone()) { name.clone() } else { format!("{name} ({of})") };
            let (place, layer) = (first.place.clone(), first.layer());
            pools.push(Pool { system: System::Apache, name: unique, place, layer, members });
        }
        pools
    }
}

/// The servers whose timeouts count, the virtual host's own first.
struct Timeouts<'a> {
    own: Option<&'a Server>,
    main: Option<&'a Server>,
}

impl Timeouts<'_> {
    /// `ProxyTimeout`, else `Timeout`.
    fn server(&self) -> Setting<f64> {
        let of = |get: fn(&Server) -> Option<&Setting<f64>>| self.own.and_then(get).or_else(|| self.main.and_then(get));
        let set = of(|server| server.proxy_timeout.as_ref()).or_else(|| of(|server| server.timeout.as_ref()));
        set.cloned().unwrap_or(Setting::default(60.0, TIMEOUT))
    }
}

impl Worker {
    fn get(&self, key: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    fn secs(&self, key: &str) -> Option<Setting<f64>> {
        Some(Setting::at(seconds(self.get(key)?)?, self.place.clone()))
    }

    /// `timeout` and `retry` are read by `atoi` (`set_worker_param`): `timeout=300ms` is 300 seconds, as measured.
    fn whole_secs(&self, key: &str) -> Option<Setting<f64>> {
        Some(Setting::at(f64::from(leading_number(self.get(key)?)), self.place.clone()))
    }

    fn is_probed(&self) -> bool {
        self.health.as_ref().is_ok_and(|health| health.method != Method::None)
    }

    /// `lbset`: higher ones get traffic when lower ones are gone.
    fn set(&self) -> u32 {
        self.get("lbset").map_or(0, leading_number)
    }

    /// What stands after `unix:/path|`, if anything.
    fn remote(&self) -> &str {
        self.url.rsplit('|').next().unwrap_or(&self.url)
    }

    fn layer(&self) -> Layer {
        match self.remote().split("://").next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "http" | "https" | "h2" | "h2c" | "ws" | "wss" => Layer::Http,
            _ => Layer::Protocol,
        }
    }

    /// `host:port`, the port from the scheme where it is not said.
    fn address(&self) -> String {
        let Some((scheme, rest)) = self.remote().split_once("://") else { return self.url.clone() };
        let host = rest.split('/').next().unwrap_or(rest);
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let port = match scheme.to_ascii_lowercase().as_str() {
            _ if has_port => return host.to_owned(),
            "http" | "h2c" | "ws" => 80,
            "https" | "h2" | "wss" => 443,
            "ajp" => 8009,
            "fcgi" => 8000,
            "scgi" => 4000,
            _ => return host.to_owned(),
        };
        format!("{host}:{port}")
    }

    fn member(&self, timeouts: &Timeouts<'_>, rounds: f64, least: u32) -> Member {
        let status = Status::of(self.get("status").unwrap_or_default());
        let probe = match &self.health {
            Err(why) => Probe::Unresolved(why.clone()),
            Ok(health) if health.method == Method::None && status.ignores_errors => Probe::Never,
            Ok(health) if health.method == Method::None => Probe::Passive {
                per_request_secs: self.read_timeout(timeouts),
                fails: Setting::default(1, "one failure, mod_proxy"),
                window_secs: self.whole_secs("retry").unwrap_or(Setting::default(60.0, RETRY)),
            },
            Ok(health) => Probe::Active(Box::new(self.active(health, timeouts, rounds))),
        };
        Member {
            name: self.url.clone(),
            address: self.address(),
            place: self.place.clone(),
            probe,
            disabled: status.disabled,
            backup: status.backup || self.set() > least,
        }
    }

    fn read_timeout(&self, timeouts: &Timeouts<'_>) -> Setting<f64> {
        // httpd refuses 0.
        self.whole_secs("timeout").filter(|set| set.value > 0.0).unwrap_or_else(|| timeouts.server())
    }

    /// A member that takes a connection and says nothing, or one that does not even take it: whichever is longer.
    fn hang(&self, method: Method, timeouts: &Timeouts<'_>) -> Setting<f64> {
        let read = self.read_timeout(timeouts);
        let connect = self.secs("connectiontimeout").unwrap_or_else(|| read.clone());
        let answer = match method {
            Method::None | Method::Tcp => return connect,
            Method::Http => read,
            Method::Cping => self.secs("ping").unwrap_or_else(|| connect.clone()),
        };
        if connect.value > answer.value { connect } else { answer }
    }

    fn active(&self, health: &Health, timeouts: &Timeouts<'_>, rounds: f64) -> Active {
        let hang_secs = self.hang(health.method, timeouts);
        Active {
            layer: match health.method {
                Method::None | Method::Tcp => Layer::Tcp,
                Method::Cping => Layer::Protocol,
                Method::Http => Layer::Http,
            },
            cadence: Cadence::AfterEnd,
            interval: health.interval.clone(),
            fast: health.interval.clone(),
            down: health.interval.clone(),
            queue_secs: rounds * hang_secs.value,
            hang_secs,
            fall: health.fails.clone(),
            rise: health.passes.clone(),
            // Neither counter is cleared by the opposite outcome (`hc_check`).
            consecutive: false,
            slow_start_secs: 0.0,
            elsewhere: None,
        }
    }
}

/// `status=+H-D`: what a member begins as.
#[derive(Default)]
struct Status {
    disabled: bool,
    backup: bool,
    ignores_errors: bool,
}

impl Status {
    fn of(text: &str) -> Self {
        let (mut status, mut is_on) = (Self::default(), true);
        for one in text.chars() {
            match one.to_ascii_uppercase() {
                '+' => is_on = true,
                '-' => is_on = false,
                // Disabled, stopped, draining.
                'D' | 'S' | 'N' => status.disabled = is_on,
                // Hot standby, hot spare.
                'H' | 'R' => status.backup = is_on,
                'I' => status.ignores_errors = is_on,
                _ => {}
            }
        }
        status
    }
}
