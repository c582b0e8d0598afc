//! Packets that network interfaces dropped.

use super::counters::{Traffic, traffic};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::many::many;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "net.drops",
    title: Text { en: "Packets dropped by interfaces", zh: "网卡丢包" },
    reads: &["/proc/net/dev"],
    needs: Needs::RATES,
    params: &[
        Param::above("warning", 2.0, 1.0, "%", "netdata health.d/net.conf, inbound_packets_dropped_ratio"),
        Param::plain("least", 1000.0, "", "ours: packets below which a share says nothing"),
    ],
    impact: Text {
        en: "Connections stall while lost packets are sent again.",
        zh: "丢失的数据包需要重传，连接出现卡顿。",
    },
    remedy: Text {
        en: "Enlarge the ring of the card (`ethtool -g IF`, `ethtool -G IF rx 4096`) and look at net.softnet. On a cloud \
             instance look at its limit of packets per second. Frames of unknown protocols count as drops too.",
        zh: "增大网卡环形缓冲区（`ethtool -g 网卡`、`ethtool -G 网卡 rx 4096`），并查看 net.softnet。\
             云实例请检查每秒包数（PPS）上限。未知协议的帧也会计为丢包。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let (interfaces, secs) = traffic(host)?;
    Ok(many(interfaces.iter().map(|one| judge(settings, one, secs)).collect()))
}

fn judge(settings: &Settings<'_>, traffic: &Traffic, secs: f64) -> Found {
    let (name, received, sent) = (&traffic.name, traffic.received, traffic.sent);
    let share = |direction: super::counters::Direction| {
        let enough = direction.packets + direction.drops >= settings.number("least");
        if enough { direction.percent(direction.drops) } else { 0.0 }
    };
    let worst = share(received).max(share(sent));
    let (in_drops, in_all, out_drops, out_all) = (received.drops, received.packets, sent.drops, sent.packets);
    let found = Found::new(
        name,
        if worst > 0.0 { settings.level(name, worst) } else { Status::Ok },
        words!(
            "{name} dropped {in_drops:.0} of {in_all:.0} received and {out_drops:.0} of {out_all:.0} sent packets in {secs:.1} s",
            "{name} 在 {secs:.1} 秒内丢弃 {in_drops:.0} 个接收包（共 {in_all:.0}）和 {out_drops:.0} 个发送包（共 {out_all:.0}）"
        ),
    );
    let evidence = format!("{name}: receive drop +{in_drops:.0}, transmit drop +{out_drops:.0}");
    found.value(worst, "%").evidence("/proc/net/dev", evidence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use crate::net::counters::tests::interface_host;

    #[test]
    fn net_01_drops_are_a_share_of_enough_packets() {
        for (by, expected) in [
            ([9, 100_000, 0, 100, 9, 100_000, 0, 0], Status::Ok),
            ([9, 100_000, 0, 5000, 9, 100_000, 0, 0], Status::Warning),
            ([9, 100_000, 0, 0, 9, 100_000, 0, 5000], Status::Warning),
            ([9, 50, 0, 20, 9, 50, 0, 20], Status::Ok),
            ([0; 8], Status::Ok),
        ] {
            assert_eq!(interface_host(by).status(&CHECK), expected, "{by:?}");
        }
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
        let none = "Inter-|\n face |bytes\n    lo: 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n";
        assert!(Fixture::live().file("/proc/net/dev", none).has_none_of(&CHECK));
    }
}
