//! The interval of probes as this host's own ports feel them: who comes to a port as regularly as a clock, whatever it
//! says there. It sees probes that leave no line in any log, and needs minutes; so it looks only when asked to.
//!
//! A probe that keeps its connection open is not seen, nor one that resets it before it stands (HAProxy's plain check of a
//! port); one that comes less often than the watch can tell is a lower
//! bound and no figure.

use super::super::{Pool, fleet};
use super::estimate::{Estimate, GAPS_REGULAR, estimate};
use super::{compare, is_own};
use crate::found::{Found, Gap};
use crate::host::{Host, Watched};
use crate::number::span;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Below this no clock can be told from chance.
const INTERVAL_MIN: f64 = 0.4;
/// Regular sources that are told, and rare ones.
const TOLD_MAX: usize = 50;
const RARE_MAX: usize = 5;

/// A port of this host, and who comes there.
type Key = (u16, IpAddr);

/// What came to the listening ports while it was watched for `secs`.
pub(super) fn observe(host: &Host, settings: &Settings<'_>, secs: f64) -> Vec<Found> {
    let watched = host.accept_queues().and_then(|all| {
        let ports: BTreeSet<u16> = all.iter().map(|one| one.address.port()).collect();
        host.watch_connections(secs, &ports)
    });
    match watched {
        Ok(watched) => judge(host, settings, &watched),
        Err(Gap::NotHere(why) | Gap::Unknown(why)) => vec![Found::new(SUBJECT, Status::Unknown, why)],
    }
}

const SUBJECT: &str = "watched connections";

fn judge(host: &Host, settings: &Settings<'_>, watched: &Watched) -> Vec<Found> {
    let mut came: BTreeMap<Key, Vec<f64>> = BTreeMap::new();
    for one in &watched.ended {
        came.entry((one.port, one.from)).or_default().push(one.at);
    }
    let (mut found, mut rare) = (Vec::new(), Vec::new());
    for (key, times) in came {
        let count = times.len();
        let measured = estimate(&BTreeMap::from([((), times)]));
        match measured.filter(|measured| measured.is_regular(INTERVAL_MIN)) {
            Some(measured) if found.len() < TOLD_MAX => found.push(tell(host, settings, key, &measured, watched.secs)),
            // Visitors come often, and not like a clock.
            Some(_) => {}
            None if count <= GAPS_REGULAR => rare.push((key, count)),
            None => {}
        }
    }
    found.push(rest(watched, found.len(), &rare));
    found
}

fn tell(host: &Host, settings: &Settings<'_>, (port, from): Key, measured: &Estimate, secs: f64) -> Found {
    let Estimate { median, p10, p90, gaps, .. } = *measured;
    let (every, window, subject) = (span(median), span(secs), format!("{from} port {port}"));
    let level = settings.level_of(&subject, median, "warning", "");
    let summary = words!(
        "{from} connects to port {port} every {every}, as a health check does ({window} of watching)",
        "{from} 每 {every} 连接一次端口 {port}，符合健康检查的规律（观察 {window}）"
    );
    // It may be a monitor of somebody, for whom this is often enough.
    let found =
        if level == Status::Ok { Found::new(&subject, level, summary) } else { Found::advice(&subject, summary) };
    let found = match own_interval(host, port).filter(|_| from.is_loopback()) {
        Some(own) => compare(settings, &subject, found, median, own),
        None => found,
    };
    found
        .value(median, "s")
        .evidence("sock_diag", format!("gaps: {gaps}, {p10:.1} to {p90:.1} s (10 to 90 %), median {median:.1} s"))
        .detail("p10_s", p10)
        .detail("p90_s", p90)
        .detail("window_s", secs)
}

/// The interval at which a balancer of this host probes this port of it, where that is one and one only.
fn own_interval(host: &Host, port: u16) -> Option<f64> {
    let is_it =
        |address: &str| is_own(address) && address.rsplit_once(':').is_some_and(|(_, at)| at.parse() == Ok(port));
    let active = fleet(host).ok()?.pools.iter().flat_map(Pool::active);
    let mut intervals: Vec<f64> =
        active.filter(|(member, _)| is_it(&member.address)).map(|(_, probe)| probe.interval.value).collect();
    intervals.sort_by(f64::total_cmp);
    intervals.dedup();
    match intervals.as_slice() {
        [only] => Some(*only),
        _ => None,
    }
}

