//! The accept queues of listening sockets, which only the kernel's socket diagnosis tells (sock_diag(7)): one question for
//! each address family, bounded answers, one deadline for each part of them.

use super::Host;
use crate::found::Gap;
use crate::words;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// A socket that accepts connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listening {
    /// Where.
    pub address: SocketAddr,
    /// Connections that wait to be accepted.
    pub waiting: u32,
    /// How many may: the smaller of the service's backlog and somaxconn.
    pub backlog: u32,
}

/// Sockets that are looked at.
const SOCKETS_MAX: usize = 5000;
/// Of one part of an answer; the kernel sends at most 32 KiB.
const PART_BYTES_MAX: usize = 64 << 10;
/// Parts of one answer.
const PARTS_MAX: usize = 1000;
/// For each part.
const WAIT: Duration = Duration::from_secs(2);

// linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h, netinet/tcp.h
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const REQUEST_AND_DUMP: u16 = 0x1 | 0x300;
const IPPROTO_TCP: u8 = 6;
const LISTEN_ONLY: u32 = 1 << 10;
const REQUEST_BYTES: usize = 72;

impl Host {
    /// Every TCP socket that accepts connections.
    ///
    /// # Errors
    /// [`Gap::Unknown`] on a root that is not running, and when the kernel does not tell.
    pub fn accept_queues(&self) -> Result<Vec<Listening>, Gap> {
        self.must_live()?;
        #[cfg(test)]
        if let Ok(bytes) = self.read_bytes(PRETENDED) {
            let mut all = Vec::new();
            parse(&bytes, &mut all).map_err(|error| untold(&error))?;
            return Ok(all);
        }
        let mut all = dump(AddressFamily::INET).map_err(|error| untold(&error))?;
        // A kernel without IPv6 has none of these.
        all.extend(dump(AddressFamily::INET6).unwrap_or_default());
        Ok(all)
    }
}

fn untold(error: &io::Error) -> Gap {
    let why = error.to_string();
    Gap::Unknown(words!("the kernel does not tell accept queues: {why}", "内核未提供监听队列信息：{why}"))
}

fn dump(family: AddressFamily) -> io::Result<Vec<Listening>> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(WAIT))?;
    let family = u8::try_from(family.as_raw()).map_err(io::Error::other)?;
    send(&socket, &request(family), SendFlags::empty())?;
    let (mut all, mut part) = (Vec::new(), vec![0; PART_BYTES_MAX]);
    for _ in 0..PARTS_MAX {
        let (_, count) = recv(&socket, part.as_mut_slice(), RecvFlags::empty())?;
        if parse(part.get(..count).unwrap_or_default(), &mut all)? || all.len() >= SOCKETS_MAX {
            return Ok(all);
        }
    }
    Err(io::Error::other("its answer does not end"))
}

