//! Whether bonded interfaces have all their lines.

use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "net.bond",
    title: Text { en: "Lines of bonded interfaces", zh: "绑定网卡的链路" },
    reads: &["/proc/net/bonding/*"],
    needs: Needs::LIVE,
    params: &[],
    impact: Text {
        en: "The spare line is gone: the next failure cuts this server off, and there may be less bandwidth already.",
        zh: "备用链路已失效：再有一次故障服务器将断网，且带宽可能已经减少。",
    },
    remedy: Text {
        en: "Look at cable, module and switch port of the line that is down (`ethtool IF`), then at /proc/net/bonding.",
        zh: "检查断开链路的网线、光模块和交换机端口（`ethtool 网卡`），然后查看 /proc/net/bonding。",
    },
    run,
};

/// Bonds that are judged.
const BONDS_MAX: usize = 50;

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let bonds = host.list("/proc/net/bonding")?;
    let found: Vec<Found> = bonds.iter().take(BONDS_MAX).map(|entry| look(host, &entry.name)).collect();
    if found.is_empty() {
        return Err(Gap::NotHere(words!("no interfaces are bonded", "没有绑定网卡")));
    }
    Ok(found)
}

fn look(host: &Host, name: &str) -> Found {
    let path = format!("/proc/net/bonding/{name}");
    let text = match host.must_read(&path) {
        Ok(text) => text,
        Err(Gap::NotHere(why) | Gap::Unknown(why)) => return Found::new(name, Status::Unknown, why),
    };
    let lines = lines(&text);
    let down: Vec<&str> = lines.iter().filter(|(_, up)| !up).map(|(line, _)| *line).collect();
    let (all, up) = (lines.len(), lines.len() - down.len());
    if lines.is_empty() {
        return Found::new(name, Status::Warning, words!("{name} has no line at all", "{name} 没有任何成员链路"))
            .evidence(path, text.lines().next().unwrap_or_default());
    }
    if down.is_empty() {
        return Found::new(
            name,
            Status::Ok,
            words!("all {all} lines of {name} are up", "{name} 的 {all} 条链路均正常"),
        );
    }
    let names = down.join(", ");
    Found::new(
        name,
        if up == 0 { Status::Critical } else { Status::Warning },
        words!("{up} of {all} lines of {name} are up, down: {names}", "{name} 仅 {up}/{all} 条链路正常，断开：{names}"),
    )
    .evidence(path, format!("MII Status down: {names}"))
}

/// `Slave Interface: eth0`, then its `MII Status: up`.
fn lines(text: &str) -> Vec<(&str, bool)> {
    let mut lines: Vec<(&str, bool)> = Vec::new();
    for line in text.lines() {
        let Some((name, value)) = line.split_once(": ") else { continue };
        match (name.trim(), lines.last_mut()) {
            ("Slave Interface", _) => lines.push((value.trim(), false)),
            ("MII Status", Some(last)) => last.1 = value.trim() == "up",
            (_, _) => {}
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn net_15_a_line_that_is_down_is_told() {
        let text = |one: &str, other: &str| {
            format!(
                "Ethernet Channel Bonding Driver: v6.1\n\nBonding Mode: fault-tolerance (active-backup)\nMII Status: up\n\nSlave Interface: eth0\nMII Status: {one}\nSpeed: 1000 Mbps\n\nSlave Interface: eth1\nMII Status: {other}\n"
            )
        };
        for (one, other, expected) in
            [("up", "up", Status::Ok), ("up", "down", Status::Warning), ("down", "down", Status::Critical)]
        {
            let host = Fixture::live().file("/proc/net/bonding/bond0", text(one, other));
            assert_eq!(host.status(&CHECK), expected, "{one} {other}");
        }
        assert_eq!(Fixture::live().file("/proc/net/bonding/bond0", "MII Status: up\n").status(&CHECK), Status::Warning);
        assert!(Fixture::live().has_none_of(&CHECK));
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }
}
