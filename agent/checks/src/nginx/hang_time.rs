//! How long one user's request hangs on each dead server of a group before nginx turns to the next.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::lb::nginx::{Pass, Upstream, all_upstreams};
use crate::lb::{Probe, Setting};
use crate::number::span;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "nginx.hang-time",
    title: Text {
        en: "How long a request hangs on a dead server behind nginx",
        zh: "请求在 nginx 后端故障服务器上挂起的时间",
    },
    reads: &["the running nginx's configuration with its includes"],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[
        Param::plain("advice", 10.0, "s", "our recommendation: inside a data centre a connection takes milliseconds"),
        Param::above("warning", 60.0, 45.0, "s", "nginx: proxy_connect_timeout 60s is the default; more is on purpose"),
    ],
    impact: Text {
        en: "While a server is dead and has not been left out yet, or is tried again, users wait this long for a page.",
        zh: "服务器故障但尚未被摘除，或被再次尝试时，用户打开页面需要等待这么久。",
    },
    remedy: Text {
        en: "Set proxy_connect_timeout 3s and proxy_next_upstream_timeout 10s where requests are passed, run nginx -t, then nginx -s reload.",
        zh: "在转发请求的位置设置 proxy_connect_timeout 3s 和 proxy_next_upstream_timeout 10s，执行 nginx -t，然后 nginx -s reload。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let all = all_upstreams(host)?;
    Ok(all.iter().filter(|upstream| upstream.has_choice()).filter_map(|upstream| judge(settings, upstream)).collect())
}

/// What a request meets on its way.
struct Way {
    connect: Setting<f64>,
    /// Seconds after which nginx stops turning to the next; none means never.
    limit: Option<f64>,
    tries: u32,
    /// What the directives that say so begin with.
    prefix: &'static str,
}

fn judge(settings: &Settings<'_>, upstream: &Upstream<'_>) -> Option<Found> {
    let (subject, name) = (upstream.subject(), upstream.name);
    let ways: Result<Vec<_>, String> = upstream.passes.iter().map(|pass| way(upstream, pass)).collect();
    let worst = match ways {
        Ok(ways) => ways.into_iter().max_by(|one, other| one.connect.value.total_cmp(&other.connect.value))?,
        Err(text) => {
            let summary = words!("{name}: the time \"{text}\" cannot be read", "{name}：无法解析时间 \"{text}\"");
            let place = upstream.directive.place();
            return Some(Found::new(subject, Status::Unknown, summary).evidence(place.source(), place.text));
        }
    };
    let secs = worst.connect.value;
    let whole = (secs * f64::from(worst.tries)).min(worst.limit.map_or(f64::INFINITY, |limit| limit + secs));
    let (each, all, tries, prefix) = (span(secs), span(whole), worst.tries, worst.prefix);
    let summary = words!(
        "a request to {name} hangs {each} on each unreachable server, {all} at worst on {tries}",
        "发往 {name} 的请求在每台无法连接的服务器上挂起 {each}，{tries} 台最坏共 {all}"
    );
    // Probed servers are out before most users meet them.
    let probed = upstream.probes().iter().all(|probe| matches!(probe, Probe::Active(_)));
    let status = settings.level(&subject, secs);
    let found = match status {
        Status::Ok if secs > settings.number("advice") && !probed => Found::advice(&subject, summary),
        Status::Ok | Status::Unknown | Status::Warning | Status::Critical => Found::new(&subject, status, summary),
    };
    let found = worst.connect.show(found.value(secs, "s"), &format!("{prefix}_connect_timeout"));
    let place = upstream.directive.place();
    let found = found.evidence(place.source(), place.text).detail("whole_s", whole).detail("servers", f64::from(tries));
    Some(if prefix == "proxy" { found } else { found.remedy(remedy(prefix)) })
}

