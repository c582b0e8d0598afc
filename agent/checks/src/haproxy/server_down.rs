//! Servers that HAProxy has taken out because their probes fail, and backends that have none left.

use super::runtime::{Answer, each};
use super::table::{Kind, Row};
use crate::check::{Check, Needs, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::number::span;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;
use std::collections::BTreeSet;

pub(crate) const CHECK: Check = Check {
    id: "haproxy.server-down",
    title: Text { en: "Servers that are down", zh: "宕机的后端服务器" },
    reads: &["HAProxy's stats socket: show stat"],
    needs: Needs { root: true, net: true, ..Needs::LIVE },
    params: &[],
    impact: Text {
        en: "The others carry its traffic; the next failure may be an outage.",
        zh: "其流量由其他服务器承担；再发生一次故障就可能中断服务。",
    },
    remedy: Text {
        en: "Look at the server itself: does its service run, does it answer where HAProxy probes it (curl from this host)?",
        zh: "检查该服务器本身：服务是否在运行，从本机用 curl 访问 HAProxy 的探测地址是否有应答。",
    },
    run,
};

/// As evidence.
const COLUMNS: &[&str] = &["status", "check_status", "check_code", "lastchg", "chkfail", "chkdown", "act", "bck"];

fn run(host: &Host, _settings: &Settings<'_>) -> Outcome {
    each(host, |answer| {
        let with_servers: BTreeSet<&str> = answer.table.rows(Kind::Server).map(Row::proxy).collect();
        let backends = answer.table.rows(Kind::Backend).filter(|row| with_servers.contains(row.proxy()));
        let backends = backends.map(|row| judge_backend(answer, row));
        backends.chain(answer.table.rows(Kind::Server).map(|row| judge_server(answer, row))).collect()
    })
}

fn judge_backend(answer: &Answer, row: Row<'_>) -> Found {
    let name = row.proxy();
    if row.text("status") != "DOWN" {
        return Found::new(
            row.subject(),
            Status::Ok,
            words!("{name} has servers that are up", "{name} 有可用的服务器"),
        );
    }
    Found::new(row.subject(), Status::Critical, words!("{name} has no server left; its requests fail", "{name} 已没有可用的服务器，请求全部失败"))
        .evidence(&answer.source, row.show(COLUMNS))
        .impact(words!("Users of {name} get 503 or no connection at all.", "{name} 的用户会收到 503，或根本无法连接。"))
        .remedy(words!("Bring back any one of its servers first; look for what they share (a database, a release, a firewall rule) when all went down together.", "先恢复任意一台服务器；若同时全部宕机，请检查它们的共同依赖（数据库、发布、防火墙规则）。"))
}

fn judge_server(answer: &Answer, row: Row<'_>) -> Found {
    let (name, status) = (row.text("svname"), row.text("status"));
    let since = row.number("lastchg");
    if !status.starts_with("DOWN") {
        return Found::new(row.subject(), Status::Ok, words!("{name} is not down", "{name} 未宕机"));
    }
    let time = span(since.unwrap_or(0.0));
    let summary = words!("{name} has been down for {time}", "{name} 已宕机 {time}");
    let found = Found::new(row.subject(), Status::Warning, summary).evidence(&answer.source, row.show(COLUMNS));
    since.into_iter().fold(found, |found, secs| found.value(secs, "s"))
}

#[cfg(test)]
mod tests {
    use super::super::runtime::tests::answering;
    use super::*;

    #[test]
    fn lb_12_a_server_that_is_down_is_a_warning_and_none_left_is_critical() {
        let up = "web,web1,0,0,,9,UP,100,0,0,L7OK,200,0,1,0,2,9,0,";
        let down = "web,web2,0,0,,9,DOWN,7200,3,1,L7STS,503,0,1,0,2,9,0,";
        let rising = "web,web2,0,0,,9,DOWN 1/2,60,3,1,L7OK,200,0,1,0,2,9,0,";
        let maintained = "web,web2,0,0,,9,MAINT,60,0,0,,,0,1,0,2,9,0,";
        let backend = |status: &str| format!("web,BACKEND,0,0,200,9,{status},100,,1,,,0,1,0,1,9,0,");
        for (servers, status, expected) in [
            ([up, maintained], "UP", Status::Ok),
            ([up, down], "UP", Status::Warning),
            ([up, rising], "UP", Status::Warning),
            ([down, maintained], "DOWN", Status::Critical),
        ] {
            let fixture = answering("Uptime_sec: 900", &[servers[0], servers[1], &backend(status)]);
            let findings = fixture.run(&CHECK);
            assert_eq!(findings.iter().map(|finding| finding.status).max(), Some(expected), "{servers:?}");
        }
        let findings = answering("", &[up, down, &backend("UP")]).run(&CHECK);
        assert_eq!(findings[2].subject, "haproxy backend web/web2");
        assert_eq!(findings[2].summary.en, "web2 has been down for 2 h");
        assert_eq!(findings[2].evidence[0].source, "/run/haproxy/admin.sock");
        // A backend for statistics only has no servers.
        assert!(answering("", &[&backend("DOWN")]).run(&CHECK).is_empty());
    }
}
