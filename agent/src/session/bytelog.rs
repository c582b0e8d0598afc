//! The byte log: what a shell has said, at absolute offsets, so that every view attaches at one.
//!
//! A ring of small chunks: an idle shell costs one chunk, a busy one up to the capacity. It must never give bytes at a
//! wrong offset and never hide a gap: what is gone is answered as [`ReadAt::Skipped`]. Pure; no clock, no descriptor.

use std::collections::VecDeque;

/// One allocation of the ring. Small, so that an idle shell costs kilobytes; large enough for one read of a PTY.
const CHUNK_BYTES: usize = 16 << 10;

/// Bytes of one stream with absolute offsets, the oldest dropped beyond the capacity.
#[derive(Debug)]
pub(crate) struct ByteLog {
    chunks: VecDeque<Vec<u8>>,
    /// Offset of the first byte of the first chunk.
    base: u64,
    /// Offset of the oldest byte that is still served; at or after `base`.
    start: u64,
    /// Offset after the newest byte.
    end: u64,
    /// Highest offset that a view has acknowledged.
    acked: u64,
    capacity: u64,
}

/// An answer to [`ByteLog::read_from`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReadAt<'a> {
    /// Bytes that start at the offset asked for; empty at the end of the log.
    Bytes(&'a [u8]),
    /// The bytes `from..to` are gone; read on at `to`.
    Skipped {
        /// First missing offset.
        from: u64,
        /// Offset to go on from.
        to: u64,
    },
}

