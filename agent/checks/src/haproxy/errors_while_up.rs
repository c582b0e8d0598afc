//! Backends whose servers all pass their probes while users get errors: the probes ask too little.
//!
//! HAProxy counts answers since it began, or since somebody cleared its counters; the share is one over that time, and the
//! finding says so.

use super::runtime::{Answer, each};
use super::table::{Kind, Row};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::number::span;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;
use std::collections::BTreeMap;

pub(crate) const CHECK: Check = Check {
    id: "haproxy.errors-while-up",
    title: Text { en: "Errors while every server is up", zh: "服务器全部正常但仍有错误" },
    reads: &["HAProxy's stats socket: show stat, show info"],
    needs: Needs { root: true, net: true, ..Needs::LIVE },
    params: &[
        Param::above(
            "critical",
            5.0,
            3.0,
            "%",
            "netdata health.d/web_log.conf, 1m_internal_errors: 5 % of the answers",
        ),
        Param::plain("requests", 120.0, "", "netdata health.d/web_log.conf: fewer answers tell nothing"),
    ],
    impact: Text {
        en: "Users get errors, and HAProxy goes on sending them to servers that it takes for healthy.",
        zh: "用户收到错误，而 HAProxy 仍将请求发送到它认为健康的服务器。",
    },
    remedy: Text {
        en: "Probe a path that does what users need (option httpchk, http-check expect), and look at the servers' error logs; observe layer7 with error-limit takes out a server that answers with errors.",
        zh: "探测能真实反映业务的路径（option httpchk、http-check expect），并查看服务器的错误日志；observe layer7 配合 error-limit 可摘除返回错误的服务器。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    each(host, |answer| {
        let mut backends: BTreeMap<&str, Vec<Row<'_>>> = BTreeMap::new();
        for row in answer.table.rows(Kind::Server) {
            backends.entry(row.proxy()).or_default().push(row);
        }
        backends.into_iter().filter_map(|(name, servers)| judge(settings, answer, name, &servers)).collect()
    })
}

/// Nothing for a backend that speaks no HTTP: it has no such counters.
fn judge(settings: &Settings<'_>, answer: &Answer, name: &str, servers: &[Row<'_>]) -> Option<Found> {
    let sum = |column: &str| servers.iter().filter_map(|row| row.number(column)).reduce(|all, one| all + one);
    let failed = sum("hrsp_5xx")?;
    let all: f64 = ["hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx"].into_iter().filter_map(sum).sum();
    let subject = format!("haproxy backend {name}");
    // Who is out by hand gets no traffic; who is not probed is taken for alive.
    let is_up = |status: &str| status.starts_with("UP") || status.starts_with("MAINT") || status == "no check";
    let all_up = servers.iter().all(|row| is_up(row.text("status")));
    if !all_up || all < settings.number("requests") {
        let fine = words!("too few answers, or some servers are not up", "应答太少，或有服务器不在 UP 状态");
        return Some(Found::new(subject, Status::Ok, fine));
    }
    let share = 100.0 * failed / all;
    let since = answer.info("Uptime_sec").map_or_else(|| "?".to_owned(), span);
    let summary = words!(
        "{share:.1} % of the answers of {name} were 5xx since HAProxy began {since} ago, while all its servers are up",
        "HAProxy 启动以来的 {since} 内，{name} 有 {share:.1}% 的应答为 5xx，而其服务器全部为 UP"
    );
    let found = Found::new(&subject, settings.level(&subject, share), summary).value(share, "%");
    let worst = servers.iter().max_by(|one, other| {
        one.number("hrsp_5xx").unwrap_or(0.0).total_cmp(&other.number("hrsp_5xx").unwrap_or(0.0))
    })?;
    let shown = worst.show(&["status", "check_status", "hrsp_2xx", "hrsp_4xx", "hrsp_5xx"]);
    Some(found.detail("answers", all).detail("failed", failed).evidence(&answer.source, shown))
}

#[cfg(test)]
mod tests {
    use super::super::runtime::tests::answering;
    use super::*;

    #[test]
    fn lb_08_errors_behind_servers_that_are_up_are_critical() {
        let row = |name: &str, status: &str, good: &str, bad: &str| {
            format!("web,{name},0,0,,9,{status},9,0,0,L7OK,200,0,1,0,2,{good},{bad},")
        };
        for (one, other, expected) in [
            (row("a", "UP", "900", "10"), row("b", "UP", "900", "0"), Status::Ok),
            (row("a", "UP", "900", "200"), row("b", "UP", "900", "0"), Status::Critical),
            (row("a", "UP", "900", "200"), row("b", "DOWN", "900", "0"), Status::Ok),
            (row("a", "UP", "10", "20"), row("b", "UP", "10", "0"), Status::Ok),
            (row("a", "UP", "", ""), row("b", "UP", "", ""), Status::Ok),
        ] {
            assert_eq!(answering("Uptime_sec: 900", &[&one, &other]).status(&CHECK), expected, "{one} {other}");
        }
    }
}
