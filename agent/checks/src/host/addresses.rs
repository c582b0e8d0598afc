//! The addresses of a running host, from the kernel's tables.

use super::Host;
use crate::found::Gap;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

/// Every address that the kernel takes for its own in this network namespace.
pub const ADDRESSES_FROM: [&str; 2] = ["/proc/net/fib_trie", "/proc/net/if_inet6"];

impl Host {
    /// This host's own addresses, loopback included.
    ///
    /// # Errors
    /// [`Gap::Unknown`] on a root that is not running, or when the kernel's tables cannot be read.
    pub fn addresses(&self) -> Result<BTreeSet<IpAddr>, Gap> {
        self.must_live()?;
        let [v4, v6] = ADDRESSES_FROM;
        let mut addresses: BTreeSet<IpAddr> = local_v4(&self.must_read(v4)?).collect();
        match self.read(v6) {
            Ok(text) => addresses.extend(local_v6(&text)),
            // A kernel without IPv6 has no such addresses.
            Err(Gap::NotHere(_)) => {}
            Err(gap) => return Err(gap),
        }
        Ok(addresses)
    }
}

/// `|-- 10.0.0.5` with `/32 host LOCAL` below it.
fn local_v4(trie: &str) -> impl Iterator<Item = IpAddr> {
    let mut last = None;
    trie.lines().filter_map(move |line| {
        let line = line.trim_start();
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.trim().parse().ok();
            None
        } else {
            last.filter(|_| line.starts_with("/32 host LOCAL"))
        }
    })
}

/// `fd000000000000000000000000000001 02 40 00 80 eth0`.
fn local_v6(table: &str) -> impl Iterator<Item = IpAddr> {
    let digits = table.lines().filter_map(|line| line.split_ascii_whitespace().next()).filter(|word| word.len() == 32);
    digits.filter_map(|word| u128::from_str_radix(word, 16).ok()).map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    /// As Linux 6.1 prints it.
    const TRIE: &str = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     +-- 10.0.0.0/24 2 0 2\n        |-- 10.0.0.0\n           /24 link UNICAST\n        |-- 10.0.0.5\n           /32 host LOCAL\n        |-- 10.0.0.255\n           /32 link BROADCAST\n     |-- 127.0.0.1\n        /8 host LOCAL\n        /32 host LOCAL\n";

    #[test]
    fn own_addresses_are_told_from_those_of_networks() {
        let fixture = Fixture::live().file("/proc/net/fib_trie", TRIE);
        let text = |fixture: &Fixture| {
            fixture.host().addresses().map(|all| all.iter().map(IpAddr::to_string).collect::<Vec<_>>())
        };
        assert_eq!(text(&fixture), Ok(vec!["10.0.0.5".to_owned(), "127.0.0.1".to_owned()]));
        let v6 = "fd000000000000000000000000000001 02 40 00 80     eth0\nnonsense\n";
        let fixture = fixture.file("/proc/net/if_inet6", v6);
        assert_eq!(text(&fixture).map(|all| all[2].clone()), Ok("fd00::1".to_owned()));
        assert!(text(&Fixture::live()).is_err());
        assert!(text(&Fixture::image().file("/proc/net/fib_trie", TRIE)).is_err());
    }
}
