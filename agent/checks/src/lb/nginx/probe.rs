//! How nginx notices that a server is dead: by users' requests alone, by NGINX Plus's `health_check`, or by the `check` of
//! Tengine and nginx_upstream_check_module (milliseconds, digits only).

use super::tree::{Directive, secs};
use super::upstream::{Module, Pass, Server, Time, Upstream, match_block, stream_check_timeout};
use crate::lb::detect::detection;
use crate::lb::{Active, Cadence, Layer, Probe, Setting};
use crate::words;

/// Of `check`, when a parameter is left out (the module's README).
const CHECK_DEFAULTS: [(&str, u32, &str); 4] = [
    ("interval", 30_000, "Tengine, nginx_upstream_check_module: interval=30000 (ms)"),
    ("timeout", 1000, "Tengine, nginx_upstream_check_module: timeout=1000 (ms)"),
    ("fall", 5, "Tengine, nginx_upstream_check_module: fall=5"),
    ("rise", 2, "Tengine, nginx_upstream_check_module: rise=2"),
];

impl Upstream<'_> {
    /// How a server of this group is probed.
    pub(crate) fn probe(&self, server: &Server<'_>) -> Probe {
        if let Some(check) = self.check() {
            return tengine(check);
        }
        match plus(self, server) {
            Ok(Some(active)) => Probe::Active(Box::new(active)),
            Ok(None) => passive(self, server),
            Err(text) => unresolved(&text),
        }
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
fn plus(upstream: &Upstream<'_>, server: &Server<'_>) -> Result<Option<Active>, String> {
    let mut first: Option<Active> = None;
    for pass in &upstream.passes {
        let Some(block) = pass.chain.last() else { continue };
        for check in block.all("health_check") {
            let active = health_check(upstream, server, pass, check)?;
            let sooner = |other: &Active| detection(&active).hanging_secs < detection(other).hanging_secs;
            if first.as_ref().is_none_or(sooner) {
                first = Some(active);
            }
        }
    }
    Ok(first)
}

fn health_check(
    upstream: &Upstream<'_>,
    server: &Server<'_>,
    pass: &Pass<'_>,
    check: &Directive,
) -> Result<Active, String> {
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
        Module::Stream => stream_check_timeout(&pass.chain)?,
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
        slow_start_secs: server.slow_start_secs(),
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

fn passive(upstream: &Upstream<'_>, server: &Server<'_>) -> Probe {
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
        let mut per_request_secs: Option<Setting<f64>> = None;
        for pass in &upstream.passes {
            let longest = longest(pass)?;
            if per_request_secs.as_ref().is_none_or(|known| longest.value > known.value) {
                per_request_secs = Some(longest);
            }
        }
        let unused = || Setting::default(60.0, "nginx: proxy_connect_timeout 60s (ngx_http_proxy_module)");
        Ok::<_, String>(Probe::Passive {
            per_request_secs: per_request_secs.unwrap_or_else(unused),
            fails,
            window_secs,
        })
    };
    match read() {
        Ok(Probe::Passive { fails, .. }) if fails.value == 0 => Probe::Never,
        Ok(probe) => probe,
        Err(text) => unresolved(&text),
    }
}
