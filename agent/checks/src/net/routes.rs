//! Whether packets find their way out, and whether answers by another way are thrown away.

use super::counters::{rise, setting};
use crate::check::{Check, Needs, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;
use std::collections::BTreeSet;

pub(crate) const CHECK: Check = Check {
    id: "net.routes",
    title: Text { en: "Default route and reverse path filter", zh: "默认路由与反向路径过滤" },
    reads: &["/proc/net/route", "/proc/net/ipv6_route", "/proc/sys/net/ipv4/conf/*/rp_filter", "/proc/net/netstat"],
    needs: Needs::RATES,
    params: &[],
    impact: Text {
        en: "This server does not reach the Internet: no updates, no mail, no calls to other services.",
        zh: "服务器无法访问外网：无法更新、发送邮件或调用其他服务。",
    },
    remedy: Text {
        en: "`ip route` shows what there is; `ip route add default via GATEWAY` mends it until the next boot. Then mend the \
             network configuration.",
        zh: "使用 `ip route` 查看现状；`ip route add default via 网关` 可临时恢复。然后修正网络配置。",
    },
    run,
};

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let four = host.must_read("/proc/net/route")?;
    let six = host.read("/proc/net/ipv6_route").unwrap_or_default();
    let routes: Vec<Route<'_>> = four.lines().filter_map(Route::parse).collect();
    let default_four = routes.iter().find(|route| route.default).map(|route| route.interface);
    let found = if let Some(interface) = default_four.or_else(|| six.lines().find_map(default_six)) {
        Found::new(
            "default route",
            Status::Ok,
            words!("there is a default route, by {interface}", "默认路由经由 {interface}"),
        )
    } else {
        let none = words!("there is no default route in the main table", "主路由表中没有默认路由");
        let rows = routes.len();
        Found::new("default route", Status::Warning, none)
            .evidence("/proc/net/route", format!("{rows} routes, none to 0.0.0.0/0"))
    };
    Ok([Some(found), strict_filter(host, &routes)].into_iter().flatten().collect())
}

/// Nothing on a host with one line: there every packet comes back the way it went.
fn strict_filter(host: &Host, routes: &[Route<'_>]) -> Option<Found> {
    let lines: BTreeSet<&str> = routes.iter().map(|route| route.interface).collect();
    let lines = lines.into_iter().filter(|name| host.exists(&format!("/sys/class/net/{name}/device")));
    let lines: Vec<&str> = lines.collect();
    if lines.len() < 2 {
        return None;
    }
    let level = |name: &str| setting(host, &format!("/proc/sys/net/ipv4/conf/{name}/rp_filter"), 0);
    let all = level("all").ok()?;
    // The stricter one counts, but 2 is looser than 1 and larger: ip-sysctl.rst.
    let strict = lines.iter().copied().find(|name| level(name).is_ok_and(|own| own.max(all) == 1));
    let subject = "reverse path filter";
    let Some(name) = strict else {
        let loose = words!("no reverse path filter is strict", "反向路径过滤均非严格模式");
        return Some(Found::new(subject, Status::Ok, loose));
    };
    let count = lines.len();
    let texts = host.twice("/proc/net/netstat").ok();
    let dropped = texts.as_ref().and_then(|texts| rise(texts, "TcpExt", "IPReversePathFilter"));
    let (by, ever) = dropped.as_ref().map_or((0.0, 0), |dropped| (dropped.by, dropped.now));
    let summary = words!(
        "{count} lines and a strict reverse path filter on {name}: it dropped {by:.0} packets in this run, {ever} since boot",
        "有 {count} 条链路，且 {name} 启用了严格反向路径过滤：本次运行丢弃 {by:.0} 个数据包，开机以来共 {ever} 个"
    );
    let found = if by > 0.0 { Found::new(subject, Status::Warning, summary) } else { Found::advice(subject, summary) };
    let found = found
        .evidence(format!("/proc/sys/net/ipv4/conf/{name}/rp_filter"), "strict (1)")
        .evidence("/proc/net/netstat", format!("IPReversePathFilter {ever}, +{by:.0}"));
    let found = found.impact(words!(
        "Packets that come in by one line while their answer would leave by another are dropped without a trace.",
        "从一条链路进入、而应答会从另一条链路发出的数据包会被静默丢弃。"
    ));
    Some(found.remedy(words!(
        "Set `net.ipv4.conf.all.rp_filter=2` (loose), or route answers by the line they came in (`ip rule`).",
        "设置 `net.ipv4.conf.all.rp_filter=2`（宽松模式），或使用 `ip rule` 让应答从原链路返回。"
    )))
}

/// One line of `/proc/net/route`.
struct Route<'a> {
    interface: &'a str,
    default: bool,
}

impl<'a> Route<'a> {
    /// `eth0 00000000 0101A8C0 0003 0 0 100 00000000 0 0 0`
    fn parse(line: &'a str) -> Option<Self> {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (interface, to, mask) = (*fields.first()?, *fields.get(1)?, *fields.get(7)?);
        let flags = u16::from_str_radix(fields.get(3)?, 16).ok()?;
        // RTF_UP, and not RTF_REJECT.
        let usable = flags & 0x1 != 0 && flags & 0x200 == 0;
        Some(Self { interface, default: usable && to == "00000000" && mask == "00000000" })
    }
}

/// The interface of a default route: destination, length, …, flags, interface.
fn default_six(line: &str) -> Option<&str> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (to, length, interface) = (fields.first()?, fields.get(1)?, *fields.get(9)?);
    let is_default = *length == "00" && to.bytes().all(|byte| byte == b'0');
    (is_default && interface != "lo").then_some(interface)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use crate::net::counters::tests::host;

    const HEAD: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
    const DEFAULT: &str = "eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n";
    const OTHER: &str = "eth1\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n";

    #[test]
    fn net_17_a_missing_default_route_is_told() {
        let six = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003";
        for (four, six, expected) in [
            (format!("{HEAD}{DEFAULT}"), String::new(), Status::Ok),
            (format!("{HEAD}{OTHER}"), String::new(), Status::Warning),
            (HEAD.to_owned(), format!("{six} eth0\n"), Status::Ok),
            (HEAD.to_owned(), format!("{six} lo\n"), Status::Warning),
        ] {
            let host = Fixture::live().file("/proc/net/route", &four).file("/proc/net/ipv6_route", &six);
            assert_eq!(host.status(&CHECK), expected, "{four} {six}");
        }
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
    }

    #[test]
    fn net_17_a_strict_filter_hurts_with_two_lines_when_it_drops() {
        for (all, own, dropped, expected, note) in [
            ("0", "0", 5, Status::Ok, false),
            ("1", "0", 0, Status::Ok, true),
            ("1", "0", 5, Status::Warning, false),
            ("0", "1", 5, Status::Warning, false),
            ("1", "2", 5, Status::Ok, false),
        ] {
            let mut host = host("/proc/net/netstat", &[("IPReversePathFilter", 7, 7 + dropped)])
                .file("/proc/net/route", format!("{HEAD}{DEFAULT}{OTHER}"))
                .file("/proc/sys/net/ipv4/conf/all/rp_filter", all);
            for name in ["eth0", "eth1"] {
                host = host
                    .file(&format!("/proc/sys/net/ipv4/conf/{name}/rp_filter"), own)
                    .file(&format!("/sys/class/net/{name}/device/vendor"), "0x1af4\n");
            }
            let found = host.run(&CHECK);
            assert_eq!((found[1].status, found[1].note), (expected, note), "{all} {own} {dropped}");
        }
    }
}
