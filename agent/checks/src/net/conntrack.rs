//! Whether the firewall can remember more connections: a full table drops new ones without a word to the client.

use super::counters::setting;
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::number::percent;
use crate::run::Settings;
use crate::words;

pub(crate) const CHECK: Check = Check {
    id: "net.conntrack",
    title: Text { en: "Connection tracking table", zh: "连接跟踪表" },
    reads: &["/proc/sys/net/netfilter/nf_conntrack_count", "/proc/sys/net/netfilter/nf_conntrack_max"],
    needs: Needs::LIVE,
    params: &[
        Param::above("warning", 75.0, 65.0, "%", "prometheus node-mixin, NodeHighNumberConntrackEntriesUsed"),
        Param::above("critical", 90.0, 80.0, "%", "kubernetes/node-problem-detector; netdata health.d/netfilter.conf"),
    ],
    impact: Text {
        en: "When the table is full, new connections are dropped at random while the old ones work: a riddle for everybody.",
        zh: "表满后新连接会被随机丢弃，而旧连接正常，故障现象难以理解。",
    },
    remedy: Text {
        en: "Raise net.netfilter.nf_conntrack_max (about 320 bytes of memory each) and keep the buckets at a quarter of it; \
             shorten net.netfilter.nf_conntrack_tcp_timeout_established (5 days by default); do not track busy public \
             ports (`notrack`).",
        zh: "提高 net.netfilter.nf_conntrack_max（每条约占 320 字节内存），桶数保持为其四分之一；\
             缩短 net.netfilter.nf_conntrack_tcp_timeout_established（默认 5 天）；对繁忙的公网端口不做跟踪（`notrack`）。",
    },
    run,
};

const COUNT: &str = "/proc/sys/net/netfilter/nf_conntrack_count";
const MAX: &str = "/proc/sys/net/netfilter/nf_conntrack_max";

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    // No such file: nothing is tracked here.
    host.read(COUNT)?;
    let (count, max) = (setting(host, COUNT, 0)?, setting(host, MAX, 0)?);
    // No limit at all.
    let used = percent(count, max).unwrap_or(0.0);
    let found = Found::new(
        "",
        settings.level("", used),
        words!(
            "{used:.0} % of the connection tracking table is used, {count} of {max}",
            "连接跟踪表已使用 {used:.0}%（{count}/{max}）"
        ),
    );
    Ok(vec![found.value(used, "%").evidence(COUNT, count.to_string()).evidence(MAX, max.to_string())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use cloud_doctor_proto::finding::Status;

    #[test]
    fn net_07_the_table_is_judged_before_it_is_full() {
        for (count, expected) in [
            ("100\n", Status::Ok),
            ("200000\n", Status::Warning),
            ("240000\n", Status::Critical),
            ("many\n", Status::Unknown),
        ] {
            let host = Fixture::live().file(COUNT, count).file(MAX, "262144\n");
            assert_eq!(host.status(&CHECK), expected, "{count}");
        }
        assert!(Fixture::live().has_none_of(&CHECK));
        assert_eq!(Fixture::live().file(COUNT, "1\n").status(&CHECK), Status::Unknown);
    }
}
