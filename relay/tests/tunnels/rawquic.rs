//! QUIC by hand, as little as it takes to send what no library would: transport parameters and frames byte by byte.
//!
//! It shares rustls with the product and nothing of quinn. It loses nothing (loopback), repeats nothing and
//! acknowledges nothing; its connections are short.

use crate::world::PATIENCE;
use rustls::pki_types::ServerName;
use rustls::quic::{ClientConnection, DirectionalKeys, KeyChange, Keys, Version};
use rustls::{ClientConfig, Side};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// The id that the relay calls this peer by.
pub(crate) const OUR_ID: [u8; 8] = [7; 8];
/// The relay tells first packets apart by the id that their sender made up for it.
static FIRST_IDS: AtomicU64 = AtomicU64::new(0);
const DATAGRAM_BYTES: usize = 1_200;
const TAG_BYTES: usize = 16;

/// Initial, Handshake, 1-RTT.
const INITIAL: usize = 0;
const HANDSHAKE: usize = 1;
const DATA: usize = 2;

/// What ended a connection: the code of a CONNECTION_CLOSE, transport or application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    Transport(u64),
    Application(u64),
}

struct Space {
    keys: Option<Keys>,
    next: u64,
    largest: u64,
    /// CRYPTO bytes by offset, and how far TLS has read.
    crypto: BTreeMap<u64, Vec<u8>>,
    read: u64,
    sent: u64,
}

pub(crate) struct RawQuic {
    socket: UdpSocket,
    tls: ClientConnection,
    spaces: [Space; 3],
    their_id: Vec<u8>,
    token: Vec<u8>,
    /// What TLS wants to be sent.
    outgoing: Vec<(usize, Vec<u8>)>,
    closed: Option<Closed>,
}

/// Transport parameters as an honest client sends them.
pub(crate) fn honest() -> Vec<(u64, Vec<u8>)> {
    vec![
        (0x0f, OUR_ID.to_vec()),
        (0x01, varint(30_000)),
        (0x04, varint(1 << 20)),
        (0x05, varint(1 << 20)),
        (0x06, varint(1 << 20)),
        (0x08, varint(100)),
        (0x0e, varint(4)),
    ]
}

pub(crate) fn encode(parameters: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let one = |(id, value): &(u64, Vec<u8>)| [varint(*id), varint(value.len() as u64), value.clone()].concat();
    parameters.iter().flat_map(one).collect()
}

pub(crate) fn varint(value: u64) -> Vec<u8> {
    match value {
        0..0x40 => vec![value.to_be_bytes()[7]],
        0x40..0x4000 => (0x4000 | value).to_be_bytes()[6..].to_vec(),
        0x4000..0x4000_0000 => (0x8000_0000 | value).to_be_bytes()[4..].to_vec(),
        _ => ((3 << 62) | value).to_be_bytes().to_vec(),
    }
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let len = 1usize << (bytes.first()? >> 6);
    let (head, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(head.iter().skip(1).fold(u64::from(head[0] & 0x3f), |value, byte| (value << 8) | u64::from(*byte)))
}

fn take<'a>(bytes: &mut &'a [u8], len: u64) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(usize::try_from(len).ok()?)?;
    *bytes = rest;
    Some(head)
}

impl RawQuic {
    pub(crate) async fn new(relay: SocketAddr, config: ClientConfig, parameters: Vec<u8>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(relay).await.unwrap();
        let suite = rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256.tls13().unwrap();
        let first_id = FIRST_IDS.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let initial = suite.quic_suite().unwrap().keys(&first_id, Side::Client, Version::V1);
        let name = ServerName::try_from("relay.invalid").unwrap();
        let tls = ClientConnection::new(Arc::new(config), Version::V1, name, parameters).unwrap();
        let space = |keys| Space { keys, next: 0, largest: 0, crypto: BTreeMap::new(), read: 0, sent: 0 };
        let spaces = [space(Some(initial)), space(None), space(None)];
        Self { socket, tls, spaces, their_id: first_id.to_vec(), token: Vec::new(), outgoing: Vec::new(), closed: None }
    }

    /// Puts this into the token field of the first packet.
    pub(crate) fn with_token(mut self, token: &[u8]) -> Self {
        self.token = token.to_vec();
        self
    }

    /// Sends the first message, with these frames behind it, and hears until the handshake is done or was ended.
    pub(crate) async fn handshake(&mut self, more: &[u8]) -> Result<(), Closed> {
        self.say_hello(more).await;
        let done = async {
            while self.spaces[DATA].keys.is_none() && self.closed.is_none() {
                self.hear().await;
            }
        };
        if timeout(PATIENCE, done).await.is_err() {
            let seen = self.spaces.each_ref().map(|space| (space.keys.is_some(), space.largest, space.read));
            panic!("no answer: {seen:?}");
        }
        self.closed.map_or(Ok(()), Err)
    }

