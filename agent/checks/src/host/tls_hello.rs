//! Which certificates a TLS service of this host shows: a ClientHello of TLS 1.2, in which a server sends them in clear,
//! and not a step more.
//!
//! Nothing is encrypted or verified here, so nothing is trusted: the certificates are only looked at. A server that speaks
//! TLS 1.3 alone refuses, and is asked as `tls_newer` does. The connection is ended with an alert, as a client that has
//! changed its mind; some servers log it.

use super::{Host, Listening, boot_time};
use crate::found::Gap;
use crate::words;
use cloud_doctor_proto::time::BootTime;
use std::io::{self, Read, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// For connecting, asking and the answer.
const DEADLINE_MS: u64 = 2000;
/// Of all messages until the certificates have come.
const MESSAGES_BYTES_MAX: usize = 64 << 10;
/// RFC 5246 6.2.3, what a record may hold.
const RECORD_BYTES_MAX: usize = (16 << 10) + 2048;
/// Certificates of one chain.
const CHAIN_MAX: usize = 10;

const RECORD_ALERT: u8 = 21;
const RECORD_HANDSHAKE: u8 = 22;
const MESSAGE_CERTIFICATE: u8 = 11;
const MESSAGE_HELLO_DONE: u8 = 14;
const ALERT_PROTOCOL_VERSION: u8 = 70;
/// Of the TLS registry: with these every server of the last ten years can answer.
const CIPHERS: [u16; 14] =
    [0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc009, 0xc013, 0xc00a, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035];
/// A warning, close_notify.
const GOODBYE: [u8; 7] = [RECORD_ALERT, 3, 3, 0, 2, 1, 0];

/// What a service showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// Its certificates in DER, its own first.
    Chain(Vec<Vec<u8>>),
    /// It speaks, but not TLS.
    NoTls,
    /// It knows no such name, or wants something else; the number is that of the alert (RFC 5246 7.2).
    Refused(u8),
}

impl Host {
    /// What a service of this host shows to somebody who asks for `name`.
    ///
    /// # Errors
    /// [`Gap::Unknown`] on a root that is not running, and when it does not answer in time or answers nonsense.
    pub fn shown_certificates(&self, service: &Listening, name: Option<&str>) -> Result<Shown, Gap> {
        self.must_live()?;
        let address = reachable(service.address);
        let shown = ask(address, name).and_then(|shown| match shown {
            Some(shown) => Ok(shown),
            None => super::tls_newer::ask(&mut Timed::connect(address)?, address.ip(), name),
        });
        shown.map_err(|error| {
            let why = error.to_string();
            Gap::Unknown(words!("{address} shows no certificate: {why}", "{address} 未出示证书：{why}"))
        })
    }
}

/// A service that listens everywhere is asked at home.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from(Ipv6Addr::LOCALHOST),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Nothing from a service that refuses TLS 1.2.
fn ask(address: SocketAddr, name: Option<&str>) -> io::Result<Option<Shown>> {
    let mut timed = Timed::connect(address)?;
    timed.stream.write_all(&hello(name))?;
    let shown = read_shown(&mut timed)?;
    // Whether it still listens is its own affair.
    drop(timed.stream.write_all(&GOODBYE));
    Ok(shown)
}

/// A stream with one deadline for everything that is read.
pub(super) struct Timed {
    pub(super) stream: TcpStream,
    deadline: BootTime,
}

impl Timed {
    pub(super) fn connect(address: SocketAddr) -> io::Result<Self> {
        let deadline = BootTime(boot_time().0 + DEADLINE_MS);
        let stream = TcpStream::connect_timeout(&address, Duration::from_millis(DEADLINE_MS))?;
        stream.set_write_timeout(Some(Duration::from_millis(DEADLINE_MS)))?;
        Ok(Self { stream, deadline })
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = boot_time().millis_until(self.deadline);
        if left == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(Duration::from_millis(left)))?;
        self.stream.read(buffer)
    }
}

