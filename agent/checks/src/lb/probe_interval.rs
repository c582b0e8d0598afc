//! How often members are probed while they are well.

use super::each::probed;
use super::{Active, Member, Pool};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::number::span;
use crate::run::Settings;
use crate::words;

pub(crate) const CHECK: Check = Check {
    id: "lb.probe-interval",
    title: Text { en: "Interval between health checks", zh: "健康检查间隔" },
    reads: &["the load balancers' configuration as it is in effect"],
    needs: Needs::FILES,
    // A setting does not swing, so it is over where it fires.
    params: &[
        Param::above("warning", 30.0, 30.0, "s", "our recommendation; vendors' defaults are 2 to 60 s"),
        Param::above("critical", 60.0, 60.0, "s", "our recommendation; no vendor's default is longer"),
    ],
    impact: Text {
        en: "Nobody asks for this long whether the backend is alive, and its failures go to users meanwhile.",
        zh: "在这段时间内没有任何探测，后端故障会直接影响用户。",
    },
    remedy: Text {
        en: "Probe every 2 to 10 seconds (HAProxy: inter 5s; Tengine: check interval=5000; keepalived: delay_loop 5; Kubernetes: periodSeconds 5).",
        zh: "每 2 到 10 秒探测一次（HAProxy:inter 5s；Tengine:check interval=5000；keepalived:delay_loop 5；Kubernetes:periodSeconds 5）。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    probed(host, |pool: &Pool, member: &Member, probe: &Active| {
        let subject = pool.subject_of(member);
        let (secs, name) = (probe.interval.value, &member.name);
        let status = settings.level(&subject, secs);
        let interval = span(secs);
        let found = Found::new(
            subject,
            status,
            words!("{name} is probed every {interval} while it is up", "{name} 正常时每 {interval} 探测一次"),
        );
        probe.interval.show(found.value(secs, "s"), "interval")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use cloud_doctor_proto::finding::Status;

    #[test]
    fn lb_02_the_interval_is_judged_with_its_line() {
        for (options, expected) in [
            ("", Status::Ok),
            ("inter 30s", Status::Ok),
            ("inter 31s", Status::Warning),
            ("inter 60s", Status::Warning),
            ("inter 300s fastinter 1s", Status::Critical),
            // Milliseconds.
            ("inter 300", Status::Ok),
        ] {
            let config = format!("backend b\n server s 10.0.0.1:80 check {options}\n");
            let findings = Fixture::image().file("/etc/haproxy/haproxy.cfg", config).run(&CHECK);
            assert_eq!(findings[0].status, expected, "{options}");
            let source = if options.is_empty() { "default" } else { "/etc/haproxy/haproxy.cfg:2" };
            assert_eq!(findings[0].evidence[0].source, source);
        }
        assert!(Fixture::image().has_none_of(&CHECK));
    }
}
