//! How much TCP has to send again: the network loses packets, or the other side does.

use super::counters::rises;
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "net.retransmits",
    title: Text { en: "TCP retransmissions", zh: "TCP 重传" },
    reads: &["/proc/net/snmp"],
    needs: Needs::RATES,
    params: &[
        Param::above("warning", 2.0, 1.0, "%", "ours: below 1 % is usual on the Internet"),
        Param::above("critical", 5.0, 3.0, "%", "ours"),
        Param::plain("least", 1000.0, "", "ours: segments below which a share says nothing"),
    ],
    impact: Text {
        en: "Each lost packet costs at least 200 ms: pages and queries stall although nothing is overloaded.",
        zh: "每个丢失的数据包至少带来 200 毫秒延迟：即使没有过载，页面和查询也会卡顿。",
    },
    remedy: Text {
        en: "Find where: `ss -ti` shows retrans for each peer, `mtr -T -P 443 PEER` run from both sides shows the hop. Look \
             at net.drops and net.errors of this host and at the bandwidth limit of the instance.",
        zh: "定位丢包位置：`ss -ti` 可查看各对端的 retrans，在两端运行 `mtr -T -P 443 对端` 可定位到具体节点。\
             同时查看本机的 net.drops、net.errors 以及实例带宽上限。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let [again, sent] = rises(host, "/proc/net/snmp", "Tcp", ["RetransSegs", "OutSegs"])?;
    let (count, all, secs) = (again.by, sent.by, sent.secs);
    // OutSegs leaves out what is sent again (RFC 1213).
    let share = if all + count > 0.0 { 100.0 * count / (all + count) } else { 0.0 };
    let few = all + count < settings.number("least");
    let summary = if few {
        words!(
            "{count:.0} segments were sent again in {secs:.1} s; with {all:.0} sent, a share would say nothing",
            "{secs:.1} 秒内重传 {count:.0} 个段；仅发送 {all:.0} 个段，比例没有意义"
        )
    } else {
        words!(
            "{share:.1} % of {all:.0} TCP segments were sent again in {secs:.1} s",
            "{secs:.1} 秒内发送 {all:.0} 个 TCP 段，其中 {share:.1}% 为重传"
        )
    };
    let status = if few { Status::Ok } else { settings.level("", share) };
    let found = Found::new("", status, summary).value(share, "%");
    Ok(vec![found.evidence("/proc/net/snmp", again.text()).evidence("/proc/net/snmp", sent.text())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use crate::net::counters::tests::host;

    #[test]
    fn net_04_retransmissions_are_a_share_of_enough_segments() {
        for (again, sent, expected) in [
            (5, 10_000, Status::Ok),
            (300, 10_000, Status::Warning),
            (800, 10_000, Status::Critical),
            (50, 100, Status::Ok),
            (0, 0, Status::Ok),
        ] {
            let host = host("/proc/net/snmp", &[("RetransSegs", 7, 7 + again), ("OutSegs", 9, 9 + sent)]);
            assert_eq!(host.status(&CHECK), expected, "{again} {sent}");
        }
        assert_eq!(host("/proc/net/snmp", &[("OutSegs", 9, 9)]).status(&CHECK), Status::Unknown);
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
    }
}