/// A header and an inet_diag_req_v2 with no extensions and no address.
fn request(family: u8) -> [u8; REQUEST_BYTES] {
    let mut bytes = [0; REQUEST_BYTES];
    bytes[0..4].copy_from_slice(&72_u32.to_ne_bytes());
    bytes[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes[6..8].copy_from_slice(&REQUEST_AND_DUMP.to_ne_bytes());
    bytes[16] = family;
    bytes[17] = IPPROTO_TCP;
    bytes[20..24].copy_from_slice(&LISTEN_ONLY.to_ne_bytes());
    bytes
}

/// Reads one part of an answer; whether it was the last.
fn parse(mut bytes: &[u8], all: &mut Vec<Listening>) -> io::Result<bool> {
    let broken = || io::Error::other("its answer cannot be read");
    while bytes.len() >= 16 {
        let length = usize::try_from(number(bytes, 0).ok_or_else(broken)?).map_err(|_| broken())?;
        let kind = u16::from_ne_bytes(bytes.get(4..6).and_then(|two| two.try_into().ok()).ok_or_else(broken)?);
        let body = bytes.get(16..length).ok_or_else(broken)?;
        match kind {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => {
                let code = i32::from_ne_bytes(body.get(..4).and_then(|four| four.try_into().ok()).ok_or_else(broken)?);
                return Err(io::Error::from_raw_os_error(code.saturating_neg()));
            }
            SOCK_DIAG_BY_FAMILY if all.len() < SOCKETS_MAX => all.push(listening(body).ok_or_else(broken)?),
            _ => {}
        }
        // The next begins at a multiple of four.
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// An inet_diag_msg: family, state, timer, retrans, ports and addresses, cookie, expiry, queues.
fn listening(body: &[u8]) -> Option<Listening> {
    let address = SocketAddr::new(address(body, 8)?, port(body)?);
    Some(Listening { address, waiting: number(body, 56)?, backlog: number(body, 60)? })
}

/// Both ends of the connection that one message tells of, this host's first.
pub(super) fn ends(message: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let kind = u16::from_ne_bytes(message.get(4..6)?.try_into().ok()?);
    let body = message.get(16..).filter(|_| kind == SOCK_DIAG_BY_FAMILY)?;
    let far_port = u16::from_be_bytes(body.get(6..8)?.try_into().ok()?);
    Some((SocketAddr::new(address(body, 8)?, port(body)?), SocketAddr::new(address(body, 24)?, far_port)))
}

fn port(body: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(body.get(4..6)?.try_into().ok()?))
}

fn address(body: &[u8], at: usize) -> Option<IpAddr> {
    Some(match body.first()? {
        2 => IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(body.get(at..at.checked_add(4)?)?).ok()?)),
        10 => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(body.get(at..at.checked_add(16)?)?).ok()?)),
        _ => return None,
    })
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// In tests: the file with an answer.
#[cfg(test)]
pub(crate) const PRETENDED: &str = "/.sock_diag";

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::TcpListener;

    /// One socket as the kernel tells it.
    pub(crate) fn recorded(port: u16, waiting: u32, backlog: u32) -> Vec<u8> {
        let mut bytes = vec![0; 16 + 72];
        bytes[0..4].copy_from_slice(&88_u32.to_ne_bytes());
        bytes[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        bytes[16..18].copy_from_slice(&[2, 10]);
        bytes[20..22].copy_from_slice(&port.to_be_bytes());
        bytes[72..76].copy_from_slice(&waiting.to_ne_bytes());
        bytes[76..80].copy_from_slice(&backlog.to_ne_bytes());
        bytes
    }

    #[test]
    fn a_real_socket_is_told_with_its_queue() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let held = std::net::TcpStream::connect(address).unwrap();
        let Ok(all) = dump(AddressFamily::INET) else { return };
        let one = all.iter().find(|one| one.address == address).unwrap();
        assert_eq!((one.waiting, one.backlog), (1, 128));
        drop(held);
    }

    #[test]
    fn hostile_answers_do_no_harm() {
        let good = recorded(443, 3, 128);
        let mut all = Vec::new();
        assert!(!parse(&good, &mut all).unwrap());
        let address = "0.0.0.0:443".parse().unwrap();
        assert_eq!(all, [Listening { address, waiting: 3, backlog: 128 }]);
        for length in [0_u32, 1, 15, 17, 200, u32::MAX] {
            let mut bad = good.clone();
            bad[0..4].copy_from_slice(&length.to_ne_bytes());
            assert!(parse(&bad, &mut Vec::new()).is_err(), "{length}");
        }
        assert_eq!(ends(&good).map(|(own, far)| (own.port(), far.port())), Some((443, 0)));
        for end in 0..good.len() {
            drop(parse(&good[..end], &mut Vec::new()));
            assert!(ends(&good[..end]).is_none_or(|_| end >= 16 + 28));
        }
        let mut refused = good;
        refused[4..6].copy_from_slice(&NLMSG_ERROR.to_ne_bytes());
        refused[16..20].copy_from_slice(&(-2_i32).to_ne_bytes());
        assert_eq!(parse(&refused, &mut Vec::new()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
