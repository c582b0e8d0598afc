//! Jumps of the clock, as time daemons report them in the system log.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::log::text_logs::text_logs;
use crate::process::uptime_secs;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;
use cloud_doctor_proto::time::DAY_SECS;

pub(crate) const CHECK: Check = Check {
    id: "time.jumps",
    title: Text { en: "Jumps of the clock", zh: "时钟跳变" },
    reads: &["/var/log/syslog or /var/log/messages: the last MiB, or the journal of the last day", "/proc/uptime"],
    needs: Needs { root: true, ..Needs::LIVE },
    params: &[
        Param::above("warning", 5.0, 5.0, "s", "our recommendation: more breaks tokens and timelines"),
        Param::plain("after-boot", 600.0, "s", "our recommendation: a clock is set once after a start"),
    ],
    impact: Text {
        en: "Timers fire late or twice, tokens and certificates are refused, and the order of events in logs is wrong.",
        zh: "定时任务会延迟或重复触发，令牌与证书会被拒绝，日志中的事件顺序也会错乱。",
    },
    remedy: Text {
        en: "Let one daemon keep the clock all the time instead of setting it now and then (ntpdate in cron, a second daemon, the hypervisor's tools). After a suspended or migrated virtual machine it is expected once.",
        zh: "请由一个服务持续校时，而不是定期强制设置（cron 中的 ntpdate、第二个校时服务、虚拟化工具）。虚拟机挂起或迁移后出现一次属正常现象。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let logs = text_logs(host);
    let Some(log) = &logs.system else {
        return Err(Gap::Unknown(logs.no_system_log()));
    };
    // A clock that was never right is set after the start.
    let up = uptime_secs(host)? - settings.number("after-boot");
    #[expect(clippy::cast_precision_loss, reason = "seconds of a day")]
    let lines = log.since(DAY_SECS).filter(|line| (line.age as f64) < up);
    let jumps = lines.filter_map(|line| Some((jump_secs(line.text)?, line)));
    let largest = jumps.max_by(|one, other| one.0.total_cmp(&other.0));
    let path = &log.path;
    Ok(vec![match largest {
        Some((secs, line)) => {
            let summary =
                words!("the clock was set by {secs:.1} s at once within a day", "一天内时钟曾一次性跳变 {secs:.1} 秒");
            Found::new("", settings.level("", secs), summary).value(secs, "s").evidence(log.source(line), line.text)
        }
        None => Found::new(
            "",
            Status::Ok,
            words!("the clock did not jump within a day ({path})", "一天内时钟未发生跳变（{path}）"),
        ),
    }])
}

/// chrony: `System clock was stepped by -12.3 seconds`; ntpd: `time reset +12.3 s`; ntpsec: `CLOCK: time stepped by 12.3`;
/// ntpdate: `step time server 10.0.0.1 offset +12.3 sec`.
fn jump_secs(line: &str) -> Option<f64> {
    const FORMS: [(&str, &str); 4] = [
        (" chronyd[", "System clock was stepped by "),
        (" ntpd[", ": time reset "),
        (" ntpd[", "time stepped by "),
        (" ntpdate[", " offset "),
    ];
    let form = FORMS.iter().find(|(daemon, words)| line.contains(daemon) && line.contains(words))?;
    let number = line.split_once(form.1)?.1.split_ascii_whitespace().next()?;
    // What ntpdate slews is no jump.
    let is_step = form.0 != " ntpdate[" || line.contains("step time server");
    number.parse::<f64>().ok().filter(|secs| secs.is_finite() && is_step).map(f64::abs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use crate::host::journal::tests::recorded;
    use crate::log::text_logs::tests::log;

    #[test]
    fn tim_04_jumps_are_read_from_the_log() {
        for (line, expected) in [
            ("web1 chronyd[512]: System clock was stepped by -12.345678 seconds", Status::Warning),
            ("web1 chronyd[512]: System clock was stepped by 0.400000 seconds", Status::Ok),
            ("web1 ntpd[77]: time reset +7.250000 s", Status::Warning),
            ("web1 ntpd[77]: CLOCK: time stepped by 3600.1", Status::Warning),
            ("web1 ntpdate[78]: step time server 10.0.0.1 offset +99.1 sec", Status::Warning),
            ("web1 ntpdate[78]: adjust time server 10.0.0.1 offset +99.1 sec", Status::Ok),
            ("web1 app[1]: System clock was stepped by 99 seconds", Status::Ok),
            ("web1 chronyd[512]: System clock was stepped by NaN seconds", Status::Ok),
        ] {
            let text = format!("Jan  1 07:00:00 {line}\nJan  1 08:00:00 web1 cron[1]: x\n");
            let host = |uptime: &str| log(Fixture::live().file("/proc/uptime", uptime), "/var/log/syslog", 0, &text);
            assert_eq!(host("90000.0 1").status(&CHECK), expected, "{line}");
            // Five minutes after the start.
            assert_eq!(host("3900.0 1").status(&CHECK), Status::Ok, "{line}");
        }
        let journal = recorded(Fixture::live().file("/proc/uptime", "90000.0 1"), "compact");
        assert_eq!(journal.status(&CHECK), Status::Ok);
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }
}
