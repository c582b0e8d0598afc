//! What a `reverse_proxy` is set to, however it is written, and what that makes of its upstreams
//! (modules/caddyhttp/reverseproxy/healthchecks.go, caddyfile.go).

use super::super::includes::Includes;
use super::super::{Active, Cadence, Layer, Member, Place, Pool, Probe, Setting, System};
use crate::words;
use cloud_doctor_proto::finding::Words;

/// Ports of one range; each is an upstream.
const PORTS_MAX: u16 = 1000;

/// One `reverse_proxy`.
pub(super) struct Proxy {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) layer: Layer,
    pub(super) upstreams: Vec<(String, Place)>,
    /// Where its upstreams come from while it runs.
    pub(super) dynamic: Option<Place>,
    /// Whether the next upstream is only taken when those before it are down.
    pub(super) takes_first: bool,
    /// A value that Caddy would not take, or that only its environment knows.
    pub(super) broken: Option<Words>,
    pub(super) is_probed: bool,
    pub(super) port: Option<Setting<u16>>,
    /// Another address that is probed for all upstreams.
    pub(super) probed_at: Option<Place>,
    pub(super) interval: Option<Setting<f64>>,
    pub(super) timeout: Option<Setting<f64>>,
    pub(super) fails: Option<Setting<u32>>,
    pub(super) passes: Option<Setting<u32>>,
    pub(super) fail_duration: Option<Setting<f64>>,
    pub(super) max_fails: Option<Setting<u32>>,
    pub(super) response_header_timeout: Option<Setting<f64>>,
}

impl Proxy {
    pub(super) fn new(name: String, place: Place, layer: Layer) -> Self {
        Self {
            name,
            place,
            layer,
            upstreams: Vec::new(),
            dynamic: None,
            takes_first: false,
            broken: None,
            is_probed: false,
            port: None,
            probed_at: None,
            interval: None,
            timeout: None,
            fails: None,
            passes: None,
            fail_duration: None,
            max_fails: None,
            response_header_timeout: None,
        }
    }

    pub(super) fn pool(self, includes: &mut Includes<'_>) -> Pool {
        let mut members = Vec::new();
        for (upstream, place) in &self.upstreams {
            for address in addresses(upstream) {
                // A few words can be very many ports.
                if !includes.has_room(place) {
                    break;
                }
                let probe = self.probe(&address);
                let backup = self.takes_first && !members.is_empty();
                let (name, place) = (address.clone(), place.clone());
                members.push(Member { name, address, place, probe, disabled: false, backup });
            }
        }
        if let Some(place) = &self.dynamic {
            let why = words!(
                "upstreams are looked up while Caddy runs, and active checks do not run for those",
                "上游在 Caddy 运行时动态查询，不会对其进行主动检查"
            );
            let (name, address, probe) = ("dynamic".to_owned(), String::new(), Probe::Unresolved(why));
            members.push(Member { name, address, place: place.clone(), probe, disabled: false, backup: false });
        }
        Pool { system: System::Caddy, name: self.name, place: self.place, layer: self.layer, members }
    }

    fn probe(&self, address: &str) -> Probe {
        if let Some(why) = &self.broken {
            return Probe::Unresolved(why.clone());
        }
        if address.contains('{') {
            return Probe::Unresolved(words!(
                "{address:?} is known only when a request comes",
                "{address:?} 只有在收到请求时才能确定"
            ));
        }
        if self.is_probed {
            return Probe::Active(Box::new(self.active(address)));
        }
        match &self.fail_duration {
            Some(window) if window.value > 0.0 => Probe::Passive {
                // Without it a request waits for as long as its user does.
                per_request_secs: or_default(
                    &self.response_header_timeout,
                    f64::INFINITY,
                    "no response_header_timeout",
                ),
                fails: or_default(&self.max_fails, 1, "max_fails 1, reverse_proxy"),
                window_secs: window.clone(),
            },
            Some(_) | None => Probe::Never,
        }
    }

    fn active(&self, address: &str) -> Active {
        let interval = or_default(&self.interval, 30.0, "health_interval 30s, reverse_proxy");
        let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        let other_port = self.port.as_ref().filter(|set| Some(set.value) != port);
        let other_place = other_port.and_then(|set| match &set.origin {
            super::super::Origin::At(place) => Some(place.clone()),
            super::super::Origin::Default(_) => None,
        });
        Active {
            layer: Layer::Http,
            cadence: Cadence::Fixed,
            fast: interval.clone(),
            down: interval.clone(),
            interval,
            hang_secs: or_default(&self.timeout, 5.0, "health_timeout 5s, reverse_proxy"),
            fall: or_default(&self.fails, 1, "health_fails 1, reverse_proxy"),
            rise: or_default(&self.passes, 1, "health_passes 1, reverse_proxy"),
            // Both counters are cleared only when the state changes (hosts.go, `resetHealth`).
            consecutive: false,
            slow_start_secs: 0.0,
            queue_secs: 0.0,
            elsewhere: self.probed_at.clone().or(other_place),
        }
    }
}