/// A record with a ClientHello, RFC 5246 7.4.1.2.
fn hello(name: Option<&str>) -> Vec<u8> {
    // Nothing is ever encrypted with this: it needs to be no secret, only 32 bytes.
    let mut body = vec![3, 3];
    body.extend(*b"cloud-doctor looks at your certs");
    body.push(0);
    body.extend(sized16(CIPHERS.iter().flat_map(|cipher| cipher.to_be_bytes()).collect()));
    body.extend([1, 0]);
    let mut extensions = Vec::new();
    // RFC 6066: a name, never an address.
    if let Some(name) = name.filter(|name| name.is_ascii() && name.len() < 256 && name.parse::<IpAddr>().is_err()) {
        let entry = [vec![0], sized16(name.into())].concat();
        extensions.extend(extension(0, sized16(entry)));
    }
    extensions.extend(extension(10, sized16(vec![0, 29, 0, 23, 0, 24])));
    extensions.extend(extension(11, vec![1, 0]));
    extensions.extend(extension(13, sized16(vec![4, 3, 5, 3, 6, 3, 8, 4, 8, 5, 8, 6, 4, 1, 5, 1, 6, 1, 2, 3, 2, 1])));
    extensions.extend(extension(23, Vec::new()));
    extensions.extend(extension(0xff01, vec![0]));
    body.extend(sized16(extensions));
    let message = [vec![1, 0], sized16(body)].concat();
    [vec![RECORD_HANDSHAKE, 3, 1], sized16(message)].concat()
}

fn extension(kind: u16, body: Vec<u8>) -> Vec<u8> {
    [kind.to_be_bytes().to_vec(), sized16(body)].concat()
}

/// What is put in here is shorter than 1 KiB.
fn sized16(body: Vec<u8>) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap_or(u16::MAX);
    [length.to_be_bytes().to_vec(), body].concat()
}

/// Reads records until the server's first flight is whole. What comes after the certificates may be missing: it is only
/// read so that the connection ends without a reset.
fn read_shown(stream: &mut impl Read) -> io::Result<Option<Shown>> {
    let (mut messages, mut at, mut shown) = (Vec::new(), 0, None);
    loop {
        match read_record(stream, MESSAGES_BYTES_MAX - messages.len()) {
            Ok(Record::Handshake(bytes)) => messages.extend(bytes),
            Ok(Record::Other(other)) => return Ok(shown.or(other)),
            // It hung up on us: mute to strangers, or another protocol.
            Err(error) if messages.is_empty() && error.kind() == io::ErrorKind::UnexpectedEof => {
                return Ok(Some(Shown::NoTls));
            }
            Err(error) => return shown.map(Some).ok_or(error),
        }
        while let Some((kind, body)) = message(&messages, at) {
            if kind == MESSAGE_CERTIFICATE {
                let chain = chain(body).ok_or_else(|| io::Error::other("its certificates cannot be read"))?;
                shown = Some(Shown::Chain(chain));
            } else if kind == MESSAGE_HELLO_DONE {
                return shown.map(Some).ok_or_else(|| io::Error::other("it has no certificate"));
            }
            at += 4 + body.len();
        }
    }
}

/// What one record brought.
enum Record {
    /// A part of messages, never empty.
    Handshake(Vec<u8>),
    /// The end; nothing from who refuses TLS 1.2.
    Other(Option<Shown>),
}

fn read_record(stream: &mut impl Read, bytes_max: usize) -> io::Result<Record> {
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    let [kind, major, _, high, low] = head;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if major != 3 || !(kind == RECORD_ALERT || kind == RECORD_HANDSHAKE) {
        return Ok(Record::Other(Some(Shown::NoTls)));
    }
    if length == 0 || length > RECORD_BYTES_MAX || length > bytes_max {
        return Err(io::Error::other("its answer is too long or empty"));
    }
    let mut record = vec![0; length];
    stream.read_exact(&mut record)?;
    if kind == RECORD_HANDSHAKE {
        return Ok(Record::Handshake(record));
    }
    Ok(Record::Other(match record.get(1) {
        Some(&ALERT_PROTOCOL_VERSION) => None,
        Some(alert) => Some(Shown::Refused(*alert)),
        None => Some(Shown::NoTls),
    }))
}

/// The message at `at` when it is whole.
fn message(messages: &[u8], at: usize) -> Option<(u8, &[u8])> {
    let rest = messages.get(at..)?;
    let (kind, body) = rest.split_first()?;
    Some((*kind, sized24(body)?.0))
}

/// A list of certificates, each with its length.
fn chain(body: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (mut list, _) = sized24(body)?;
    let mut chain = Vec::new();
    while !list.is_empty() && chain.len() < CHAIN_MAX {
        let (one, rest) = sized24(list)?;
        chain.push(one.to_vec());
        list = rest;
    }
    (!chain.is_empty()).then_some(chain)
}