fn remedy(prefix: &str) -> cloud_doctor_proto::finding::Words {
    words!(
        "Set {prefix}_connect_timeout 3s and {prefix}_next_upstream_timeout 10s where requests are passed, run nginx -t, then nginx -s reload.",
        "在转发请求的位置设置 {prefix}_connect_timeout 3s 和 {prefix}_next_upstream_timeout 10s，执行 nginx -t，然后 nginx -s reload。"
    )
}

fn way(upstream: &Upstream<'_>, pass: &Pass<'_>) -> Result<Way, String> {
    let servers = upstream.servers.iter().filter(|server| !server.is_down()).count();
    let servers = u32::try_from(servers).unwrap_or(u32::MAX);
    let next = pass.directive("next_upstream");
    let goes_on = next.is_none_or(|next| next.has("timeout") || next.has("on"));
    let tries = pass.directive("next_upstream_tries").and_then(|tries| tries.arg(0)?.parse::<u32>().ok());
    let limit = match pass.directive("next_upstream_timeout") {
        Some(directive) => Some(crate::lb::nginx::setting(directive)?.value).filter(|secs| *secs > 0.0),
        None => None,
    };
    Ok(Way {
        connect: pass.connect()?,
        limit,
        // 0 is no limit.
        tries: if goes_on { tries.filter(|tries| *tries > 0).map_or(servers, |tries| tries.min(servers)) } else { 1 },
        prefix: pass.module.prefix(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use cloud_doctor_proto::finding::Detail;

    fn fixture(upstream: &str, location: &str) -> Fixture {
        let text = format!("http {{ upstream web {{ {upstream} }} server {{ location / {{ {location} }} }} }}");
        Fixture::image().file("/etc/nginx/nginx.conf", text)
    }

    #[test]
    fn lb_04_a_request_does_not_hang_for_a_minute() {
        let three = "server 10.0.0.1; server 10.0.0.2; server 10.0.0.3;";
        for (upstream, location, status, note, secs, whole) in [
            (three, "", Status::Ok, true, 60.0, 180.0),
            (three, "proxy_connect_timeout 3s;", Status::Ok, false, 3.0, 9.0),
            (three, "proxy_connect_timeout 500ms; proxy_next_upstream_tries 2;", Status::Ok, false, 0.5, 1.0),
            (three, "proxy_connect_timeout 20s; proxy_next_upstream_timeout 10s;", Status::Ok, true, 20.0, 30.0),
            (three, "proxy_connect_timeout 75s; proxy_next_upstream off;", Status::Warning, false, 75.0, 75.0),
            ("server 10.0.0.1; server 10.0.0.2; check interval=3000;", "", Status::Ok, false, 60.0, 120.0),
        ] {
            let found = fixture(upstream, &format!("proxy_pass http://web; {location}")).run(&CHECK);
            let one = found.first().expect("a finding");
            assert_eq!((one.status, one.note, one.value), (status, note, Some(secs)), "{location}");
            assert_eq!(one.details.get("whole_s"), Some(&Detail::Number(whole)), "{location}");
        }
    }

    #[test]
    fn lb_04_what_sets_the_level_can_be_set_and_what_cannot_be_read_is_told() {
        let two = "server 10.0.0.1; server 10.0.0.2;";
        let pass = "proxy_pass http://web;";
        assert_eq!(fixture(two, pass).set("nginx.hang-time.warning=30").status(&CHECK), Status::Warning);
        assert_eq!(fixture(two, &format!("{pass} proxy_connect_timeout soon;")).status(&CHECK), Status::Unknown);
        assert_eq!(fixture("", "\0").status(&CHECK), Status::Unknown);
        assert!(fixture(two, "").run(&CHECK).is_empty());
        assert!(Fixture::image().has_none_of(&CHECK));
        let found = fixture(two, "uwsgi_pass web;").run(&CHECK);
        assert!(found[0].remedy.en.contains("uwsgi_connect_timeout"));
    }
}
