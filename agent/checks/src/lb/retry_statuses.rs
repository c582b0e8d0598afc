//! nginx turns to the next server only for what `proxy_next_upstream` lists: by default a server that answers 502, 503 or
//! 504 keeps its share of the traffic for ever.

use super::nginx::{Module, Pass, Upstream, all_upstreams};
use super::{Layer, Origin, Probe, Setting};
use crate::check::{Check, Needs, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "lb.retry-statuses",
    title: Text {
        en: "nginx leaves out servers that answer with errors", zh: "nginx 是否摘除返回错误的服务器"
    },
    reads: &["the running nginx's configuration with its includes", "/etc/nginx/nginx.conf"],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[],
    impact: Text {
        en: "A server that answers 503 is never left out: in a measurement with one such server of two, half of all users got the error for as long as it lasted.",
        zh: "返回 503 的服务器不会被摘除：实测两台中一台如此时，约一半用户在整个故障期间都会收到错误。",
    },
    remedy: Text {
        en: "Add to the location or above: proxy_next_upstream error timeout http_502 http_503 http_504; and limit it with proxy_next_upstream_tries 2. Leave non_idempotent out, so that no order is sent twice. Then run nginx -t and reload.",
        zh: "在 location 或上层添加：proxy_next_upstream error timeout http_502 http_503 http_504; 并用 proxy_next_upstream_tries 2 限制次数。不要加 non_idempotent，以免重复提交请求。然后执行 nginx -t 并重新加载。",
    },
    run,
};

/// What is in effect where nobody says anything.
const DEFAULT: &str = "nginx: proxy_next_upstream error timeout (ngx_http_proxy_module)";

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let all = all_upstreams(host)?;
    Ok(all.iter().filter(|upstream| !upstream.stream && upstream.has_choice()).filter_map(judge).collect())
}

/// The statuses that make a module turn to the next server, of those that mean a server is sick.
fn sick(module: Module) -> &'static [&'static str] {
    match module {
        Module::Proxy | Module::Grpc => &["http_502", "http_503", "http_504"],
        // 502 and 504 are nginx's own there.
        Module::Fastcgi | Module::Uwsgi | Module::Scgi => &["http_503"],
        Module::Memcached | Module::Stream => &[],
    }
}

/// What a pass lists, with where it does.
fn listed(pass: &Pass<'_>) -> Setting<Vec<String>> {
    match pass.directive("next_upstream") {
        Some(directive) => Setting::at(directive.args.clone(), directive.place()),
        None => Setting::default(vec!["error".into(), "timeout".into()], DEFAULT),
    }
}

fn judge(upstream: &Upstream<'_>) -> Option<Found> {
    let subject = upstream.subject();
    let name = upstream.name;
    let passes = upstream.passes.iter().filter(|pass| !sick(pass.module).is_empty());
    let missing = |pass: &Pass<'_>| {
        let listed = listed(pass);
        let missing = sick(pass.module).iter().copied().filter(|status| !listed.value.iter().any(|one| one == status));
        (missing.collect::<Vec<_>>(), sick(pass.module).len(), pass.module, listed)
    };
    let (missing, of, module, listed) = passes.map(missing).max_by_key(|(missing, ..)| missing.len())?;
    if probed_by_request(upstream) {
        let summary = words!(
            "{name} is probed with requests, which find servers that answer with errors",
            "{name} 有 HTTP 主动探测，可发现返回错误的服务器"
        );
        return Some(Found::new(subject, Status::Ok, summary));
    }
    if missing.is_empty() {
        let summary = words!(
            "{name} turns away from servers that answer 502, 503 or 504",
            "{name} 会避开返回 502、503、504 的服务器"
        );
        return Some(Found::new(subject, Status::Ok, summary));
    }
    let (prefix, statuses) = (module.prefix(), missing.join(" "));
    let found = if missing.len() == of {
        let summary = words!(
            "{name} keeps sending to servers that answer with errors: {prefix}_next_upstream lacks {statuses}",
            "{name} 会继续向返回错误的服务器转发请求：{prefix}_next_upstream 缺少 {statuses}"
        );
        Found::new(subject, Status::Warning, summary)
    } else {
        let summary = words!(
            "{name} turns away from some errors only: {prefix}_next_upstream lacks {statuses}",
            "{name} 只避开部分错误：{prefix}_next_upstream 缺少 {statuses}"
        );
        Found::advice(subject, summary)
    };
    let found = if module == Module::Proxy { found } else { found.remedy(own_remedy(prefix, &statuses)) };
    let found = match &listed.origin {
        Origin::At(place) => found.evidence(place.source(), &place.text),
        Origin::Default(source) => found.evidence("default", *source),
    };
    let place = upstream.directive.place();
    Some(found.evidence(place.source(), place.text))
}