    pub(crate) async fn say_hello(&mut self, more: &[u8]) {
        let mut hello = Vec::new();
        self.tls.write_hs(&mut hello);
        // A post-quantum key needs two packets.
        let pieces: Vec<Vec<u8>> = hello.chunks(1_000).map(<[u8]>::to_vec).collect();
        let last = pieces.len() - 1;
        for (number, piece) in pieces.into_iter().enumerate() {
            let mut frames = self.crypto(INITIAL, &piece);
            if number == last {
                frames.extend(more);
            }
            self.send(INITIAL, frames).await;
        }
    }

    fn crypto(&mut self, space: usize, bytes: &[u8]) -> Vec<u8> {
        let offset = self.spaces[space].sent;
        self.spaces[space].sent += bytes.len() as u64;
        [vec![0x06], varint(offset), varint(bytes.len() as u64), bytes.to_vec()].concat()
    }

    /// Sends frames after the handshake.
    pub(crate) async fn frames(&mut self, frames: &[u8]) {
        self.send(DATA, frames.to_vec()).await;
    }

    /// Hears until the relay closes.
    pub(crate) async fn closes(&mut self) -> Closed {
        let closing = async {
            while self.closed.is_none() {
                self.hear().await;
            }
        };
        timeout(PATIENCE, closing).await.expect("the relay closes the connection");
        self.closed.unwrap()
    }

    /// Reads what has come.
    pub(crate) fn poll(&mut self) -> Option<Closed> {
        let mut datagram = vec![0; 2_000];
        while let Ok(len) = self.socket.try_recv(&mut datagram) {
            self.take_datagram(&mut datagram[..len]);
        }
        self.closed
    }

    async fn send(&mut self, space: usize, mut frames: Vec<u8>) {
        let number = self.spaces[space].next;
        self.spaces[space].next += 1;
        let mut header = match space {
            INITIAL => vec![0xc3],
            HANDSHAKE => vec![0xe3],
            _ => vec![0x43],
        };
        if space == DATA {
            header.extend(&self.their_id);
            frames.resize(frames.len().max(32), 0);
        } else {
            header.extend(1u32.to_be_bytes());
            header.push(self.their_id.len().to_le_bytes()[0]);
            header.extend(&self.their_id);
            header.push(8);
            header.extend(OUR_ID);
            if space == INITIAL {
                header.extend(varint(self.token.len() as u64));
                header.extend(&self.token);
            }
            // With padding to the size that RFC 9000 asks of a client.
            frames.resize(frames.len().max(DATAGRAM_BYTES.saturating_sub(header.len() + 6 + TAG_BYTES)), 0);
            let len = u16::try_from(4 + frames.len() + TAG_BYTES).unwrap();
            header.extend((0x4000 | len).to_be_bytes());
        }
        let at = header.len();
        header.extend(u32::try_from(number).unwrap().to_be_bytes());
        let keys = &self.spaces[space].keys.as_ref().unwrap().local;
        let tag = keys.packet.encrypt_in_place(number, &header, &mut frames).unwrap();
        let mut packet = [&header[..], &frames, tag.as_ref()].concat();
        let (head, sample) = packet.split_at_mut(at + 4);
        let (first, number) = head.split_at_mut(at);
        keys.header.encrypt_in_place(&sample[..16], &mut first[0], &mut number[..4]).unwrap();
        // A relay that is gone refuses; then nothing more comes.
        drop(self.socket.send(&packet).await);
    }

    async fn hear(&mut self) {
        let mut datagram = vec![0; 2_000];
        let len = self.socket.recv(&mut datagram).await.unwrap();
        self.take_datagram(&mut datagram[..len]);
        for (space, frames) in std::mem::take(&mut self.outgoing) {
            self.send(space, frames).await;
        }
    }

