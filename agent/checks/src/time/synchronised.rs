//! Whether the clock is synchronised, as whoever synchronises it told the kernel.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::process::uptime_secs;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "time.synchronised",
    title: Text { en: "Clock synchronisation", zh: "时钟同步" },
    reads: &["the kernel's clock (adjtimex)", "/proc/uptime"],
    needs: Needs::LIVE,
    params: &[
        Param::above("warning", 15.9, 8.0, "s", "node_exporter's mixin NodeClockNotSynchronising: maxerror of 16 s"),
        Param::plain("after-boot", 1020.0, "s", "netdata health.d/timex.conf: not before 17 min of uptime"),
    ],
    impact: Text {
        en: "The clock drifts by seconds a day. Then TLS and tokens are refused, replicas disagree, and logs of several servers cannot be put in order.",
        zh: "时钟每天会漂移数秒，进而导致 TLS 与令牌校验失败、副本不一致，多台服务器的日志也无法对齐。",
    },
    remedy: Text {
        en: "Install and start one time daemon (apt install chrony, or systemctl enable --now systemd-timesyncd), and allow UDP 123 to its servers (Alibaba Cloud: ntp.cloud.aliyuncs.com). chronyc sources -v or timedatectl shows whether it reaches them.",
        zh: "安装并启动一个时间同步服务（apt install chrony，或 systemctl enable --now systemd-timesyncd），并放行到其服务器的 UDP 123（阿里云为 ntp.cloud.aliyuncs.com）。可用 chronyc sources -v 或 timedatectl 查看是否连通。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let clock = host.clock()?;
    let (error, uptime) = (clock.error_max_secs, uptime_secs(host)?);
    let seen = format!("synchronised: {}, largest error {error:.3} s", clock.is_synchronised);
    let (status, summary) = if clock.is_synchronised {
        (
            Status::Ok,
            words!("the clock is synchronised, off by {error:.3} s at most", "时钟已同步，最大误差 {error:.3} 秒"),
        )
    } else if uptime < settings.number("after-boot") {
        let summary = words!(
            "the clock is not synchronised yet, {uptime:.0} s after the start",
            "启动 {uptime:.0} 秒，时钟尚未同步"
        );
        (Status::Ok, summary)
    } else {
        // chrony without `rtcsync` tells the kernel how far it may be off, but not that it is synchronised.
        let status = settings.level("", error);
        let summary = if status == Status::Ok {
            words!(
                "the clock is not marked as synchronised, but kept within {error:.3} s",
                "时钟未标记为已同步，但误差保持在 {error:.3} 秒以内"
            )
        } else {
            words!("the clock is not synchronised", "时钟未同步")
        };
        (status, summary)
    };
    Ok(vec![Found::new("", status, summary).value(error, "s").evidence("adjtimex", seen)])
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::Clock;
    use crate::host::fixture::Fixture;
    use crate::run::{Ran, run};

    /// How `check` judges such a clock.
    pub(crate) fn with_clock(fixture: &Fixture, check: &'static Check, clock: Clock) -> Status {
        let host = fixture.host();
        host.memo.clock.set(Ok(clock)).unwrap();
        let Ran::Findings(findings) = run(check, &host, &fixture.wanted) else { panic!("nothing to look at") };
        findings[0].status
    }

    #[test]
    fn tim_01_a_clock_that_nobody_sets_is_told() {
        for (is_synchronised, error_max_secs, uptime, expected) in [
            (true, 0.02, "90000.0 1", Status::Ok),
            (true, 16.0, "90000.0 1", Status::Ok),
            (false, 16.0, "90000.0 1", Status::Warning),
            (false, 16.0, "600.0 1", Status::Ok),
            (false, 0.3, "90000.0 1", Status::Ok),
            (false, 16.0, "damaged", Status::Unknown),
        ] {
            let fixture = Fixture::live().file("/proc/uptime", uptime);
            let clock = Clock { is_synchronised, error_max_secs, offset_secs: 0.0 };
            assert_eq!(with_clock(&fixture, &CHECK, clock), expected, "{clock:?} {uptime}");
        }
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }
}
