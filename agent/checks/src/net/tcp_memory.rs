//! How much memory TCP holds, against what it may.

use super::counters::{setting, sockstat};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::number::percent;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "net.tcp-memory",
    title: Text { en: "Memory of TCP", zh: "TCP 内存" },
    reads: &["/proc/net/sockstat", "/proc/sys/net/ipv4/tcp_mem"],
    needs: Needs::LIVE,
    params: &[
        Param::above("warning", 100.0, 80.0, "%", "of the pressure level; netdata health.d/tcp_mem.conf"),
        Param::above("critical", 90.0, 80.0, "%", "of the limit; netdata health.d/tcp_mem.conf"),
    ],
    impact: Text {
        en: "Under pressure TCP keeps its windows small and every transfer gets slow; at the limit connections break.",
        zh: "内存紧张时 TCP 会缩小窗口，所有传输变慢；达到上限时连接会中断。",
    },
    remedy: Text {
        en: "Find who does not read or send: `ss -tm | sort -k2 -n` shows full queues. Mend the slow reader, then raise \
             net.ipv4.tcp_mem if the server has memory to spare.",
        zh: "查找未及时收发的连接：`ss -tm` 可看到堆积的队列。先处理慢速的一方，内存充足时再提高 net.ipv4.tcp_mem。",
    },
    run,
};

const LEVELS: &str = "/proc/sys/net/ipv4/tcp_mem";

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let pages = sockstat(host, "TCP", "mem")?;
    let (pressure, limit) = (setting(host, LEVELS, 1)?, setting(host, LEVELS, 2)?);
    let of_pressure = percent(pages, pressure).unwrap_or(0.0);
    let of_limit = percent(pages, limit).unwrap_or(0.0);
    let status = match settings.level_of("", of_limit, "", "critical") {
        Status::Critical => Status::Critical,
        Status::Ok | Status::Unknown | Status::Warning => settings.level_of("", of_pressure, "warning", ""),
    };
    let found = Found::new(
        "",
        status,
        words!(
            "TCP holds {pages} pages of memory, {of_limit:.0} % of its limit; pressure begins at {pressure}",
            "TCP 占用 {pages} 页内存，为上限的 {of_limit:.0}%；压力阈值为 {pressure}"
        ),
    );
    let found = found.value(of_limit, "%").evidence("/proc/net/sockstat", format!("TCP mem {pages}"));
    Ok(vec![found.evidence(LEVELS, format!("pressure {pressure}, limit {limit}"))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn net_11_memory_is_judged_by_pressure_and_limit() {
        for (pages, expected) in [(100, Status::Ok), (13_000, Status::Warning), (18_000, Status::Critical)] {
            let stat = format!("TCP: inuse 1 orphan 0 tw 2 alloc 1 mem {pages}\n");
            let host = Fixture::live().file("/proc/net/sockstat", stat).file(LEVELS, "9393\t12525\t18786\n");
            assert_eq!(host.status(&CHECK), expected, "{pages}");
        }
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
    }
}
