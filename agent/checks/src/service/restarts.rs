//! Services that systemd starts again and again.
//!
//! systemd counts how often it has started a service again since somebody started it, and not when. What is certain: a
//! service that came up minutes ago and was restarted several times is crashing now, and so many restarts cannot have taken
//! longer than this host runs.

use super::SOURCE;
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::{Host, Unit};
use crate::number::span;
use crate::process::uptime_secs;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "service.restarts",
    title: Text { en: "Services that crash and restart", zh: "反复崩溃重启的服务" },
    reads: &["systemd over D-Bus: ListUnits, Get", "/proc/uptime"],
    needs: Needs { net: true, ..Needs::LIVE },
    params: &[
        Param::above("warning", 2.0, 2.0, "", "node_exporter's mixin NodeSystemdServiceCrashlooping: more than 2"),
        Param::plain("recent", 900.0, "s", "node_exporter's mixin NodeSystemdServiceCrashlooping: for 15 min"),
        Param::above("critical", 5.0, 3.0, "/h", "awesome-prometheus-alerts, systemd: more than 5 an hour"),
    ],
    impact: Text {
        en: "Each crash cuts the requests that the service was working on, and it answers none until it is up again.",
        zh: "每次崩溃都会中断正在处理的请求，且在重新就绪之前无法响应任何请求。",
    },
    remedy: Text {
        en: "journalctl -u UNIT shows the last lines before each end; look for out of memory, a bad configuration, a missing dependency. Then systemctl restart UNIT, which also sets the counter back.",
        zh: "用 journalctl -u UNIT 查看每次退出前的最后几行日志，排查内存不足、配置错误或依赖缺失。修复后执行 systemctl restart UNIT，计数也会随之归零。",
    },
    run,
};

/// Terminals end with each logout, and are started again on purpose.
const TERMINALS: [&str; 4] = ["getty@", "serial-getty@", "container-getty@", "console-getty."];
/// Services that are told one by one.
const SHOWN_MAX: usize = 50;

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let systemd = host.systemd()?;
    let uptime = uptime_secs(host)?;
    let services = systemd.units.iter().filter(|unit| {
        unit.is_service() && unit.restarts.is_some() && !TERMINALS.iter().any(|name| unit.name.starts_with(name))
    });
    let (mut found, mut count) = (Vec::new(), 0);
    for unit in services {
        count += 1;
        let one = judge(host, settings, unit, uptime);
        if one.status != Status::Ok && found.len() < SHOWN_MAX {
            found.push(one);
        }
    }
    if found.is_empty() && count > 0 {
        let summary = words!("none of {count} services is restarting", "{count} 个服务均未反复重启");
        found.push(Found::new("", Status::Ok, summary));
    } else if found.is_empty() {
        let summary = words!(
            "this systemd does not count restarts (it does since version 235)",
            "该版本 systemd 不统计重启次数（自 235 版起支持）"
        );
        found.push(Found::new("", Status::Unknown, summary));
    }
    if systemd.unasked > 0 {
        let unasked = systemd.unasked;
        let summary = words!("{unasked} units were not asked: there are too many", "单元过多，有 {unasked} 个未查询");
        found.push(Found::new("units not asked", Status::Unknown, summary));
    }
    Ok(found)
}

fn judge(host: &Host, settings: &Settings<'_>, unit: &Unit, uptime_secs: f64) -> Found {
    let name = &unit.name;
    #[expect(clippy::cast_precision_loss, reason = "restarts and seconds")]
    let (restarts, since) = (
        unit.restarts.unwrap_or(0) as f64,
        unit.changed.map_or(f64::INFINITY, |changed| host.now().0.saturating_sub(changed.0) as f64),
    );
    let waits = unit.sub == "auto-restart" || unit.sub.starts_with("auto-restart-");
    let several = settings.level_of(name, restarts, "warning", "");
    let an_hour = restarts / (uptime_secs.max(1.0) / 3600.0);
    let status = match several {
        Status::Warning | Status::Critical if waits => Status::Critical,
        Status::Warning | Status::Critical if since < settings.number("recent") => {
            settings.level_of(name, an_hour, "", "critical").max(several)
        }
        // It was mended, or has been quiet for long.
        Status::Ok | Status::Unknown | Status::Warning | Status::Critical => Status::Ok,
    };
    let seen = format!("NRestarts={restarts} SubState={}", unit.sub);
    let ago = if since.is_finite() { span(since) } else { "?".to_owned() };
    let summary = if waits {
        words!(
            "{name} is down at this moment and waits for its restart number {restarts}",
            "{name} 此刻已停止，正等待第 {restarts} 次自动重启"
        )
    } else {
        words!(
            "{name} was restarted by systemd {restarts} times, the last time {ago} ago",
            "{name} 已被 systemd 自动重启 {restarts} 次，最近一次在 {ago} 前"
        )
    };
    Found::new(name, status, summary).value(restarts, "").detail("an_hour_at_least", an_hour).evidence(SOURCE, seen)
}

#[cfg(test)]
mod tests {
    use super::super::failed::tests::{NOW, unit, with_units};
    use super::*;
    use crate::host::fixture::Fixture;
    use cloud_doctor_proto::time::UnixTime;

    fn status(name: &str, restarts: Option<u64>, changed_ago: u64, sub: &str, uptime: &str) -> Status {
        let changed = Some(UnixTime(NOW - changed_ago));
        let active = if sub == "running" { "active" } else { "activating" };
        let unit = Unit { restarts, changed, ..unit(name, active, sub) };
        let fixture = Fixture::live().file("/proc/uptime", uptime);
        with_units(&fixture, &CHECK, vec![unit])[0].status
    }

    #[test]
    fn prc_02_restarts_are_judged_by_number_and_by_the_last_one() {
        for (name, restarts, ago, sub, uptime, expected) in [
            ("a.service", Some(0), 9000, "running", "90000 1", Status::Ok),
            ("a.service", Some(2), 60, "running", "90000 1", Status::Ok),
            ("a.service", Some(3), 60, "running", "90000 1", Status::Warning),
            // Crashed a hundred times last week, and runs since.
            ("a.service", Some(100), 5000, "running", "90000 1", Status::Ok),
            // At least 6 an hour, whenever they were.
            ("a.service", Some(150), 60, "running", "90000 1", Status::Critical),
            ("a.service", Some(3), 5, "auto-restart", "90000 1", Status::Critical),
            ("a.service", Some(1), 5, "auto-restart", "90000 1", Status::Ok),
            ("getty@tty1.service", Some(40), 5, "running", "90000 1", Status::Unknown),
            ("a.service", None, 5, "running", "90000 1", Status::Unknown),
            ("a.service", Some(3), 60, "running", "damaged", Status::Unknown),
        ] {
            assert_eq!(status(name, restarts, ago, sub, uptime), expected, "{name} {restarts:?} {ago} {sub}");
        }
        assert!(Fixture::live().has_none_of(&CHECK));
    }
}
