//! Connections that were thrown away because a service did not accept them in time.

use super::counters::rises;
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;

pub(crate) const CHECK: Check = Check {
    id: "net.listen-overflow",
    title: Text { en: "Connections dropped by full listen queues", zh: "监听队列溢出丢弃的连接" },
    reads: &["/proc/net/netstat"],
    needs: Needs::RATES,
    params: &[
        Param::above("warning", 1.0, 0.5, "/s", "netdata health.d/tcp_listen.conf, 1m_tcp_accept_queue_drops"),
        Param::above("critical", 5.0, 1.0, "/s", "netdata health.d/tcp_listen.conf, 1m_tcp_accept_queue_drops"),
    ],
    impact: Text {
        en: "Clients wait a second or more for the connection, or time out.",
        zh: "客户端建立连接需要等待一秒以上，甚至超时。",
    },
    remedy: Text {
        en: "net.accept-queue names the port. Make the service accept faster (more workers), and raise both \
             net.core.somaxconn and the service's own backlog (nginx: `listen ... backlog=4096`).",
        zh: "net.accept-queue 会指出具体端口。让服务更快地接受连接（增加工作进程），并同时提高 net.core.somaxconn \
             和服务自身的 backlog（nginx：`listen … backlog=4096`）。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let [overflows, drops] = rises(host, "/proc/net/netstat", "TcpExt", ["ListenOverflows", "ListenDrops"])?;
    // Every overflow is a drop too.
    let (rate, full, secs) = (drops.per_sec().max(overflows.per_sec()), overflows.by, drops.secs);
    let found = Found::new(
        "",
        settings.level("", rate),
        words!(
            "{rate:.1} connections per second are dropped before a service accepts them, {full:.0} by full queues in {secs:.1} s",
            "每秒有 {rate:.1} 个连接在服务接受之前被丢弃，{secs:.1} 秒内有 {full:.0} 个因队列已满"
        ),
    );
    let found = found.value(rate, "/s").evidence("/proc/net/netstat", overflows.text());
    Ok(vec![found.evidence("/proc/net/netstat", drops.text())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use crate::net::counters::tests::host;
    use cloud_doctor_proto::finding::Status;

    #[test]
    fn net_05_drops_of_listen_queues_are_a_rate() {
        for (overflows, drops, expected) in [
            (0, 0, Status::Ok),
            (5, 5, Status::Ok),
            (20, 20, Status::Warning),
            (0, 20, Status::Warning),
            (100, 100, Status::Critical),
        ] {
            let rows = [("ListenOverflows", 1000, 1000 + overflows), ("ListenDrops", 1000, 1000 + drops)];
            assert_eq!(host("/proc/net/netstat", &rows).status(&CHECK), expected, "{overflows} {drops}");
        }
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
    }
}
