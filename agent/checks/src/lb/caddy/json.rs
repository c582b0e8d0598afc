//! Caddy's native configuration: every `reverse_proxy` handler in a JSON document. Places name the path in it, not a line.

use super::super::includes::{Includes, whole};
use super::super::{Layer, Place, Setting};
use super::settings::{Proxy, seconds};
use crate::words;
use serde_json::Value;

/// Handlers that are looked at.
const PROXIES_MAX: usize = 10_000;

/// Every `reverse_proxy` of the document at `path`.
pub(super) fn read(path: &str, includes: &mut Includes<'_>) -> Vec<Proxy> {
    let mut proxies = Vec::new();
    let Some(text) = includes.open(path, &whole(path)) else { return proxies };
    match serde_json::from_str::<Value>(&text) {
        // serde_json itself goes no deeper than 128.
        Ok(document) => {
            let servers = document.get("apps").and_then(|apps| apps.get("http")).and_then(|http| http.get("servers"));
            if let Some(servers) = servers {
                search(servers, path, "apps.http.servers", &mut proxies);
            }
        }
        Err(error) => {
            let line = u32::try_from(error.line()).unwrap_or(u32::MAX);
            let place = Place { line, ..whole(path) };
            includes.trouble(&place, words!("it is no JSON: {error}", "不是有效的 JSON：{error}"));
        }
    }
    includes.close();
    if proxies.len() >= PROXIES_MAX {
        let why =
            words!("more than {PROXIES_MAX} proxies; the rest was not read", "代理超过 {PROXIES_MAX} 个，其余未读取");
        includes.trouble(&whole(path), why);
    }
    proxies
}

fn search(value: &Value, file: &str, at: &str, into: &mut Vec<Proxy>) {
    if into.len() >= PROXIES_MAX {
        return;
    }
    match value {
        Value::Object(fields) => {
            if fields.get("handler").and_then(Value::as_str) == Some("reverse_proxy") {
                into.push(Node { value, file, at: at.to_owned() }.proxy());
            }
            for (name, inside) in fields {
                search(inside, file, &format!("{at}.{name}"), into);
            }
        }
        Value::Array(items) => {
            for (index, inside) in items.iter().enumerate() {
                search(inside, file, &format!("{at}[{index}]"), into);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A part of the document, and where it is.
struct Node<'a> {
    value: &'a Value,
    file: &'a str,
    at: String,
}

impl<'a> Node<'a> {
    fn get(&self, name: &str) -> Option<Node<'a>> {
        let value = self.value.get(name).filter(|value| !value.is_null())?;
        Some(Node { value, file: self.file, at: format!("{}.{name}", self.at) })
    }

    /// The value is only shown where it is a number or a text that this reads: others may hold secrets.
    fn place(&self) -> Place {
        let value = match self.value {
            Value::Number(number) => format!(": {number}"),
            Value::String(text) => format!(": {text}"),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => String::new(),
        };
        super::super::includes::line_of(self.file, 0, &format!("{}{value}", self.at))
    }

    fn proxy(&self) -> Proxy {
        let transport = self.get("transport").and_then(|transport| transport.get("protocol"));
        let is_http = transport.is_none_or(|transport| transport.value == "http");
        let layer = if is_http { Layer::Http } else { Layer::Protocol };
        let mut proxy = Proxy::new(self.at.clone(), self.place(), layer);
        for (index, upstream) in self.value.get("upstreams").and_then(Value::as_array).into_iter().flatten().enumerate()
        {
            if let Some(dial) = upstream.get("dial").and_then(Value::as_str) {
                let node = Node { value: upstream, file: self.file, at: format!("{}.upstreams[{index}]", self.at) };
                proxy.upstreams.push((dial.to_owned(), node.place()));
            }
        }
        proxy.dynamic = self.get("dynamic_upstreams").map(|dynamic| dynamic.place());
        let policy = self.get("load_balancing").and_then(|balancing| balancing.get("selection_policy")?.get("policy"));
        proxy.takes_first = policy.is_some_and(|policy| policy.value == "first");
        let active = self.get("health_checks").and_then(|checks| checks.get("active"));
        if let Some(active) = active {
            active.active(&mut proxy);
        }
        if let Some(passive) = self.get("health_checks").and_then(|checks| checks.get("passive")) {
            proxy.fail_duration = passive.secs("fail_duration", &mut proxy);
            proxy.max_fails = passive.count("max_fails", &mut proxy);
        }
        let transport = self.get("transport");
        proxy.response_header_timeout =
            transport.and_then(|transport| transport.secs("response_header_timeout", &mut proxy));
        proxy
    }

    fn active(&self, proxy: &mut Proxy) {
        let is_set = |name: &str| self.get(name).is_some_and(|value| value.value != "" && value.value != 0);
        proxy.is_probed = is_set("uri") || is_set("path") || is_set("port");
        proxy.interval = self.secs("interval", proxy);
        proxy.timeout = self.secs("timeout", proxy);
        proxy.fails = self.count("fails", proxy);
        proxy.passes = self.count("passes", proxy);
        proxy.probed_at = self.get("upstream").map(|upstream| upstream.place());
        proxy.port = self.get("port").and_then(|port| {
            let number = port.value.as_u64().and_then(|number| u16::try_from(number).ok()).filter(|number| *number > 0);
            Some(Setting::at(number?, port.place()))
        });
    }

    /// A text with a unit, or nanoseconds.
    fn secs(&self, name: &str, proxy: &mut Proxy) -> Option<Setting<f64>> {
        let node = self.get(name)?;
        let secs = match node.value {
            Value::String(text) => seconds(text),
            Value::Number(number) => number.as_f64().map(|nanos| nanos / 1e9),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        node.setting(secs.filter(|secs| *secs >= 0.0), proxy)
    }

    fn count(&self, name: &str, proxy: &mut Proxy) -> Option<Setting<u32>> {
        let node = self.get(name)?;
        let number = node.value.as_i64().map(|number| u32::try_from(number.max(0)).unwrap_or(u32::MAX));
        node.setting(number, proxy)
    }

    fn setting<T>(&self, value: Option<T>, proxy: &mut Proxy) -> Option<Setting<T>> {
        if value.is_none() {
            let at = &self.at;
            proxy.broken = Some(words!("Caddy does not take {at}", "Caddy 不接受 {at}"));
        }
        Some(Setting::at(value?, self.place()))
    }
}