fn own_remedy(prefix: &str, statuses: &str) -> cloud_doctor_proto::finding::Words {
    words!(
        "Add to the location or above: {prefix}_next_upstream error timeout {statuses}; and limit it with {prefix}_next_upstream_tries 2. Then run nginx -t and reload.",
        "在 location 或上层添加：{prefix}_next_upstream error timeout {statuses}; 并用 {prefix}_next_upstream_tries 2 限制次数。然后执行 nginx -t 并重新加载。"
    )
}

/// Whether a probe of its own sees answers with errors.
fn probed_by_request(upstream: &Upstream<'_>) -> bool {
    upstream.probes().iter().all(|probe| match probe {
        Probe::Active(active) => active.layer == Layer::Http,
        Probe::Passive { .. } | Probe::Never | Probe::Tracks(_) | Probe::Unresolved(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    fn fixture(upstream: &str, location: &str) -> Fixture {
        let text = format!("http {{ upstream web {{ {upstream} }} server {{ location / {{ {location} }} }} }}");
        Fixture::image().file("/etc/nginx/nginx.conf", text)
    }

    #[test]
    fn lb_14_a_server_that_answers_503_must_be_left_out() {
        let two = "server 10.0.0.1; server 10.0.0.2;";
        for (upstream, location, expected) in [
            (two, "proxy_pass http://web;", Some((Status::Warning, false))),
            (two, "proxy_pass http://web; proxy_next_upstream error timeout;", Some((Status::Warning, false))),
            (two, "proxy_pass http://web; proxy_next_upstream off;", Some((Status::Warning, false))),
            (two, "proxy_pass http://web; proxy_next_upstream error http_503;", Some((Status::Ok, true))),
            (
                two,
                "proxy_pass http://web; proxy_next_upstream error timeout http_502 http_503 http_504;",
                Some((Status::Ok, false)),
            ),
            (two, "grpc_pass web;", Some((Status::Warning, false))),
            (two, "fastcgi_pass web; fastcgi_next_upstream error timeout http_503;", Some((Status::Ok, false))),
            (two, "fastcgi_pass web; proxy_next_upstream http_503;", Some((Status::Warning, false))),
            (two, "memcached_pass web;", None),
            (two, "return 200;", None),
            ("server 10.0.0.1;", "proxy_pass http://web;", None),
            ("server 10.0.0.1; server 10.0.0.2 down;", "proxy_pass http://web;", None),
            (
                "server 10.0.0.1; server 10.0.0.2; check interval=3000 type=http;",
                "proxy_pass http://web;",
                Some((Status::Ok, false)),
            ),
            (
                "server 10.0.0.1; server 10.0.0.2; check interval=3000 type=tcp;",
                "proxy_pass http://web;",
                Some((Status::Warning, false)),
            ),
        ] {
            let found = fixture(upstream, location).run(&CHECK);
            let found = found.first().map(|found| (found.status, found.note));
            assert_eq!(found, expected, "{upstream} {location}");
        }
    }

    #[test]
    fn lb_14_what_cannot_be_read_is_told() {
        assert!(Fixture::image().has_none_of(&CHECK));
        assert!(fixture("", "").file("/etc/nginx/nginx.conf", "http { server { } }").has_none_of(&CHECK));
        assert_eq!(fixture("", "").file("/etc/nginx/nginx.conf", "a\0").status(&CHECK), Status::Unknown);
        let found = fixture("server a; server b;", "proxy_pass http://web;").run(&CHECK);
        assert_eq!(found[0].subject, "nginx upstream web");
        assert_eq!(found[0].evidence[1].source, "/etc/nginx/nginx.conf:1");
    }
}
