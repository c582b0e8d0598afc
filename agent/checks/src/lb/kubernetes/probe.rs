//! Probes of a kubelet: a ticker with a period, for each container by itself (pkg/kubelet/prober/worker.go).

use crate::document::Node;
use crate::lb::located::Located;
use crate::lb::{Active, Cadence, Layer, Setting};
use crate::words;
use cloud_doctor_proto::finding::Words;

const SOURCE: &str = "period 10 s, timeout 1 s, failure 3, success 1 (kubernetes core/v1 Probe)";
/// Ports of one container that are looked at.
pub(super) const PORTS_MAX: usize = 100;

/// A probe as it is in effect.
pub(super) fn active(container: Located<'_>, probe: Located<'_>) -> Result<Active, Words> {
    let secs = |key, default| {
        number(probe, key, default).map(|set| Setting { value: f64::from(set.value), origin: set.origin })
    };
    let (interval, hang_secs) = (secs("periodSeconds", 10)?, secs("timeoutSeconds", 1)?);
    let fall = number(probe, "failureThreshold", 3)?;
    // A probe that lasts longer than the period delays the next one.
    let late_secs = f64::from(fall.value - 1) * (hang_secs.value - interval.value).max(0.0);
    Ok(Active {
        layer: layer(probe)?,
        cadence: Cadence::Fixed,
        fast: interval.clone(),
        down: interval.clone(),
        interval,
        hang_secs,
        fall,
        rise: number(probe, "successThreshold", 1)?,
        consecutive: true,
        slow_start_secs: 0.0,
        queue_secs: late_secs,
        elsewhere: elsewhere(container, probe).map(|entry| entry.place(probe.file)),
    })
}

/// A whole number. Zero is the default, as the API has it; text is refused.
fn number(probe: Located<'_>, key: &str, default: u32) -> Result<Setting<u32>, Words> {
    let whole = |node: &Node| node.text().filter(|_| !node.is_quoted())?.parse::<u32>().ok();
    let set = probe.setting(key, whole, Some((default, SOURCE)))?;
    Ok(if set.value == 0 { Setting::default(default, SOURCE) } else { set })
}

fn layer(probe: Located<'_>) -> Result<Layer, Words> {
    let kinds =
        [("httpGet", Layer::Http), ("tcpSocket", Layer::Tcp), ("grpc", Layer::Protocol), ("exec", Layer::Protocol)];
    let found = kinds.into_iter().find(|(key, _)| probe.entry(key).is_some());
    found.map(|(_, layer)| layer).ok_or_else(|| {
        let source = probe.place(probe.node.line, String::new()).source();
        words!(
            "{source}: the probe says not what it asks (httpGet, tcpSocket, grpc or exec)",
            "{source}：探针未说明检查方式（httpGet、tcpSocket、grpc 或 exec）"
        )
    })
}

/// The port that is probed, when it is none of the container's.
fn elsewhere<'a>(container: Located<'a>, probe: Located<'a>) -> Option<&'a crate::document::Entry> {
    let port = ["httpGet", "tcpSocket", "grpc"].iter().find_map(|kind| probe.get(kind)?.entry("port"))?;
    let text = port.node.text()?;
    let own = ports(container);
    let is_own = own.iter().any(|one| [one.text("containerPort"), one.text("name")].contains(&Some(text)));
    (!own.is_empty() && !is_own).then_some(port)
}

/// A container's ports.
pub(super) fn ports(container: Located<'_>) -> Vec<Located<'_>> {
    container.list("ports").take(PORTS_MAX).collect()
}

/// What a probe asks, to be compared with another's.
pub(super) fn asks<'a>(probe: Located<'a>) -> Option<(&'a str, Vec<&'a str>)> {
    let kind = ["httpGet", "tcpSocket", "grpc", "exec"].into_iter().find(|kind| probe.entry(kind).is_some())?;
    let one = probe.get(kind)?;
    let command = one.list("command").filter_map(|part| part.node.text());
    let parts = ["host", "path", "port", "scheme", "service"].into_iter().map(|key| one.text(key).unwrap_or_default());
    Some((kind, parts.chain(command).collect()))
}
