//! Connections that no process holds any more while the kernel still tries to finish them.

use super::counters::{setting, sockstat};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::number::percent;
use crate::run::Settings;
use crate::words;

pub(crate) const CHECK: Check = Check {
    id: "net.orphans",
    title: Text { en: "Orphaned connections", zh: "孤儿连接" },
    reads: &["/proc/net/sockstat", "/proc/sys/net/ipv4/tcp_max_orphans"],
    needs: Needs::LIVE,
    params: &[
        Param::above("warning", 25.0, 20.0, "%", "netdata health.d/tcp_orphans.conf"),
        Param::above("critical", 50.0, 25.0, "%", "netdata health.d/tcp_orphans.conf"),
    ],
    impact: Text {
        en: "Above the limit the kernel resets connections, and visitors get half a page.",
        zh: "超过上限后内核会重置连接，访客只能收到部分页面。",
    },
    remedy: Text {
        en: "Look for clients that vanish or an attack (`ss -o state fin-wait-1`); lower net.ipv4.tcp_orphan_retries and \
             net.ipv4.tcp_fin_timeout, or raise net.ipv4.tcp_max_orphans (64 KiB of memory each at worst).",
        zh: "检查异常断开的客户端或攻击（`ss -o state fin-wait-1`）；降低 net.ipv4.tcp_orphan_retries 和 \
             net.ipv4.tcp_fin_timeout，或提高 net.ipv4.tcp_max_orphans（每个最多占 64 KiB 内存）。",
    },
    run,
};

const MAX: &str = "/proc/sys/net/ipv4/tcp_max_orphans";

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let (count, max) = (sockstat(host, "TCP", "orphan")?, setting(host, MAX, 0)?);
    let used = percent(count, max).unwrap_or(0.0);
    let found = Found::new(
        "",
        settings.level("", used),
        words!("{count} connections are orphaned, {max} may be", "{count} 个孤儿连接，上限为 {max}"),
    );
    let found = found.value(used, "%").evidence("/proc/net/sockstat", format!("TCP orphan {count}"));
    Ok(vec![found.evidence(MAX, max.to_string())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use cloud_doctor_proto::finding::Status;

    #[test]
    fn net_10_orphans_are_judged_by_their_limit() {
        for (count, expected) in [(10, Status::Ok), (3000, Status::Warning), (6000, Status::Critical)] {
            let stat = format!("TCP: inuse 1 orphan {count} tw 2 alloc 1 mem 193\n");
            let host = Fixture::live().file("/proc/net/sockstat", stat).file(MAX, "8192\n");
            assert_eq!(host.status(&CHECK), expected, "{count}");
        }
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
    }
}
