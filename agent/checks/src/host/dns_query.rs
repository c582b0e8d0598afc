//! Asking a nameserver of this host's configuration: a few names at once, one deadline, nothing but the answer's code read.
//!
//! It must only ever ask the addresses that the host itself asks (`resolv.conf`).

use super::{Host, boot_time};
use crate::found::Gap;
use cloud_doctor_proto::time::BootTime;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// For all names of one server.
pub(crate) const DEADLINE_MS: u64 = 2000;
/// A query is sent a second time when nothing has come by then: one packet may be lost.
const AGAIN_AFTER_MS: u64 = 1000;
/// Longest name (RFC 1035 2.3.4), and longest label.
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;
/// What a resolver without extensions answers at most (RFC 1035 4.2.1), with room.
const ANSWER_BYTES_MAX: usize = 1500;
const HEADER_BYTES: usize = 12;

/// What a server said to one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DnsAnswer {
    /// It answered with this code (RFC 1035 4.1.1): 0 found, 2 server failure, 3 no such name, 5 refused.
    Code { code: u8, millis: u64 },
    /// Nothing came in time.
    Silent,
    /// The packet was sent back: nobody listens, or there is no way.
    Unreachable,
}

impl Host {
    /// What `server` answers to the addresses of `names`, in their order.
    ///
    /// # Errors
    /// [`Gap::Unknown`] on a root that is not running.
    pub(crate) fn ask_dns(&self, server: SocketAddr, names: &[&str]) -> Result<Vec<DnsAnswer>, Gap> {
        self.must_live()?;
        Ok(ask(server, names).unwrap_or_else(|_| vec![DnsAnswer::Unreachable; names.len()]))
    }
}

fn ask(server: SocketAddr, names: &[&str]) -> io::Result<Vec<DnsAnswer>> {
    let any = match server {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(any)?;
    // Only this server's packets are received, and its port's absence is told.
    socket.connect(server)?;
    let begun = boot_time();
    let first_id = u16::try_from((begun.0 ^ u64::from(std::process::id())) & 0x7fff).unwrap_or(0);
    let queries: Vec<Vec<u8>> = (first_id..).zip(names).map(|(id, name)| query(id, name)).collect();
    let mut answers = vec![DnsAnswer::Silent; names.len()];
    for until in [AGAIN_AFTER_MS, DEADLINE_MS] {
        for (query, _) in queries.iter().zip(&answers).filter(|(_, answer)| **answer == DnsAnswer::Silent) {
            socket.send(query)?;
        }
        receive(&socket, first_id, begun, BootTime(begun.0 + until), &mut answers)?;
    }
    Ok(answers)
}

fn receive(
    socket: &UdpSocket,
    first_id: u16,
    begun: BootTime,
    until: BootTime,
    answers: &mut [DnsAnswer],
) -> io::Result<()> {
    let mut buffer = [0; ANSWER_BYTES_MAX];
    while answers.contains(&DnsAnswer::Silent) {
        let left = boot_time().millis_until(until);
        if left == 0 {
            return Ok(());
        }
        socket.set_read_timeout(Some(Duration::from_millis(left)))?;
        let count = match socket.recv(&mut buffer) {
            Ok(count) => count,
            Err(error) if is_no_answer_yet(&error) => continue,
            Err(error) => return Err(error),
        };
        let Some((id, code)) = buffer.get(..count).and_then(code) else { continue };
        let slot = id.checked_sub(first_id).and_then(|index| answers.get_mut(usize::from(index)));
        if let Some(slot @ DnsAnswer::Silent) = slot {
            *slot = DnsAnswer::Code { code, millis: begun.millis_until(boot_time()) };
        }
    }
    Ok(())
}

fn is_no_answer_yet(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

/// A question for the IPv4 addresses of `name`. What is no name is asked as the root, which every server knows.
fn query(id: u16, name: &str) -> Vec<u8> {
    // Recursion desired, one question.
    let mut bytes = vec![0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    bytes[..2].copy_from_slice(&id.to_be_bytes());
    for label in name.trim_end_matches('.').split('.').filter(|_| is_name(name)) {
        bytes.push(u8::try_from(label.len()).unwrap_or(0));
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.extend_from_slice(&[0, 0, 1, 0, 1]);
    bytes
}

/// Whether `name` can be asked for.
pub(crate) fn is_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    name.len() <= NAME_BYTES_MAX && name.split('.').all(label)
}

/// The id and the code of an answer.
fn code(answer: &[u8]) -> Option<(u16, u8)> {
    let header = answer.first_chunk::<HEADER_BYTES>()?;
    let is_answer = header[2] & 0x80 != 0;
    is_answer.then(|| (u16::from_be_bytes([header[0], header[1]]), header[3] & 0x0f))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn a_question_is_these_bytes() {
        let expected = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x04host\x07example\x03com\0\0\x01\0\x01";
        assert_eq!(query(0x1234, "host.example.com."), expected);
        for bad in ["", "a..b", &"a".repeat(64), &"a.".repeat(200), "a b", "a\0b"] {
            assert!(!is_name(bad), "{bad}");
            assert_eq!(query(1, bad)[12..], [0, 0, 1, 0, 1], "{bad}");
        }
    }

    #[test]
    fn an_answer_that_is_none_is_passed_over() {
        for (answer, expected) in [
            (&b"\x12\x34\x81\x83\0\x01\0\0\0\0\0\0"[..], Some((0x1234, 3))),
            (b"\x12\x34\x01\x03\0\x01\0\0\0\0\0\0", None),
            (b"\x12\x34\x81\x83\0\x01\0\0\0\0\0", None),
            (b"", None),
        ] {
            assert_eq!(code(answer), expected, "{answer:?}");
        }
    }

    #[test]
    fn a_server_is_asked_again_when_a_packet_is_lost_and_not_forever() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let serving = std::thread::spawn(move || {
            let mut seen = Vec::new();
            // One of two names at once, rubbish, and the other name never.
            for turn in 0..3 {
                let mut buffer = [0; 512];
                let (count, from) = server.recv_from(&mut buffer).unwrap();
                seen.push(buffer[13]);
                if turn == 0 {
                    server.send_to(b"rubbish", from).unwrap();
                    buffer[2] |= 0x80;
                    buffer[3] = 3;
                    server.send_to(&buffer[..count], from).unwrap();
                }
            }
            seen
        });
        let answers = Fixture::live().host().ask_dns(address, &["a.example", "b.example"]).unwrap();
        assert!(matches!(answers[0], DnsAnswer::Code { code: 3, millis: 0..1000 }), "{answers:?}");
        assert_eq!(answers[1], DnsAnswer::Silent);
        assert_eq!(serving.join().unwrap(), b"abb");

        // The server has gone: its port is closed.
        let answers = Fixture::live().host().ask_dns(address, &["a.example"]).unwrap();
        assert_eq!(answers, [DnsAnswer::Unreachable]);
        assert!(Fixture::image().host().ask_dns(address, &["a"]).is_err());
    }
}
