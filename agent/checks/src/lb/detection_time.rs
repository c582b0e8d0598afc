//! How long a dead backend keeps its traffic: the worst case for one that hangs, judged against the recovery objective.

use super::detect::{Detection, detection};
use super::remedy::remedy;
use super::{Active, Member, Pool, Probe, fleet};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::many::many;
use crate::number::span;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "lb.detection-time",
    title: Text { en: "Time until a dead backend is taken out", zh: "故障后端被摘除所需时间" },
    reads: &["the load balancers' configuration as it is in effect: command lines, files, includes, defaults"],
    needs: Needs::FILES,
    params: &[
        Param::above("warning", 60.0, 45.0, "s", "our recommendation: a hanging backend is out within a minute"),
        Param::above("critical", 300.0, 240.0, "s", "our recommendation: five minutes are an outage by themselves"),
        Param::above("rto-share", 25.0, 20.0, "%", "our recommendation: detection leaves time to repair"),
    ],
    impact: Text {
        en: "A dead backend goes on getting its share of the traffic for this long.",
        zh: "在这段时间内，故障后端会继续接收其份额的流量。",
    },
    remedy: Text {
        en: "Probe more often while a backend fails (HAProxy: inter 5s fastinter 1s fall 3, timeout check 3s), and cut hanging probes short.",
        zh: "在后端出现故障时更频繁地探测（HAProxy:inter 5s fastinter 1s fall 3,timeout check 3s），并尽早终止挂起的探测。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let fleet = fleet(host)?;
    let unread = fleet.troubles.iter().map(|trouble| {
        let subject = format!("{} {}", trouble.system.name(), trouble.place.file);
        let found = Found::new(subject, Status::Unknown, trouble.why.clone());
        found.evidence(trouble.place.source(), &trouble.place.text)
    });
    let probed = fleet
        .pools
        .iter()
        .flat_map(|pool| pool.active().map(move |(member, probe)| judge(settings, pool, member, probe)));
    let unclear =
        fleet.pools.iter().flat_map(|pool| pool.members.iter().filter_map(move |member| unclear(pool, member)));
    Ok(many(unread.chain(unclear).chain(probed).collect()))
}

/// A member that is probed, with a value that cannot be told.
fn unclear(pool: &Pool, member: &Member) -> Option<Found> {
    match &member.probe {
        Probe::Unresolved(why) if !member.disabled => {
            let found = Found::new(pool.subject_of(member), Status::Unknown, why.clone());
            Some(found.evidence(member.place.source(), &member.place.text))
        }
        Probe::Unresolved(_) | Probe::Active(_) | Probe::Passive { .. } | Probe::Never | Probe::Tracks(_) => None,
    }
}

fn judge(settings: &Settings<'_>, pool: &Pool, member: &Member, probe: &Active) -> Found {
    let times = detection(probe);
    let subject = pool.subject_of(member);
    let rto = settings.rto_secs();
    let share = 100.0 * times.hanging_secs / rto;
    let by_share = settings.level_of(&subject, share, "", "rto-share");
    let status = settings.level(&subject, times.hanging_secs).max(by_share);
    let Detection { refused_secs, hanging_secs, return_secs } = times;
    let (refused, hanging, objective) = (span(refused_secs), span(hanging_secs), span(rto));
    let name = &member.name;
    let found = Found::new(
        subject,
        status,
        words!(
            "{name} is taken out after {hanging} when it hangs, {refused} when it refuses",
            "{name} 挂起时需 {hanging} 才被摘除，拒绝连接时需 {refused}"
        ),
    )
    .value(hanging_secs, "s")
    .detail("refused_s", refused_secs)
    .detail("return_s", return_secs)
    .detail("rto_s", rto)
    .detail("interval_s", probe.interval.value)
    .detail("fall", f64::from(probe.fall.value))
    .detail("hang_s", probe.hang_secs.value);
    let found = if status == Status::Ok {
        found
    } else {
        found.remedy(remedy(pool, member, probe)).impact(words!(
            "A dead {name} keeps its share of the traffic for up to {hanging}; the recovery objective is {objective}.",
            "{name} 故障后最长 {hanging} 内仍会接收流量；恢复时间目标（RTO）为 {objective}。"
        ))
    };
    let found = probe.interval.show(found, "interval");
    let found = probe.fall.show(found, "fall");
    probe.hang_secs.show(found, "timeout")
}

#[cfg(test)]
mod tests {
    use super::super::{Cadence, Fleet, Layer, Place, System, detect::tests::probe};
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn lb_01_time_to_detect_is_judged_and_not_the_interval() {
        for (interval, fall, hang, rto, expected) in [
            (2.0, 3, 2.0, 900.0, Status::Ok),
            (20.0, 3, 2.0, 900.0, Status::Warning),
            (300.0, 3, 300.0, 900.0, Status::Critical),
            // 100 s are more than a quarter of five minutes.
            (100.0, 1, 0.0, 300.0, Status::Critical),
        ] {
            let mut fixture = Fixture::image();
            fixture.wanted.rto_secs = Some(rto);
            let host = fixture.host();
            let place = Place { file: "/etc/haproxy/haproxy.cfg".into(), line: 4, text: "server web1".into() };
            let member = Member {
                name: "web1".into(),
                address: "10.0.0.1:80".into(),
                place: place.clone(),
                probe: Probe::Active(Box::new(probe(Cadence::AfterEnd, interval, fall, 2, hang))),
                disabled: false,
                backup: false,
            };
            let pool =
                Pool { system: System::Haproxy, name: "web".into(), place, layer: Layer::Http, members: vec![member] };
            host.memo.fleet.set(Some(Fleet { pools: vec![pool], ..Fleet::default() })).ok();
            let crate::run::Ran::Findings(findings) = crate::run::run(&CHECK, &host, &fixture.wanted) else { panic!() };
            assert_eq!(findings[0].status, expected, "{findings:?}");
            assert_eq!(findings[0].subject, "haproxy backend web/web1");
        }
        assert!(Fixture::image().has_none_of(&CHECK));
    }
}
