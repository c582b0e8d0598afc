//! Caddy: every `reverse_proxy` of its Caddyfile or JSON, and how its upstreams are checked.
//!
//! What was loaded through its admin API is seen only where Caddy was told to resume it.

mod caddyfile;
mod json;
mod settings;
#[cfg(test)]
mod tests;
mod tokens;

use super::command_line::{path_of, running, values};
use super::includes::{Includes, whole};
use super::statement::Statement;
use super::{Fleet, Layer, Setting, System};
use crate::host::{Host, Process};
use crate::words;
use settings::{Proxy, seconds};
use std::collections::BTreeMap;

/// What the packages' unit starts it with.
const FILE: &str = "/etc/caddy/Caddyfile";
/// What `caddy run --resume` begins with (the packages' caddy-api.service).
const RESUMED: &str = "/var/lib/caddy/.config/caddy/autosave.json";

/// Directives that are proxies or hold some, and may have a matcher.
const DIRECTIVES: [&str; 5] = ["handle", "handle_path", "route", "reverse_proxy", "php_fastcgi"];

/// The proxies; nothing without Caddy or without one.
pub(crate) fn read(host: &Host) -> Option<Fleet> {
    let mut includes = Includes::new(host, System::Caddy);
    let (path, adapter) = configuration(host)?;
    let proxies = if adapter == "json" || (adapter.is_empty() && path.ends_with(".json")) {
        json::read(&path, &mut includes)
    } else if adapter.is_empty() || adapter == "caddyfile" {
        let statements = caddyfile::read(&path, &mut includes);
        let mut found = Found { includes: &mut includes, proxies: Vec::new(), names: BTreeMap::new() };
        found.sites(&statements);
        found.proxies
    } else {
        let why = words!("the adapter {adapter} is not read here", "此处不支持适配器 {adapter}");
        includes.trouble(&whole(&path), why);
        Vec::new()
    };
    let pools = proxies
        .into_iter()
        .map(|proxy| proxy.pool(&mut includes))
        .filter(|pool| !pool.members.is_empty())
        .collect::<Vec<_>>();
    let fleet = Fleet { pools, troubles: includes.troubles, ..Fleet::default() };
    (!fleet.pools.is_empty() || !fleet.troubles.is_empty()).then_some(fleet)
}

/// The file, and what it is written in where that is said.
fn configuration(host: &Host) -> Option<(String, String)> {
    let is_server = |process: &&Process| ["run", "start"].contains(&process.argv.get(1).map_or("", String::as_str));
    let Some(process) = running(host, &["caddy"]).find(is_server) else {
        return host.exists(FILE).then(|| (FILE.to_owned(), String::new()));
    };
    let arguments = process.argv.get(1..).unwrap_or_default();
    if arguments.iter().any(|argument| argument.trim_start_matches('-') == "resume") && host.exists(RESUMED) {
        return Some((RESUMED.to_owned(), "json".to_owned()));
    }
    let last = |names: &[&str]| values(arguments, names).last().map(|value| (*value).to_owned());
    let adapter = last(&["--adapter", "-adapter", "-a"]).unwrap_or_default();
    // Without a file it takes one where it runs, if there is one.
    let path = last(&["--config", "-config", "-c"]).unwrap_or_else(|| "Caddyfile".to_owned());
    Some((path_of(host, process, &path), adapter))
}

/// What is found in the statements of sites.
struct Found<'a, 'h> {
    includes: &'a mut Includes<'h>,
    proxies: Vec<Proxy>,
    /// How often a name was given.
    names: BTreeMap<String, usize>,
}

impl Found<'_, '_> {
    /// A single site needs no braces: its directives stand beside its address.
    fn sites(&mut self, statements: &[Statement]) {
        let mut address = "";
        for statement in statements {
            let name = statement.name().trim_end_matches(',');
            if DIRECTIVES.contains(&name) {
                self.inside(statement, &mut vec![address]);
            } else {
                address = name;
                self.search(statement, &mut vec![name]);
            }
        }
    }

