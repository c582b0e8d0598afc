//! Packets that the kernel dropped before looking at them, because no processor took them in time.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "net.softnet",
    title: Text { en: "Packets that no processor took in time", zh: "处理器未及时接收的数据包" },
    reads: &["/proc/net/softnet_stat"],
    needs: Needs::RATES,
    params: &[
        Param::above("warning", 10.0, 5.0, "/min", "netdata health.d/softnet.conf, 1min_netdev_backlog_exceeded"),
        Param::plain("squeezed", 600.0, "/min", "ours; netdata health.d/softnet.conf warns above 10"),
    ],
    impact: Text {
        en: "Received packets are lost inside this server; the other side waits and sends them again.",
        zh: "已收到的数据包在本机内部丢失，对端需要等待并重传。",
    },
    remedy: Text {
        en: "Raise net.core.netdev_max_backlog (4096) and net.core.netdev_budget (600), spread interrupts over processors \
             (irqbalance, RPS), and see whether one processor is full of softirq (`mpstat -P ALL 1`).",
        zh: "提高 net.core.netdev_max_backlog（4096）和 net.core.netdev_budget（600），将中断分散到多个处理器\
             （irqbalance、RPS），并检查是否有单个处理器被软中断占满（`mpstat -P ALL 1`）。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let texts = host.twice("/proc/net/softnet_stat")?;
    let both = |column| total(&texts.after, column)?.checked_sub(total(&texts.before, column)?);
    let (Some(dropped), Some(squeezed)) = (both(1), both(2)) else {
        return Err(Gap::Unknown(words!(
            "/proc/net/softnet_stat cannot be compared with its first reading",
            "/proc/net/softnet_stat 无法与首次采样比较"
        )));
    };
    #[expect(clippy::cast_precision_loss, reason = "what happened in one run")]
    let per_min = |count: u64| count as f64 * 60.0 / texts.secs;
    let (drop_rate, squeeze_rate, secs) = (per_min(dropped), per_min(squeezed), texts.secs);
    let summary = words!(
        "in {secs:.1} s the kernel dropped {dropped} received packets and ran out of time {squeezed} times",
        "{secs:.1} 秒内内核丢弃 {dropped} 个收到的数据包，处理时间不足 {squeezed} 次"
    );
    let status = settings.level("", drop_rate);
    let found = match status {
        // Out of time is busy, not lost.
        Status::Ok if squeeze_rate > settings.number("squeezed") => {
            Found::advice("", summary).impact(words!("Nothing is lost yet.", "目前尚未丢包。"))
        }
        Status::Ok | Status::Unknown | Status::Warning | Status::Critical => Found::new("", status, summary),
    };
    let evidence = format!("dropped +{dropped}, squeezed +{squeezed}");
    Ok(vec![found.value(drop_rate, "/min").evidence("/proc/net/softnet_stat", evidence)])
}

/// One column over all processors, which are told in hex: 0 processed, 1 dropped, 2 out of time.
fn total(text: &str, column: usize) -> Option<u64> {
    let mut sum: Option<u64> = None;
    for line in text.lines() {
        let number = u64::from_str_radix(line.split_ascii_whitespace().nth(column)?, 16).ok()?;
        sum = Some(sum.unwrap_or(0).saturating_add(number));
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn net_12_dropped_packets_are_told_and_squeezes_are_advice() {
        let before = "00566da2 00000001 00000002 00000000\n004fd628 00000000 00000000 00000000\n";
        for (after, expected, note) in [
            (before, Status::Ok, false),
            ("00566da2 00000001 00000002 0\n004fd628 0000000a 00000000 0\n", Status::Warning, false),
            ("00566da2 00000001 00000012 0\n004fd628 00000000 000000ff 0\n", Status::Ok, true),
            ("00566da2 00000000 00000002 0\n", Status::Unknown, false),
            ("", Status::Unknown, false),
            ("xyz\n", Status::Unknown, false),
        ] {
            let path = "/proc/net/softnet_stat";
            let found = Fixture::live().file(path, before).later(path, after).secs(10.0).run(&CHECK);
            assert_eq!((found[0].status, found[0].note), (expected, note), "{after}");
        }
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
    }
}
