//! A section's pool: each server with the probe that its options, the section and HAProxy's defaults come to.

use super::global::Global;
use super::notes::{Notes, Restart};
use super::proxy::{Proxy, Server};
use super::server::{Options, Value};
use crate::lb::{Active, Cadence, Layer, Member, Origin, Place, Pool, Probe, Setting, System};
use cloud_doctor_proto::finding::Words;

const INTER_DEFAULT: &str = "2 s when nothing is set (configuration.txt, inter)";
const FALL_DEFAULT: &str = "3 when nothing is set (configuration.txt, fall)";
const RISE_DEFAULT: &str = "2 when nothing is set (configuration.txt, rise)";

/// The pool of a section that has servers.
pub(super) fn pool(proxy: Proxy, global: &Global, notes: &mut Notes) -> Option<Pool> {
    if proxy.servers.is_empty() {
        return None;
    }
    let layer = if proxy.is_http { Layer::Http } else { Layer::Tcp };
    let members = proxy.servers.iter().map(|server| member(&proxy, server)).collect();
    let (name, place) = (proxy.name.clone(), proxy.place.clone());
    let pool = Pool { system: System::Haproxy, name, place, layer, members };
    // One that is inherited is meant for members that are probed, unless there are none.
    let none_probed = pool.members.iter().all(|member| matches!(member.probe, Probe::Never));
    for (member, server) in pool.members.iter().zip(&proxy.servers) {
        if let (Probe::Never, Some(Ok(Setting { origin: Origin::At(place), .. }))) =
            (&member.probe, &server.options.inter)
            && (none_probed || *place == member.place)
        {
            notes.idle_interval(pool.subject_of(member), place);
        }
    }
    notes.restarts.extend(restart(&pool, &proxy, global));
    Some(pool)
}

fn member(proxy: &Proxy, server: &Server) -> Member {
    Member {
        name: server.name.clone(),
        address: server.address.clone(),
        place: server.place.clone(),
        probe: probe(proxy, server),
        disabled: proxy.disabled || server.options.disabled,
        backup: server.options.backup,
    }
}

fn probe(proxy: &Proxy, server: &Server) -> Probe {
    let options = &server.options;
    match (&options.unclear, &proxy.unclear, &options.track) {
        (Some(why), _, _) | (None, Some(why), _) => Probe::Unresolved(why.clone()),
        (None, None, Some(other)) if !options.check => Probe::Tracks(other.clone()),
        (None, None, Some(_) | None) if options.check => match active(proxy, server) {
            Ok(active) => Probe::Active(Box::new(active)),
            Err(why) => Probe::Unresolved(why),
        },
        // An agent that does not answer is no error for HAProxy (configuration.txt, agent-check).
        (None, None, Some(_) | None) => Probe::Never,
    }
}

fn active(proxy: &Proxy, server: &Server) -> Result<Active, Words> {
    let options = &server.options;
    let told = |value: &Option<Value<f64>>| value.clone().transpose();
    let interval = told(&options.inter)?.unwrap_or(Setting::default(2.0, INTER_DEFAULT));
    let fast = told(&options.fastinter)?.unwrap_or_else(|| interval.clone());
    let down = told(&options.downinter)?.unwrap_or_else(|| interval.clone());
    let tls = uses_tls(proxy, options);
    let hang_secs = hang(proxy, &interval, tls)?;
    Ok(Active {
        layer: layer(proxy, tls),
        cadence: Cadence::AfterEnd,
        fast,
        down,
        hang_secs,
        fall: options.fall.clone().transpose()?.unwrap_or(Setting::default(3, FALL_DEFAULT)),
        rise: options.rise.clone().transpose()?.unwrap_or(Setting::default(2, RISE_DEFAULT)),
        consecutive: true,
        slow_start_secs: told(&options.slowstart)?.map_or(0.0, |time| time.value),
        queue_secs: 0.0,
        elsewhere: elsewhere(proxy, server),
        interval,
    })
}

/// Probes speak TLS when the traffic does and they go to the same place, or when it is said.
fn uses_tls(proxy: &Proxy, options: &Options) -> bool {
    let same_place = options.port.is_none() && options.addr.is_none();
    options.check_ssl || (options.ssl && same_place) || (proxy.method.by_rules && proxy.rules.tls)
}

fn layer(proxy: &Proxy, tls: bool) -> Layer {
    let by_rules = proxy.method.by_rules && proxy.rules.expects;
    let floor = if by_rules { Layer::Protocol } else { proxy.method.layer };
    if tls { floor.max(Layer::Tls) } else { floor }
}

/// What a probe of a member that accepts and says nothing costs (`tcpcheck_main` of `src/tcpcheck.c`). Without
/// `timeout check` the interval bounds all of it. With it, the smaller of `timeout connect` and the interval bounds
/// connecting and the TLS handshake, and `timeout check` the answer.
fn hang(proxy: &Proxy, interval: &Setting<f64>, tls: bool) -> Result<Setting<f64>, Words> {
    let positive =
        |value: &Option<Value<f64>>| value.clone().transpose().map(|time| time.filter(|time| time.value > 0.0));
    let Some(answer) = positive(&proxy.timeout_check)? else { return Ok(interval.clone()) };
    let connect = positive(&proxy.timeout_connect)?.filter(|connect| connect.value < interval.value);
    let connect = connect.unwrap_or_else(|| interval.clone());
    let reads = proxy.method.reads || (proxy.method.by_rules && proxy.rules.expects);
    Ok(match (reads, tls) {
        (false, _) => connect,
        (true, true) if connect.value > answer.value => connect,
        (true, true | false) => answer,
    })
}

/// Where probes go, when that is not where traffic goes.
fn elsewhere(proxy: &Proxy, server: &Server) -> Option<Place> {
    let (host, port) = split_address(&server.address);
    let by_rule = proxy.rules.port.as_ref().filter(|_| proxy.method.by_rules || proxy.method.layer == Layer::Http);
    let other_port =
        by_rule.or(server.options.port.as_ref()).filter(|(probed, _)| port.is_some_and(|port| port != probed));
    let other_host = server.options.addr.as_ref().filter(|(probed, _)| split_address(probed).0 != host);
    other_port.or(other_host).map(|(_, place)| place.clone())
}

/// Host and port. A port that is relative to the client's, or none, is not known.
fn split_address(address: &str) -> (&str, Option<&str>) {
    let address = address.rsplit_once('@').map_or(address, |(_, address)| address);
    match address.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => (host, Some(port)),
        Some((host, _)) => (host, None),
        None => (address, None),
    }
}

/// After a reload every member counts as alive until its first probe, which comes after an interval at most, or after
/// `max-spread-checks` (`start_check_task` of `src/check.c`).
fn restart(pool: &Pool, proxy: &Proxy, global: &Global) -> Option<Restart> {
    let waiting = pool.active().zip(&proxy.servers).filter(|(_, server)| !server.options.begins_down);
    let (_, slowest) = waiting
        .map(|(active, _)| active)
        .max_by(|(_, one), (_, other)| one.interval.value.total_cmp(&other.interval.value))?;
    let place = match &slowest.interval.origin {
        Origin::At(place) => place.clone(),
        Origin::Default(_) => pool.place.clone(),
    };
    let first_probe_secs =
        global.max_spread_secs.map_or(slowest.interval.value, |most| slowest.interval.value.min(most));
    Some(Restart { subject: pool.subject(), first_probe_secs, kept: proxy.loads_state && global.has_state_file, place })
}
