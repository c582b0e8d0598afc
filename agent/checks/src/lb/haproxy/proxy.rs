//! A section `defaults`, `frontend`, `listen` or `backend`: what it inherits, what it says, and the pool that it comes to.
//!
//! Options of a section count wherever they stand in it; a `default-server` counts only for the servers below it.

use super::line::Line;
use super::notes::Notes;
use super::server::{Options, Value, depends_on, time};
use crate::lb::{Layer, Place};
use crate::words;
use cloud_doctor_proto::finding::Words;

/// Which section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Defaults,
    Frontend,
    Listen,
    Backend,
}

/// How members are probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Method {
    pub(super) layer: Layer,
    /// Whether it waits for an answer once it is connected.
    pub(super) reads: bool,
    /// Whether it follows the rules of `tcp-check`.
    pub(super) by_rules: bool,
}

impl Method {
    /// Without an option: connecting is enough.
    const CONNECT: Self = Self { layer: Layer::Tcp, reads: false, by_rules: false };
}

/// The rules of `tcp-check` and `http-check`.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    pub(super) expects: bool,
    pub(super) tls: bool,
    /// Where a rule connects to, when it says so.
    pub(super) port: Option<(String, Place)>,
    inherited: bool,
}

/// The page with statistics.
#[derive(Debug, Clone, Default)]
pub(super) struct Page {
    pub(super) place: Option<Place>,
    pub(super) has_password: bool,
    pub(super) has_admin: bool,
    /// Rules that may keep strangers out.
    pub(super) has_rules: bool,
    /// A `bind` that others can reach.
    pub(super) public: Option<Place>,
}

/// A server as it stands there; what the section says later still counts.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) place: Place,
    pub(super) options: Options,
}

/// A section.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) is_http: bool,
    pub(super) method: Method,
    pub(super) rules: Rules,
    pub(super) timeout_check: Option<Value<f64>>,
    pub(super) timeout_connect: Option<Value<f64>>,
    pub(super) server_defaults: Options,
    pub(super) servers: Vec<Server>,
    pub(super) disabled: bool,
    pub(super) loads_state: bool,
    pub(super) page: Page,
    /// Lines that may or may not count stand in it.
    pub(super) unclear: Option<Words>,
}

impl Proxy {
    /// Nothing is said yet.
    pub(super) fn new(kind: Kind, name: &str, place: Place, from: Option<&Proxy>) -> Self {
        let built_in = || Self {
            kind,
            name: name.to_owned(),
            place: place.clone(),
            is_http: false,
            method: Method::CONNECT,
            rules: Rules::default(),
            timeout_check: None,
            timeout_connect: None,
            server_defaults: Options::default(),
            servers: Vec::new(),
            disabled: false,
            loads_state: false,
            page: Page::default(),
            unclear: None,
        };
        from.map_or_else(built_in, |from| Self {
            is_http: from.is_http,
            method: from.method,
            rules: Rules { inherited: true, ..from.rules.clone() },
            timeout_check: from.timeout_check.clone(),
            timeout_connect: from.timeout_connect.clone(),
            server_defaults: from.server_defaults.clone(),
            disabled: from.disabled,
            loads_state: from.loads_state,
            page: from.page.clone(),
            unclear: from.unclear.clone(),
            ..built_in()
        })
    }

    /// As findings name it.
    pub(super) fn subject(&self) -> String {
        let word = match self.kind {
            Kind::Defaults => "defaults",
            Kind::Frontend => "frontend",
            Kind::Listen | Kind::Backend => "backend",
        };
        format!("haproxy {word} {}", self.name).trim_end().to_owned()
    }

    /// Takes a line that belongs to the section.
    pub(super) fn take(&mut self, line: &Line<'_>, notes: &mut Notes) {
        let subject = self.subject();
        match line.word(0) {
            "default-server" if self.kind != Kind::Frontend => {
                self.server_defaults.take(line, 1, &subject, notes);
            }
            "server" | "server-template" if matches!(self.kind, Kind::Listen | Kind::Backend) => {
                self.take_server(line, &subject, notes);
            }
            "timeout" => self.take_timeout(line, &subject, notes),
            "contimeout" => self.take_connect(line, 1, notes),
            "mode" => self.take_mode(line),
            "option" => self.take_method(line.word(1)),
            "tcp-check" | "http-check" => self.take_rule(line),
            "disabled" => self.disabled = true,
            "enabled" => self.disabled = false,
            "load-server-state-from-file" => self.loads_state = line.word(1) != "none",
            "stats" => self.take_stats(line),
            "bind" => self.take_bind(line),
            "http-request" | "tcp-request" | "block" | "reqdeny" => self.page.has_rules = true,
            _ => {}
        }
    }

