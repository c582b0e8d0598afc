//! How often load balancers really probe this server, from its own access logs, and on request from connections to its
//! ports: cloud balancers' settings are nowhere on
//! the host, and what a configuration says is not always what runs.

mod estimate;
mod observed;
mod prober;

pub(crate) use prober::prober;

use super::{Layer, fleet};
use crate::check::{Check, Needs, OBSERVE_SECS_MAX, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::number::span;
use crate::run::Settings;
use crate::web::access_log::{Log, logs, shown};
use crate::words;
use cloud_doctor_proto::finding::{Status, Words};
use estimate::{Estimate, estimate};
use std::collections::BTreeMap;
use std::net::IpAddr;

pub(crate) const CHECK: Check = Check {
    id: "lb.measured-interval",
    title: Text {
        en: "How often load balancers really probe this server", zh: "负载均衡实际探测此服务器的间隔"
    },
    reads: &[
        "the access logs that nginx's configuration names, and the usual ones of nginx and Apache: their ends",
        "with observe: the kernel's notices of connections that end, grouped by source and port",
    ],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[
        Param::above("warning", 60.0, 45.0, "s", "our recommendation; defaults of load balancers are 2 to 60 s"),
        Param::above("off", 50.0, 40.0, "%", "our recommendation: measured and configured intervals are alike"),
        Param::plain(
            "observe",
            0.0,
            "s",
            "our own: 0 watches no connections; 60 tells intervals up to 6 s, 600 up to 1 min",
        ),
    ],
    impact: Text {
        en: "With such gaps between probes a dead server keeps its share of the traffic for minutes.",
        zh: "探测间隔如此之长，故障服务器会在数分钟内继续接收流量。",
    },
    remedy: Text {
        en: "Set a shorter interval in the load balancer (a cloud's console or API): 5 to 10 s. Two explanations besides: Envoy probes every 60 s by itself while a cluster has no traffic, and the nodes of an AWS NLB probe more often than its setting says.",
        zh: "在负载均衡（云控制台或 API）中缩短探测间隔，建议 5 至 10 秒。另有两种可能：Envoy 在集群没有流量时会自行每 60 秒探测一次；AWS NLB 各节点的探测比设置更频繁。",
    },
    run,
};

/// What is looked at: settings may have changed before.
const WINDOW_SECS: f64 = 7200.0;
/// A log that ended this long ago tells nothing about now.
const STALE_SECS: f64 = 3600.0;
/// Kinds of requests that are followed; a crawl has many.
const KINDS_MAX: usize = 5000;
/// Kinds of probes that are told.
const TOLD_MAX: usize = 50;

/// Who asks, which name, how, and what. A source without a known agent is its own kind.
type Key<'a> = (Option<&'static str>, &'a str, &'a str, &'a str, &'a str);

/// What came of one kind.
#[derive(Default)]
struct Seen<'a> {
    times: BTreeMap<&'a str, Vec<f64>>,
    all_fine: bool,
    last: f64,
}

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let secs = settings.number("observe");
    if secs <= 0.0 {
        return logged(host, settings);
    }
    let mut found = observed::observe(host, settings, secs.min(OBSERVE_SECS_MAX));
    match logged(host, settings) {
        Ok(logged) => found.extend(logged),
        Err(Gap::NotHere(_)) => {}
        Err(Gap::Unknown(why)) => found.push(Found::new("access logs", Status::Unknown, why)),
    }
    Ok(found)
}

/// What the access logs tell.
fn logged(host: &Host, settings: &Settings<'_>) -> Outcome {
    let logs = logs(host).map_err(|gap| match gap {
        Gap::NotHere(why) => Gap::NotHere(or_watch(&why)),
        Gap::Unknown(why) => Gap::Unknown(why),
    })?;
    let own = own_interval(host);
    let fresh = logs.logs.iter().filter(|log| !log.is_stale(host, STALE_SECS));
    let found: Vec<_> = fresh.flat_map(|log| judge(settings, log, own)).take(TOLD_MAX).collect();
    if found.is_empty() {
        return Err(Gap::NotHere(or_watch(&words!(
            "no regular health check of a load balancer is in the access logs",
            "访问日志中没有规律出现的负载均衡健康检查"
        ))));
    }
    Ok(found)
}

/// What logs do not tell, connections may: who may have them watched, and how.
fn or_watch(Words { en, zh }: &Words) -> Words {
    words!(
        "{en}; to watch connections too: --set lb.measured-interval.observe=60 on the host, or, for a relay, set = [\"lb.measured-interval.observe=30\"] in a rule of the ceiling",
        "{zh}；如需同时观察连接：在主机上使用 --set lb.measured-interval.observe=60，由中继运行时则在权限上限的规则中写入 set = [\"lb.measured-interval.observe=30\"]"
    )
}

/// The interval at which a balancer of this host probes this host, where there is one and one only.
fn own_interval(host: &Host) -> Option<f64> {
    let mut intervals = Vec::new();
    for pool in &fleet(host).ok()?.pools {
        for (member, probe) in pool.active() {
            if probe.layer == Layer::Http && is_own(&member.address) {
                intervals.push(probe.interval.value);
            }
        }
    }
    intervals.sort_by(f64::total_cmp);
    intervals.dedup();
    match intervals.as_slice() {
        [only] => Some(*only),
        _ => None,
    }
}

/// Whether an address, with or without a port, is this host's loopback.
fn is_own(address: &str) -> bool {
    let host = address.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']'));
    let host = host.map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// One log, looked at.
