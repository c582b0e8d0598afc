//! One service: its servers, and how they are probed. A ticker of Go: every interval, however long a probe takes, and the
//! servers of a service one after another (pkg/healthcheck/healthcheck.go, `healthcheck`).

use super::duration::duration;
use crate::document::{Entry, Node};
use crate::lb::located::{Located, host_of, port_of, positive};
use crate::lb::{Accepted, Active, Cadence, Layer, Member, Place, Pool, Probe, Setting, System};
use cloud_doctor_proto::finding::Words;

const INTERVAL: (f64, &str) = (30.0, "interval 30 s (traefik pkg/config/dynamic/http_config.go)");
const TIMEOUT: (f64, &str) = (5.0, "timeout 5 s (traefik pkg/config/dynamic/http_config.go)");
const ONE: (u32, &str) = (1, "one answer decides (traefik pkg/healthcheck/healthcheck.go)");
const PASSIVE: &str = "traefik PassiveServerHealthCheck: 1 failure within 10 s";

/// Reads the service `entry` of `http` or `tcp`, and the statuses that its probe accepts.
pub(super) fn read(protocol: &str, entry: &Entry, balancer: Located<'_>) -> (Pool, Option<Accepted>) {
    let is_http = protocol == "http";
    let layer = if is_http { Layer::Http } else { Layer::Tcp };
    let place = balancer.place(entry.line, format!("{}:", entry.key));
    let (list, key) = ("servers", if is_http { "url" } else { "address" });
    let servers: Vec<Located<'_>> = balancer.list(list).collect();
    let probe = probe(is_http, balancer, servers.len()).unwrap_or_else(Probe::Unresolved);
    let member = |server: &Located<'_>| {
        let url = server.entry(key)?;
        let address = host_of(url.node.text()?).to_owned();
        // The URL may hold a password.
        let place = server.place(url.line, format!("{key}: {address}"));
        let probe = elsewhere(balancer, &probe, &address);
        Some(Member { name: address.clone(), address, place, probe, disabled: false, backup: false })
    };
    let members = servers.iter().filter_map(member).collect();
    let pool = Pool { system: System::Traefik, name: format!("{}@file", entry.key), place, layer, members };
    let accepted = accepted(balancer, &pool.subject());
    (pool, accepted)
}

fn probe(is_http: bool, balancer: Located<'_>, servers: usize) -> Result<Probe, Words> {
    let Some(check) = balancer.get("healthCheck") else { return passive(balancer) };
    let is_grpc = check.text("mode").is_some_and(|mode| mode.eq_ignore_ascii_case("grpc"));
    // Without a path there is nothing to ask.
    if is_http && !is_grpc && check.text("path").is_none_or(str::is_empty) {
        return passive(balancer);
    }
    let layer = match (is_http, is_grpc) {
        (true, false) => Layer::Http,
        (true, true) => Layer::Protocol,
        (false, _) if check.text("expect").is_some_and(|expect| !expect.is_empty()) => Layer::Protocol,
        (false, _) if balancer.list("servers").any(|server| server.flag("tls") == Some(true)) => Layer::Tls,
        (false, _) => Layer::Tcp,
    };
    active(layer, check, servers).map(|active| Probe::Active(Box::new(active)))
}

fn active(layer: Layer, check: Located<'_>, servers: usize) -> Result<Active, Words> {
    let interval = time(check, "interval", INTERVAL)?;
    let down = match check.entry("unhealthyInterval") {
        Some(_) => time(check, "unhealthyInterval", INTERVAL)?,
        None => interval.clone(),
    };
    let timeout = time(check, "timeout", TIMEOUT)?;
    // Thresholds are TCP's only.
    let fall = check.setting("failsThreshold", positive, Some(ONE))?;
    let rise = check.setting("passesThreshold", positive, Some(ONE))?;
    let all_secs = timeout.value * f64::from(u32::try_from(servers.max(1)).unwrap_or(u32::MAX));
    // A round that lasts longer than the interval delays the next one.
    let late_secs = f64::from(fall.value - 1) * (all_secs - interval.value).max(0.0);
    Ok(Active {
        layer,
        cadence: Cadence::Fixed,
        fast: interval.clone(),
        interval,
        down,
        queue_secs: all_secs - timeout.value + late_secs,
        hang_secs: timeout,
        fall,
        rise,
        consecutive: true,
        slow_start_secs: 0.0,
        elsewhere: None,
    })
}

/// A time; zero and less are the default, with a line in Traefik's log.
fn time(check: Located<'_>, key: &str, (secs, source): (f64, &'static str)) -> Result<Setting<f64>, Words> {
    let set = check.setting(key, duration, Some((secs, source)))?;
    Ok(if set.value > 0.0 { set } else { Setting::default(secs, source) })
}

/// Users' requests that fail.
fn passive(balancer: Located<'_>) -> Result<Probe, Words> {
    let Some(check) = balancer.get("passiveHealthCheck") else { return Ok(Probe::Never) };
    Ok(Probe::Passive {
        per_request_secs: Setting::default(
            30.0,
            "dialTimeout 30 s; an answer has no limit (traefik ForwardingTimeouts)",
        ),
        fails: check.setting("maxFailedAttempts", positive, Some((1, PASSIVE)))?,
        window_secs: check.setting("failureWindow", duration, Some((10.0, PASSIVE)))?,
    })
}

/// The probe of the server at `address`.
fn elsewhere(balancer: Located<'_>, probe: &Probe, address: &str) -> Probe {
    let other = |active: &Active| -> Option<Probe> {
        let entry = balancer.get("healthCheck")?.entry("port")?;
        let port: u16 = entry.node.text()?.parse().ok().filter(|port| *port != 0)?;
        let place: Place = entry.place(balancer.file);
        (port_of(address) != Some(port))
            .then(|| Probe::Active(Box::new(Active { elsewhere: Some(place), ..active.clone() })))
    };
    match probe {
        Probe::Active(active) => other(active).unwrap_or_else(|| probe.clone()),
        Probe::Passive { .. } | Probe::Never | Probe::Tracks(_) | Probe::Unresolved(_) => probe.clone(),
    }
}

/// One status that is set; the default is 200 to 399, with redirects followed.
fn accepted(balancer: Located<'_>, subject: &str) -> Option<Accepted> {
    let check = balancer.get("healthCheck")?;
    let entry = check.entry("status")?;
    let status = |node: &Node| node.text()?.parse::<u16>().ok().filter(|status| *status != 0);
    let (status, place) = (status(&entry.node)?, entry.place(check.file));
    Some(Accepted { subject: subject.to_owned(), ranges: vec![(status, status)], place })
}
