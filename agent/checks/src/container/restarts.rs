//! Containers that start again and again.

use super::docker::{Container, More, containers};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "container.restarts",
    title: Text { en: "Containers that restart", zh: "反复重启的容器" },
    reads: &["/run/docker.sock"],
    needs: Needs { root: true, ..Needs::LIVE },
    params: &[
        Param::plain("restarts", 3.0, "", "our own: once is a mishap, three times is a pattern"),
        Param::plain("window", 900.0, "s", "our own: the last start is as young as this"),
    ],
    impact: Text {
        en: "Its service is gone while it starts, and each start costs what it does at the beginning.",
        zh: "启动期间服务不可用，且每次启动都会带来额外开销。",
    },
    remedy: Text {
        en: "Read docker logs --tail 100 NAME: the last lines before each end say why. Look at its memory limit and its health \
             check as well.",
        zh: "查看 docker logs --tail 100 容器名，每次退出前的最后几行会说明原因；同时检查内存限制与健康检查配置。",
    },
    run,
};

/// Containers that are told one by one.
const NAMED_MAX: usize = 50;

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let all = containers(host)?;
    let now = host.now().0;
    let mut found: Vec<Found> = all.iter().filter_map(|one| judge(settings, one, now)).take(NAMED_MAX).collect();
    let unknown = all.iter().filter(|one| one.state == "running" && one.more.is_none()).count();
    if unknown > 0 {
        let summary =
            words!("{unknown} containers were not asked how often they started", "{unknown} 个容器未查询重启次数");
        found.push(Found::new("others", Status::Unknown, summary));
    }
    if found.is_empty() {
        let count = all.len();
        let summary = words!("none of {count} containers starts again and again", "{count} 个容器均未反复重启");
        found.push(Found::new("", Status::Ok, summary));
    }
    Ok(found)
}

fn judge(settings: &Settings<'_>, container: &Container, now: u64) -> Option<Found> {
    let Container { name, state, status, socket, more } = container;
    let More { restarts, started, .. } = more.unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "a count of starts and seconds of one day")]
    let (count, age) = (restarts as f64, started.map(|started| now.saturating_sub(started) as f64));
    let is_young = age.is_some_and(|age| age <= settings.number("window"));
    let summary = if state == "restarting" {
        words!("container {name} is between two starts, {restarts} so far", "容器 {name} 正在重启，累计 {restarts} 次")
    } else if state == "running" && is_young && count >= settings.number("restarts") {
        let age = age.unwrap_or_default();
        words!(
            "container {name} has started again {restarts} times, the last time {age:.0} s ago",
            "容器 {name} 已重启 {restarts} 次，最近一次在 {age:.0} 秒前"
        )
    } else {
        return None;
    };
    let found = Found::new(format!("container {name}"), Status::Warning, summary).value(count, "");
    Some(found.evidence(*socket, format!("{state}, {status}, RestartCount {restarts}")))
}

#[cfg(test)]
mod tests {
    use super::super::docker::tests::{host, listed};
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn con_02_a_container_that_starts_again_and_again_is_a_warning() {
        for (state, restarts, started, expected) in [
            ("running", 0, "2025-12-31T23:55:00Z", Status::Ok),
            ("running", 3, "2025-12-31T23:55:00Z", Status::Warning),
            ("running", 3, "2025-12-31T20:00:00Z", Status::Ok),
            ("running", 3, "yesterday", Status::Ok),
            ("restarting", 1, "2025-12-31T23:59:00Z", Status::Warning),
        ] {
            let list = format!("[{}]", listed("web", state, "Up"));
            let inspected = format!(r#"{{"RestartCount":{restarts},"State":{{"StartedAt":"{started}"}}}}"#);
            let fixture = host(vec![("/containers/json", list), ("/containers/abcdef", inspected)]);
            assert_eq!(fixture.status(&CHECK), expected, "{state} {restarts} {started}");
        }
        let silent = host(vec![
            ("/containers/json", format!("[{}]", listed("web", "running", "Up"))),
            ("/containers/abcdef", "x".to_owned()),
        ]);
        assert_eq!(silent.status(&CHECK), Status::Unknown);
        assert!(Fixture::live().has_none_of(&CHECK));
    }
}