    /// Gives TLS what came in order, and keeps what it answers.
    fn advance(&mut self) {
        for level in [INITIAL, HANDSHAKE] {
            let space = &mut self.spaces[level];
            while let Some(bytes) = space.crypto.remove(&space.read) {
                space.read += bytes.len() as u64;
                if self.tls.read_hs(&bytes).is_err() {
                    return;
                }
            }
        }
        let mut level = if self.spaces[HANDSHAKE].keys.is_some() { HANDSHAKE } else { INITIAL };
        loop {
            let mut bytes = Vec::new();
            let change = self.tls.write_hs(&mut bytes);
            if bytes.is_empty() && change.is_none() {
                return;
            }
            for piece in bytes.chunks(1_000) {
                let frames = self.crypto(level, piece);
                self.outgoing.push((level, frames));
            }
            match change {
                Some(KeyChange::Handshake { keys }) => {
                    self.spaces[HANDSHAKE].keys = Some(keys);
                    level = HANDSHAKE;
                }
                Some(KeyChange::OneRtt { keys, .. }) => self.spaces[DATA].keys = Some(keys),
                None => {}
            }
        }
    }

    /// The keys for one packet may come in the one before it.
    fn take_datagram(&mut self, mut datagram: &mut [u8]) {
        while let Some((space, at, end)) = self.packet(datagram) {
            let (packet, rest) = std::mem::take(&mut datagram).split_at_mut(end);
            if let Some(frames) = self.open(space, at, packet) {
                self.take_frames(space, &frames);
                self.advance();
            }
            datagram = rest;
        }
    }

    /// Which kind of packet begins here, where its number stands, and where it ends.
    fn packet(&mut self, datagram: &[u8]) -> Option<(usize, usize, usize)> {
        let first = *datagram.first()?;
        if first & 0x80 == 0 {
            return (datagram.len() > 25).then_some((DATA, 9, datagram.len()));
        }
        let mut rest = datagram.get(5..)?;
        let space = match first >> 4 & 3 {
            0 => INITIAL,
            2 => HANDSHAKE,
            _ => return None,
        };
        let ours = u64::from(*take(&mut rest, 1)?.first()?);
        take(&mut rest, ours)?;
        let theirs = u64::from(*take(&mut rest, 1)?.first()?);
        self.their_id = take(&mut rest, theirs)?.to_vec();
        if space == INITIAL {
            let token = take_varint(&mut rest)?;
            take(&mut rest, token)?;
        }
        let len = usize::try_from(take_varint(&mut rest)?).ok()?;
        let at = datagram.len() - rest.len();
        (len <= rest.len()).then_some((space, at, at + len))
    }

    fn open(&mut self, space: usize, at: usize, packet: &mut [u8]) -> Option<Vec<u8>> {
        let Space { keys, largest, .. } = &mut self.spaces[space];
        let DirectionalKeys { header, packet: key, .. } = &keys.as_ref()?.remote;
        let sample = packet.get(at + 4..at + 20)?.to_vec();
        let (head, rest) = packet.split_at_mut(at);
        header.decrypt_in_place(&sample, &mut head[0], &mut rest[..4]).ok()?;
        let len = usize::from(head[0] & 3) + 1;
        let short = rest[..len].iter().fold(0u64, |number, byte| (number << 8) | u64::from(*byte));
        let range = 1u64 << (8 * len);
        let number = if short + range / 2 < *largest % range {
            *largest - *largest % range + range + short
        } else {
            *largest - *largest % range + short
        };
        *largest = number.max(*largest);
        let (head, body) = packet.split_at_mut(at + len);
        Some(key.decrypt_in_place(number, head, body).ok()?.to_vec())
    }

    /// Frames up to the first that is of no interest here.
    fn take_frames(&mut self, space: usize, mut frames: &[u8]) -> Option<()> {
        while let Some(kind) = take_varint(&mut frames) {
            match kind {
                0x00 | 0x01 | 0x1e => {}
                0x02 | 0x03 => {
                    let [_, _, ranges, _] = [(); 4].map(|()| take_varint(&mut frames));
                    for _ in 0..ranges? * 2 {
                        take_varint(&mut frames)?;
                    }
                }
                0x06 => {
                    let offset = take_varint(&mut frames)?;
                    let len = take_varint(&mut frames)?;
                    self.spaces[space].crypto.insert(offset, take(&mut frames, len)?.to_vec());
                }
                0x18 => {
                    take_varint(&mut frames)?;
                    take_varint(&mut frames)?;
                    let len = u64::from(*take(&mut frames, 1)?.first()?);
                    take(&mut frames, len + 16)?;
                }
                0x19 | 0x10 | 0x12 | 0x13 => drop(take_varint(&mut frames)?),
                0x1a | 0x1b => drop(take(&mut frames, 8)?),
                0x1c => self.closed = Some(Closed::Transport(take_varint(&mut frames)?)),
                0x1d => self.closed = Some(Closed::Application(take_varint(&mut frames)?)),
                _ => return None,
            }
            if self.closed.is_some() {
                return None;
            }
        }
        None
    }
}
