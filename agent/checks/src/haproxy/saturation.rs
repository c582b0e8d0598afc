//! How near HAProxy, its frontends and its servers are to their limits of connections, and who waits already.

use super::runtime::{Answer, each};
use super::table::{Kind, Row};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "haproxy.saturation",
    title: Text { en: "Limits of connections", zh: "连接数上限" },
    reads: &["HAProxy's stats socket: show stat, show info"],
    needs: Needs { root: true, net: true, ..Needs::LIVE },
    params: &[
        Param::above(
            "warning",
            80.0,
            70.0,
            "%",
            "awesome-prometheus-alerts haproxy: sessions above 80 % of their limit",
        ),
        Param::above("queue", 0.0, 0.0, "", "awesome-prometheus-alerts haproxy: requests in the queue"),
    ],
    impact: Text {
        en: "At the limit new users wait or are refused, however idle the servers are.",
        zh: "达到上限后，即使服务器空闲，新用户也要等待或被拒绝。",
    },
    remedy: Text {
        en: "Raise maxconn if memory and the servers allow it, add servers, or find out why requests take longer than usual.",
        zh: "在内存和服务器允许的情况下提高 maxconn，增加服务器，或查明请求变慢的原因。",
    },
    run,
};

/// As evidence.
const COLUMNS: &[&str] = &["scur", "slim", "qcur", "qtime"];

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    each(host, |answer| {
        let table = &answer.table;
        // A backend's `slim` is fullconn, which limits nothing.
        let limited = table.rows(Kind::Frontend).chain(table.rows(Kind::Server));
        let sessions = limited.filter_map(|row| of_sessions(settings, answer, row));
        let queues = table.rows(Kind::Backend).map(|row| of_queue(settings, answer, row));
        of_process(settings, answer).into_iter().chain(sessions).chain(queues).collect()
    })
}

fn of_process(settings: &Settings<'_>, answer: &Answer) -> Option<Found> {
    let (current, most) = (answer.info("CurrConns")?, answer.info("Maxconn").filter(|most| *most > 0.0)?);
    let share = 100.0 * current / most;
    let summary = words!(
        "HAProxy has {current} of {most} connections ({share:.0} %)",
        "HAProxy 当前连接 {current} / 上限 {most}（{share:.0}%）"
    );
    let found = Found::new("haproxy", settings.level("haproxy", share), summary).value(share, "%");
    Some(found.evidence(&answer.source, format!("CurrConns: {current} Maxconn: {most}")))
}

/// Nothing where there is no limit.
fn of_sessions(settings: &Settings<'_>, answer: &Answer, row: Row<'_>) -> Option<Found> {
    let (current, most) = (row.number("scur")?, row.number("slim").filter(|most| *most > 0.0)?);
    let (share, subject) = (100.0 * current / most, row.subject());
    let summary =
        words!("{current} of {most} sessions ({share:.0} %) are in use", "会话 {current} / 上限 {most}（{share:.0}%）");
    let found = Found::new(&subject, settings.level(&subject, share), summary).value(share, "%");
    Some(found.evidence(&answer.source, row.show(COLUMNS)))
}

/// One reading shows a moment; requests that waited on average over the last 1024 show that it is more than that.
fn of_queue(settings: &Settings<'_>, answer: &Answer, row: Row<'_>) -> Found {
    let (waiting, waited) = (row.number("qcur").unwrap_or(0.0), row.number("qtime").unwrap_or(0.0));
    let (subject, name) = (format!("{} queue", row.subject()), row.proxy());
    let status = if waited > 0.0 { settings.level_of(&subject, waiting, "queue", "") } else { Status::Ok };
    let summary = words!(
        "{waiting} requests wait for a server of {name}; the last 1024 waited {waited} ms on average",
        "{name} 有 {waiting} 个请求在排队；最近 1024 个请求平均等待 {waited} 毫秒"
    );
    Found::new(subject, status, summary).value(waiting, "").evidence(&answer.source, row.show(COLUMNS))
}

#[cfg(test)]
mod tests {
    use super::super::runtime::tests::answering;
    use super::*;

    #[test]
    fn lb_29_limits_and_queues_are_judged() {
        let backend = "web,BACKEND,0,9,1,9,UP,9,,0,,,0,1,0,1,9,0,";
        for (info, row, expected) in [
            ("CurrConns: 10\nMaxconn: 100", backend, Status::Ok),
            ("CurrConns: 81\nMaxconn: 100", backend, Status::Warning),
            ("CurrConns: 81\nMaxconn: 0", backend, Status::Ok),
            ("", "web,FRONTEND,,90,100,9,OPEN,,,,,,,,,0,9,0,", Status::Warning),
            ("", "web,web1,0,9,10,9,UP,9,0,0,L7OK,200,0,1,0,2,9,0,", Status::Warning),
            ("", "web,web1,0,9,,9,UP,9,0,0,L7OK,200,0,1,0,2,9,0,", Status::Ok),
            ("", "web,BACKEND,7,9,1,9,UP,9,,0,,,350,1,0,1,9,0,", Status::Warning),
            ("", "web,BACKEND,7,9,1,9,UP,9,,0,,,0,1,0,1,9,0,", Status::Ok),
        ] {
            assert_eq!(answering(info, &[row]).status(&CHECK), expected, "{info} {row}");
        }
    }
}
