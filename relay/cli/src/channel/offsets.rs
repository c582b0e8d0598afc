//! Which bytes were typed and which arrived, by absolute offset. Pure.
//!
//! Input stays here until the server says that it was applied, and is sent again after a reconnect. Output must continue
//! where the last ended, or the gap must be named: anything else stops the session (I1).

use cloud_doctor_proto::limits::{INPUT_BUFFER_BYTES, RECORD_DATA_BYTES_MAX};
use cloud_doctor_proto::session::Stream;
use std::collections::VecDeque;

/// What came does not continue what was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Gap {
    /// Output begins at another byte than the next.
    #[error("output begins at byte {found}, expected {expected}")]
    Output {
        /// Next byte that was expected.
        expected: u64,
        /// First byte that came.
        found: u64,
    },
    /// More input was acknowledged than was sent, or less than before.
    #[error("input up to byte {found} was acknowledged, possible are {from} to {to}")]
    Input {
        /// Acknowledged before.
        from: u64,
        /// Sent.
        to: u64,
        /// Acknowledged now.
        found: u64,
    },
}

/// Bytes typed that the server has not applied yet.
#[derive(Debug, Default)]
pub(super) struct Input {
    /// Offset of the first byte in `bytes`.
    base: u64,
    bytes: VecDeque<u8>,
    /// Offset after the last byte that was sent on this link.
    sent: u64,
    ended: bool,
    end_sent: bool,
}

impl Input {
    /// How many bytes may be added now.
    pub(super) fn room(&self) -> usize {
        if self.ended { 0 } else { INPUT_BUFFER_BYTES - self.bytes.len() }
    }

    /// Adds what fits; returns how much that was.
    pub(super) fn push(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.room());
        self.bytes.extend(&bytes[..count]);
        count
    }

    /// Nothing follows.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// Everything up to `offset` was applied.
    pub(super) fn applied(&mut self, offset: u64) -> Result<(), Gap> {
        let end = self.base + self.bytes.len() as u64;
        if offset < self.base || offset > end {
            return Err(Gap::Input { from: self.base, to: end, found: offset });
        }
        let count = usize::try_from(offset - self.base).expect("at most the buffer's length");
        self.bytes.drain(..count);
        self.base = offset;
        self.sent = self.sent.max(offset);
        Ok(())
    }

    /// A view of somebody else's typing begins: our first byte is number `offset`.
    pub(super) fn begin_at(&mut self, offset: u64) {
        self.base = offset;
        self.sent = offset;
    }

    /// A new link: everything that was not applied is sent again.
    pub(super) fn rewind(&mut self) {
        self.sent = self.base;
        self.end_sent = false;
    }

    /// The next piece to send, with its offset.
    pub(super) fn next(&mut self) -> Option<(u64, Vec<u8>)> {
        let from = usize::try_from(self.sent - self.base).expect("at most the buffer's length");
        let count = (self.bytes.len() - from).min(RECORD_DATA_BYTES_MAX);
        if count == 0 {
            return None;
        }
        let offset = self.sent;
        self.sent += count as u64;
        Some((offset, self.bytes.range(from..from + count).copied().collect()))
    }

    /// The end's offset, once, after the last byte.
    pub(super) fn next_end(&mut self) -> Option<u64> {
        let end = self.base + self.bytes.len() as u64;
        let due = self.ended && !self.end_sent && self.sent == end;
        self.end_sent |= due;
        due.then_some(end)
    }
}

/// Bytes shown: how far each stream came, what the consumer took, and what the server was told.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Output {
    received: [u64; 2],
    taken: [u64; 2],
    told: [u64; 2],
}

/// A quarter of the server's window: acknowledged in time, with little chatter.
const TELL_BYTES: u64 = cloud_doctor_proto::limits::OUTPUT_WINDOW_BYTES / 4;

impl Output {
    /// Bytes `offset..offset + len` came.
    pub(super) fn arrived(&mut self, stream: Stream, offset: u64, len: usize) -> Result<(), Gap> {
        let expected = self.received[slot(stream)];
        if offset != expected {
            return Err(Gap::Output { expected, found: offset });
        }
        self.received[slot(stream)] = offset + len as u64;
        Ok(())
    }

