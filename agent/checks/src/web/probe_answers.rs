//! What health checks of load balancers are answered: 400, 404, 444 or a redirect mean that they ask for the wrong name or
//! path, and that this server may be out of service for them.

use super::access_log::{Log, Record, logs, shown};
use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::lb::measured::prober;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;
use std::collections::BTreeMap;

pub(crate) const CHECK: Check = Check {
    id: "web.probe-answers",
    title: Text { en: "Answers to health checks of load balancers", zh: "对负载均衡健康检查的响应" },
    reads: &["the access logs that nginx's configuration names, and the usual ones of nginx and Apache: their ends"],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[],
    impact: Text {
        en: "The load balancer takes this server for dead, or takes an error page for a sign of life.",
        zh: "负载均衡会把此服务器视为故障，或把错误页面当作正常。",
    },
    remedy: Text {
        en: "Give the health check the name and path of a page that answers 200, or add a location for it to the default server.",
        zh: "为健康检查配置返回 200 的域名和路径，或在默认 server 中为其添加 location。",
    },
    run,
};

/// Answers that mean a wrong name or path.
const WRONG: [u16; 4] = [301, 400, 404, 444];
/// The last answers must all be wrong.
const LAST: usize = 3;
/// A log that ended this long ago tells nothing about now.
const STALE_SECS: f64 = 3600.0;
/// Kinds of probes that are told.
const PROBES_MAX: usize = 50;

/// Which probe: its balancer, the name that it asks, its method and path.
type Key<'a> = (&'static str, &'a str, &'a str, &'a str);

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let fresh = logs(host)?.logs.iter().filter(|log| !log.is_stale(host, STALE_SECS));
    let found: Vec<_> = fresh.flat_map(judge).take(PROBES_MAX).collect();
    if found.is_empty() {
        return Err(Gap::NotHere(words!(
            "no health check of a load balancer is in the access logs",
            "访问日志中没有负载均衡的健康检查"
        )));
    }
    Ok(found)
}

fn judge(log: &Log) -> Vec<Found> {
    let mut probes: BTreeMap<Key<'_>, Vec<&Record>> = BTreeMap::new();
    for record in &log.records {
        if let Some(name) = prober(record) {
            probes.entry((name, &record.host, &record.method, &record.path)).or_default().push(record);
        }
    }
    probes
        .into_iter()
        .filter(|(_, records)| records.len() >= LAST)
        .map(|(key, records)| tell(log, key, &records))
        .collect()
}

fn tell(log: &Log, (name, host, method, path): Key<'_>, records: &[&Record]) -> Found {
    let path = shown(path);
    let subject = format!("{name} {method} {host}{path}");
    let last: Vec<u16> = records.iter().rev().take(LAST).map(|record| record.status).collect();
    let status = last.first().copied().unwrap_or_default();
    let count = records.iter().filter(|record| record.status == status).count();
    let (count, of) = (u32::try_from(count).unwrap_or(u32::MAX), u32::try_from(records.len()).unwrap_or(u32::MAX));
    if !last.iter().all(|status| WRONG.contains(status)) {
        let summary = words!(
            "{name}'s health check {method} {path} is answered {status}",
            "{name} 的健康检查 {method} {path} 返回 {status}"
        );
        return Found::new(subject, Status::Ok, summary);
    }
    let summary = words!(
        "{name}'s health check {method} {path} is answered {status}, {count} of {of} times",
        "{name} 的健康检查 {method} {path} 返回 {status}（{of} 次中 {count} 次）"
    );
    let source = records.last().map_or("", |record| record.source.as_str());
    let text = format!("{source} {method} {host}{path} -> {status}");
    Found::new(subject, Status::Warning, summary).evidence(&log.path, text).detail("probes", f64::from(of))
}

#[cfg(test)]
mod tests {
    use super::super::access_log::tests::line;
    use super::*;
    use crate::host::fixture::Fixture;

    fn fixture(agent: &str, statuses: &[u16]) -> Fixture {
        let lines = statuses.iter().zip((0..).map(|at| 300 - at * 30));
        let log: String =
            lines.map(|(status, before)| line(before, "10.0.0.9", "GET /h?k=v HTTP/1.1", *status, agent)).collect();
        Fixture::live().file("/var/log/nginx/access.log", log)
    }

    #[test]
    fn lb_22_probes_that_are_answered_with_errors_are_told() {
        let elb = "ELB-HealthChecker/2.0";
        for (statuses, expected) in [
            (&[200, 200, 200, 200][..], Status::Ok),
            (&[404, 404, 404, 404], Status::Warning),
            (&[301, 301, 301], Status::Warning),
            (&[200, 400, 444, 400], Status::Warning),
            (&[404, 404, 404, 200], Status::Ok),
            // It says that it is not well, and means it.
            (&[503, 503, 503], Status::Ok),
        ] {
            assert_eq!(fixture(elb, statuses).status(&CHECK), expected, "{statuses:?}");
        }
        assert_eq!(fixture(elb, &[404; 4]).run(&CHECK)[0].subject, "AWS ELB GET /h");
    }

    #[test]
    fn lb_22_without_probes_there_is_nothing_to_say() {
        assert!(fixture("Mozilla/5.0", &[404; 4]).has_none_of(&CHECK));
        assert!(fixture("ELB-HealthChecker/2.0", &[404; 2]).has_none_of(&CHECK));
        assert!(Fixture::live().has_none_of(&CHECK));
        assert_eq!(Fixture::live().file("/var/log/nginx/access.log", "junk\n").status(&CHECK), Status::Unknown);
    }
}
