//! Servers that go down and come back again and again.
//!
//! HAProxy counts since it began, or since somebody cleared its counters; the rate is an average over that time, and says
//! so. A server that has not changed for an hour is not flapping now.

use super::runtime::{Answer, each};
use super::table::{Kind, Row};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::number::span;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "haproxy.flapping",
    title: Text { en: "Servers that come and go", zh: "反复上下线的服务器" },
    reads: &["HAProxy's stats socket: show stat, show info"],
    needs: Needs { root: true, net: true, ..Needs::LIVE },
    params: &[
        Param::above("warning", 1.0, 0.5, "/h", "our recommendation: on average since HAProxy began"),
        Param::plain("downs", 3.0, "", "our recommendation: more than 3 transitions, however short the time"),
        Param::plain("recent", 3600.0, "s", "our recommendation: what has been quiet for an hour is over"),
    ],
    impact: Text {
        en: "Each time its connections break and users are moved to other servers; sessions that are kept there are lost.",
        zh: "每次状态变化都会中断连接并将用户迁移到其他服务器，保存在该服务器上的会话会丢失。",
    },
    remedy: Text {
        en: "Find out why probes fail now and then: overload, a short timeout check, packet loss. Only then change fall or the timeout.",
        zh: "先查明探测为何时断时续：过载、timeout check 过短或丢包；之后再调整 fall 或超时。",
    },
    run,
};

/// A process that has just begun is judged over ten minutes.
const UPTIME_SECS_MIN: f64 = 600.0;

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    each(host, |answer| answer.table.rows(Kind::Server).filter_map(|row| judge(settings, answer, row)).collect())
}

/// Nothing for a server that is not probed: it has no such counter.
fn judge(settings: &Settings<'_>, answer: &Answer, row: Row<'_>) -> Option<Found> {
    let (downs, name) = (row.number("chkdown")?, row.text("svname"));
    let Some(uptime) = answer.info("Uptime_sec") else {
        return Some(Found::new(
            row.subject(),
            Status::Unknown,
            words!("HAProxy does not say how long it has been running", "HAProxy 未给出运行时长"),
        ));
    };
    let per_hour = downs * 3600.0 / uptime.max(UPTIME_SECS_MIN);
    let quiet = row.number("lastchg").unwrap_or(0.0);
    let counts = downs > settings.number("downs") && quiet <= settings.number("recent");
    let status = if counts { settings.level(&row.subject(), per_hour) } else { Status::Ok };
    let (running, last) = (span(uptime), span(quiet));
    let summary = words!(
        "{name} went down {downs} times in {running} since HAProxy began, and changed last {last} ago",
        "HAProxy 启动以来的 {running} 内 {name} 下线 {downs} 次，最近一次变化在 {last} 前"
    );
    let shown = row.show(&["status", "chkfail", "chkdown", "lastchg"]);
    Some(Found::new(row.subject(), status, summary).value(per_hour, "/h").evidence(&answer.source, shown))
}

#[cfg(test)]
mod tests {
    use super::super::runtime::tests::answering;
    use super::*;

    #[test]
    fn lb_13_coming_and_going_is_told_from_one_failure() {
        for (uptime, downs, last, expected) in [
            ("Uptime_sec: 36000", "20", "60", Status::Warning),
            ("Uptime_sec: 36000", "20", "7200", Status::Ok),
            ("Uptime_sec: 36000", "3", "60", Status::Ok),
            ("Uptime_sec: 3600000", "20", "60", Status::Ok),
            ("Uptime_sec: 60", "4", "5", Status::Warning),
            ("Uptime_sec: x", "4", "5", Status::Unknown),
            ("Uptime_sec: 60", "", "5", Status::Ok),
        ] {
            let row = format!("web,web1,0,0,,9,UP,{last},9,{downs},L7OK,200,0,1,0,2,9,0,");
            assert_eq!(answering(uptime, &[&row]).status(&CHECK), expected, "{uptime} {downs} {last}");
        }
    }
}
