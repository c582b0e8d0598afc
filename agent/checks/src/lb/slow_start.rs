//! Whether a backend that is back gets its full share at once, where the balancer could spare it that.

use super::{Active, Member, Pool, System, fleet};
use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "lb.slow-start",
    title: Text { en: "Slow start of returning backends", zh: "恢复后端的慢启动" },
    reads: &["the load balancers' configuration as it is in effect: command lines, files, includes, defaults"],
    needs: Needs::FILES,
    params: &[],
    impact: Text {
        en: "A backend that is back gets its full share at once; one with cold caches or a JVM that is not warm answers slowly, or fails again.",
        zh: "恢复的后端会立即承担全部份额的流量；缓存未热或 JVM 尚未预热时，会响应缓慢甚至再次故障。",
    },
    remedy: Text {
        en: "Where backends need to warm up, let weight grow: HAProxy slowstart 30s, NGINX Plus slow_start=30s, Envoy slow_start_config.",
        zh: "如果后端需要预热，可让权重逐步增加：HAProxy slowstart 30s、NGINX Plus slow_start=30s、Envoy slow_start_config。",
    },
    run,
};

fn run(host: &Host, _settings: &Settings<'_>) -> Outcome {
    let pools = fleet(host)?.pools.iter().filter(|pool| has_slow_start(pool.system));
    // With one member nobody else could take the traffic meanwhile.
    let found: Vec<_> = pools.filter(|pool| pool.active().count() > 1).map(judge).collect();
    if found.is_empty() {
        return Err(Gap::NotHere(words!(
            "no load balancer here that checks several backends knows slow start",
            "此处没有支持慢启动且检查多个后端的负载均衡器"
        )));
    }
    Ok(found)
}

/// Those that let weight grow: HAProxy `slowstart`, NGINX Plus `slow_start`, Envoy `slow_start_config`.
fn has_slow_start(system: System) -> bool {
    match system {
        System::Haproxy | System::NginxPlus | System::Envoy => true,
        System::Nginx
        | System::Tengine
        | System::Traefik
        | System::Caddy
        | System::Keepalived
        | System::Apache
        | System::Kubernetes => false,
    }
}

fn judge(pool: &Pool) -> Found {
    let (subject, name) = (pool.subject(), &pool.name);
    let without = pool.active().filter(|(_, probe)| probe.slow_start_secs <= 0.0).count();
    let short = pool.active().find(|(_, probe)| is_short(probe));
    if without > 0 {
        let found = Found::advice(
            subject,
            words!(
                "{without} backends of {name} get their full share as soon as they are back",
                "{name} 有 {without} 个后端在恢复后立即承担全部份额"
            ),
        );
        return found.evidence(pool.place.source(), &pool.place.text);
    }
    if let Some((member, probe)) = short {
        return too_short(subject, member, probe);
    }
    Found::new(subject, Status::Ok, words!("backends of {name} start slowly", "{name} 的后端采用慢启动"))
}

/// HAProxy's manual: the interval of checks should be shorter than `slowstart`, as weight grows with them.
fn is_short(probe: &Active) -> bool {
    probe.slow_start_secs <= probe.interval.value
}

fn too_short(subject: String, member: &Member, probe: &Active) -> Found {
    let (name, secs, interval) = (&member.name, probe.slow_start_secs, probe.interval.value);
    let found = Found::advice(
        subject,
        words!(
            "slow start of {name} ({secs:.1} s) is over within one probe interval ({interval:.1} s)",
            "{name} 的慢启动（{secs:.1} 秒）在一个探测间隔（{interval:.1} 秒）内即结束"
        ),
    );
    probe.interval.show(found.evidence(member.place.source(), &member.place.text), "interval")
}

#[cfg(test)]
mod tests {
    use super::super::detect::tests::probe;
    use super::super::{Cadence, Fleet, Layer, Place, Probe};
    use super::*;
    use crate::host::fixture::Fixture;
    use crate::run::{Ran, run};

    fn member(slow_start_secs: f64) -> Member {
        let active = Active { slow_start_secs, ..probe(Cadence::AfterEnd, 2.0, 3, 2, 2.0) };
        Member {
            name: "web1".into(),
            address: "10.0.0.1:80".into(),
            place: Place { file: "/etc/haproxy/haproxy.cfg".into(), line: 5, text: "server web1".into() },
            probe: Probe::Active(Box::new(active)),
            disabled: false,
            backup: false,
        }
    }

    fn ran(system: System, members: Vec<Member>) -> Ran {
        let fixture = Fixture::image();
        let host = fixture.host();
        let place = Place { file: "/etc/haproxy/haproxy.cfg".into(), line: 4, text: "backend web".into() };
        let pool = Pool { system, name: "web".into(), place, layer: Layer::Http, members };
        assert!(
            host.memo.fleet.set(Some(Fleet { pools: vec![pool], troubles: Vec::new(), ..Fleet::default() })).is_ok()
        );
        run(&CHECK, &host, &fixture.wanted)
    }

    #[test]
    fn lb_slow_start_is_advice_where_it_is_known() {
        for (slow, expected) in [(0.0, Some("full share")), (1.0, Some("over within")), (30.0, None)] {
            let Ran::Findings(findings) = ran(System::Haproxy, vec![member(slow), member(slow)]) else { panic!() };
            assert_eq!((findings[0].status, findings[0].note), (Status::Ok, expected.is_some()));
            assert!(findings[0].summary.en.contains(expected.unwrap_or("start slowly")), "{findings:?}");
            assert_eq!(findings[0].evidence.is_empty(), expected.is_none());
        }
        for (system, members) in [(System::Caddy, vec![member(0.0), member(0.0)]), (System::Haproxy, vec![member(0.0)])]
        {
            assert!(matches!(ran(system, members), Ran::NotHere(_)));
        }
    }
}
