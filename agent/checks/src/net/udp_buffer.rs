//! UDP packets that were thrown away because the service did not read them in time.

use super::counters::rises;
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;

pub(crate) const CHECK: Check = Check {
    id: "net.udp-buffer",
    title: Text { en: "UDP packets lost in full buffers", zh: "UDP 接收缓冲区溢出" },
    reads: &["/proc/net/snmp"],
    needs: Needs::RATES,
    params: &[Param::above(
        "warning",
        10.0,
        5.0,
        "/s",
        "netdata health.d/udp_errors.conf, 1m_ipv4_udp_receive_buffer_errors",
    )],
    impact: Text {
        en: "DNS answers, logs, metrics or voice packets are lost without anybody being told.",
        zh: "DNS 应答、日志、监控指标或语音数据包会悄无声息地丢失。",
    },
    remedy: Text {
        en: "Find the service with `ss -ulmp` (Recv-Q is full, `d` counts its drops). Let it read faster, or raise \
             net.core.rmem_max and the service's own SO_RCVBUF.",
        zh: "使用 `ss -ulmp` 找到服务（Recv-Q 已满，`d` 为丢弃数）。让其更快读取，或提高 net.core.rmem_max 及服务自身的 SO_RCVBUF。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let [lost, received] = rises(host, "/proc/net/snmp", "Udp", ["RcvbufErrors", "InDatagrams"])?;
    let (rate, all, secs) = (lost.per_sec(), received.by, lost.secs);
    let found = Found::new(
        "",
        settings.level("", rate),
        words!(
            "{rate:.1} UDP packets per second are lost in full buffers, {all:.0} were received in {secs:.1} s",
            "每秒有 {rate:.1} 个 UDP 数据包因缓冲区已满而丢失，{secs:.1} 秒内收到 {all:.0} 个"
        ),
    );
    Ok(vec![found.value(rate, "/s").evidence("/proc/net/snmp", lost.text())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use crate::net::counters::tests::host;
    use cloud_doctor_proto::finding::Status;

    #[test]
    fn net_13_lost_udp_packets_are_a_rate() {
        for (lost, expected) in [(0, Status::Ok), (50, Status::Ok), (500, Status::Warning)] {
            let host = host("/proc/net/snmp", &[("RcvbufErrors", 7, 7 + lost), ("InDatagrams", 9, 9999)]);
            assert_eq!(host.status(&CHECK), expected, "{lost}");
        }
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
    }
}
