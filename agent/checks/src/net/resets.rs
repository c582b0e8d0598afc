//! How many connections this host refuses or breaks off, against its own usual.

use super::counters::rises;
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;

pub(crate) const CHECK: Check = Check {
    id: "net.resets",
    title: Text { en: "TCP resets sent", zh: "发送的 TCP 重置" },
    reads: &["/proc/net/snmp", "/proc/uptime"],
    needs: Needs::RATES,
    params: &[
        Param::above("warning", 10.0, 2.0, "", "times the usual; netdata health.d/tcp_resets.conf"),
        Param::plain("usual-least", 5.0, "/s", "netdata health.d/tcp_resets.conf"),
    ],
    impact: Text {
        en: "Somebody knocks at ports where nobody listens: a service that is down, or a scan.",
        zh: "有人在访问未监听的端口：可能是服务已停止，也可能是端口扫描。",
    },
    remedy: Text {
        en: "See which port is asked for: `tcpdump -ni any 'tcp[tcpflags] & tcp-rst != 0'`. Start the service that should \
             be there, or close the port in the firewall.",
        zh: "查看被访问的端口：`tcpdump -ni any 'tcp[tcpflags] & tcp-rst != 0'`。启动应有的服务，或在防火墙中关闭该端口。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let [resets] = rises(host, "/proc/net/snmp", "Tcp", ["OutRsts"])?;
    let text = host.must_read("/proc/uptime")?;
    let uptime = text.split(' ').next().and_then(|secs| secs.parse::<f64>().ok()).filter(|secs| *secs >= 1.0);
    let uptime = uptime.ok_or_else(|| Gap::Unknown(words!("/proc/uptime is no time", "/proc/uptime 不是时间")))?;
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let usual = resets.now as f64 / uptime;
    let rate = resets.per_sec();
    let times = rate / usual.max(settings.number("usual-least"));
    let found = Found::new(
        "",
        settings.level("", times),
        words!(
            "{rate:.1} TCP resets per second are sent, {usual:.1} on average since boot",
            "每秒发送 {rate:.1} 个 TCP 重置，开机以来平均为 {usual:.1}"
        ),
    );
    Ok(vec![found.value(rate, "/s").evidence("/proc/net/snmp", resets.text())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use crate::net::counters::tests::host;
    use cloud_doctor_proto::finding::Status;

    #[test]
    fn net_16_resets_are_judged_by_what_is_usual_here() {
        for (before, by, expected) in [
            (0, 10, Status::Ok),
            (0, 600, Status::Warning),
            // A host that has always sent 100 per second.
            (1_000_000, 2000, Status::Ok),
            (1_000_000, 20_000, Status::Warning),
        ] {
            let host = host("/proc/net/snmp", &[("OutRsts", before, before + by)]);
            assert_eq!(host.file("/proc/uptime", "10000.25 9000.00\n").status(&CHECK), expected, "{before} {by}");
        }
        assert_eq!(host("/proc/net/snmp", &[("OutRsts", 0, 9)]).status(&CHECK), Status::Unknown);
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
    }
}
