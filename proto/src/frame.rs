//! Frames: `u32 length of body | u16 kind | u8 flags | body`, big endian.
//!
//! All kinds stand in [`Kind`], so that none is ever used twice; a removed one stays, marked as removed. A reader
//! checks the length against the kind's limit before it allocates. Unknown kinds are skipped unless the sender set
//! [`MUST_UNDERSTAND`]. Never: a frame that means different things in different places.

use crate::limits::{CONTROL_BYTES_MAX, FRAME_HEADER_BYTES, GREETING_BYTES_MAX, RECORD_BYTES_MAX};

/// Flag: a receiver that does not know this kind answers [`Kind::Unsupported`] instead of skipping it.
pub const MUST_UNDERSTAND: u8 = 1;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $max:expr;)*) => {
        /// What a frame holds. Numbers are for ever.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum Kind { $($(#[$doc])* $name = $number,)* }

        impl Kind {
            /// All kinds, for tests that must not forget one.
            pub const ALL: &'static [Kind] = &[$(Kind::$name,)*];

            /// The kind with this number, if this build knows it.
            #[must_use]
            pub fn from_number(number: u16) -> Option<Self> {
                match number { $($number => Some(Kind::$name),)* _ => None }
            }

            /// Largest body in bytes.
            #[must_use]
            pub fn bytes_max(self) -> usize {
                match self { $(Kind::$name => $max,)* }
            }
        }
    };
}

kinds! {
    /// Tunnel to relay, first frame of the control stream ([`crate::control::Hello`]).
    Hello = 0x0001, GREETING_BYTES_MAX;
    /// Relay's answer ([`crate::control::HelloAck`]).
    HelloAck = 0x0002, GREETING_BYTES_MAX;
    /// New trust-log entries, relay to tunnel to guard ([`crate::control::TrustUpdate`]).
    TrustUpdate = 0x0003, CONTROL_BYTES_MAX;
    /// How far guard is ([`crate::control::TrustHead`]).
    TrustHead = 0x0004, GREETING_BYTES_MAX;
    /// Relay to agent, first frame of a stream that it opens ([`crate::control::StreamHead`]).
    StreamHead = 0x0005, GREETING_BYTES_MAX;
    /// A host that wants to enrol ([`crate::control::EnrolBegin`]).
    EnrolBegin = 0x0006, GREETING_BYTES_MAX;
    /// The log so far ([`crate::control::EnrolLog`]).
    EnrolLog = 0x0007, CONTROL_BYTES_MAX;
    /// The host's own entry ([`crate::control::EnrolCommit`]).
    EnrolCommit = 0x0008, GREETING_BYTES_MAX;
    /// Enrolled, or why not ([`crate::control::EnrolDone`]).
    EnrolDone = 0x0009, GREETING_BYTES_MAX;
    /// Tunnel asks guard to sign its transport key ([`crate::control::BindTransport`]).
    BindTransport = 0x000a, GREETING_BYTES_MAX;
    /// The signed binding ([`crate::control::TransportBinding`]).
    TransportBinding = 0x000b, GREETING_BYTES_MAX;
    /// Tunnel tells guard that a connection came or went, for `status` ([`crate::control::TunnelState`]).
    TunnelState = 0x000c, GREETING_BYTES_MAX;
    /// Leaving for good, signed by the identity ([`crate::control::Unenrol`]).
    Unenrol = 0x000d, GREETING_BYTES_MAX;
    /// A sign of life on a control stream. Empty; the relay answers each of the agent's with one of its own.
    Ping = 0x000e, GREETING_BYTES_MAX;
    /// The sender did not know a frame that it had to understand ([`crate::control::Unsupported`]).
    Unsupported = 0x000f, GREETING_BYTES_MAX;
    /// A host with a code that was read to it ([`crate::guest::GuestBegin`]).
    GuestBegin = 0x0010, GREETING_BYTES_MAX;
    /// Who asks to help there ([`crate::guest::GuestOffer`]).
    GuestOffer = 0x0011, GREETING_BYTES_MAX;
    /// The tunnel that the host will come back with ([`crate::guest::GuestCommit`]); answered by [`Kind::EnrolDone`].
    GuestCommit = 0x0012, GREETING_BYTES_MAX;

    /// Client to guard ([`crate::visit::ChallengeRequest`]).
    ChallengeRequest = 0x0101, GREETING_BYTES_MAX;
    /// Guard to client ([`crate::visit::ChallengeReply`]).
    Challenge = 0x0102, CONTROL_BYTES_MAX;
    /// Client to guard ([`crate::visit::OpenVisit`]).
    OpenVisit = 0x0103, CONTROL_BYTES_MAX;
    /// Guard to client ([`crate::visit::VisitOpened`]).
    VisitOpened = 0x0104, GREETING_BYTES_MAX;
    /// Guard to client: another person must sign too ([`crate::visit::NeedSecond`]).
    NeedSecond = 0x0105, GREETING_BYTES_MAX;
    /// Client to guard ([`crate::visit::Second`]).
    Second = 0x0106, GREETING_BYTES_MAX;
    /// Guard or holder to client ([`crate::refusal::Refused`]).
    Refused = 0x0107, GREETING_BYTES_MAX;
    /// Client to guard: first handshake message of a channel ([`crate::visit::OpenChannel`]).
    OpenChannel = 0x0108, GREETING_BYTES_MAX;
    /// Holder to client: second handshake message ([`crate::visit::ChannelReply`]).
    ChannelReply = 0x0109, GREETING_BYTES_MAX;
    /// One sealed record, either way. Raw ciphertext.
    Record = 0x010a, RECORD_BYTES_MAX;

    /// Relay to guard ([`crate::checks::CheckRequest`]).
    CheckRequest = 0x0201, GREETING_BYTES_MAX;
    /// Guard to relay ([`crate::checks::CheckReport`]).
    CheckReport = 0x0202, CONTROL_BYTES_MAX;

    /// Relay to tunnel and guard ([`crate::metrics::MetricsRequest`]).
    MetricsRequest = 0x0301, GREETING_BYTES_MAX;
    /// Guard to tunnel ([`crate::metrics::MetricsLease`]).
    MetricsLease = 0x0302, GREETING_BYTES_MAX;
    /// Tunnel to relay to client ([`crate::metrics::MetricsSeries`]).
    MetricsSeries = 0x0303, CONTROL_BYTES_MAX;
    /// Tunnel to relay to client ([`crate::metrics::Sample`]).
    MetricsSample = 0x0304, GREETING_BYTES_MAX;
    /// Tunnel to relay to client ([`crate::metrics::Range`]).
    MetricsRange = 0x0305, GREETING_BYTES_MAX;
    /// Guard to relay to client ([`crate::metrics::Processes`]).
    Processes = 0x0306, GREETING_BYTES_MAX;
    /// Guard to relay ([`crate::events::Events`]).
    Events = 0x0307, CONTROL_BYTES_MAX;
}

