//! `max_fails` and `fail_timeout` of the only server of a group do nothing: nginx never leaves it out.

use crate::check::{Check, Needs, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::lb::nginx::{Upstream, all_upstreams};
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "nginx.single-server",
    title: Text {
        en: "nginx groups of one server with max_fails", zh: "仅含一台服务器却设置 max_fails 的 nginx 上游"
    },
    reads: &["the running nginx's configuration with its includes"],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[],
    impact: Text {
        en: "These settings look like a safety net and are none: every request still goes to this server, dead or not.",
        zh: "这些设置看似有保护作用，实际无效：无论该服务器是否故障，所有请求仍会发给它。",
    },
    remedy: Text {
        en: "Add a second server (or one with backup that shows a maintenance page), or remove max_fails and fail_timeout.",
        zh: "添加第二台服务器（或一台标记为 backup、显示维护页面的服务器），或删除 max_fails 和 fail_timeout。",
    },
    run,
};

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    Ok(all_upstreams(host)?.iter().filter(|upstream| upstream.check().is_none()).filter_map(judge).collect())
}

fn judge(upstream: &Upstream<'_>) -> Option<Found> {
    let [only] = upstream.servers.as_slice() else { return None };
    let (subject, name, place) = (upstream.subject(), upstream.name, only.directive.place());
    let set: Vec<_> =
        ["max_fails", "fail_timeout"].into_iter().filter(|key| only.directive.value_of(key).is_some()).collect();
    if set.is_empty() || !only.is_one() {
        let summary = words!("{name} does not rely on leaving out its only server", "{name} 不依赖摘除其唯一的服务器");
        return Some(Found::new(subject, Status::Ok, summary));
    }
    let set = set.join(", ");
    let summary =
        words!("{name} has one server, for which nginx ignores {set}", "{name} 只有一台服务器，nginx 会忽略其 {set}");
    Some(Found::advice(subject, summary).evidence(place.source(), place.text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn lb_16_max_fails_of_an_only_server_gets_advice() {
        for (upstream, advised) in [
            ("server 10.0.0.1 max_fails=3 fail_timeout=30s;", Some(true)),
            ("server unix:/run/a.sock fail_timeout=0;", Some(true)),
            ("server 10.0.0.1;", Some(false)),
            // It may be several.
            ("server app.internal max_fails=3;", Some(false)),
            ("server 10.0.0.1 max_fails=3; server 10.0.0.2 max_fails=3;", None),
            ("server 10.0.0.1 max_fails=3; check interval=3000;", None),
        ] {
            let text = format!("http {{ upstream web {{ {upstream} }} }}");
            let found = Fixture::image().file("/etc/nginx/nginx.conf", text).run(&CHECK);
            assert!(found.iter().all(|found| found.status == Status::Ok));
            assert_eq!(found.first().map(|found| found.note), advised, "{upstream}");
        }
        assert!(Fixture::image().has_none_of(&CHECK));
        assert_eq!(Fixture::image().file("/etc/nginx/nginx.conf", "\0").status(&CHECK), Status::Unknown);
    }
}
