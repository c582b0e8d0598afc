//! Probes that go to another port or host than the traffic: what answers there may live when the service is dead.

use super::each::told;
use super::{Pool, fleet};
use crate::check::{Check, Needs, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "lb.probe-elsewhere",
    title: Text { en: "Health checks of another port or host", zh: "探测其他端口或主机的健康检查" },
    reads: &["the load balancers' configuration as it is in effect"],
    needs: Needs::FILES,
    params: &[],
    impact: Text {
        en: "When the service itself dies and its neighbour answers, the backend keeps its traffic.",
        zh: "当服务本身故障而旁边的进程仍应答时，后端会继续接收流量。",
    },
    remedy: Text {
        en: "Probe the port that serves users, or make sure that what answers there asks the service itself.",
        zh: "探测实际提供服务的端口，或确保应答方会真正检查该服务。",
    },
    run,
};

/// Lines that are shown.
const LINES_MAX: usize = 5;

fn run(host: &Host, _settings: &Settings<'_>) -> Outcome {
    let fleet = fleet(host)?;
    told(fleet, fleet.pools.iter().filter_map(judge).collect())
}

/// Nothing for a pool that is not probed.
fn judge(pool: &Pool) -> Option<Found> {
    let (all, name) = (pool.active().count(), &pool.name);
    let places: Vec<_> = pool.active().filter_map(|(_, probe)| probe.elsewhere.as_ref()).collect();
    let count = places.len();
    if count == 0 {
        let fine = words!("backends of {name} are probed where their traffic goes", "{name} 的探测目标与流量目标一致");
        return (all > 0).then(|| Found::new(pool.subject(), Status::Ok, fine));
    }
    let summary = words!(
        "probes of {count} of the {all} backends of {name} go to another port or host than the traffic",
        "{name} 的 {all} 个后端中有 {count} 个的探测端口或主机与流量目标不同"
    );
    let found = Found::advice(pool.subject(), summary);
    Some(places.iter().take(LINES_MAX).fold(found, |found, place| {
        let known = found.evidence.iter().any(|one| one.source == place.source());
        if known { found } else { found.evidence(place.source(), &place.text) }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn lb_09_another_port_is_worth_a_note() {
        for (options, notes) in [
            ("check port 8080", &[true][..]),
            ("check addr 10.0.0.9", &[true]),
            ("check port 80", &[false]),
            ("check", &[false]),
            ("port 8080", &[]),
        ] {
            let config = format!("backend b\n server s 10.0.0.1:80 {options}\n");
            let findings = Fixture::image().file("/etc/haproxy/haproxy.cfg", config).run(&CHECK);
            assert!(findings.iter().all(|finding| finding.status == Status::Ok));
            assert_eq!(findings.iter().map(|finding| finding.note).collect::<Vec<_>>(), notes, "{options}");
        }
        assert!(Fixture::image().has_none_of(&CHECK));
    }
}
