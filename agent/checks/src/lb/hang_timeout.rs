//! How long one probe of a member that hangs may take. Without a limit of its own it doubles the time to detect.

use super::detect::detection;
use super::each::probed;
use super::{Active, Member, Pool, System};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::number::span;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "lb.hang-timeout",
    title: Text { en: "Time limit of a health check", zh: "健康检查的超时时间" },
    reads: &["the load balancers' configuration as it is in effect"],
    needs: Needs::FILES,
    params: &[
        Param::plain("interval", 10.0, "s", "HAProxy configuration.txt, timeout check: without it, inter is the limit"),
        Param::above(
            "warning",
            1.0,
            1.0,
            "",
            "HAProxy, AWS and Kubernetes documents: the timeout is below the interval",
        ),
    ],
    impact: Text {
        en: "A backend that hangs is found out far later than one that is dead, and hanging is how overload looks.",
        zh: "挂起的后端比宕机的后端发现得晚得多，而过载往往就表现为挂起。",
    },
    remedy: Text {
        en: "Set a limit below the interval (HAProxy: timeout check 3s in defaults, and timeout connect 3s for probes that only connect or begin with TLS; others: the timeout of the health check).",
        zh: "设置小于间隔的超时（HAProxy：在 defaults 中写 timeout check 3s，仅建立连接或使用 TLS 的探测还需 timeout connect 3s；其他系统：健康检查的 timeout）。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    probed(host, |pool: &Pool, member: &Member, probe: &Active| {
        let subject = pool.subject_of(member);
        let (hang, interval, name) = (probe.hang_secs.value, probe.interval.value, &member.name);
        let unlimited = pool.system == System::Haproxy
            && probe.hang_secs == probe.interval
            && interval >= settings.number("interval");
        let by_share = settings.level(&subject, hang / interval);
        let (limit, every, out) = (span(hang), span(interval), span(detection(probe).hanging_secs));
        let (status, summary) = if unlimited {
            let summary = words!(
                "nothing but the interval of {limit} limits a probe of {name}; it is out after {out} when it hangs",
                "{name} 的探测除 {limit} 的间隔外没有其他超时；挂起时需 {out} 才被摘除"
            );
            (Status::Warning, summary)
        } else {
            let summary = words!(
                "a probe of {name} may take {limit}, and there is one every {every}",
                "{name} 的单次探测最长 {limit}，探测间隔为 {every}"
            );
            (by_share, summary)
        };
        let found = Found::new(subject, status, summary).value(hang, "s").detail("interval_s", interval);
        probe.interval.show(probe.hang_secs.show(found, "timeout"), "interval")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn lb_05_a_probe_without_a_limit_of_its_own_is_named() {
        for (lines, options, expected) in [
            ("", "inter 10s", Status::Warning),
            ("", "inter 9s", Status::Ok),
            ("", "", Status::Ok),
            (" timeout check 3s\n option httpchk\n", "inter 300s", Status::Ok),
            (" timeout check 5s\n option httpchk\n", "inter 2s", Status::Warning),
            // It connects only, which the interval limits.
            (" timeout check 3s\n", "inter 300s", Status::Warning),
            (" timeout check 3s\n timeout connect 5s\n", "inter 300s", Status::Ok),
        ] {
            let config = format!("backend b\n{lines} server s 10.0.0.1:80 check {options}\n");
            let fixture = Fixture::image().file("/etc/haproxy/haproxy.cfg", config);
            assert_eq!(fixture.status(&CHECK), expected, "{lines}{options}");
        }
        assert!(Fixture::image().has_none_of(&CHECK));
    }
}