/// Bytes with their length in three bytes before them, and the rest.
fn sized24(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = bytes.split_at_checked(3)?;
    let length = head.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// What OpenSSL 3.0's s_server answers to [`hello`], up to its key exchange; see `testdata/README`.
    const RECORDED: &[u8] = include_bytes!("testdata/tls12-answer.bin");

    #[test]
    fn a_recorded_answer_shows_its_chain() {
        let Some(Shown::Chain(chain)) = read_shown(&mut &RECORDED[..]).unwrap() else { panic!() };
        assert_eq!(chain.len(), 2);
        assert!(chain.iter().all(|one| one.starts_with(&[0x30, 0x82])), "DER");
        // In records of one byte each it is the same answer.
        let mut split = Vec::new();
        let mut rest = RECORDED;
        while let [kind, major, minor, high, low, after @ ..] = rest {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            for byte in &after[..length] {
                split.extend([*kind, *major, *minor, 0, 1, *byte]);
            }
            rest = &after[length..];
        }
        assert_eq!(read_shown(&mut &split[..]).unwrap(), Some(Shown::Chain(chain)));
    }

    #[test]
    fn a_service_is_asked_and_left_with_a_goodbye() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = vec![0; hello(Some("shop.example.com")).len()];
            stream.read_exact(&mut asked).unwrap();
            stream.write_all(RECORDED).unwrap();
            let mut goodbye = Vec::new();
            stream.read_to_end(&mut goodbye).unwrap();
            goodbye
        });
        assert!(
            matches!(ask(address, Some("shop.example.com")).unwrap(), Some(Shown::Chain(chain)) if chain.len() == 2)
        );
        assert_eq!(server.join().unwrap(), GOODBYE);
        assert!(ask(address, None).is_err(), "nobody listens any more");
    }

    #[test]
    fn answers_of_other_kinds_are_told_apart() {
        for (answer, shown) in [
            (&[21, 3, 3, 0, 2, 2, 70][..], None),
            (&[21, 3, 3, 0, 2, 2, 112], Some(Shown::Refused(112))),
            (&[21, 3, 3, 0, 1, 2], Some(Shown::NoTls)),
            (b"HTTP/1.1 400 Bad Request\r\n", Some(Shown::NoTls)),
            (b"", Some(Shown::NoTls)),
            (b"220", Some(Shown::NoTls)),
        ] {
            assert_eq!(read_shown(&mut &answer[..]).unwrap(), shown, "{answer:?}");
        }
    }

    #[test]
    fn hostile_answers_do_no_harm() {
        for end in 1..RECORDED.len().min(800) {
            let shown = read_shown(&mut &RECORDED[..end]);
            assert!(!matches!(shown, Ok(Some(Shown::Refused(_)) | None)), "{end}");
        }
        for at in 0..RECORDED.len() {
            let mut bad = RECORDED.to_vec();
            bad[at] ^= 0xff;
            drop(read_shown(&mut &bad[..]));
        }
        let endless: Vec<u8> = [22, 3, 3, 0x40, 0].into_iter().chain([2; 0x4000]).collect::<Vec<u8>>().repeat(9);
        let empty = [22, 3, 3, 0, 0].repeat(9);
        let broken = [22, 3, 3, 0, 8, MESSAGE_CERTIFICATE, 0, 0, 4, 0, 0, 9, 1];
        for bad in [&endless[..], &empty, &broken] {
            assert!(read_shown(&mut &bad[..]).is_err());
        }
    }

    #[test]
    fn the_hello_is_what_was_sent_when_the_answer_was_recorded() {
        let hello = hello(Some("shop.example.com"));
        assert_eq!(hello.len() - 5, usize::from(u16::from_be_bytes([hello[3], hello[4]])));
        assert_eq!(hello.len() - 9, usize::from(u16::from_be_bytes([hello[7], hello[8]])));
        assert!(hello.windows(16).any(|part| part == b"shop.example.com"));
        assert!(!super::hello(Some("10.0.0.1")).windows(8).any(|part| part == b"10.0.0.1"));
        let everywhere = "[::]:443".parse().unwrap();
        assert_eq!(reachable(everywhere).to_string(), "[::1]:443");
    }
}
