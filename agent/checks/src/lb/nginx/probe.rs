//! How nginx notices that a server is dead: by users' requests alone, by NGINX Plus's `health_check`, or by the `check` of
//! Tengine and nginx_upstream_check_module (milliseconds, digits only).

use super::tree::{Directive, secs};
use super::upstream::{Module, Pass, Server, Time, Upstream, match_block, stream_check_timeout};
use crate::lb::detect::detection;
use crate::lb::{Active, Cadence, Layer, Probe, Setting};
use crate::words;

/// Health checks of one location that are looked at.
const CHECKS_MAX: usize = 16;
/// Of `check`, when a parameter is left out (the module's README).
const CHECK_DEFAULTS: [(&str, u32, &str); 4] = [
    ("interval", 30_000, "Tengine, nginx_upstream_check_module: interval=30000 (ms)"),
    ("timeout", 1000, "Tengine, nginx_upstream_check_module: timeout=1000 (ms)"),
    ("fall", 5, "Tengine, nginx_upstream_check_module: fall=5"),
    ("rise", 2, "Tengine, nginx_upstream_check_module: rise=2"),
];

impl Upstream<'_> {
    /// How each of its servers is probed, in their order.
    pub(crate) fn probes(&self) -> Vec<Probe> {
        if let Some(check) = self.check() {
            let probe = tengine(check);
            return self.servers.iter().map(|_| probe.clone()).collect();
        }
        let (plus, longest) = (plus(self), longest_of_all(self));
        let probe = |server: &Server<'_>| match &plus {
            Ok(Some(active)) => {
                Probe::Active(Box::new(Active { slow_start_secs: server.slow_start_secs(), ..active.clone() }))
            }
            Ok(None) => passive(self, server, &longest),
            Err(text) => unresolved(text),
        };
        self.servers.iter().map(probe).collect()
    }
}

fn unresolved(text: &str) -> Probe {
    Probe::Unresolved(words!("the value \"{text}\" cannot be resolved", "无法解析取值 \"{text}\""))
}

/// `check interval=3000 rise=2 fall=5 timeout=1000 type=http port=80`.
fn tengine(check: &Directive) -> Probe {
    let number = |name: &str| {
        let (_, default, source) =
            CHECK_DEFAULTS.iter().find(|(known, ..)| *known == name).ok_or_else(|| name.to_owned())?;
        match check.value_of(name) {
            Some(text) => text
                .parse::<u32>()
                .ok()
                .filter(|number| *number > 0)
                .map(|number| Setting::at(number, check.place()))
                .ok_or_else(|| format!("{name}={text}")),
            None => Ok(Setting::default(*default, source)),
        }
    };
    let from_millis = |one: Setting<u32>| Setting { value: f64::from(one.value) / 1000.0, origin: one.origin };
    let read = || {
        let interval = number("interval").map(from_millis)?;
        Ok::<_, String>(Active {
            layer: match check.value_of("type").unwrap_or("tcp") {
                "tcp" => Layer::Tcp,
                "ssl_hello" => Layer::Tls,
                "http" => Layer::Http,
                _ => Layer::Protocol,
            },
            cadence: Cadence::HalfTicks,
            fast: interval.clone(),
            down: interval.clone(),
            interval,
            hang_secs: number("timeout").map(from_millis)?,
            fall: number("fall")?,
            rise: number("rise")?,
            consecutive: true,
            slow_start_secs: 0.0,
            queue_secs: 0.0,
            elsewhere: check.value_of("port").filter(|port| *port != "0").map(|_| check.place()),
        })
    };
    match read() {
        Ok(active) => Probe::Active(Box::new(active)),
        Err(text) => unresolved(&text),
    }
}

/// The `health_check` that notices a dead server first: one failing is enough.
fn plus(upstream: &Upstream<'_>) -> Result<Option<Active>, String> {
    let mut first: Option<Active> = None;
    for pass in &upstream.passes {
        for check in pass.scope.own("health_check").iter().take(CHECKS_MAX) {
            let active = health_check(upstream, pass, check)?;
            let sooner = |other: &Active| detection(&active).hanging_secs < detection(other).hanging_secs;
            if first.as_ref().is_none_or(sooner) {
                first = Some(active);
            }
        }
    }
    Ok(first)
}

