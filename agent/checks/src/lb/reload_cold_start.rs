//! What a reload forgets: HAProxy takes every member for alive until its first probe, and that may come an interval later.

use super::each::told;
use super::fleet;
use super::haproxy::{Restart, extras};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::number::span;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "lb.reload-cold-start",
    title: Text { en: "Traffic to dead backends after a reload", zh: "重载后流向故障后端的流量" },
    reads: &["HAProxy's configuration: intervals, max-spread-checks, server-state-file, load-server-state-from-file"],
    needs: Needs::FILES,
    params: &[Param::above(
        "warning",
        9.9,
        9.9,
        "s",
        "measured: reload at inter 20s with 3 of 4 backends dead, 456 of 857 requests failed",
    )],
    impact: Text {
        en: "After each reload or restart, backends that are known to be dead get traffic again until they are probed.",
        zh: "每次重载或重启后，已知故障的后端会重新接收流量，直到被探测为止。",
    },
    remedy: Text {
        en: "In global write max-spread-checks 1s, or keep states over reloads: server-state-file in global, load-server-state-from-file global in defaults, and show servers state into that file before each reload.",
        zh: "在 global 写 max-spread-checks 1s；或在重载时保留状态：global 中设置 server-state-file,defaults 中设置 load-server-state-from-file global，并在每次重载前用 show servers state 写入该文件。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let restarts = extras(host)?.restarts.iter().map(|restart| judge(settings, restart)).collect();
    told(fleet(host)?, restarts)
}

fn judge(settings: &Settings<'_>, restart: &Restart) -> Found {
    let Restart { subject, first_probe_secs: secs, kept, place } = restart;
    let (status, time) = (settings.level(subject, *secs), span(*secs));
    if *kept {
        return Found::new(
            subject,
            Status::Ok,
            words!("states of backends are kept over a reload", "后端状态在重载后保留"),
        );
    }
    let summary = words!(
        "after a reload a dead backend may get traffic for {time} until its first probe",
        "重载后，故障后端在首次探测前最长 {time} 内会接收流量"
    );
    Found::new(subject, status, summary).value(*secs, "s").evidence(place.source(), &place.text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn lb_17_a_reload_forgets_unless_it_is_told_to_remember() {
        let keeps = " server-state-file /var/lib/haproxy/state\n";
        let loads = " load-server-state-from-file global\n";
        for (global, lines, options, expected) in [
            ("", "", "check inter 20s", Status::Warning),
            ("", "", "check inter 10s", Status::Warning),
            ("", "", "check inter 5s", Status::Ok),
            (" max-spread-checks 500\n", "", "check inter 300s", Status::Ok),
            (keeps, loads, "check inter 300s", Status::Ok),
            (keeps, "", "check inter 300s", Status::Warning),
            ("", loads, "check inter 300s", Status::Warning),
            ("", "", "check inter 300s init-state down", Status::Ok),
            ("", "", "inter 300s", Status::Ok),
        ] {
            let config = format!("global\n{global}backend b\n{lines} server s 10.0.0.1:80 {options}\n");
            let fixture = Fixture::image().file("/etc/haproxy/haproxy.cfg", config);
            assert_eq!(fixture.status(&CHECK), expected, "{global}{lines}{options}");
        }
        assert!(Fixture::image().has_none_of(&CHECK));
    }
}
