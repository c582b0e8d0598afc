//! Connections that were refused or answered with a cookie because too many were half open.

use super::counters::rises;
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;

pub(crate) const CHECK: Check = Check {
    id: "net.syn-queue",
    title: Text { en: "Full queues of half-open connections", zh: "半连接队列溢出" },
    reads: &["/proc/net/netstat"],
    needs: Needs::RATES,
    params: &[
        Param::above("warning", 1.0, 0.5, "/s", "netdata health.d/tcp_listen.conf, 1m_tcp_syn_queue_drops"),
        Param::above("critical", 5.0, 1.0, "/s", "netdata health.d/tcp_listen.conf, 1m_tcp_syn_queue_drops"),
    ],
    impact: Text {
        en: "Real visitors cannot connect, or connect slowly: a SYN flood, or a queue that is too small.",
        zh: "正常访客无法连接或连接缓慢：可能遭受 SYN 洪泛攻击，或队列过小。",
    },
    remedy: Text {
        en: "See who it is: `ss -n state syn-recv | awk '{print $4}' | cut -d: -f1 | sort | uniq -c | sort -n | tail`. Keep \
             net.ipv4.tcp_syncookies=1; raise net.ipv4.tcp_max_syn_backlog and the service's backlog; for an attack, use \
             the provider's protection.",
        zh: "查看来源：`ss -n state syn-recv | awk '{print $4}' | cut -d: -f1 | sort | uniq -c | sort -n | tail`。\
             保持 net.ipv4.tcp_syncookies=1，提高 net.ipv4.tcp_max_syn_backlog 和服务的 backlog；若为攻击，请启用云厂商防护。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let names = ["TCPReqQFullDrop", "TCPReqQFullDoCookies"];
    let [dropped, cookies] = rises(host, "/proc/net/netstat", "TcpExt", names)?;
    let (drop_rate, cookie_rate) = (dropped.per_sec(), cookies.per_sec());
    let rate = drop_rate + cookie_rate;
    let found = Found::new(
        "",
        settings.level("", rate),
        words!(
            "per second, {drop_rate:.1} half-open connections are dropped and {cookie_rate:.1} answered with a cookie",
            "每秒有 {drop_rate:.1} 个半连接被丢弃，{cookie_rate:.1} 个以 SYN cookie 应答"
        ),
    );
    let found = found.value(rate, "/s").evidence("/proc/net/netstat", dropped.text());
    Ok(vec![found.evidence("/proc/net/netstat", cookies.text())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use crate::net::counters::tests::host;
    use cloud_doctor_proto::finding::Status;

    #[test]
    fn net_06_half_open_connections_are_a_rate() {
        for (dropped, cookies, expected) in
            [(0, 0, Status::Ok), (8, 7, Status::Warning), (0, 100, Status::Critical), (60, 0, Status::Critical)]
        {
            let rows = [("TCPReqQFullDrop", 5, 5 + dropped), ("TCPReqQFullDoCookies", 6, 6 + cookies)];
            assert_eq!(host("/proc/net/netstat", &rows).status(&CHECK), expected, "{dropped} {cookies}");
        }
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
    }
}
