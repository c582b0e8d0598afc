//! Packets that came or went damaged.

use super::counters::{Traffic, traffic};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::many::many;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "net.errors",
    title: Text { en: "Errors of interfaces", zh: "网卡错误" },
    reads: &["/proc/net/dev"],
    needs: Needs::RATES,
    params: &[
        Param::above("warning", 1.0, 0.5, "%", "prometheus node-mixin, NodeNetworkReceiveErrs"),
        Param::plain("least", 5.0, "", "netdata health.d/net.conf, interface_inbound_errors"),
    ],
    impact: Text {
        en: "A bad cable, port or driver loses packets, and everything through it gets slow and unreliable.",
        zh: "网线、端口或驱动故障会造成丢包，经过它的所有业务都变慢且不稳定。",
    },
    remedy: Text {
        en: "`ethtool -S IF | grep -i err` names the kind. Replace cable or module, compare speed and duplex with the switch, \
             update the driver. On a virtual machine tell the provider.",
        zh: "`ethtool -S 网卡 | grep -i err` 可查看错误类型。更换网线或光模块，核对与交换机的速率和双工，更新驱动；虚拟机请联系服务商。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let (interfaces, secs) = traffic(host)?;
    Ok(many(interfaces.iter().map(|one| judge(settings, one, secs)).collect()))
}

fn judge(settings: &Settings<'_>, traffic: &Traffic, secs: f64) -> Found {
    let (name, received, sent) = (&traffic.name, traffic.received, traffic.sent);
    let (incoming, outgoing) = (received.errors, sent.errors);
    let worst = received.percent(incoming).max(sent.percent(outgoing));
    let few = incoming + outgoing < settings.number("least");
    let found = Found::new(
        name,
        if few { Status::Ok } else { settings.level(name, worst) },
        words!(
            "{name} had {incoming:.0} errors receiving and {outgoing:.0} sending in {secs:.1} s",
            "{name} 在 {secs:.1} 秒内有 {incoming:.0} 个接收错误和 {outgoing:.0} 个发送错误"
        ),
    );
    let evidence = format!("{name}: receive errs +{incoming:.0}, transmit errs +{outgoing:.0}");
    found.value(worst, "%").evidence("/proc/net/dev", evidence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use crate::net::counters::tests::interface_host;

    #[test]
    fn net_02_errors_are_a_share_of_packets() {
        for (by, expected) in [
            ([9, 100_000, 5, 0, 9, 100_000, 0, 0], Status::Ok),
            ([9, 1000, 50, 0, 9, 1000, 0, 0], Status::Warning),
            ([9, 1000, 0, 0, 9, 1000, 50, 0], Status::Warning),
            ([9, 10, 3, 0, 9, 10, 0, 0], Status::Ok),
            ([9, 0, 30, 0, 9, 0, 0, 0], Status::Warning),
        ] {
            assert_eq!(interface_host(by).status(&CHECK), expected, "{by:?}");
        }
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
    }
}