/// Zero is as good as nothing: Caddy takes its default.
fn or_default<T: Copy + PartialEq + Default>(set: &Option<Setting<T>>, default: T, source: &'static str) -> Setting<T> {
    set.clone().filter(|set| set.value != T::default()).unwrap_or(Setting::default(default, source))
}

/// The addresses that are dialled: the port from the scheme, and one for each port of a range (addresses.go).
fn addresses(upstream: &str) -> Vec<String> {
    if upstream.starts_with("unix") {
        return vec![upstream.to_owned()];
    }
    let (scheme, rest) = upstream.split_once("://").unwrap_or(("", upstream));
    let rest = rest.split_once('/').map_or(rest, |(network, host)| match network {
        "tcp" | "tcp4" | "tcp6" | "udp" => host,
        _ => network,
    });
    let after_ip = rest.rfind(']').map_or(0, |end| end + 1);
    let (host, port) = match rest.get(after_ip..).and_then(|tail| tail.rfind(':')) {
        Some(at) => (&rest[..after_ip + at], &rest[after_ip + at + 1..]),
        None if scheme == "https" => (rest, "443"),
        None if rest.contains('{') => return vec![rest.to_owned()],
        None => (rest, "80"),
    };
    let range = |(first, last): (&str, &str)| Some((first.parse::<u16>().ok()?, last.parse::<u16>().ok()?));
    match port.split_once('-').and_then(range) {
        Some((first, last)) if first <= last => {
            let last = last.min(first.saturating_add(PORTS_MAX - 1));
            (first..=last).map(|port| format!("{host}:{port}")).collect()
        }
        Some(_) | None => vec![format!("{host}:{port}")],
    }
}

/// A Go duration, and days (caddy.go, `ParseDuration`): `1m30s`, `1.5h`, `2d`. A bare number is none, but for 0.
pub(super) fn seconds(text: &str) -> Option<f64> {
    let (mut rest, is_negative) = text.strip_prefix('-').map_or((text, false), |rest| (rest, true));
    rest = rest.strip_prefix('+').unwrap_or(rest);
    if rest == "0" {
        return Some(0.0);
    }
    let mut secs = 0.0;
    if rest.is_empty() || text.len() > 1024 {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|one: char| !one.is_ascii_digit() && one != '.')?;
        let number: f64 = rest.get(..end)?.parse().ok()?;
        let unit_end =
            rest[end..].find(|one: char| one.is_ascii_digit() || one == '.').map_or(rest.len(), |at| end + at);
        let factor = match rest.get(end..unit_end)? {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            _ => return None,
        };
        secs += number * factor;
        rest = rest.get(unit_end..)?;
    }
    (!is_negative).then_some(secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lb_01_caddy_times_need_a_unit() {
        for (text, secs) in [
            ("10s", Some(10.0)),
            ("1m30s", Some(90.0)),
            ("1.5h", Some(5400.0)),
            ("250ms", Some(0.25)),
            ("2d", Some(172_800.0)),
            ("1d12h", Some(129_600.0)),
            ("0", Some(0.0)),
            ("10", None),
            ("10x", None),
            ("-5s", None),
            ("", None),
            ("s", None),
            ("1.2.3s", None),
        ] {
            assert_eq!(seconds(text), secs, "{text}");
        }
    }

    #[test]
    fn lb_01_caddy_addresses_are_those_it_dials() {
        for (upstream, expected) in [
            ("localhost", &["localhost:80"][..]),
            ("10.0.0.1:8080", &["10.0.0.1:8080"]),
            ("http://a", &["a:80"]),
            ("https://a", &["a:443"]),
            ("h2c://a:99", &["a:99"]),
            ("[::1]:81", &["[::1]:81"]),
            ("[::1]", &["[::1]:80"]),
            (":8001-8003", &[":8001", ":8002", ":8003"]),
            ("tcp/a:1", &["a:1"]),
            ("unix//run/a.sock", &["unix//run/a.sock"]),
            ("{http.request.host}", &["{http.request.host}"]),
        ] {
            assert_eq!(addresses(upstream), expected, "{upstream}");
        }
        assert_eq!(addresses("a:1-65535").len(), 1000);
    }
}