/// A frame's first seven bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the body that follows.
    pub len: usize,
    /// The kind's number, known or not.
    pub number: u16,
    /// See [`MUST_UNDERSTAND`].
    pub flags: u8,
}

/// A frame of a known kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What the body is.
    pub kind: Kind,
    /// The body's bytes.
    pub body: Vec<u8>,
}

/// The peer broke the framing; the stream is of no further use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The announced body is larger than this kind may be.
    #[error("frame {number:#06x} announces {len} bytes, at most {max} are accepted")]
    TooLong {
        /// The kind's number.
        number: u16,
        /// Announced bytes.
        len: usize,
        /// Accepted bytes.
        max: usize,
    },
    /// A kind that must be understood and is not.
    #[error("frame {number:#06x} is unknown here and must be understood")]
    Unknown {
        /// The kind's number.
        number: u16,
    },
}

impl Header {
    /// Reads a header and checks its length against the kind's limit (an unknown kind's: [`CONTROL_BYTES_MAX`]).
    ///
    /// # Errors
    /// [`FrameError`] when the body may not be read.
    pub fn parse(bytes: [u8; FRAME_HEADER_BYTES]) -> Result<Self, FrameError> {
        let [a, b, c, d, e, f, flags] = bytes;
        let number = u16::from_be_bytes([e, f]);
        let len = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        let max = Kind::from_number(number).map_or(CONTROL_BYTES_MAX, Kind::bytes_max);
        if len > max {
            return Err(FrameError::TooLong { number, len, max });
        }
        Ok(Self { len, number, flags })
    }

    /// The known kind; `None` means: skip the body.
    ///
    /// # Errors
    /// [`FrameError::Unknown`] when the sender insists on being understood.
    pub fn kind(&self) -> Result<Option<Kind>, FrameError> {
        match Kind::from_number(self.number) {
            Some(kind) => Ok(Some(kind)),
            None if self.flags & MUST_UNDERSTAND != 0 => Err(FrameError::Unknown { number: self.number }),
            None => Ok(None),
        }
    }
}

/// Appends a frame to `out`.
///
/// # Panics
/// When `body` is longer than the kind allows: the caller builds bodies from types with smaller limits.
pub fn write(out: &mut Vec<u8>, kind: Kind, body: &[u8]) {
    assert!(body.len() <= kind.bytes_max(), "a {kind:?} body is bounded by its type");
    out.reserve(FRAME_HEADER_BYTES + body.len());
    out.extend_from_slice(&header(kind, body.len()));
    out.extend_from_slice(body);
}

/// The seven bytes before a body of `len` bytes, for writers that have the body elsewhere.
#[must_use]
pub fn header(kind: Kind, len: usize) -> [u8; FRAME_HEADER_BYTES] {
    let [a, b, c, d] = u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes();
    let [e, f] = (kind as u16).to_be_bytes();
    [a, b, c, d, e, f, 0]
}

/// A frame as bytes.
#[must_use]
pub fn encode(kind: Kind, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, kind, body);
    out
}

