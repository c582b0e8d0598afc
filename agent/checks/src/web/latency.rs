//! Whether answers take longer in the last minute than in the ten before, where the log has `$request_time`.

use super::access_log::{Log, Record, logs, shown};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::number::span;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "web.latency",
    title: Text { en: "Answers that get slower", zh: "响应变慢" },
    reads: &["the access logs of nginx whose log_format has $request_time: their ends"],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[
        Param::above("warning", 2.0, 1.5, "x", "netdata health.d/web_log.conf, web_log_web_slow"),
        Param::above("critical", 4.0, 2.0, "x", "netdata health.d/web_log.conf, web_log_web_slow"),
        Param::plain("warning-secs", 0.5, "s", "netdata health.d/web_log.conf, web_log_web_slow: green"),
        Param::plain("critical-secs", 1.0, "s", "netdata health.d/web_log.conf, web_log_web_slow: red"),
        Param::plain("requests", 120.0, "/min", "netdata health.d/web_log.conf: fewer say nothing"),
    ],
    impact: Text { en: "Users wait, and some of them leave.", zh: "用户需要等待，部分用户会离开。" },
    remedy: Text {
        en: "Look at the slowest paths named here, at the load of the backends behind them and at their database.",
        zh: "检查此处列出的最慢路径、其后端的负载及数据库。",
    },
    run,
};

const MINUTE_SECS: f64 = 60.0;
const BASE_SECS: f64 = 600.0;
/// Without half of the ten minutes there is nothing to compare with.
const BASE_SECS_MIN: f64 = 300.0;
/// A log that ended this long ago tells nothing about now.
const STALE_SECS: f64 = 900.0;

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let timed: Vec<_> = logs(host)?.logs.iter().filter(|log| log.has_secs).collect();
    if timed.is_empty() {
        return Err(Gap::NotHere(words!("no access log has $request_time", "没有访问日志包含 $request_time")));
    }
    Ok(timed.into_iter().map(|log| judge(host, settings, log)).collect())
}

/// The mean time of requests; a switch to another protocol lasts as long as somebody stays.
fn mean(records: &[&Record]) -> Option<f64> {
    let times = records.iter().filter(|record| record.status != 101).filter_map(|record| record.secs);
    let (sum, count) = times.fold((0.0, 0_u32), |(sum, count), secs| (sum + secs, count.saturating_add(1)));
    (count > 0).then(|| sum / f64::from(count))
}

fn judge(host: &Host, settings: &Settings<'_>, log: &Log) -> Found {
    let path = &log.path;
    if log.is_stale(host, STALE_SECS) {
        let summary = words!("{path}: no requests in the last 15 minutes", "{path}：最近 15 分钟没有请求");
        return Found::new(path, Status::Ok, summary);
    }
    let (minute, _) = log.window(MINUTE_SECS);
    let (base, covered) = log.window(BASE_SECS);
    let (Some(now), Some(usual)) = (mean(&minute), mean(&base)) else {
        let summary = words!("{path}: the last requests have no time", "{path}：最近的请求没有耗时记录");
        return Found::new(path, Status::Unknown, summary);
    };
    let count = u32::try_from(minute.len()).unwrap_or(u32::MAX);
    let (shown_now, shown_usual) = (span(now), span(usual));
    if now <= settings.number("warning-secs") {
        let summary =
            words!("{path}: {shown_now} per request in the last minute", "{path}：最近一分钟平均每个请求 {shown_now}");
        return Found::new(path, Status::Ok, summary).value(now, "s");
    }
    if f64::from(count) < settings.number("requests") || covered < BASE_SECS_MIN {
        let summary = words!(
            "{path}: {shown_now} per request, but {count} requests in the last minute and {covered:.0} s of log are too few to judge",
            "{path}：平均每个请求 {shown_now}，但最近一分钟仅 {count} 个请求、日志仅覆盖 {covered:.0} 秒，无法判断"
        );
        return Found::new(path, Status::Unknown, summary).value(now, "s");
    }
    let ratio = if usual > 0.0 { now / usual } else { 1.0 };
    let level = settings.level(path, ratio);
    let level = if now <= settings.number("critical-secs") { level.min(Status::Warning) } else { level };
    let summary = words!(
        "{path}: {shown_now} per request in the last minute, {shown_usual} in the last ten",
        "{path}：最近一分钟平均每个请求 {shown_now}，最近十分钟为 {shown_usual}"
    );
    let found = Found::new(path, level, summary).value(now, "s").detail("usual_s", usual).detail("ratio", ratio);
    slowest(&minute).into_iter().fold(found, |found, text| found.evidence(path, text))
}

/// The slowest requests of a minute, three lines.
fn slowest(records: &[&Record]) -> Vec<String> {
    let mut slow: Vec<_> = records.iter().filter_map(|record| Some((record.secs?, *record))).collect();
    slow.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let line = |(secs, record): (f64, &Record)| {
        let method: String = record.method.chars().take(10).collect();
        format!("{} {} {method} {}", span(secs), record.status, shown(&record.path))
    };
    slow.into_iter().take(3).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    /// Ten minutes of four requests a second that take `usual`, the last minute of them `now`.
    fn log(usual: &str, now: &str, per_sec: usize, secs: u64) -> String {
        let line = |before: u64| {
            let time = if before < 60 { now } else { usual };
            format!("{}.000 200 /a {time}\n", 1_767_225_600 - before).repeat(per_sec)
        };
        (0..secs).rev().map(line).collect()
    }

    fn fixture(log: &str) -> Fixture {
        Fixture::live()
            .file(
                "/etc/nginx/nginx.conf",
                "http { log_format t '$msec $status $uri $request_time'; access_log /srv/t.log t; }",
            )
            .file("/srv/t.log", log)
    }

    #[test]
    fn lb_28_the_last_minute_is_compared_with_ten() {
        for (usual, now, per_sec, secs, expected) in [
            ("0.100", "0.110", 4, 600, Status::Ok),
            // Twice as slow, and still fast.
            ("0.100", "0.400", 4, 600, Status::Ok),
            ("0.200", "0.700", 4, 600, Status::Warning),
            ("0.100", "0.900", 4, 600, Status::Warning),
            ("0.100", "3.000", 4, 600, Status::Critical),
            // Slow as ever.
            ("2.000", "2.100", 4, 600, Status::Ok),
            ("0.200", "3.000", 1, 600, Status::Unknown),
            ("0.200", "3.000", 4, 120, Status::Unknown),
            ("-", "-", 4, 600, Status::Unknown),
        ] {
            assert_eq!(
                fixture(&log(usual, now, per_sec, secs)).status(&CHECK),
                expected,
                "{usual} {now} {per_sec} {secs}"
            );
        }
    }

    #[test]
    fn lb_28_logs_without_times_have_nothing_to_say() {
        let plain = super::super::access_log::tests::line(1, "10.0.0.1", "GET / HTTP/1.1", 200, "x");
        assert!(Fixture::live().file("/var/log/nginx/access.log", plain).has_none_of(&CHECK));
        assert!(Fixture::live().has_none_of(&CHECK));
        assert_eq!(fixture("1767000000.0 200 / 9.0\n").status(&CHECK), Status::Ok);
    }
}
