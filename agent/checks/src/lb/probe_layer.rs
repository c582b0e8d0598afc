//! Whether probes ask what users ask: a service that speaks HTTP can accept connections and be dead.

use super::each::told;
use super::{Active, Layer, Member, Pool, System, fleet};
use crate::check::{Check, Needs, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "lb.probe-layer",
    title: Text { en: "Health checks that only connect", zh: "仅建立连接的健康检查" },
    reads: &["the load balancers' configuration as it is in effect"],
    needs: Needs::FILES,
    params: &[],
    impact: Text {
        en: "A backend whose application is dead or answers with errors stays in as long as its port is open.",
        zh: "只要端口开放，应用已死或返回错误的后端就不会被摘除。",
    },
    remedy: Text {
        en: "Ask for a path that only works when the application does (HAProxy: option httpchk GET /health and http-check expect status 200; Tengine: check type=http; keepalived: HTTP_GET).",
        zh: "探测一个只有应用正常才会成功的路径（HAProxy:option httpchk GET /health 和 http-check expect status 200；Tengine:check type=http；keepalived:HTTP_GET）。",
    },
    run,
};

fn run(host: &Host, _settings: &Settings<'_>) -> Outcome {
    let fleet = fleet(host)?;
    told(fleet, fleet.pools.iter().filter_map(judge).collect())
}

/// Nothing for a pool that is not probed, or that does not speak HTTP.
fn judge(pool: &Pool) -> Option<Found> {
    if pool.layer != Layer::Http {
        return None;
    }
    let probed: Vec<(&Member, &Active)> = pool.active().collect();
    let (all, name) = (probed.len(), &pool.name);
    let shallow: Vec<&Member> =
        probed.iter().filter(|(_, probe)| probe.layer < Layer::Protocol).map(|(member, _)| *member).collect();
    let count = shallow.len();
    let Some(first) = shallow.first() else {
        let fine = words!("probes of {name} ask for more than a connection", "{name} 的探测不止建立连接");
        return (all > 0).then(|| Found::new(pool.subject(), Status::Ok, fine));
    };
    let summary = words!(
        "{name} speaks HTTP, but probes of {count} of its {all} backends only connect",
        "{name} 提供 HTTP 服务，但 {all} 个后端中有 {count} 个的探测仅建立连接"
    );
    let found = Found::new(pool.subject(), Status::Warning, summary).evidence(first.place.source(), &first.place.text);
    let found = found.evidence(pool.place.source(), &pool.place.text);
    if pool.system != System::Haproxy {
        return Some(found);
    }
    let place = pool.place.source();
    Some(found.remedy(words!(
        "In the section at {place} write: option httpchk GET /health, and: http-check expect status 200. Choose a path that fails when the application cannot serve; test it with curl first.",
        "在 {place} 处的段落写：option httpchk GET /health 和 http-check expect status 200。应选择应用无法服务时会失败的路径，并先用 curl 验证。"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn lb_07_a_connection_is_not_enough_for_http() {
        for (lines, expected) in [
            (" mode http\n server s 10.0.0.1:80 check\n", &[Status::Warning][..]),
            (" mode http\n server s 10.0.0.1:443 check ssl verify none\n", &[Status::Warning]),
            (" mode http\n option tcp-check\n server s 10.0.0.1:80 check\n", &[Status::Warning]),
            (" mode http\n option httpchk\n server s 10.0.0.1:80 check\n", &[Status::Ok]),
            (
                " mode http\n option tcp-check\n tcp-check expect string OK\n server s 10.0.0.1:80 check\n",
                &[Status::Ok],
            ),
            // Not probed at all, and not HTTP: other checks' business.
            (" mode http\n server s 10.0.0.1:80\n", &[]),
            (" server s 10.0.0.1:80 check\n", &[]),
        ] {
            let fixture = Fixture::image().file("/etc/haproxy/haproxy.cfg", format!("backend b\n{lines}"));
            let found: Vec<Status> = fixture.run(&CHECK).iter().map(|finding| finding.status).collect();
            assert_eq!(found, expected, "{lines}");
        }
        assert!(Fixture::image().has_none_of(&CHECK));
    }
}