/// A control message as a frame.
#[must_use]
pub fn message<T: serde::Serialize>(kind: Kind, value: &T) -> Vec<u8> {
    encode(kind, &crate::pack::to_bytes(value))
}

/// Cuts a byte stream into frames, whatever the pieces it arrives in.
///
/// Holds at most one incomplete frame.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    start: usize,
}

impl Decoder {
    /// An empty decoder.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes from the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        } else if self.start > 64 << 10 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame of a known kind, if there is one; unknown ones are skipped.
    ///
    /// # Errors
    /// [`FrameError`]: the stream must be closed.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            let pending = &self.buffer[self.start..];
            let Some(head) = pending.first_chunk::<FRAME_HEADER_BYTES>() else {
                return Ok(None);
            };
            let header = Header::parse(*head)?;
            let kind = header.kind()?;
            let end = FRAME_HEADER_BYTES + header.len;
            if pending.len() < end {
                return Ok(None);
            }
            let body = pending[FRAME_HEADER_BYTES..end].to_vec();
            self.start += end;
            if let Some(kind) = kind {
                return Ok(Some(Frame { kind, body }));
            }
        }
    }

    /// How many bytes were received that are not yet part of a returned frame.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Bytes received but not yet part of a returned frame.
    #[must_use]
    pub fn into_rest(self) -> Vec<u8> {
        self.buffer[self.start..].to_vec()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn golden_bytes_of_every_kind() {
        assert_eq!(encode(Kind::Record, b"hi"), [0, 0, 0, 2, 1, 0x0a, 0, b'h', b'i']);
        let numbers: Vec<u16> = Kind::ALL.iter().map(|k| *k as u16).collect();
        assert_eq!(
            numbers,
            [
                1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 0x101, 0x102, 0x103, 0x104, 0x105,
                0x106, 0x107, 0x108, 0x109, 0x10a, 0x201, 0x202, 0x301, 0x302, 0x303, 0x304, 0x305, 0x306, 0x307
            ]
        );
    }

    #[test]
    fn round_trip_and_honest_length_of_every_kind() {
        for kind in Kind::ALL {
            let bytes = encode(*kind, &[7; 33]);
            assert_eq!(bytes.len(), FRAME_HEADER_BYTES + 33);
            let mut decoder = Decoder::new();
            decoder.push(&bytes);
            assert_eq!(decoder.next_frame().unwrap(), Some(Frame { kind: *kind, body: vec![7; 33] }));
            assert_eq!(decoder.next_frame().unwrap(), None);
            assert!(decoder.into_rest().is_empty());
        }
    }

    #[test]
    fn cod_01_length_is_checked_before_the_body() {
        for kind in Kind::ALL {
            let limit = kind.bytes_max();
            assert!(Header::parse(header(*kind, limit)).is_ok());
            assert!(matches!(Header::parse(header(*kind, limit + 1)), Err(FrameError::TooLong { .. })));
            assert!(Header::parse(header(*kind, usize::MAX)).is_err());
        }
    }

    #[test]
    fn cod_02_unknown_kinds_are_skipped_unless_they_must_be_understood() {
        let mut bytes = vec![0, 0, 0, 1, 0x7f, 0xff, 0, 9];
        bytes.extend(encode(Kind::Hello, b"x"));
        let mut decoder = Decoder::new();
        decoder.push(&bytes);
        assert_eq!(decoder.next_frame().unwrap().unwrap().kind, Kind::Hello);
        let mut decoder = Decoder::new();
        decoder.push(&[0, 0, 0, 1, 0x7f, 0xff, MUST_UNDERSTAND, 9]);
        assert_eq!(decoder.next_frame(), Err(FrameError::Unknown { number: 0x7fff }));
    }

    #[test]
    fn cod_05_split_at_every_byte_and_ten_thousand_at_once() {
        let mut bytes = Vec::new();
        for i in 0..5u8 {
            write(&mut bytes, Kind::Record, &vec![i; usize::from(i) * 3]);
        }
        for cut in 0..bytes.len() {
            let mut decoder = Decoder::new();
            let mut seen = 0;
            for part in [&bytes[..cut], &bytes[cut..]] {
                decoder.push(part);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    assert_eq!(frame.body, vec![seen; usize::from(seen) * 3]);
                    seen += 1;
                }
            }
            assert_eq!(seen, 5);
        }
        let many: Vec<u8> = (0..10_000).flat_map(|_| encode(Kind::Record, b"abc")).collect();
        let mut decoder = Decoder::new();
        decoder.push(&many);
        let mut count = 0;
        while decoder.next_frame().unwrap().is_some() {
            count += 1;
        }
        assert_eq!(count, 10_000);
    }

    #[test]
    fn damaged_input_never_panics() {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        for _ in 0..2_000 {
            let mut decoder = Decoder::new();
            for _ in 0..40 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                decoder.push(&state.to_be_bytes());
                if decoder.next_frame().is_err() {
                    break;
                }
            }
        }
    }
}
