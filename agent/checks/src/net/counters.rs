//! The kernel's network counters: `/proc/net/snmp`, `/proc/net/netstat`, `/proc/net/dev`, `/proc/net/sockstat`.

use crate::found::Gap;
use crate::host::{Host, Twice};
use crate::words;

/// Interfaces that are judged; hosts of containers have hundreds.
const INTERFACES_MAX: usize = 500;

/// A counter over the time of the run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rise {
    /// Its name, as the kernel writes it.
    pub(super) name: &'static str,
    /// How much it rose.
    pub(super) by: f64,
    /// What it is now, since boot.
    pub(super) now: u64,
    /// Over how long.
    pub(super) secs: f64,
}

impl Rise {
    pub(super) fn per_sec(&self) -> f64 {
        self.by / self.secs
    }

    /// What was read, for evidence.
    pub(super) fn text(&self) -> String {
        format!("{} {}, +{} in {:.1} s", self.name, self.now, self.by, self.secs)
    }
}

/// How much counters of one group (`Tcp`, `TcpExt`) rose.
///
/// # Errors
/// [`Gap::Unknown`] when one is missing, or went back: then the network stack is another one.
pub(super) fn rises<const N: usize>(
    host: &Host,
    path: &'static str,
    group: &str,
    names: [&'static str; N],
) -> Result<[Rise; N], Gap> {
    let texts = host.twice(path)?;
    let risen = names.map(|name| rise(&texts, group, name));
    if let Some(at) = risen.iter().position(Option::is_none) {
        let name = names[at];
        return Err(Gap::Unknown(words!(
            "{path} does not tell how {group} {name} rose",
            "{path} 无法提供 {group} {name} 的增量"
        )));
    }
    let mut risen = risen.into_iter().flatten();
    let none = |name| Rise { name, by: 0.0, now: 0, secs: texts.secs };
    Ok(names.map(|name| risen.next().unwrap_or_else(|| none(name))))
}

/// One that a kernel may not have.
pub(super) fn rise(texts: &Twice, group: &str, name: &'static str) -> Option<Rise> {
    let (before, now) = (pair(&texts.before, group, name)?, pair(&texts.after, group, name)?);
    #[expect(clippy::cast_precision_loss, reason = "what happened in one run")]
    Some(Rise { name, by: now.checked_sub(before)? as f64, now, secs: texts.secs })
}

/// A number from the lines `Tcp: names…` and `Tcp: numbers…`.
pub(super) fn pair(text: &str, group: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(group)?.strip_prefix(':'));
    let (names, numbers) = (lines.next()?, lines.next()?);
    let mut both = names.split_ascii_whitespace().zip(numbers.split_ascii_whitespace());
    both.find(|(one, _)| *one == name)?.1.parse().ok()
}

/// A number of `/proc/net/sockstat`: `TCP: inuse 1 orphan 0 tw 2 alloc 1 mem 193`.
pub(super) fn sockstat(host: &Host, group: &str, name: &str) -> Result<u64, Gap> {
    let text = host.must_read("/proc/net/sockstat")?;
    let line = text.lines().find_map(|line| line.strip_prefix(group)?.strip_prefix(':'));
    let words: Vec<&str> = line.unwrap_or_default().split_ascii_whitespace().collect();
    let found =
        words.chunks_exact(2).find(|pair| pair.first() == Some(&name)).and_then(|pair| pair.get(1)?.parse().ok());
    found.ok_or_else(|| {
        Gap::Unknown(words!("/proc/net/sockstat has no {group} {name}", "/proc/net/sockstat 中没有 {group} {name}"))
    })
}

/// A kernel setting of one number, or one of several.
pub(super) fn setting(host: &Host, path: &str, index: usize) -> Result<u64, Gap> {
    let text = host.must_read(path)?;
    let number = text.split_ascii_whitespace().nth(index).and_then(|word| word.parse().ok());
    number.ok_or_else(|| Gap::Unknown(words!("{path} is no number", "{path} 不是数字")))
}

/// What one interface did during the run.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Traffic {
    pub(super) name: String,
    pub(super) received: Direction,
    pub(super) sent: Direction,
}

/// One direction of it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Direction {
    pub(super) bytes: f64,
    pub(super) packets: f64,
    pub(super) errors: f64,
    pub(super) drops: f64,
}

