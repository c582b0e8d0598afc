//! How many of the last minutes' requests were answered with an error.

use super::access_log::{Log, Record, logs, shown};
use super::unread;
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;
use std::collections::BTreeMap;

pub(crate) const CHECK: Check = Check {
    id: "web.server-errors",
    title: Text { en: "Requests that are answered with errors", zh: "返回错误的请求" },
    reads: &["the access logs that nginx's configuration names, and the usual ones of nginx and Apache: their ends"],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[
        Param::above("warning", 2.0, 1.0, "%", "netdata health.d/web_log.conf, web_log_1m_internal_errors"),
        Param::above("critical", 5.0, 2.0, "%", "netdata health.d/web_log.conf, web_log_1m_internal_errors"),
        Param::above("client-errors", 30.0, 10.0, "%", "netdata health.d/web_log.conf, web_log_1m_bad_requests"),
        Param::plain("requests", 120.0, "/min", "netdata health.d/web_log.conf: fewer say nothing"),
    ],
    impact: Text {
        en: "Users see error pages instead of what they came for.",
        zh: "用户看到的是错误页面，而不是所需内容。",
    },
    remedy: Text {
        en: "Look at the error log of the web server and at the application's for the paths named here; 502 and 504 mean that the backend is down or too slow.",
        zh: "查看 Web 服务器和应用的错误日志中与此处路径相关的记录；502 和 504 表示后端不可用或过慢。",
    },
    run,
};

/// What is judged: five minutes, so that a quiet minute does not decide.
const WINDOW_SECS: f64 = 300.0;
/// A log that ended this long ago tells nothing about now.
const STALE_SECS: f64 = 900.0;

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let logs = logs(host)?;
    Ok(logs.logs.iter().flat_map(|log| judge(host, settings, log)).chain(unread(logs)).collect())
}

fn judge(host: &Host, settings: &Settings<'_>, log: &Log) -> Vec<Found> {
    let path = &log.path;
    if log.is_stale(host, STALE_SECS) {
        let summary = words!("{path}: no requests in the last 15 minutes", "{path}：最近 15 分钟没有请求");
        return vec![Found::new(path, Status::Ok, summary)];
    }
    let (records, covered) = log.window(WINDOW_SECS);
    let minutes = (covered / 60.0).max(1.0);
    let per_minute = f64::from(count(records.len())) / minutes;
    let server = kind(&records, 500..=599);
    // 401 only asks who it is.
    let client: Vec<_> = kind(&records, 400..=499).into_iter().filter(|record| record.status != 401).collect();
    let of = count(records.len());
    let few = per_minute < settings.number("requests");
    let errors = share(settings, log, &server, of, few, ("", "warning", "critical"));
    let bad = share(settings, log, &client, of, few, (" 4xx", "client-errors", "none"));
    let bad = if bad.status == Status::Warning { bad.impact(bad_impact()).remedy(bad_remedy()) } else { bad };
    vec![errors.detail("per_minute", per_minute), bad]
}

fn bad_impact() -> cloud_doctor_proto::finding::Words {
    words!(
        "Links lead nowhere, users cannot log in, or somebody is searching this server for holes.",
        "可能是链接失效、用户无法登录，或有人正在扫描此服务器的漏洞。"
    )
}

fn bad_remedy() -> cloud_doctor_proto::finding::Words {
    words!(
        "Look at which paths and sources cause them; mend links and probes, and limit scanners (limit_req, a firewall).",
        "查看是哪些路径和来源引起；修复链接和探测，并限制扫描者（limit_req、防火墙）。"
    )
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn kind<'a>(records: &[&'a Record], statuses: std::ops::RangeInclusive<u16>) -> Vec<&'a Record> {
    records.iter().filter(|record| statuses.contains(&record.status)).copied().collect()
}