struct Look<'a> {
    settings: &'a Settings<'a>,
    log: &'a Log,
    newest: f64,
    /// Seconds of the window that the log has.
    covered: f64,
    own: Option<f64>,
}

fn judge(settings: &Settings<'_>, log: &Log, own: Option<f64>) -> Vec<Found> {
    let (records, covered) = log.window(WINDOW_SECS);
    let mut kinds: BTreeMap<Key<'_>, Seen<'_>> = BTreeMap::new();
    for record in records {
        let name = prober(record);
        if name.is_none() && !["OPTIONS", "HEAD", "GET"].contains(&record.method.as_str()) {
            continue;
        }
        let source = if name.is_none() { record.source.as_str() } else { "" };
        let key: Key<'_> = (name, source, &record.host, &record.method, &record.path);
        if !kinds.contains_key(&key) && kinds.len() == KINDS_MAX {
            continue;
        }
        let seen = kinds.entry(key).or_insert_with(|| Seen { all_fine: true, ..Seen::default() });
        seen.times.entry(&record.source).or_default().push(record.time);
        seen.all_fine &= record.status < 400;
        seen.last = seen.last.max(record.time);
    }
    let look = Look { settings, log, newest: log.newest(), covered, own };
    kinds.into_iter().filter_map(|(key, seen)| tell(&look, key, &seen)).collect()
}

/// What one kind tells; nothing when it is no probe, or has ended.
fn tell(look: &Look<'_>, (name, source, host, method, path): Key<'_>, seen: &Seen<'_>) -> Option<Found> {
    let path = shown(path);
    let who = name.unwrap_or(source);
    let subject = format!("{who} {method} {host}{path}");
    let since = look.newest - seen.last;
    let Some(measured) = estimate(&seen.times) else {
        // A known prober that came so rarely is slow, or has just begun.
        let is_told = look.covered > look.settings.number("warning") * 5.0 && since < look.covered / 2.0;
        return name.filter(|_| is_told).map(|name| rare(look, &subject, name, seen));
    };
    if since > (3.0 * measured.median).max(120.0) || (name.is_none() && !measured.is_regular(1.0)) {
        return None;
    }
    let (every, window) = (span(measured.median), span(look.covered));
    let level = look.settings.level_of(&subject, measured.median, "warning", "");
    let found = if name.is_none() && level != Status::Ok {
        // It may be a monitor of somebody, for whom this is often enough.
        let summary = words!(
            "{who} asks {method} {path} every {every}; if that is a health check, it is slow",
            "{who} 每 {every} 请求一次 {method} {path}；如果这是健康检查，则间隔过长"
        );
        Found::advice(&subject, summary)
    } else {
        let summary = words!(
            "{who} probes {method} {path} every {every}, as {window} of log tell",
            "{who} 每 {every} 探测一次 {method} {path}（依据 {window} 的日志）"
        );
        Found::new(&subject, level, summary)
    };
    let found = match look.own.filter(|_| seen.all_fine && is_own(source_of(seen))) {
        Some(own) => compare(look.settings, &subject, found, measured.median, own),
        None => found,
    };
    Some(show(look, found, &measured))
}

/// Adds what was measured.
fn show(look: &Look<'_>, found: Found, measured: &Estimate) -> Found {
    let Estimate { median, p10, p90, gaps, sources } = *measured;
    let text = format!("gaps: {gaps}, sources: {sources}, {p10:.0} to {p90:.0} s (10 to 90 %), median {median:.0} s");
    found
        .value(median, "s")
        .evidence(&look.log.path, text)
        .detail("p10_s", p10)
        .detail("p90_s", p90)
        .detail("sources", number(sources))
        .detail("window_s", look.covered)
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn source_of<'a>(seen: &Seen<'a>) -> &'a str {
    seen.times.keys().next().copied().unwrap_or_default()
}

fn rare(look: &Look<'_>, subject: &str, name: &str, seen: &Seen<'_>) -> Found {
    let (window, times) = (span(look.covered), seen.times.values().map(Vec::len).sum::<usize>());
    let summary = words!(
        "{name} probed {times} times in {window} of log, too few to tell its interval",
        "{name} 在 {window} 的日志中只探测了 {times} 次，无法判断其间隔"
    );
    Found::new(subject, Status::Unknown, summary).evidence(&look.log.path, format!("{times} probes"))
}

/// Judges what was measured against what this host's own balancer says.
fn compare(settings: &Settings<'_>, subject: &str, found: Found, median: f64, own: f64) -> Found {
    let off = 100.0 * (median / own - 1.0).abs();
    let found = found.detail("configured_s", own);
    let level = settings.level_of(subject, off, "off", "");
    if own <= 0.0 || level == Status::Ok || found.status > Status::Unknown {
        return found;
    }
    let (shown_own, shown_median) = (span(own), span(median));
    let summary = words!(
        "this host's load balancer is configured to probe every {shown_own}, but probes every {shown_median}",
        "本机负载均衡配置为每 {shown_own} 探测一次，实际每 {shown_median} 一次"
    );
    let remedy = words!(
        "Reload the load balancer if its configuration was edited since; else look for a second one that probes too.",
        "如果配置修改后尚未生效，请重新加载负载均衡；否则检查是否还有另一个负载均衡在探测。"
    );
    let impact = words!(
        "A dead server is found later than the configuration promises, or servers are probed needlessly often.",
        "故障服务器的发现会晚于配置预期，或服务器被过于频繁地探测。"
    );
    Found { status: level, note: false, summary, ..found }.impact(impact).remedy(remedy)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