    fn take_timeout(&mut self, line: &Line<'_>, subject: &str, notes: &mut Notes) {
        match (line.word(1), line.words.get(2)) {
            ("check", Some(word)) => self.timeout_check = Some(time("timeout check", word, line, subject, notes)),
            ("connect", Some(_)) => self.take_connect(line, 2, notes),
            ("check" | "connect", None) => {
                notes.trouble(line, words!("this timeout has no value", "该 timeout 缺少取值"));
            }
            _ => {}
        }
    }

    /// A bare number is common here and its being small no sign of a mistake, so its unit is not noted.
    fn take_connect(&mut self, line: &Line<'_>, at: usize, notes: &mut Notes) {
        let Some(word) = line.words.get(at) else { return };
        let mut quiet = Notes::default();
        self.timeout_connect = Some(time("timeout connect", word, line, "", &mut quiet));
        notes.troubles.extend(quiet.troubles);
    }

    fn take_mode(&mut self, line: &Line<'_>) {
        self.is_http = line.word(1) == "http";
        if let Some(name) = line.words.get(1).and_then(|word| word.unknown.as_deref()) {
            self.unclear = Some(depends_on(name));
        }
    }

    /// The last one counts.
    fn take_method(&mut self, option: &str) {
        let (layer, reads, by_rules) = match option {
            "httpchk" => (Layer::Http, true, false),
            "tcp-check" => (Layer::Tcp, false, true),
            "ssl-hello-chk" => (Layer::Tls, true, false),
            "mysql-check" | "pgsql-check" | "redis-check" | "smtpchk" | "ldap-check" | "spop-check"
            | "external-check" => (Layer::Protocol, true, false),
            _ => return,
        };
        self.method = Method { layer, reads, by_rules };
    }

    /// A section's own rules take the place of those that it inherits.
    fn take_rule(&mut self, line: &Line<'_>) {
        if std::mem::take(&mut self.rules.inherited) {
            self.rules = Rules::default();
        }
        match line.word(1) {
            "expect" => self.rules.expects = true,
            "connect" => {
                let rest = || line.words.iter().skip(2).map(|word| word.text.as_str());
                self.rules.tls |= rest().any(|word| word == "ssl");
                if let Some(port) = rest().skip_while(|word| *word != "port").nth(1) {
                    self.rules.port = Some((port.to_owned(), line.place()));
                }
            }
            _ => {}
        }
    }

    fn take_stats(&mut self, line: &Line<'_>) {
        match line.word(1) {
            "enable" | "uri" => self.page.place = Some(line.place()),
            // The password itself is nobody's business here.
            "auth" => self.page.has_password = true,
            "admin" => self.page.has_admin = true,
            "http-request" => self.page.has_rules = true,
            _ => {}
        }
    }

    fn take_bind(&mut self, line: &Line<'_>) {
        let public = line.word(1).split(',').any(is_public);
        if public && self.page.public.is_none() {
            self.page.public = Some(line.place());
        }
    }

    fn take_server(&mut self, line: &Line<'_>, subject: &str, notes: &mut Notes) {
        let is_template = line.word(0) == "server-template";
        let (at, least) = if is_template { (3, 4) } else { (2, 3) };
        if line.words.len() < least {
            return notes.trouble(line, words!("a server needs a name and an address", "server 需要名称和地址"));
        }
        let (name, address) = (line.word(1), line.word(at));
        let mut options = self.server_defaults.clone();
        options.take(line, at + 1, &format!("{subject}/{name}"), notes);
        let mut add = |name: String| {
            let (address, options) = (address.to_owned(), options.clone());
            self.servers.push(Server { name, address, place: line.place(), options });
        };
        if !is_template {
            return add(name.to_owned());
        }
        match range(line.word(2)) {
            Some((low, high)) => {
                (low..=high).take(super::MEMBERS_MAX + 1).for_each(|number| add(format!("{name}{number}")))
            }
            None => notes.trouble(line, words!("the number of servers is not understood", "无法理解 server 的数量")),
        }
    }
}

/// `N` or `LOW-HIGH` of a `server-template`.
fn range(text: &str) -> Option<(u32, u32)> {
    let (low, high) = match text.split_once('-') {
        Some((low, high)) => (low.parse().ok()?, high.parse().ok()?),
        None => (1, text.parse().ok()?),
    };
    (low <= high).then_some((low, high))
}

/// Whether an address to listen on can be reached from elsewhere.
pub(super) fn is_public(address: &str) -> bool {
    let address = address.trim();
    if address.is_empty() || address.starts_with(['/', '@']) {
        return false;
    }
    let (family, rest) = address.split_once('@').unwrap_or(("", address));
    if matches!(family, "unix" | "abns" | "abnsz" | "fd" | "sockpair" | "rhttp") {
        return false;
    }
    let host = rest.rsplit_once(':').map_or(rest, |(host, _)| host).trim_matches(['[', ']']);
    !(host.starts_with("127.") || host == "::1" || host == "localhost")
}
