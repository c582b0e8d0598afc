//! A cluster's probe. Envoy waits an interval after a probe has ended or timed out
//! (health_checker_base_impl.cc, `handleSuccess`, `handleFailure`), and all its times and thresholds must be set.

use crate::document::Node;
use crate::lb::located::{Located, positive};
use crate::lb::{Accepted, Active, Cadence, Layer, Origin, Probe, Setting};
use crate::number::span;
use crate::words;
use cloud_doctor_proto::finding::Words;

const OUTLIER: &str = "envoy config.cluster.v3.OutlierDetection";
const NO_TRAFFIC: (f64, &str) = (60.0, "no_traffic_interval 60 s (envoy config.core.v3.HealthCheck)");

/// How the members of `cluster` are probed.
pub(super) fn probe(cluster: Located<'_>, layer: Layer) -> Probe {
    let Some(check) = cluster.list("health_checks").next() else { return passive_or_never(cluster, layer) };
    match active(cluster, check) {
        Ok(active) => Probe::Active(Box::new(active)),
        Err(why) => Probe::Unresolved(why),
    }
}

/// The same for an endpoint that says that it is not to be asked.
pub(super) fn without_active(cluster: Located<'_>) -> Probe {
    passive_or_never(cluster, Layer::Tcp)
}

fn passive_or_never(cluster: Located<'_>, layer: Layer) -> Probe {
    let Some(outlier) = cluster.get("outlier_detection") else { return Probe::Never };
    passive(cluster, outlier, layer).unwrap_or_else(Probe::Unresolved)
}

/// Users' requests that fail eject a member for a time.
fn passive(cluster: Located<'_>, outlier: Located<'_>, layer: Layer) -> Result<Probe, Words> {
    let per_request_secs = match layer {
        Layer::Http => Setting::default(15.0, "timeout of a route 15 s (envoy config.route.v3.RouteAction)"),
        Layer::Tcp | Layer::Tls | Layer::Protocol => {
            let default = (5.0, "connect_timeout 5 s (envoy config.cluster.v3.Cluster)");
            cluster.setting("connect_timeout", above_zero, Some(default))?
        }
    };
    Ok(Probe::Passive {
        per_request_secs,
        fails: outlier.setting("consecutive_5xx", positive, Some((5, OUTLIER)))?,
        window_secs: outlier.setting("base_ejection_time", above_zero, Some((30.0, OUTLIER)))?,
    })
}

fn active(cluster: Located<'_>, check: Located<'_>) -> Result<Active, Words> {
    let jitter = Jitter::read(check)?;
    let interval = check.setting("interval", above_zero, None)?;
    let or = |key: &str, other: &Setting<f64>| match check.entry(key) {
        Some(_) => check.setting(key, above_zero, None),
        None => Ok(other.clone()),
    };
    let down = or("unhealthy_interval", &interval)?;
    let failing = or("unhealthy_edge_interval", &down)?;
    let recovering = or("healthy_edge_interval", &interval)?;
    let rise = check.setting("healthy_threshold", positive, None)?;
    // There is one time here between probes of a changing member and Envoy has two; what recovering takes beyond it is
    // added to the return.
    let slower = (recovering.value - failing.value).max(0.0) * f64::from(rise.value - 1);
    Ok(Active {
        layer: layer(cluster, check)?,
        cadence: Cadence::AfterEnd,
        interval: with_quiet_time(check, jitter.on(interval))?,
        fast: jitter.on(failing),
        down: jitter.on(down),
        hang_secs: check.setting("timeout", above_zero, None)?,
        fall: check.setting("unhealthy_threshold", positive, None)?,
        rise,
        consecutive: true,
        slow_start_secs: slower,
        queue_secs: 0.0,
        elsewhere: None,
    })
}