    /// The server no longer has `from..to`.
    pub(super) fn skipped(&mut self, stream: Stream, from: u64, to: u64) -> Result<(), Gap> {
        let expected = self.received[slot(stream)];
        if from != expected || to < from {
            return Err(Gap::Output { expected, found: from });
        }
        self.received[slot(stream)] = to;
        self.taken[slot(stream)] += to - from;
        Ok(())
    }

    /// The consumer has really taken `len` more bytes.
    pub(super) fn took(&mut self, stream: Stream, len: usize) {
        let slot = slot(stream);
        self.taken[slot] = (self.taken[slot] + len as u64).min(self.received[slot]);
    }

    /// Next bytes wanted, per stream.
    pub(super) fn wanted(&self) -> (u64, u64) {
        (self.received[0], self.received[1])
    }

    /// What to tell the server, when it is worth a record, or when `now` anything is.
    pub(super) fn due_ack(&mut self, now: bool) -> Option<(u64, u64)> {
        let behind = (0..2).map(|i| self.taken[i] - self.told[i]).max().unwrap_or(0);
        if behind >= TELL_BYTES || (now && behind > 0) {
            self.told = self.taken;
            return Some((self.told[0], self.told[1]));
        }
        None
    }

    /// A new link: the server knows only what the first record says.
    pub(super) fn rewind(&mut self) {
        self.told = [0; 2];
    }
}

fn slot(stream: Stream) -> usize {
    match stream {
        Stream::Out => 0,
        Stream::Err => 1,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn input_is_sent_again_from_the_last_applied_byte() {
        let mut input = Input::default();
        assert_eq!(input.push(b"hello world"), 11);
        assert_eq!(input.next(), Some((0, b"hello world".to_vec())));
        assert_eq!(input.next(), None);
        input.applied(5).unwrap();
        input.rewind();
        input.end();
        assert_eq!(input.next_end(), None, "the end comes after the last byte");
        assert_eq!(input.next(), Some((5, b" world".to_vec())));
        assert_eq!(input.next_end(), Some(11));
        assert_eq!(input.next_end(), None);
        assert_eq!(input.push(b"late"), 0);
        assert!(input.applied(12).is_err() && input.applied(4).is_err());
        input.applied(11).unwrap();
    }

    #[test]
    fn input_is_bounded_and_cut_into_records() {
        let mut input = Input::default();
        assert_eq!(input.push(&vec![1; INPUT_BUFFER_BYTES + 7]), INPUT_BUFFER_BYTES);
        assert_eq!(input.room(), 0);
        let mut total = 0;
        while let Some((offset, piece)) = input.next() {
            assert_eq!(offset, total);
            assert!(piece.len() <= RECORD_DATA_BYTES_MAX);
            total += piece.len() as u64;
        }
        assert_eq!(total, INPUT_BUFFER_BYTES as u64);
    }

    #[test]
    fn output_has_no_gap_and_nothing_twice() {
        let mut output = Output::default();
        output.arrived(Stream::Out, 0, 10).unwrap();
        output.arrived(Stream::Err, 0, 3).unwrap();
        assert!(output.arrived(Stream::Out, 9, 1).is_err(), "twice");
        assert!(output.arrived(Stream::Out, 11, 1).is_err(), "gap");
        output.skipped(Stream::Out, 10, 20).unwrap();
        assert!(output.skipped(Stream::Out, 19, 25).is_err());
        output.arrived(Stream::Out, 20, 1).unwrap();
        assert_eq!(output.wanted(), (21, 3));
    }

    #[test]
    fn acknowledgements_name_what_was_taken_and_are_few() {
        let mut output = Output::default();
        output.arrived(Stream::Out, 0, 1 << 20).unwrap();
        assert_eq!(output.due_ack(true), None, "nothing was taken yet");
        output.took(Stream::Out, 1000);
        assert_eq!(output.due_ack(false), None);
        assert_eq!(output.due_ack(true), Some((1000, 0)));
        output.took(Stream::Out, 300_000);
        assert_eq!(output.due_ack(false), Some((301_000, 0)));
        output.rewind();
        assert_eq!(output.due_ack(false), Some((301_000, 0)));
    }
}
