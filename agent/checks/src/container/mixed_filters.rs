//! Rules of iptables in both its forms at once, of which each hides the other's. Advice: files do not tell the rules.

use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "container.mixed-iptables",
    title: Text { en: "Both forms of iptables", zh: "混用两种 iptables" },
    reads: &["/proc/net/ip_tables_names", "/sys/module/nft_compat"],
    needs: Needs { root: true, ..Needs::LIVE },
    params: &[],
    impact: Text {
        en: "A rule of one form does not show in the other: ports of containers stay closed or open, and nobody sees why.",
        zh: "一种形式的规则在另一种中不可见：容器端口莫名不通或意外开放，且难以排查。",
    },
    remedy: Text {
        en: "Compare iptables-legacy -S and iptables-nft -S. Let Docker, kubelet and the firewall use the same one \
             (update-alternatives --config iptables), then restart the host in a window.",
        zh: "对比 iptables-legacy -S 与 iptables-nft -S 的输出。让 Docker、kubelet 和防火墙使用同一种（update-alternatives --config \
             iptables），再在维护窗口内重启主机。",
    },
    run,
};

const LEGACY: &str = "/proc/net/ip_tables_names";
/// Loaded when iptables-nft uses a match or target of the old form, which container runtimes always do.
const NFT: &str = "/sys/module/nft_compat";

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let tables = match host.read(LEGACY) {
        Ok(text) => text.split_ascii_whitespace().take(10).collect::<Vec<_>>().join(" "),
        Err(Gap::NotHere(_)) => String::new(),
        Err(gap) => return Err(gap),
    };
    let is_nft = host.exists(NFT);
    if tables.is_empty() && !is_nft {
        return Err(Gap::NotHere(words!("iptables is not used here", "此主机未使用 iptables")));
    }
    let found = if is_nft && !tables.is_empty() {
        let summary =
            words!("both forms of iptables are loaded; either may have rules", "两种 iptables 均已加载，可能各有规则");
        Found::advice("", summary)
    } else {
        Found::new("", Status::Ok, words!("only one form of iptables is used", "只使用了一种 iptables"))
    };
    Ok(vec![found.evidence(LEGACY, format!("legacy tables: {tables}")).evidence(NFT, format!("loaded: {is_nft}"))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn con_10_both_forms_at_once_are_advice() {
        let legacy = || Fixture::live().file(LEGACY, "nat\nfilter\n");
        let nft = |fixture: Fixture| fixture.file(&format!("{NFT}/refcnt"), "3\n");
        for (name, fixture, note) in
            [("legacy", legacy(), false), ("nft", nft(Fixture::live()), false), ("both", nft(legacy()), true)]
        {
            let found = fixture.run(&CHECK);
            assert_eq!((found[0].status, found[0].note), (Status::Ok, note), "{name}");
        }
        assert!(Fixture::live().has_none_of(&CHECK));
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }
}