fn health_check(upstream: &Upstream<'_>, pass: &Pass<'_>, check: &Directive) -> Result<Active, String> {
    let time = |name: &str| {
        check.value_of(name).map(|text| secs(text, true).ok_or_else(|| format!("{name}={text}"))).transpose()
    };
    let count = |name: &str, source| match check.value_of(name) {
        Some(text) => text.parse().map(|count| Setting::at(count, check.place())).map_err(|_| format!("{name}={text}")),
        None => Ok(Setting::default(1, source)),
    };
    // Each probe is put off by up to `jitter`.
    let jitter = time("jitter")?.unwrap_or(0.0);
    let interval = match (time("interval")?, jitter > 0.0) {
        (None, false) => Setting::default(5.0, "NGINX Plus: health_check interval=5s (ngx_http_upstream_hc_module)"),
        (interval, _) => Setting::at(interval.unwrap_or(5.0) + jitter, check.place()),
    };
    let hang_secs = match pass.module {
        Module::Stream => stream_check_timeout(pass)?,
        Module::Proxy | Module::Grpc | Module::Fastcgi | Module::Uwsgi | Module::Scgi | Module::Memcached => {
            longest(pass)?
        }
    };
    Ok(Active {
        layer: layer(upstream, pass, check),
        cadence: Cadence::AfterEnd,
        fast: interval.clone(),
        down: interval.clone(),
        interval,
        hang_secs,
        fall: count("fails", "NGINX Plus: health_check fails=1 (ngx_http_upstream_hc_module)")?,
        rise: count("passes", "NGINX Plus: health_check passes=1 (ngx_http_upstream_hc_module)")?,
        consecutive: true,
        slow_start_secs: 0.0,
        queue_secs: 0.0,
        elsewhere: check.value_of("port").map(|_| check.place()),
    })
}

fn layer(upstream: &Upstream<'_>, pass: &Pass<'_>, check: &Directive) -> Layer {
    let speaks = || {
        let block = check.value_of("match").and_then(|name| match_block(upstream.root, name));
        block.is_some_and(|block| block.last("send").is_some() || block.last("expect").is_some())
    };
    match pass.module {
        Module::Stream if speaks() => Layer::Protocol,
        Module::Stream => Layer::Tcp,
        Module::Grpc if check.value_of("type") == Some("grpc") => Layer::Protocol,
        Module::Proxy | Module::Grpc | Module::Fastcgi | Module::Uwsgi | Module::Scgi | Module::Memcached => {
            Layer::Http
        }
    }
}

/// The longer of connecting and waiting for an answer: a server fails in one of the two ways.
fn longest(pass: &Pass<'_>) -> Time {
    let connect = pass.connect()?;
    match pass.read().transpose()? {
        Some(read) if read.value > connect.value => Ok(read),
        Some(_) | None => Ok(connect),
    }
}

/// How long a request may hang on one server, wherever it came in.
fn longest_of_all(upstream: &Upstream<'_>) -> Time {
    let mut longest_secs: Option<Setting<f64>> = None;
    for pass in &upstream.passes {
        let one = longest(pass)?;
        if longest_secs.as_ref().is_none_or(|known| one.value > known.value) {
            longest_secs = Some(one);
        }
    }
    Ok(longest_secs
        .unwrap_or_else(|| Setting::default(60.0, "nginx: proxy_connect_timeout 60s (ngx_http_proxy_module)")))
}

fn passive(upstream: &Upstream<'_>, server: &Server<'_>, longest: &Time) -> Probe {
    if let [only] = upstream.servers.as_slice() {
        if only.is_one() {
            return Probe::Never;
        }
        let address = only.address;
        return Probe::Unresolved(words!(
            "{address} may be one server, which is never left out, or several; that is for the name service to say",
            "{address} 可能解析为一台（永不摘除）或多台服务器，取决于域名解析"
        ));
    }
    if let (true, Some(by)) = (upstream.passes.is_empty(), upstream.by_variable) {
        let place = by.place().source();
        return Probe::Unresolved(words!(
            "no directive names this group; {place} may, through a variable",
            "没有指令直接引用该组；{place} 可能通过变量引用"
        ));
    }
    let read = || {
        let (fails, window_secs) = (server.fails()?, server.window()?);
        Ok::<_, String>(Probe::Passive { per_request_secs: longest.clone()?, fails, window_secs })
    };
    match read() {
        Ok(Probe::Passive { fails, .. }) if fails.value == 0 => Probe::Never,
        Ok(probe) => probe,
        Err(text) => unresolved(&text),
    }
}
