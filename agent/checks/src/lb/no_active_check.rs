//! Members that nobody probes: they count as alive for ever, and every request that they get is lost once they are dead.

use super::each::told;
use super::haproxy::{IdleInterval, extras};
use super::{Member, Pool, Probe, System, fleet};
use crate::check::{Check, Needs, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::{Status, Words};
use std::collections::BTreeMap;

pub(crate) const CHECK: Check = Check {
    id: "lb.no-active-check",
    title: Text { en: "Backends without a health check", zh: "没有健康检查的后端" },
    reads: &["the load balancers' configuration as it is in effect"],
    needs: Needs::FILES,
    params: &[],
    impact: Text {
        en: "A dead backend is never taken out: its share of the requests fails until somebody notices.",
        zh: "故障后端永远不会被摘除：在有人发现之前，分配给它的请求会一直失败。",
    },
    remedy: Text {
        en: "Have every backend probed (HAProxy: add the word check to the server line or to default-server, and option httpchk; Traefik, Caddy, Apache: set a health check path).",
        zh: "为每个后端启用探测（HAProxy：在 server 行或 default-server 中加上 check，并设置 option httpchk；Traefik、Caddy、Apache：设置健康检查路径）。",
    },
    run,
};

/// Lines that are shown.
const LINES_MAX: usize = 5;

fn run(host: &Host, _settings: &Settings<'_>) -> Outcome {
    let idle = extras(host).map(|extras| extras.idle_intervals.as_slice()).unwrap_or_default();
    let idle: BTreeMap<_, _> = idle.iter().map(|one| (one.subject.as_str(), one)).collect();
    let fleet = fleet(host)?;
    told(fleet, fleet.pools.iter().filter_map(|pool| judge(pool, &idle)).collect())
}

/// Nothing for a pool whose members are all out of service.
fn judge(pool: &Pool, idle: &BTreeMap<&str, &IdleInterval>) -> Option<Found> {
    // A last resort is not probed by design: keepalived's sorry_server.
    let last_resort = |member: &Member| member.backup && pool.system == System::Keepalived;
    let serving: Vec<&Member> = pool.members.iter().filter(|member| !member.disabled && !last_resort(member)).collect();
    let of = |fits: fn(&Probe) -> bool| serving.iter().copied().filter(move |member| fits(&member.probe));
    let never: Vec<&Member> = of(|probe| matches!(probe, Probe::Never)).collect();
    let (all, count) = (serving.len(), never.len());
    let (subject, name) = (pool.subject(), &pool.name);
    if all == 0 {
        return None;
    }
    if let Some(first) = of(|probe| matches!(probe, Probe::Passive { .. })).next() {
        return Some(passive(pool, first, all));
    }
    if let Some(Probe::Unresolved(why)) =
        of(|probe| matches!(probe, Probe::Unresolved(_))).next().map(|first| &first.probe)
        && never.is_empty()
    {
        return Some(Found::new(subject, Status::Unknown, why.clone()).evidence(pool.place.source(), &pool.place.text));
    }
    let waits = never.iter().find_map(|member| idle.get(pool.subject_of(member).as_str()));
    let (status, summary) = verdict(name, all, count, waits.is_some());
    let found =
        Found::new(subject, status, summary).detail("members", as_number(all)).detail("not_probed", as_number(count));
    if status == Status::Ok {
        let tracked = serving.iter().find_map(|member| match &member.probe {
            Probe::Tracks(other) => Some(other.as_str()),
            Probe::Active(_) | Probe::Passive { .. } | Probe::Never | Probe::Unresolved(_) => None,
        });
        return Some(found.detail("tracks", tracked));
    }
    let found = waits.into_iter().fold(found, |found, idle| found.evidence(idle.place.source(), &idle.place.text));
    Some(never.iter().take(LINES_MAX).fold(found, |found, member| {
        let known = found.evidence.iter().any(|one| one.source == member.place.source());
        if known { found } else { found.evidence(member.place.source(), &member.place.text) }
    }))
}

fn verdict(name: &str, all: usize, count: usize, waits: bool) -> (Status, Words) {
    if count == 0 {
        return (Status::Ok, words!("every backend of {name} is probed", "{name} 的所有后端均有健康检查"));
    }
    if waits {
        let status = if all > 1 { Status::Critical } else { Status::Warning };
        let summary = words!(
            "{name} never probes {count} of its {all} backends: an interval is set, but the word check is missing",
            "{name} 的 {all} 个后端中有 {count} 个从不探测：设置了间隔，但缺少 check"
        );
        return (status, summary);
    }
    match (all, count) {
        (1, _) => (
            Status::Ok,
            words!(
                "the only backend of {name} is not probed; no other could take over",
                "{name} 的唯一后端没有健康检查；也没有其他后端可接管"
            ),
        ),
        _ if all == count => (
            Status::Critical,
            words!("none of the {all} backends of {name} is probed", "{name} 的 {all} 个后端均没有健康检查"),
        ),
        _ => (
            Status::Warning,
            words!(
                "{name} does not probe {count} of its {all} backends",
                "{name} 的 {all} 个后端中有 {count} 个没有健康检查"
            ),
        ),
    }
}

/// nginx without NGINX Plus has no other way.
fn passive(pool: &Pool, first: &Member, all: usize) -> Found {
    let (subject, name) = (pool.subject(), &pool.name);
    if all == 1 {
        return Found::new(
            subject,
            Status::Ok,
            words!("{name} has one backend; no other could take over", "{name} 只有一个后端，没有其他后端可接管"),
        );
    }
    let found = Found::advice(
        subject,
        words!("backends of {name} are judged by users' requests only", "{name} 的后端仅凭用户请求判断存活"),
    );
    let found = match &first.probe {
        Probe::Passive { per_request_secs, fails, window_secs } => found
            .detail("per_request_s", per_request_secs.value)
            .detail("fails", f64::from(fails.value))
            .detail("window_s", window_secs.value),
        Probe::Active(_) | Probe::Never | Probe::Tracks(_) | Probe::Unresolved(_) => found,
    };
    found
        .evidence(first.place.source(), &first.place.text)
        .impact(words!("Each failure is found by a request of a user, which waits or fails.", "每次故障都要由某个用户请求来发现，该请求会等待或失败。"))
        .remedy(words!("Keep proxy_connect_timeout and proxy_read_timeout short and list http_502 http_503 http_504 in proxy_next_upstream, or use a balancer that probes.", "将 proxy_connect_timeout 和 proxy_read_timeout 设短，并在 proxy_next_upstream 中列出 http_502 http_503 http_504，或改用支持主动探测的负载均衡器。"))
}

fn as_number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn lb_04_who_is_never_probed_is_named_with_the_line() {
        let server = |name: &str, options: &str| format!(" server {name} 10.0.0.1:80 {options}\n");
        for (options, expected, line) in [
            (&["check", "check"][..], Status::Ok, None),
            (&["", ""], Status::Critical, Some(2)),
            (&["check", ""], Status::Warning, Some(3)),
            (&["check", "track b/s0"], Status::Ok, None),
            (&["check", "disabled"], Status::Ok, None),
            (&[""], Status::Ok, None),
            // An interval without check: somebody believes that it is probed.
            (&["inter 300s"], Status::Warning, Some(2)),
            (&["check", "inter 300s"], Status::Critical, Some(3)),
            (&["check", "check inter \"$X\""], Status::Unknown, Some(1)),
            (&["", "agent-check agent-port 1"], Status::Critical, Some(2)),
        ] {
            let servers: String =
                options.iter().enumerate().map(|(at, options)| server(&format!("s{at}"), options)).collect();
            let fixture = Fixture::image().file("/etc/haproxy/haproxy.cfg", format!("backend b\n{servers}"));
            let findings = fixture.run(&CHECK);
            assert_eq!((findings.len(), findings[0].status), (1, expected), "{options:?}");
            let source = findings[0].evidence.first().map(|one| one.source.clone());
            assert_eq!(source, line.map(|line| format!("/etc/haproxy/haproxy.cfg:{line}")), "{options:?}");
        }
        assert!(Fixture::image().has_none_of(&CHECK));
    }
}
