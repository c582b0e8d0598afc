//! Servers that somebody took out by hand, for so long that they may be forgotten.

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
    id: "haproxy.maintenance",
    title: Text { en: "Servers left in maintenance", zh: "遗留在维护状态的服务器" },
    reads: &["HAProxy's stats socket: show stat"],
    needs: Needs { root: true, net: true, ..Needs::LIVE },
    params: &[Param::above("warning", 86_400.0, 86_400.0, "s", "our recommendation: maintenance is over within a day")],
    impact: Text {
        en: "The service runs with less capacity than it seems to have.",
        zh: "服务的实际容量低于表面容量。",
    },
    remedy: Text {
        en: "When the work is done, put it back: set server BACKEND/SERVER state ready on the stats socket. When its name does not resolve, mend the name.",
        zh: "维护完成后恢复：在 stats socket 上执行 set server BACKEND/SERVER state ready。若为域名无法解析，请修复解析。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    each(host, |answer| answer.table.rows(Kind::Server).map(|row| judge(settings, answer, row)).collect())
}

fn judge(settings: &Settings<'_>, answer: &Answer, row: Row<'_>) -> Found {
    let (name, status) = (row.text("svname"), row.text("status"));
    if !status.starts_with("MAINT") && !status.starts_with("DRAIN") {
        return Found::new(row.subject(), Status::Ok, words!("{name} is in service", "{name} 在服务中"));
    }
    let shown = row.show(&["status", "lastchg"]);
    let Some(secs) = row.number("lastchg") else {
        let why = words!(
            "{name} is out of service ({status}); HAProxy does not say since when",
            "{name} 已停止服务（{status}）；HAProxy 未给出起始时间"
        );
        return Found::new(row.subject(), Status::Unknown, why).evidence(&answer.source, shown);
    };
    let time = span(secs);
    let summary =
        words!("{name} has been out of service ({status}) for {time}", "{name} 停止服务（{status}）已有 {time}");
    Found::new(row.subject(), settings.level(&row.subject(), secs), summary)
        .value(secs, "s")
        .evidence(&answer.source, shown)
}

#[cfg(test)]
mod tests {
    use super::super::runtime::tests::answering;
    use super::*;

    #[test]
    fn lb_11_maintenance_of_a_day_is_forgotten() {
        for (status, last, expected) in [
            ("UP", "999999", Status::Ok),
            ("DOWN", "999999", Status::Ok),
            ("MAINT", "3600", Status::Ok),
            ("MAINT", "90000", Status::Warning),
            ("MAINT (resolution)", "90000", Status::Warning),
            ("DRAIN", "90000", Status::Warning),
            ("DRAIN", "", Status::Unknown),
        ] {
            let row = format!("web,web1,0,0,,9,{status},{last},9,0,,,0,1,0,2,9,0,");
            assert_eq!(answering("", &[&row]).status(&CHECK), expected, "{status} {last}");
        }
    }
}
