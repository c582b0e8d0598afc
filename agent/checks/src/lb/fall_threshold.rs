//! How many failed probes it takes: many are slow, one alone is a coin tossed, and some systems count them in their own way.

use super::each::probed;
use super::{Active, Member, Pool};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::number::span;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "lb.fall-threshold",
    title: Text { en: "Failed probes until a backend is out", zh: "摘除后端所需的失败次数" },
    reads: &["the load balancers' configuration as it is in effect"],
    needs: Needs::FILES,
    params: &[
        Param::above("warning", 5.0, 5.0, "", "our recommendation; vendors' defaults are 1 to 5"),
        Param::plain("hasty", 2.0, "s", "our recommendation: one lost packet is no outage"),
    ],
    impact: Text {
        en: "A dead backend stays in too long, or a living one is taken out for a moment's trouble.",
        zh: "故障后端保留过久，或正常后端因瞬时抖动被摘除。",
    },
    remedy: Text {
        en: "Ask for 2 or 3 failures in a row, and probe faster after the first (HAProxy: fall 3 fastinter 1s).",
        zh: "要求连续失败 2 到 3 次，并在首次失败后加快探测（HAProxy:fall 3 fastinter 1s）。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    probed(host, |pool: &Pool, member: &Member, probe: &Active| {
        let (fall, name, every) = (probe.fall.value, &member.name, span(probe.interval.value));
        let (subject, count) = (pool.subject_of(member), f64::from(fall));
        let hasty = fall == 1 && probe.interval.value <= settings.number("hasty");
        let found = if !probe.consecutive && fall > 1 {
            adding_up(subject, name, fall)
        } else if hasty {
            let summary = words!(
                "one failed probe takes {name} out, and there is one every {every}",
                "{name} 一次探测失败即被摘除，探测间隔为 {every}"
            );
            Found::new(subject, Status::Warning, summary)
        } else {
            let summary = words!(
                "{name} is out after {fall} failed probes, one every {every}",
                "{name} 失败 {fall} 次后被摘除，探测间隔为 {every}"
            );
            Found::new(&subject, settings.level(&subject, count), summary)
        };
        probe.interval.show(probe.fall.show(found.value(count, ""), "fall"), "interval")
    })
}

/// A count that a success does not clear.
fn adding_up(subject: String, name: &str, fall: u32) -> Found {
    let summary = words!(
        "{name} is out after {fall} failures that need not follow each other",
        "{name} 累计失败 {fall} 次即被摘除，不要求连续"
    );
    Found::new(subject, Status::Warning, summary)
        .impact(words!(
            "Single failures add up over hours until a healthy backend is taken out.",
            "零星失败会累积数小时，最终摘除健康的后端。"
        ))
        .remedy(words!(
            "Set it to 1 and let the timeout be generous: this system does not clear the count after a success.",
            "将其设为 1 并放宽超时：该系统在探测成功后不会清零计数。"
        ))
}

#[cfg(test)]
mod tests {
    use super::super::{Cadence, Fleet, Layer, Place, Probe, System, detect::tests::probe};
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn lb_06_too_many_too_few_and_not_in_a_row() {
        for (interval, fall, consecutive, expected) in [
            (2.0, 3, true, Status::Ok),
            (2.0, 6, true, Status::Warning),
            (2.0, 1, true, Status::Warning),
            (30.0, 1, true, Status::Ok),
            (30.0, 1, false, Status::Ok),
            (30.0, 2, false, Status::Warning),
        ] {
            let active = Active { consecutive, ..probe(Cadence::Fixed, interval, fall, 1, 1.0) };
            let member = Member {
                name: "a".into(),
                address: "a:80".into(),
                place: Place::default(),
                probe: Probe::Active(Box::new(active)),
                disabled: false,
                backup: false,
            };
            let pool = Pool {
                system: System::Caddy,
                name: "p".into(),
                place: Place::default(),
                layer: Layer::Http,
                members: vec![member],
            };
            let fixture = Fixture::image();
            let host = fixture.host();
            host.memo.fleet.set(Some(Fleet { pools: vec![pool], ..Fleet::default() })).ok();
            let crate::run::Ran::Findings(findings) = crate::run::run(&CHECK, &host, &fixture.wanted) else { panic!() };
            assert_eq!(findings[0].status, expected, "{interval} {fall} {consecutive}");
            assert!(!findings[0].evidence.is_empty());
        }
        assert!(Fixture::image().has_none_of(&CHECK));
    }
}
