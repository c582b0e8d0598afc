//! TCP connections of this host as they end, which the kernel tells whoever listens (sock_diag(7), the groups that
//! `ss --events` joins): every connection is seen, however short, and nothing is captured or installed.
//!
//! Of a connection its two ends are kept, never its content. Bounded in time, in connections, and in what waits to be
//! read: a kernel that had to drop some says so, and that is told.

use super::{Host, boot_time};
use crate::found::Gap;
use crate::words;
use cloud_doctor_proto::time::BootTime;
use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Connections that are kept; a host with more in this time is too busy to be watched for longer.
const ENDED_MAX: usize = 50_000;
/// Messages that are read: those of other ports count here too.
const MESSAGES_MAX: usize = 1_000_000;
/// Of one message; the kernel sends some 400 bytes.
const MESSAGE_BYTES_MAX: usize = 16 << 10;
/// How long to wait for one message before looking at the time.
const WAIT: Duration = Duration::from_millis(500);
/// linux/sock_diag.h: SKNLGRP_INET_TCP_DESTROY and SKNLGRP_INET6_TCP_DESTROY.
const GROUPS: u32 = 1 << 0 | 1 << 2;

/// A connection that has ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ended {
    /// Seconds since the watch began.
    pub(crate) at: f64,
    /// The port of this host.
    pub(crate) port: u16,
    /// Who was at the other end.
    pub(crate) from: IpAddr,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Watched {
    pub(crate) ended: Vec<Ended>,
    /// Seconds that the watch lasted.
    pub(crate) secs: f64,
    /// Whether the kernel told of more than could be read.
    pub(crate) lost: bool,
}

impl Host {
    /// Watches connections to these ports of this host end for some seconds.
    ///
    /// # Errors
    /// [`Gap::Unknown`] on a root that is not running, and when the kernel does not tell.
    pub(crate) fn watch_connections(&self, secs: f64, ports: &BTreeSet<u16>) -> Result<Watched, Gap> {
        self.must_live()?;
        #[cfg(test)]
        if let Ok(text) = self.read(PRETENDED) {
            return Ok(pretended(&text, secs));
        }
        join().and_then(|socket| listen(&socket, secs, ports)).map_err(|errno| {
            let why = std::io::Error::from(errno).to_string();
            Gap::Unknown(words!(
                "the kernel does not tell of connections that end: {why}",
                "内核未提供连接结束的通知：{why}"
            ))
        })
    }
}

/// From now on the kernel keeps what ends for whoever reads.
fn join() -> Result<OwnedFd, Errno> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG))?;
    bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(WAIT))?;
    Ok(socket)
}

fn listen(socket: &OwnedFd, secs: f64, ports: &BTreeSet<u16>) -> Result<Watched, Errno> {
    let begun = boot_time();
    let (mut watched, mut message) = (Watched::default(), vec![0; MESSAGE_BYTES_MAX]);
    for _ in 0..MESSAGES_MAX {
        watched.secs = secs_since(begun);
        if watched.secs >= secs || watched.ended.len() >= ENDED_MAX {
            return Ok(watched);
        }
        match recv(socket, message.as_mut_slice(), RecvFlags::empty()) {
            Ok((_, count)) => {
                let end = super::sock_diag::ends(message.get(..count).unwrap_or_default());
                // A socket that has waited for others, and closes, has nobody at the other end.
                let is_one = |local: &SocketAddr, far: &SocketAddr| ports.contains(&local.port()) && far.port() != 0;
                if let Some((local, far)) = end.filter(|(local, far)| is_one(local, far)) {
                    let at = secs_since(begun);
                    watched.ended.push(Ended { at, port: local.port(), from: far.ip().to_canonical() });
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(Errno::NOBUFS) => watched.lost = true,
            Err(errno) => return Err(errno),
        }
    }
    watched.lost = true;
    Ok(watched)
}

fn secs_since(begun: BootTime) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of some minutes")]
    let millis = begun.millis_until(boot_time()) as f64;
    millis / 1000.0
}

/// In tests: lines `seconds port address`.
#[cfg(test)]
pub(crate) const PRETENDED: &str = "/.ended";

#[cfg(test)]
fn pretended(text: &str, secs: f64) -> Watched {
    let line = |line: &str| {
        let mut parts = line.split(' ');
        let (at, port) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Ended { at, port, from: parts.next()?.parse().ok()? })
    };
    Watched { ended: text.lines().filter_map(line).collect(), secs, lost: text.contains("lost") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn lb_20_every_short_connection_to_a_port_is_seen() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let socket = join().unwrap();
        for _ in 0..3 {
            let held = TcpStream::connect(address).unwrap();
            drop(listener.accept().unwrap());
            drop(held);
        }
        // What only waited for others is none.
        drop(listener);
        let watched = listen(&socket, 1.0, &BTreeSet::from([address.port()])).unwrap();
        assert!(watched.secs >= 1.0 && !watched.lost);
        assert_eq!(watched.ended.len(), 3, "{watched:?}");
        assert!(watched.ended.iter().all(|one| one.from == address.ip() && one.port == address.port()));
        assert!(Fixture::image().host().watch_connections(1.0, &BTreeSet::new()).is_err());
    }
}