    /// `within`: the site and the matchers around it, which are the proxy's name.
    fn search<'s>(&mut self, statement: &'s Statement, within: &mut Vec<&'s str>) {
        let layer = match statement.name() {
            "reverse_proxy" => Some(Layer::Http),
            "php_fastcgi" => Some(Layer::Protocol),
            _ => None,
        };
        if let Some(layer) = layer {
            self.proxy(statement, layer, within);
        }
        for inside in &statement.inside {
            self.inside(inside, within);
        }
    }

    fn inside<'s>(&mut self, inside: &'s Statement, within: &mut Vec<&'s str>) {
        let has_matcher = DIRECTIVES.contains(&inside.name()) && is_matcher(inside.argument());
        let outside = within.len();
        within.extend(has_matcher.then(|| inside.argument()));
        self.search(inside, within);
        within.truncate(outside);
    }

    fn proxy(&mut self, statement: &Statement, layer: Layer, within: &[&str]) {
        let name = within.join(" ");
        let count = self.names.entry(name.clone()).or_default();
        *count += 1;
        let name = if *count > 1 { format!("{name} #{count}") } else { name };
        let mut proxy = Proxy::new(name, statement.place.clone(), layer);
        let upstreams = statement.arguments().iter().enumerate().filter(|(at, word)| *at > 0 || !is_matcher(word));
        proxy.upstreams.extend(upstreams.map(|(_, word)| (word.clone(), statement.place.clone())));
        for set in &statement.inside {
            self.set(set, &mut proxy);
        }
        self.proxies.push(proxy);
    }

    fn set(&mut self, set: &Statement, proxy: &mut Proxy) {
        let place = || set.place.clone();
        match set.name() {
            "to" => proxy.upstreams.extend(set.arguments().iter().map(|word| (word.clone(), place()))),
            "dynamic" => proxy.dynamic = Some(place()),
            "lb_policy" => proxy.takes_first = set.argument() == "first",
            // Its query can hold a key; whether there is one is enough.
            "health_uri" | "health_path" => proxy.is_probed |= !set.argument().is_empty(),
            "health_port" => {
                proxy.port = self.value(set, proxy, |text| text.parse().ok());
                proxy.is_probed = true;
            }
            "health_upstream" => proxy.probed_at = Some(place()),
            "health_interval" => proxy.interval = self.value(set, proxy, seconds),
            "health_timeout" => proxy.timeout = self.value(set, proxy, seconds),
            "health_fails" => proxy.fails = self.value(set, proxy, count),
            "health_passes" => proxy.passes = self.value(set, proxy, count),
            "fail_duration" => proxy.fail_duration = self.value(set, proxy, seconds),
            "max_fails" => proxy.max_fails = self.value(set, proxy, count),
            "transport" => {
                if set.argument() != "http" {
                    proxy.layer = Layer::Protocol;
                }
                if let Some(timeout) = set.last("response_header_timeout") {
                    proxy.response_header_timeout = self.value(timeout, proxy, seconds);
                }
            }
            _ => {}
        }
    }

    /// A value as Caddy takes it. One that it does not take stops it from starting; one of the environment is not known.
    fn value<T>(&mut self, set: &Statement, proxy: &mut Proxy, parse: fn(&str) -> Option<T>) -> Option<Setting<T>> {
        let text = set.argument();
        let value = parse(text);
        if value.is_none() {
            let name = set.name();
            let why = if text.contains("{$") || text.contains("{env.") {
                words!("{name} {text} depends on the environment", "{name} {text} 取决于环境变量")
            } else {
                words!("Caddy does not take {name} {text}", "Caddy 不接受 {name} {text}")
            };
            self.includes.trouble(&set.place, why.clone());
            proxy.broken = Some(why);
        }
        Some(Setting::at(value?, set.place.clone()))
    }
}

/// A matcher stands before all other arguments.
fn is_matcher(word: &str) -> bool {
    word == "*" || word.starts_with(['@', '/'])
}

/// Below one is one, as Caddy makes it.
fn count(text: &str) -> Option<u32> {
    text.parse::<i64>().ok().map(|number| u32::try_from(number.max(0)).unwrap_or(u32::MAX))
}