/// What the watch could not tell. Who came `count` times in `secs` comes less often than every `secs / (count + 1)`, if it
/// comes like a clock.
fn rest(watched: &Watched, regular: usize, rare: &[(Key, usize)]) -> Found {
    let (window, count, sources) = (span(watched.secs), watched.ended.len(), rare.len());
    let at_least = |count: usize| watched.secs / (1.0 + f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
    let told = span(at_least(GAPS_REGULAR));
    let summary = if watched.lost {
        words!(
            "more connections ended than could be read within {window}; intervals may be longer than they seem",
            "{window} 内结束的连接过多，未能全部读取；测得的间隔可能偏长"
        )
    } else if count == 0 {
        words!(
            "no connection to any port of this host ended within {window}: whoever probes it does so less often, keeps its connection open, or resets it before it stands (HAProxy's plain port check)",
            "{window} 内没有任何到本机端口的连接结束：探测间隔比这更长、探测复用了同一连接，或连接在建立前即被重置（HAProxy 的纯端口检查）"
        )
    } else if sources > 0 {
        words!(
            "{sources} sources came too rarely within {window} to tell whether they probe; intervals above {told} need a longer watch",
            "{sources} 个来源在 {window} 内出现次数过少，无法判断是否为探测；超过 {told} 的间隔需要更长的观察"
        )
    } else {
        words!(
            "{count} connections ended within {window}; {regular} sources came as regularly as a health check",
            "{window} 内共结束 {count} 个连接；{regular} 个来源的规律符合健康检查"
        )
    };
    let is_told = !watched.lost && count > 0 && sources == 0;
    let found = Found::new(SUBJECT, if is_told { Status::Ok } else { Status::Unknown }, summary);
    let found = found.detail("window_s", watched.secs);
    rare.iter().take(RARE_MAX).fold(found, |found, ((port, from), count)| {
        let least = span(at_least(*count));
        found.evidence(
            "sock_diag",
            format!("{from} port {port}: {count} connections; a probe's interval is above {least}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::CHECK;
    use crate::host::fixture::Fixture;
    use crate::host::{CONNECTIONS_PRETENDED, SOCK_DIAG_PRETENDED};
    use cloud_doctor_proto::finding::{Finding, Status};

    fn watched(secs: u32, lines: &str) -> Vec<Finding> {
        let listening = crate::host::sock_diag::tests::recorded(8080, 0, 128);
        let host = Fixture::live().file(CONNECTIONS_PRETENDED, lines).file(SOCK_DIAG_PRETENDED, listening);
        host.set(&format!("lb.measured-interval.observe={secs}")).run(&CHECK)
    }

    fn clock(from: &str, every: f64, secs: f64) -> String {
        let mut text = String::new();
        let mut at = every / 3.0;
        while at < secs {
            text += &format!("{at} 8080 {from}\n");
            at += every;
        }
        text
    }

    #[test]
    fn lb_20_probes_are_felt_at_the_port_and_grouped_by_source() {
        let text = clock("10.0.0.1", 2.0, 60.0) + &clock("10.0.0.2", 2.0, 60.0) + &clock("10.0.0.3", 0.5, 60.0);
        let found = watched(60, &text);
        let told: Vec<_> = found.iter().map(|one| (one.subject.as_str(), one.status, one.value)).collect();
        assert_eq!(
            told,
            [
                ("10.0.0.1 port 8080", Status::Ok, Some(2.0)),
                ("10.0.0.2 port 8080", Status::Ok, Some(2.0)),
                ("10.0.0.3 port 8080", Status::Ok, Some(0.5)),
                ("watched connections", Status::Ok, None),
            ]
        );
        // A watch of ten minutes and more sees what is slow; whether it probes nobody knows.
        let slow = watched(900, &clock("10.0.0.1", 70.0, 900.0));
        assert!(slow[0].note && slow[0].value.is_some_and(|secs| (secs - 70.0).abs() < 0.01), "{slow:?}");
    }

    #[test]
    fn lb_20_what_a_watch_cannot_tell_is_a_lower_bound() {
        for (lines, part) in [
            ("", "no connection to any port"),
            ("5 8080 10.0.0.1\n", "1 sources came too rarely within 60 s"),
            (&clock("10.0.0.1", 20.0, 60.0), "intervals above 6.7 s need a longer watch"),
            ("5 8080 10.0.0.1\nlost\n", "more connections ended than could be read"),
        ] {
            let found = watched(60, lines);
            assert_eq!((found.len(), found[0].status), (1, Status::Unknown), "{lines}");
            assert!(found[0].summary.en.contains(part), "{part}: {found:?}");
        }
        let one = watched(60, "5 8080 10.0.0.1\n");
        assert!(one[0].evidence[0].text.ends_with("a probe's interval is above 30 s"), "{one:?}");
        // Visitors, at no time like a clock.
        let visitors: String =
            [1, 2, 9, 10, 11, 30, 31, 32, 33, 50, 59].map(|at| format!("{at} 8080 10.9.9.9\n")).concat();
        let found = watched(60, &visitors);
        assert_eq!((found.len(), found[0].status), (1, Status::Ok), "{found:?}");
        assert!(found[0].summary.en.starts_with("11 connections ended within 60 s; 0 sources"), "{found:?}");
    }
}
