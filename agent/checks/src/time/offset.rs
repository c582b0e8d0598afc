//! How far the clock is off, as far as the kernel still has to correct it.
//!
//! Daemons that let the kernel correct the clock leave the rest with it (systemd-timesyncd, ntpd); chrony keeps it to itself,
//! and zero is read here.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;

pub(crate) const CHECK: Check = Check {
    id: "time.offset",
    title: Text { en: "How far the clock is off", zh: "时钟偏差" },
    reads: &["the kernel's clock (adjtimex)"],
    needs: Needs::LIVE,
    params: &[Param::above("warning", 50.0, 20.0, "ms", "node_exporter's mixin NodeClockSkewDetected: 0.05 s")],
    impact: Text {
        en: "Times in logs, replication and tokens of several servers no longer agree.",
        zh: "多台服务器之间的日志时间、复制与令牌时间不再一致。",
    },
    remedy: Text {
        en: "Look whether it shrinks: timedatectl timesync-status or ntpq -p. If it does not, the time server or the way to it is bad: choose nearer ones, or chrony. Step the clock only in a maintenance window (chronyc makestep).",
        zh: "用 timedatectl timesync-status 或 ntpq -p 观察偏差是否缩小。若未缩小，说明时间服务器或到其的链路质量差：请改用更近的服务器或 chrony。仅在维护窗口内跳变时钟（chronyc makestep）。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let clock = host.clock()?;
    let millis = clock.offset_secs.abs() * 1000.0;
    let summary = words!(
        "the clock has {millis:.1} ms left that the kernel is to correct",
        "时钟尚有 {millis:.1} 毫秒偏差待内核校正"
    );
    let found = Found::new("", settings.level("", millis), summary).value(millis, "ms");
    Ok(vec![found.evidence("adjtimex", format!("offset {:.6} s", clock.offset_secs))])
}

#[cfg(test)]
mod tests {
    use super::super::synchronised::tests::with_clock;
    use super::*;
    use crate::host::Clock;
    use crate::host::fixture::Fixture;
    use cloud_doctor_proto::finding::Status;

    #[test]
    fn tim_02_an_offset_counts_in_both_directions() {
        for (offset_secs, expected) in
            [(0.0, Status::Ok), (0.049, Status::Ok), (0.051, Status::Warning), (-0.4, Status::Warning)]
        {
            let clock = Clock { is_synchronised: true, error_max_secs: 0.1, offset_secs };
            assert_eq!(with_clock(&Fixture::live(), &CHECK, clock), expected, "{offset_secs}");
        }
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }
}
