//! How much of its speed an interface uses. Virtual interfaces do not say theirs.

use super::counters::{Traffic, traffic};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;

pub(crate) const CHECK: Check = Check {
    id: "net.bandwidth",
    title: Text { en: "Use of network bandwidth", zh: "网络带宽使用率" },
    reads: &["/proc/net/dev", "/sys/class/net/*/speed"],
    needs: Needs::RATES,
    params: &[Param::above("warning", 90.0, 80.0, "%", "netdata health.d/net.conf, 1m_received_traffic_overflow")],
    impact: Text {
        en: "The line is full: everything that goes through it waits, and packets get lost.",
        zh: "带宽已满：所有经过的流量都要排队，并会丢包。",
    },
    remedy: Text {
        en: "Find the traffic (`iftop -i IF`, `nethogs IF`). Limit backups and mirrors, compress and cache content (CDN), or \
             take a faster line.",
        zh: "定位流量来源（`iftop -i 网卡`、`nethogs 网卡`）。限制备份和同步速率，压缩并缓存内容（CDN），或升级带宽。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let (interfaces, secs) = traffic(host)?;
    let found: Vec<Found> = interfaces.iter().filter_map(|one| judge(host, settings, one, secs)).collect();
    if found.is_empty() {
        return Err(Gap::NotHere(words!(
            "no interface here says its speed; virtual ones do not",
            "此主机的网卡未报告速率（虚拟网卡通常不报告）"
        )));
    }
    Ok(found)
}

/// Nothing for an interface without a speed, or that is down.
fn judge(host: &Host, settings: &Settings<'_>, traffic: &Traffic, secs: f64) -> Option<Found> {
    let name = &traffic.name;
    let path = format!("/sys/class/net/{name}/speed");
    let speed: f64 = host.read(&path).ok()?.trim().parse().ok().filter(|speed| *speed > 0.0)?;
    // Each direction has the whole speed.
    let bytes = traffic.received.bytes.max(traffic.sent.bytes);
    let rate = bytes * 8.0 / 1e6 / secs;
    let used = 100.0 * rate / speed;
    let found = Found::new(
        name,
        settings.level(name, used),
        words!(
            "{name} carries {rate:.0} Mbit/s, {used:.0} % of its speed, over {secs:.1} s",
            "{name} 在 {secs:.1} 秒内的流量为 {rate:.0} Mbit/s，占其速率的 {used:.0}%"
        ),
    );
    let evidence = format!("{name}: {bytes:.0} B in {secs:.1} s");
    Some(found.value(used, "%").evidence("/proc/net/dev", evidence).evidence(path, format!("{speed} Mbit/s")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use crate::net::counters::tests::interface_host;
    use cloud_doctor_proto::finding::Status;

    #[test]
    fn net_03_bandwidth_is_a_share_of_the_speed() {
        for (received, sent, expected) in [
            (100_000_000, 0, Status::Ok),
            (1_200_000_000, 0, Status::Warning),
            (0, 1_200_000_000, Status::Warning),
            (700_000_000, 700_000_000, Status::Ok),
        ] {
            let host = interface_host([received, 9, 0, 0, sent, 9, 0, 0]);
            assert_eq!(host.file("/sys/class/net/eth0/speed", "1000\n").status(&CHECK), expected, "{received} {sent}");
        }
        for speed in ["-1\n", "", "fast\n", "0\n"] {
            assert!(interface_host([0; 8]).file("/sys/class/net/eth0/speed", speed).has_none_of(&CHECK), "{speed}");
        }
        assert!(interface_host([0; 8]).has_none_of(&CHECK));
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
    }
}