fn share(
    settings: &Settings<'_>,
    log: &Log,
    errors: &[&Record],
    of: u32,
    few: bool,
    (suffix, warning, critical): (&str, &str, &str),
) -> Found {
    let (path, number) = (&log.path, count(errors.len()));
    let subject = format!("{path}{suffix}");
    let percent = 100.0 * f64::from(number) / f64::from(of.max(1));
    let class = if suffix.is_empty() { "5xx" } else { "4xx" };
    // Strangers who look for holes make up most of a quiet log's 4xx; a single 5xx is worth a word.
    let found = if few && number > 0 {
        let status = if suffix.is_empty() { Status::Unknown } else { Status::Ok };
        let summary = words!(
            "{path}: {number} of {of} requests answered {class}, too few to judge",
            "{path}：{of} 个请求中 {number} 个返回 {class}，数量过少，无法判断"
        );
        Found::new(&subject, status, summary)
    } else {
        let summary = words!(
            "{path}: {percent:.1} % of {of} requests were answered {class}",
            "{path}：{of} 个请求中 {percent:.1}% 返回 {class}"
        );
        Found::new(&subject, settings.level_of(&subject, percent, warning, critical), summary)
    };
    let found = found.value(percent, "%").detail("requests", f64::from(of));
    most(errors).into_iter().fold(found, |found, text| found.evidence(path, text))
}

/// The commonest errors, three lines.
fn most(errors: &[&Record]) -> Vec<String> {
    let mut counts: BTreeMap<(u16, &str, &str), u32> = BTreeMap::new();
    for record in errors {
        *counts.entry((record.status, &record.method, &record.path)).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let line = |((status, method, path), count): ((u16, &str, &str), u32)| {
        let method: String = method.chars().take(10).collect();
        format!("{count} x {status} {method} {}", shown(path))
    };
    counts.into_iter().take(3).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::super::access_log::tests::line;
    use super::*;
    use crate::host::fixture::Fixture;

    /// A log with so many answers of each status, evenly over five minutes.
    fn log(statuses: &[(u16, u64)]) -> String {
        let mut lines = Vec::new();
        for (status, count) in statuses {
            lines.extend((0..*count).map(|at| (300 - at * 300 / count, *status)));
        }
        lines.sort_by_key(|(before, _)| std::cmp::Reverse(*before));
        lines.into_iter().map(|(before, status)| line(before, "10.0.0.1", "GET /a/b HTTP/1.1", status, "x")).collect()
    }

    fn statuses(log: &str) -> Vec<Status> {
        let found = Fixture::live().file("/var/log/nginx/access.log", log).run(&CHECK);
        found.iter().map(|found| found.status).collect()
    }

    #[test]
    fn lb_27_shares_of_errors_are_judged_where_there_is_traffic() {
        use Status::{Critical, Ok, Unknown, Warning};
        for (answers, expected) in [
            (&[(200, 1000)][..], [Ok, Ok]),
            (&[(200, 985), (502, 15)], [Ok, Ok]),
            (&[(200, 970), (502, 30)], [Warning, Ok]),
            (&[(200, 900), (503, 100)], [Critical, Ok]),
            (&[(200, 600), (404, 400)], [Ok, Warning]),
            (&[(200, 600), (401, 400)], [Ok, Ok]),
            // Ten requests tell nothing, but that none failed.
            (&[(200, 9), (500, 1)], [Unknown, Ok]),
            (&[(200, 5), (404, 5)], [Ok, Ok]),
            (&[(200, 10)], [Ok, Ok]),
        ] {
            assert_eq!(statuses(&log(answers)), expected, "{answers:?}");
        }
    }

    #[test]
    fn lb_27_what_was_read_is_named_and_old_logs_are_not_judged() {
        let found = Fixture::live().file("/var/log/nginx/access.log", log(&[(200, 900), (503, 100)])).run(&CHECK);
        assert_eq!(found[0].evidence[0].text, "100 x 503 GET /a/b");
        let old = line(7200, "10.0.0.1", "GET / HTTP/1.1", 500, "x").repeat(1000);
        assert_eq!(statuses(&old), [Status::Ok]);
        assert_eq!(statuses("junk\n"), [Status::Unknown]);
        assert!(Fixture::live().has_none_of(&CHECK));
    }
}