impl Direction {
    /// A share of all packets, those that were lost included.
    pub(super) fn percent(&self, lost: f64) -> f64 {
        let all = self.packets + lost;
        if all > 0.0 { 100.0 * lost / all } else { 0.0 }
    }
}

/// All interfaces but loopback, and over how many seconds.
pub(super) fn traffic(host: &Host) -> Result<(Vec<Traffic>, f64), Gap> {
    let texts = host.twice("/proc/net/dev")?;
    let before: Vec<_> = texts.before.lines().filter_map(interface).collect();
    let risen =
        texts.after.lines().filter_map(interface).filter(|(name, _)| *name != "lo").filter_map(|(name, now)| {
            let (_, before) = before.iter().find(|(one, _)| *one == name)?;
            let mut by = [0.0; 16];
            for ((by, now), before) in by.iter_mut().zip(now).zip(before) {
                #[expect(clippy::cast_precision_loss, reason = "what happened in one run")]
                let risen = now.checked_sub(*before)? as f64;
                *by = risen;
            }
            let direction =
                |at: usize| Direction { bytes: by[at], packets: by[at + 1], errors: by[at + 2], drops: by[at + 3] };
            Some(Traffic { name: name.to_owned(), received: direction(0), sent: direction(8) })
        });
    let interfaces: Vec<Traffic> = risen.take(INTERFACES_MAX).collect();
    if interfaces.is_empty() {
        return Err(Gap::NotHere(words!("there is no network interface but loopback", "除回环外没有网络接口")));
    }
    Ok((interfaces, texts.secs))
}

fn interface(line: &str) -> Option<(&str, [u64; 16])> {
    let (name, numbers) = line.split_once(':')?;
    let numbers: Vec<u64> = numbers.split_ascii_whitespace().map_while(|number| number.parse().ok()).collect();
    Some((name.trim(), numbers.get(..16)?.try_into().ok()?))
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;

    /// A host of which one counter file was read twice, ten seconds apart. A row: group, name, before, after.
    pub(in crate::net) fn host(path: &'static str, rows: &[(&str, u64, u64)]) -> Fixture {
        let text = |group: &str, pick: fn(&(&str, u64, u64)) -> u64| {
            let names: String = rows.iter().map(|row| format!(" {}", row.0)).collect();
            let numbers: String = rows.iter().map(|row| format!(" {}", pick(row))).collect();
            format!("Ip: Forwarding\nIp: 1\n{group}: First{names}\n{group}: -1{numbers}\n")
        };
        let all = |pick| ["Tcp", "TcpExt", "Udp"].map(|group| text(group, pick)).concat();
        Fixture::live().file(path, all(|row| row.1)).later(path, &all(|row| row.2)).secs(10.0)
    }

    /// A host with one interface; what its counters rose by in ten seconds: bytes, packets, errors, drops received, sent.
    pub(in crate::net) fn interface_host(by: [u64; 8]) -> Fixture {
        let text = |by: [u64; 8]| {
            format!(
                "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    lo:  9 9 99 99 0 0 0 0 9 9 99 99 0 0 0 0\n  eth0:{} {} {} {} 0 0 0 0 {} {} {} {} 0 0 0 0\n",
                by[0], by[1], by[2], by[3], by[4], by[5], by[6], by[7]
            )
        };
        Fixture::live().file("/proc/net/dev", text([0; 8])).later("/proc/net/dev", &text(by)).secs(10.0)
    }

    #[test]
    fn counters_of_any_shape_do_no_harm() {
        let text = "Tcp: A B C\nTcp: 1 -1 7\nTcpExt: A\n";
        for (group, name, number) in [
            ("Tcp", "A", Some(1)),
            ("Tcp", "B", None),
            ("Tcp", "C", Some(7)),
            ("Tcp", "D", None),
            ("TcpExt", "A", None),
        ] {
            assert_eq!(pair(text, group, name), number, "{group} {name}");
        }
        let back = host("/proc/net/snmp", &[("A", 5, 4)]);
        assert!(rises(&back.host(), "/proc/net/snmp", "Tcp", ["A"]).is_err(), "a counter that went back");
        let (interfaces, _) = traffic(&interface_host([1000, 10, 1, 2, 3, 4, 5, 6]).host()).unwrap();
        assert_eq!(interfaces.len(), 1);
        assert_eq!(interfaces[0].received, Direction { bytes: 1000.0, packets: 10.0, errors: 1.0, drops: 2.0 });
        assert_eq!(interfaces[0].sent.drops, 6.0);
    }
}
