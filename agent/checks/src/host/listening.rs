//! Sockets that wait for strangers, from the kernel's tables: address, port, and for root the program behind.

use super::{Host, Process};
use crate::found::Gap;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Most that is read of one table: some 400,000 connections.
const TABLE_BYTES_MAX: u64 = 64 << 20;
/// Sockets that are kept.
const LISTENERS_MAX: usize = 20_000;
/// Open files of all processes that are looked at for a socket's owner.
const OPEN_FILES_MAX: usize = 200_000;

/// What a socket speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
}

impl Protocol {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }
}

/// A socket that waits for anybody.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listener {
    /// What it speaks.
    pub protocol: Protocol,
    /// Where it waits.
    pub address: SocketAddr,
    /// The table that it stands in, like `/proc/net/tcp`.
    pub source: &'static str,
    inode: u64,
}

/// The sockets of a running host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sockets {
    /// Those that wait for anybody, sorted.
    pub listening: Vec<Listener>,
    /// Established connections, by the port of this host's end.
    pub established: BTreeMap<u16, u64>,
}

impl Sockets {
    /// Whether something takes TCP connections at this port.
    #[must_use]
    pub fn has_tcp(&self, port: u16) -> bool {
        self.listening.iter().any(|one| one.protocol == Protocol::Tcp && one.address.port() == port)
    }
}

const TABLES: [(&str, Protocol); 4] = [
    ("/proc/net/tcp", Protocol::Tcp),
    ("/proc/net/tcp6", Protocol::Tcp),
    ("/proc/net/udp", Protocol::Udp),
    ("/proc/net/udp6", Protocol::Udp),
];

impl Host {
    /// This host's sockets, read once.
    ///
    /// # Errors
    /// [`Gap::Unknown`] on a root that is not running, and when the kernel does not show them.
    pub fn sockets(&self) -> Result<&Sockets, Gap> {
        self.must_live()?;
        self.memo.sockets.get_or_init(|| self.read_sockets()).as_ref().map_err(Clone::clone)
    }

    fn read_sockets(&self) -> Result<Sockets, Gap> {
        let mut sockets = Sockets::default();
        for (at, (source, protocol)) in TABLES.into_iter().enumerate() {
            let read = self.each_line(source, TABLE_BYTES_MAX, |line| sockets.take(source, protocol, line));
            match read {
                // Only IPv4's TCP is always there.
                Err(Gap::NotHere(why)) if at == 0 => return Err(Gap::Unknown(why)),
                Ok(()) | Err(Gap::NotHere(_)) => {}
                Err(gap) => return Err(gap),
            }
        }
        sockets.listening.sort_unstable();
        Ok(sockets)
    }

    /// The program that holds a socket; only root sees those of others.
    #[must_use]
    pub fn socket_owner(&self, listener: &Listener) -> Option<&Process> {
        let owners = self.memo.socket_owners.get_or_init(|| self.read_owners());
        let pid = owners.get(&listener.inode)?;
        self.processes().iter().find(|process| process.pid == *pid)
    }

    fn read_owners(&self) -> BTreeMap<u64, u32> {
        let listening = self.sockets().map(|sockets| sockets.listening.as_slice()).unwrap_or_default();
        let wanted: BTreeSet<u64> = listening.iter().map(|one| one.inode).collect();
        let (mut owners, mut left) = (BTreeMap::new(), OPEN_FILES_MAX);
        // What systemd holds for a service comes last, so that the service itself is named.
        let (init, others): (Vec<_>, Vec<_>) = self.processes().iter().partition(|process| process.pid == 1);
        for process in others.into_iter().chain(init) {
            let folder = format!("/proc/{}/fd", process.pid);
            for file in self.list(&folder).unwrap_or_default() {
                if left == 0 || owners.len() == wanted.len() {
                    return owners;
                }
                left -= 1;
                let link = self.link(&format!("{folder}/{}", file.name)).unwrap_or_default();
                let inode = link.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
                if let Some(inode) = inode.and_then(|inode| inode.parse().ok()).filter(|inode| wanted.contains(inode)) {
                    owners.entry(inode).or_insert(process.pid);
                }
            }
        }
        owners
    }
}

impl Sockets {
    /// proc_net(5): `sl local_address rem_address st …`, the inode is the tenth field.
    fn take(&mut self, source: &'static str, protocol: Protocol, line: &str) {
        let mut fields = line.split_ascii_whitespace();
        let (local, remote, state) = (fields.nth(1), fields.next(), fields.next());
        let Some(address) = local.and_then(address) else { return };
        let waits = match protocol {
            Protocol::Tcp => state == Some("0A"),
            // A datagram socket waits as long as it is not connected to somebody.
            Protocol::Udp => remote.and_then(self::address).is_some_and(|far| far.ip().is_unspecified()),
        };
        if waits && self.listening.len() < LISTENERS_MAX {
            let inode = fields.nth(5).and_then(|inode| inode.parse().ok()).unwrap_or(0);
            self.listening.push(Listener { protocol, address, source, inode });
        } else if protocol == Protocol::Tcp && state == Some("01") {
            let count = self.established.entry(address.port()).or_insert(0);
            *count = count.saturating_add(1);
        }
    }
}

/// `0100007F:1F90`: words as the processor holds them, the port as people write it.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let word = |at: usize| Some(u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (part, at) in bytes.chunks_exact_mut(4).zip([0, 8, 16, 24]) {
                part.copy_from_slice(&word(at)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;

    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
        \x20  0: 0100007F:0CEA 00000000:0000 0A 00000000:00000000 00:00000000 00000000   112        0 1456 1 0 100 0 0 10 0\n\
        \x20  1: 0100007F:0CEA 0100007F:A4EA 01 00000000:00000000 03:000016DA 00000000     0        0 77 3 0\n\
        \x20  2: 0100007F:A4EA 0100007F:0CEA 06 00000000:00000000 03:000016DA 00000000     0        0 0 3 0\n\
        odd\n 3: 0100007Fé:0CEA x 0A\n";
    const TCP6: &str = "  sl  local_address\n   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 99 1 0\n";

    #[test]
    fn sec_06_sockets_are_read_from_the_kernel() {
        let fixture = Fixture::live()
            .file("/proc/net/tcp", TCP)
            .file("/proc/net/tcp6", TCP6)
            .process(1, 'S', &["/sbin/init"])
            .process(40, 'S', &["/usr/sbin/sshd", "-D"])
            .file("/proc/1/fd/0", "")
            .file("/proc/40/fd/0", "");
        for fd in ["/proc/1/fd/3", "/proc/40/fd/3"] {
            std::os::unix::fs::symlink("socket:[99]", fixture.path(fd)).unwrap();
        }
        let host = fixture.host();
        let sockets = host.sockets().unwrap();
        let places: Vec<_> = sockets.listening.iter().map(|one| one.address.to_string()).collect();
        assert_eq!(places, ["127.0.0.1:3306", "[::]:22"]);
        assert_eq!(sockets.established.get(&3306), Some(&1));
        assert!(sockets.has_tcp(22) && !sockets.has_tcp(80));
        let owners: Vec<_> = sockets.listening.iter().map(|one| host.socket_owner(one).map(Process::program)).collect();
        assert_eq!(owners, [None, Some("sshd")]);
        assert!(matches!(Fixture::live().host().sockets(), Err(Gap::Unknown(_))));
        assert!(matches!(Fixture::image().host().sockets(), Err(Gap::Unknown(_))));
    }
}
