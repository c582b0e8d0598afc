//! Addresses that this host has, and whether the whole internet could reach them.

use super::Host;
use crate::found::Gap;
use std::net::IpAddr;

/// Addresses that are kept.
const ADDRESSES_MAX: usize = 4096;

/// This host's own addresses, loopback and link-local ones left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Those that the internet could route to.
    pub public: Vec<IpAddr>,
    /// Those of private networks.
    pub private: Vec<IpAddr>,
}

/// From where an address can be reached, if no firewall is in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// From this host only.
    Host,
    /// From the networks that this host is in. A cloud may give it a public address that it does not see.
    Networks,
    /// From the internet.
    Internet,
}

impl Host {
    /// This host's addresses, by who could reach them.
    ///
    /// # Errors
    /// [`Gap::Unknown`] on a root that is not running, or when the kernel does not show them.
    pub fn reachable(&self) -> Result<Addresses, Gap> {
        let others = self.addresses()?.into_iter().filter(|address| !is_own(*address)).take(ADDRESSES_MAX);
        let (public, private) = others.partition(|address| is_public(*address));
        Ok(Addresses { public, private })
    }
}

impl Addresses {
    /// From where a socket that is bound to `bound` can be reached.
    #[must_use]
    pub fn reach(&self, bound: IpAddr) -> Reach {
        let bound = bound.to_canonical();
        // A socket of all IPv6 addresses takes IPv4 as well, unless it says otherwise, which the kernel does not show.
        let public = match bound {
            IpAddr::V4(four) if four.is_unspecified() => self.public.iter().any(IpAddr::is_ipv4),
            IpAddr::V6(six) if six.is_unspecified() => !self.public.is_empty(),
            IpAddr::V4(_) | IpAddr::V6(_) => is_public(bound),
        };
        if public {
            Reach::Internet
        } else if is_own(bound) {
            Reach::Host
        } else {
            Reach::Networks
        }
    }
}

/// Loopback and link-local.
fn is_own(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(four) => four.is_loopback() || four.is_link_local(),
        IpAddr::V6(six) => six.is_loopback() || six.is_unicast_link_local(),
    }
}

/// Whether the internet routes to it (IANA special-purpose address registries).
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(four) => {
            let [a, b, c, _] = four.octets();
            let special = matches!(a, 0 | 10 | 127 | 224..)
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && matches!(c, 0 | 2))
                || (a == 198 && matches!(b, 18 | 19));
            !(special || four.is_private() || four.is_link_local() || four.is_documentation())
        }
        IpAddr::V6(six) => {
            let [first, second, ..] = six.segments();
            first & 0xe000 == 0x2000 && !(first == 0x2001 && second == 0xdb8)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;

    const TRIE: &str = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\nLocal:\n     +-- 47.96.0.0/24 2 0 2\n\
           \x20          |-- 47.96.0.10\n              /32 host LOCAL\n           |-- 47.96.0.255\n              /32 link BROADCAST\n\
           \x20          |-- 127.0.0.1\n              /32 host LOCAL\n           |-- 172.17.0.1\n              /32 host LOCAL\n";
    const SIX: &str = "fe80000000000000021632fffe000001 02 40 20 80     eth0\n00000000000000000000000000000001 01 80 10 80       lo\n";

    #[test]
    fn sec_06_a_host_knows_its_public_addresses() {
        let fixture = Fixture::live().file("/proc/net/fib_trie", TRIE).file("/proc/net/if_inet6", SIX);
        let host = fixture.host();
        let addresses = host.reachable().unwrap();
        assert_eq!(addresses.public, ["47.96.0.10".parse::<IpAddr>().unwrap()]);
        assert_eq!(addresses.private, ["172.17.0.1".parse::<IpAddr>().unwrap()]);
        for (bound, reach) in [
            ("0.0.0.0", Reach::Internet),
            ("::", Reach::Internet),
            ("::ffff:127.0.0.1", Reach::Host),
            ("fe80::1", Reach::Host),
            ("172.17.0.1", Reach::Networks),
            ("47.96.0.10", Reach::Internet),
        ] {
            assert_eq!(addresses.reach(bound.parse().unwrap()), reach, "{bound}");
        }
        assert_eq!(Addresses::default().reach("0.0.0.0".parse().unwrap()), Reach::Networks);
        assert!(matches!(Fixture::live().host().reachable(), Err(Gap::Unknown(_))));
    }

    #[test]
    fn special_addresses_are_not_public() {
        for (address, public) in [
            ("8.8.8.8", true),
            ("100.64.0.1", false),
            ("100.128.0.1", true),
            ("172.15.0.1", true),
            ("172.16.0.1", false),
            ("198.19.0.1", false),
            ("203.0.113.9", false),
            ("224.0.0.1", false),
            ("2408:4000::1", true),
            ("fd00::1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
        }
    }
}