/// Until a cluster has had traffic, another interval holds; an engineer who watches probes must know.
fn with_quiet_time(check: Located<'_>, mut interval: Setting<f64>) -> Result<Setting<f64>, Words> {
    let quiet = check.setting("no_traffic_interval", above_zero, Some(NO_TRAFFIC))?.value;
    if let Origin::At(place) = &mut interval.origin
        && quiet > interval.value
    {
        let (text, quiet) = (&place.text, span(quiet));
        place.text = format!("{text} (until the cluster has had traffic: {quiet}, no_traffic_interval)");
    }
    Ok(interval)
}

fn layer(cluster: Located<'_>, check: Located<'_>) -> Result<Layer, Words> {
    if let Some(http) = check.get("http_health_check") {
        http.setting("path", |path| path.text().filter(|path| !path.is_empty()).map(str::to_owned), None)?;
        return Ok(Layer::Http);
    }
    if let Some(tcp) = check.get("tcp_health_check") {
        let asks = tcp.list("receive").next().is_some();
        return Ok(if asks {
            Layer::Protocol
        } else if is_tls(cluster) {
            Layer::Tls
        } else {
            Layer::Tcp
        });
    }
    if ["grpc_health_check", "custom_health_check", "redis_health_check"].iter().any(|key| check.entry(key).is_some()) {
        return Ok(Layer::Protocol);
    }
    let source = check.place(check.node.line, String::new()).source();
    Err(words!(
        "{source}: the health check says not what it asks (http_health_check, tcp_health_check and so on)",
        "{source}：健康检查未说明检查方式（http_health_check、tcp_health_check 等）"
    ))
}

/// Whether connections to the members are encrypted.
pub(super) fn is_tls(cluster: Located<'_>) -> bool {
    let socket = cluster.get("transport_socket");
    let name = socket.and_then(|socket| socket.text("name")).unwrap_or_default();
    name.contains("tls") || cluster.entry("tls_context").is_some()
}

/// Statuses that are set to be taken for alive; the default is 200 alone.
pub(super) fn accepted(cluster: Located<'_>, subject: &str) -> Option<Accepted> {
    let http = cluster.list("health_checks").next()?.get("http_health_check")?;
    let entry = http.entry("expected_statuses")?;
    let range = |one: Located<'_>| {
        let number = |key| one.text(key)?.parse::<u16>().ok();
        // The end is not part of it.
        let (first, end) = (number("start")?, number("end")?);
        (end > first).then(|| (first, end - 1))
    };
    let ranges: Vec<_> = http.list("expected_statuses").filter_map(range).take(20).collect();
    let place = entry.place(http.file);
    (!ranges.is_empty()).then(|| Accepted { subject: subject.to_owned(), ranges, place })
}

/// What is added to every interval, at most.
struct Jitter {
    secs: f64,
    percent: f64,
}

impl Jitter {
    fn read(check: Located<'_>) -> Result<Self, Words> {
        let percent = |node: &Node| node.text()?.parse::<u32>().ok().map(f64::from);
        Ok(Self {
            secs: check.setting("interval_jitter", duration, Some((0.0, "")))?.value,
            percent: check.setting("interval_jitter_percent", percent, Some((0.0, "")))?.value,
        })
    }

    fn on(&self, interval: Setting<f64>) -> Setting<f64> {
        let value = interval.value * (1.0 + self.percent / 100.0) + self.secs;
        Setting { value, ..interval }
    }
}

/// A duration as protobuf's JSON form has it: `5s`, `0.250s`, or seconds and nanoseconds.
pub(super) fn duration(node: &Node) -> Option<f64> {
    let Some(text) = node.text() else {
        let number =
            |key: &str| node.get(key).map_or(Some(0.0), |part| part.text()?.parse::<u32>().ok().map(f64::from));
        let known = |key: &str| key == "seconds" || key == "nanos";
        let is_one = !node.entries().is_empty() && node.entries().iter().all(|entry| known(&entry.key));
        return is_one.then(|| Some(number("seconds")? + number("nanos")? / 1e9)).flatten();
    };
    let number = text.strip_suffix('s')?;
    let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    number.parse::<f64>().ok().filter(|_| plain && number.len() <= 25)
}

fn above_zero(node: &Node) -> Option<f64> {
    duration(node).filter(|secs| *secs > 0.0)
}