impl ByteLog {
    /// An empty log that keeps at most `capacity` bytes.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { chunks: VecDeque::new(), base: 0, start: 0, end: 0, acked: 0, capacity: capacity as u64 }
    }

    /// Offset after the newest byte.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Bytes that no view has acknowledged.
    pub(crate) fn unacked(&self) -> u64 {
        self.end - self.acked
    }

    /// Adds bytes at the end; the oldest ones make room.
    pub(crate) fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.chunks.back().is_none_or(|chunk| chunk.len() == CHUNK_BYTES) {
                self.chunks.push_back(self.fresh_chunk());
            }
            let chunk = self.chunks.back_mut().expect("a chunk with room was just ensured");
            let (now, rest) = bytes.split_at(bytes.len().min(CHUNK_BYTES - chunk.len()));
            chunk.extend_from_slice(now);
            self.end += now.len() as u64;
            bytes = rest;
            self.forget_before(self.end.saturating_sub(self.capacity));
        }
    }

    /// At most `max` bytes from `offset` on; fewer when they lie in two chunks.
    ///
    /// An offset beyond the end gives no bytes: nothing was said there yet.
    pub(crate) fn read_from(&self, offset: u64, max: usize) -> ReadAt<'_> {
        if offset < self.start {
            return ReadAt::Skipped { from: offset, to: self.start };
        }
        let Ok(distance) = usize::try_from(offset - self.base) else { return ReadAt::Bytes(&[]) };
        let Some(chunk) = self.chunks.get(distance / CHUNK_BYTES) else { return ReadAt::Bytes(&[]) };
        let rest = chunk.get(distance % CHUNK_BYTES..).unwrap_or_default();
        ReadAt::Bytes(&rest[..rest.len().min(max)])
    }

    /// Notes that a view has everything before `offset`. Acknowledgements never go back, nor beyond the end.
    pub(crate) fn ack(&mut self, offset: u64) {
        self.acked = self.acked.max(offset.min(self.end));
    }

    /// Drops what is acknowledged: for streams that nobody reads twice.
    pub(crate) fn forget_acked(&mut self) {
        self.forget_before(self.acked);
    }

    fn forget_before(&mut self, offset: u64) {
        self.start = self.start.max(offset);
        self.acked = self.acked.max(self.start);
        while self.chunks.front().is_some_and(|chunk| chunk.len() == CHUNK_BYTES)
            && self.base + CHUNK_BYTES as u64 <= self.start
        {
            self.chunks.pop_front();
            self.base += CHUNK_BYTES as u64;
        }
    }

    /// The first chunk grows by doubling, so that an idle shell pays for its prompt only.
    fn fresh_chunk(&self) -> Vec<u8> {
        if self.chunks.is_empty() { Vec::new() } else { Vec::with_capacity(CHUNK_BYTES) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;

    fn random(state: &mut u64) -> u64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *state >> 33
    }

    fn byte_at(offset: u64) -> u8 {
        (offset.wrapping_mul(2_654_435_761) >> 13) as u8
    }

    #[test]
    fn an_idle_log_costs_less_than_a_chunk() {
        let mut log = ByteLog::new(8 << 20);
        log.append(b"deploy@web1:~$ ");
        assert!(log.chunks[0].capacity() < 64);
        assert_eq!(log.read_from(0, 6), ReadAt::Bytes(b"deploy"));
        assert_eq!(log.read_from(15, 6), ReadAt::Bytes(b""));
        assert_eq!(log.read_from(u64::MAX, 6), ReadAt::Bytes(b""));
    }

    #[test]
    fn a_gap_is_said_and_never_hidden() {
        let mut log = ByteLog::new(CHUNK_BYTES);
        log.append(&[b'a'; CHUNK_BYTES]);
        assert_eq!(log.read_from(0, 1), ReadAt::Bytes(b"a"));
        log.append(b"bc");
        assert_eq!(log.read_from(0, 1), ReadAt::Skipped { from: 0, to: 2 });
        assert_eq!(log.read_from(2, 1), ReadAt::Bytes(b"a"));
        assert_eq!(log.unacked(), CHUNK_BYTES as u64, "what is gone cannot be waited for");
    }

    #[test]
    fn acknowledged_bytes_can_be_forgotten() {
        let mut log = ByteLog::new(1 << 20);
        log.append(&vec![b'x'; 3 * CHUNK_BYTES]);
        log.ack(u64::MAX);
        assert_eq!(log.unacked(), 0);
        log.ack(1);
        assert_eq!(log.unacked(), 0, "acknowledgements never go back");
        log.forget_acked();
        assert_eq!((log.start, log.chunks.len()), (3 * CHUNK_BYTES as u64, 0));
        log.append(b"y");
        assert_eq!(log.read_from(log.start, 9), ReadAt::Bytes(b"y"));
    }

    /// Against a model that keeps everything: 200 random lives of a log.
    #[test]
    fn random_lives_agree_with_a_model_that_keeps_everything() {
        for seed in 0..200 {
            let mut state = seed;
            let capacity = 1 + random(&mut state) as usize % (5 * CHUNK_BYTES);
            let (mut log, mut end, mut acked, mut start) = (ByteLog::new(capacity), 0u64, 0u64, 0u64);
            for _ in 0..60 {
                match random(&mut state) % 5 {
                    0 | 1 => {
                        let len = random(&mut state) % (2 * CHUNK_BYTES as u64);
                        let bytes: Vec<u8> = (end..end + len).map(byte_at).collect();
                        log.append(&bytes);
                        end += len;
                        start = start.max(end.saturating_sub(capacity as u64));
                        acked = acked.max(start);
                    }
                    2 => {
                        let offset = random(&mut state) % (end + 10);
                        log.ack(offset);
                        acked = acked.max(offset.min(end));
                    }
                    3 => {
                        log.forget_acked();
                        start = start.max(acked);
                    }
                    _ => read_all(&log, random(&mut state) % (end + 10), start, end),
                }
                assert_eq!((log.start, log.end(), log.unacked()), (start, end, end - acked), "seed {seed}");
                assert!(log.chunks.len() <= capacity / CHUNK_BYTES + 2, "bounded memory, seed {seed}");
            }
        }
    }

    fn read_all(log: &ByteLog, from: u64, start: u64, end: u64) {
        let mut offset = from;
        loop {
            match log.read_from(offset, 1000) {
                ReadAt::Skipped { from, to } => {
                    assert_eq!((from, to), (offset, start));
                    offset = to;
                }
                ReadAt::Bytes([]) => break,
                ReadAt::Bytes(bytes) => {
                    assert!(bytes.len() <= 1000);
                    for byte in bytes {
                        assert_eq!(*byte, byte_at(offset));
                        offset += 1;
                    }
                }
            }
        }
        assert_eq!(offset, end.max(from));
    }
}
