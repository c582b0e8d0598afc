//! Without a `zone` each nginx worker finds out on its own that a server is dead, with users' requests.

use crate::check::{Check, Needs, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::lb::nginx::{Instance, Upstream, balancing, upstreams};
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "nginx.zone",
    title: Text { en: "nginx workers share what they know of servers", zh: "nginx 各工作进程共享后端状态" },
    reads: &["the running nginx's configuration with its includes"],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[],
    impact: Text {
        en: "Every worker sends its own requests to a dead server before it leaves it out: measured with four workers, 41 slow requests instead of 28.",
        zh: "每个工作进程都要各自把请求发给故障服务器后才会避开它：实测 4 个工作进程时慢请求为 41 个，使用 zone 后为 28 个。",
    },
    remedy: Text {
        en: "Add to the upstream a line like: zone NAME 256k; then run nginx -t and nginx -s reload.",
        zh: "在该 upstream 中添加一行，例如：zone NAME 256k; 然后执行 nginx -t 和 nginx -s reload。",
    },
    run,
};

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let instances = balancing(host)?.into_iter().filter(|instance| several_workers(instance));
    Ok(instances
        .flat_map(|instance| upstreams(instance).0)
        .filter(Upstream::has_choice)
        .map(|one| judge(&one))
        .collect())
}

/// One worker has nobody to share with. `auto` is taken for several: few servers have one processor.
fn several_workers(instance: &Instance) -> bool {
    instance.top("worker_processes").and_then(|directive| directive.arg(0)).is_some_and(|count| count != "1")
}

fn judge(upstream: &Upstream<'_>) -> Found {
    let (subject, name, place) = (upstream.subject(), upstream.name, upstream.directive.place());
    if upstream.check().is_some() {
        let summary = words!("{name} is probed once for all workers", "{name} 由主动探测统一检查，各工作进程共享结果");
        return Found::new(subject, Status::Ok, summary);
    }
    if upstream.directive.last("zone").is_some() {
        let summary = words!("workers share what they know of {name}", "各工作进程共享 {name} 的状态");
        return Found::new(subject, Status::Ok, summary);
    }
    let summary = words!(
        "{name} has no zone: each worker finds dead servers on its own",
        "{name} 未配置 zone：每个工作进程各自发现故障服务器"
    );
    Found::advice(subject, summary).evidence(place.source(), place.text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn lb_15_groups_without_a_zone_get_advice() {
        let two = "server 10.0.0.1; server 10.0.0.2;";
        for (workers, upstream, advised) in [
            ("auto", two.to_owned(), Some(true)),
            ("4", two.to_owned(), Some(true)),
            ("4", format!("zone web 64k; {two}"), Some(false)),
            ("4", format!("{two} check interval=3000;"), Some(false)),
            ("1", two.to_owned(), None),
            ("4", "server 10.0.0.1;".to_owned(), None),
        ] {
            let text = format!("worker_processes {workers}; http {{ upstream web {{ {upstream} }} }}");
            let found = Fixture::image().file("/etc/nginx/nginx.conf", text).run(&CHECK);
            assert!(found.iter().all(|found| found.status == Status::Ok));
            assert_eq!(found.first().map(|found| found.note), advised, "{workers} {upstream}");
        }
        assert!(Fixture::image().has_none_of(&CHECK));
        assert_eq!(Fixture::image().file("/etc/nginx/nginx.conf", "http {\0").status(&CHECK), Status::Unknown);
    }
}
