//! How many closed connections the kernel still remembers, against how many it may.

use super::counters::{setting, sockstat};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::number::percent;
use crate::run::Settings;
use crate::words;

pub(crate) const CHECK: Check = Check {
    id: "net.time-wait",
    title: Text { en: "Connections in TIME-WAIT", zh: "TIME-WAIT 连接" },
    reads: &["/proc/net/sockstat", "/proc/sys/net/ipv4/tcp_max_tw_buckets"],
    needs: Needs::LIVE,
    params: &[Param::above("warning", 80.0, 60.0, "%", "ours: at 100 % they are ended early, ip-sysctl.rst")],
    impact: Text {
        en: "Above the limit connections are forgotten too early, and late packets can disturb new ones.",
        zh: "超过上限后连接会被过早遗忘，迟到的数据包可能干扰新连接。",
    },
    remedy: Text {
        en: "Use connections again instead of opening new ones (keep-alive to backends and databases). TIME-WAIT itself is \
             no fault: do not look for tcp_tw_recycle.",
        zh: "复用连接而不是频繁新建（到后端和数据库使用长连接）。TIME-WAIT 本身不是故障，不要使用 tcp_tw_recycle。",
    },
    run,
};

const MAX: &str = "/proc/sys/net/ipv4/tcp_max_tw_buckets";

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let (count, max) = (sockstat(host, "TCP", "tw")?, setting(host, MAX, 0)?);
    let used = percent(count, max).unwrap_or(0.0);
    let found = Found::new(
        "",
        settings.level("", used),
        words!("{count} connections are in TIME-WAIT, {max} may be", "{count} 个连接处于 TIME-WAIT，上限为 {max}"),
    );
    Ok(vec![
        found.value(used, "%").evidence("/proc/net/sockstat", format!("TCP tw {count}")).evidence(MAX, max.to_string()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use cloud_doctor_proto::finding::Status;

    #[test]
    fn net_09_time_wait_is_judged_by_its_limit() {
        for (count, expected) in [(100, Status::Ok), (60_000, Status::Warning)] {
            let stat =
                format!("sockets: used 17\nTCP: inuse 1 orphan 0 tw {count} alloc 1 mem 193\nUDP: inuse 0 mem 0\n");
            let host = Fixture::live().file("/proc/net/sockstat", stat).file(MAX, "65536\n");
            assert_eq!(host.status(&CHECK), expected, "{count}");
        }
        for stat in ["", "TCP: inuse 1 orphan\n", "TCP: tw x\n"] {
            let host = Fixture::live().file("/proc/net/sockstat", stat).file(MAX, "65536\n");
            assert_eq!(host.status(&CHECK), Status::Unknown, "{stat}");
        }
    }
}
