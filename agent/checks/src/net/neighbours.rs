//! How many neighbours the kernel remembers, against how many it may: full, it cannot speak to new ones.

use super::counters::setting;
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::number::percent;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "net.neighbours",
    title: Text { en: "Neighbour tables", zh: "邻居表" },
    reads: &["/proc/net/stat/arp_cache", "/proc/net/stat/ndisc_cache", "/proc/sys/net/*/neigh/default/gc_thresh3"],
    needs: Needs::LIVE,
    params: &[Param::above("warning", 80.0, 60.0, "%", "ours: at 100 % the kernel says \"neighbour table overflow\"")],
    impact: Text {
        en: "When the table is full, new hosts and containers in the same network cannot be reached.",
        zh: "表满后，同一网络中的新主机和容器将无法访问。",
    },
    remedy: Text {
        en: "Raise net.ipv4.neigh.default.gc_thresh1, gc_thresh2 and gc_thresh3 together (such as 4096, 8192, 16384), or make \
             the network smaller.",
        zh: "同时提高 net.ipv4.neigh.default.gc_thresh1、gc_thresh2 和 gc_thresh3（例如 4096、8192、16384），或缩小网段。",
    },
    run,
};

/// Table, its numbers, its limit.
const TABLES: [(&str, &str, &str); 2] = [
    ("ARP", "/proc/net/stat/arp_cache", "/proc/sys/net/ipv4/neigh/default/gc_thresh3"),
    ("NDP", "/proc/net/stat/ndisc_cache", "/proc/sys/net/ipv6/neigh/default/gc_thresh3"),
];

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let found: Vec<Found> = TABLES.iter().filter_map(|table| look(host, settings, *table)).collect();
    if found.is_empty() {
        return Err(Gap::NotHere(words!("the kernel shows no neighbour table here", "内核在此未提供邻居表")));
    }
    Ok(found)
}

/// Nothing where the address family is off, and inside containers.
fn look(host: &Host, settings: &Settings<'_>, (name, stat, limit): (&str, &str, &str)) -> Option<Found> {
    let counts = || {
        let text = host.read(stat)?;
        // Each processor's line begins with the size of the whole table, in hex.
        let count = text.lines().nth(1).and_then(|line| u64::from_str_radix(line.split(' ').next()?, 16).ok());
        let count = count.ok_or_else(|| Gap::Unknown(words!("{stat} has no numbers", "{stat} 中没有数字")))?;
        Ok((count, setting(host, limit, 0)?))
    };
    let (count, max) = match counts() {
        Ok(both) => both,
        Err(Gap::NotHere(_)) => return None,
        Err(Gap::Unknown(why)) => return Some(Found::new(name, Status::Unknown, why)),
    };
    let used = percent(count, max).unwrap_or(0.0);
    let found = Found::new(
        name,
        settings.level(name, used),
        words!("the {name} table holds {count} neighbours, {max} may be", "{name} 表中有 {count} 个邻居，上限为 {max}"),
    );
    Some(found.value(used, "%").evidence(stat, format!("entries {count}")).evidence(limit, max.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn net_20_tables_are_judged_before_they_are_full() {
        let [(_, stat, limit), _] = TABLES;
        for (line, expected) in [
            ("00000010  00000005 00000000\n00000010  00000001 00000000\n", Status::Ok),
            ("00000380  00000005 00000000\n", Status::Warning),
            ("zz\n", Status::Unknown),
            ("", Status::Unknown),
        ] {
            let host = Fixture::live().file(stat, format!("entries  allocs destroys\n{line}")).file(limit, "1024\n");
            assert_eq!(host.status(&CHECK), expected, "{line}");
        }
        assert_eq!(Fixture::live().file(stat, "entries\n00000001 0\n").status(&CHECK), Status::Unknown);
        assert!(Fixture::live().has_none_of(&CHECK));
    }
}
