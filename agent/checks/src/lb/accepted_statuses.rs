//! Answers that a probe takes for a living backend: an error page, or a redirect to a login page, is none.

use super::{Place, each, fleet};
use crate::check::{Check, Needs, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "lb.accepted-statuses",
    title: Text { en: "Answers that count as alive", zh: "被视为存活的响应状态码" },
    reads: &["the load balancers' configuration: which HTTP statuses a probe accepts"],
    needs: Needs::FILES,
    params: &[],
    impact: Text {
        en: "A backend that answers every user with an error passes its probe, and keeps its share of the traffic.",
        zh: "对所有用户都返回错误的后端仍能通过探测，并继续接收其份额的流量。",
    },
    remedy: Text {
        en: "Accept 200 to 299 only, and probe a path that answers 200 exactly when the application can serve.",
        zh: "仅接受 200 至 299，并探测一个只有应用可正常服务时才返回 200 的路径。",
    },
    run,
};

/// Statuses that somebody has written down for the probes of one pool. Defaults are left out.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    /// The pool's subject.
    pub(crate) subject: String,
    /// First and last of each range.
    pub(crate) ranges: Vec<(u16, u16)>,
    /// Where they are set.
    pub(crate) place: Place,
}

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let fleet = fleet(host)?;
    each::told(fleet, fleet.accepted.iter().map(judge).collect())
}

fn judge(accepted: &Accepted) -> Found {
    let Accepted { subject, ranges, place } = accepted;
    let accepts = |low: u16, high: u16| ranges.iter().any(|(first, last)| *first <= high && *last >= low);
    let listed = ranges.iter().map(shown).collect::<Vec<_>>().join(", ");
    let found = if accepts(400, 599) {
        let errors =
            words!("probes take {listed} for alive, errors included", "探测将 {listed} 视为存活，其中包含错误状态");
        Found::new(subject, Status::Warning, errors)
    } else if accepts(300, 399) {
        let redirects =
            words!("probes take {listed} for alive, redirects included", "探测将 {listed} 视为存活，其中包含重定向");
        Found::advice(subject, redirects)
            .impact(words!(
                "A backend that sends everybody to a login or error page passes its probe.",
                "将所有请求重定向到登录页或错误页的后端仍能通过探测。"
            ))
            .remedy(words!(
                "If the probed path does not need to redirect, accept 200 to 299 only.",
                "若被探测路径无需重定向，请仅接受 200 至 299。"
            ))
    } else {
        Found::new(subject, Status::Ok, words!("probes take {listed} for alive", "探测将 {listed} 视为存活"))
    };
    found.evidence(place.source(), &place.text)
}

fn shown((first, last): &(u16, u16)) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use crate::lb::Fleet;
    use crate::run::{Ran, run};

    #[test]
    fn lb_10_errors_that_count_as_alive_are_a_warning_and_redirects_advice() {
        for (ranges, status, note, part) in [
            (&[(200, 200)][..], Status::Ok, false, "200"),
            (&[(200, 299)], Status::Ok, false, "200-299"),
            (&[(200, 399)], Status::Ok, true, "redirects"),
            (&[(302, 302)], Status::Ok, true, "redirects"),
            (&[(200, 499)], Status::Warning, false, "errors"),
            (&[(200, 200), (401, 401)], Status::Warning, false, "200, 401"),
            (&[(500, 599)], Status::Warning, false, "errors"),
            (&[(100, 600)], Status::Warning, false, "errors"),
        ] {
            let fixture = Fixture::image();
            let host = fixture.host();
            let place = Place { file: "/etc/envoy/envoy.yaml".into(), line: 9, text: "expected_statuses:".into() };
            let accepted = vec![Accepted { subject: "envoy cluster web".into(), ranges: ranges.to_vec(), place }];
            host.memo.fleet.set(Some(Fleet { accepted, ..Fleet::default() })).ok();
            let Ran::Findings(findings) = run(&CHECK, &host, &fixture.wanted) else { panic!() };
            let one = &findings[0];
            assert_eq!((one.status, one.note), (status, note), "{ranges:?}");
            assert!(one.summary.en.contains(part) && !one.evidence.is_empty(), "{one:?}");
        }
        assert!(Fixture::image().has_none_of(&CHECK));
    }
}
