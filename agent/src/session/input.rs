//! Input by offset: what a client types is applied exactly once, whatever is sent again after a reconnect.
//!
//! Bytes below the next expected offset were applied before and are trimmed; a gap is refused, because typing the
//! second half of a command without the first is worse than typing nothing. Pure; it must never reorder bytes and never
//! hold more than its bound.

use std::collections::VecDeque;

/// Accepted bytes that wait for the program, and the offset up to which bytes are accepted.
#[derive(Debug)]
pub(crate) struct InputLog {
    waiting: VecDeque<u8>,
    /// Offset after the last accepted byte: it is applied once, in order.
    accepted: u64,
    capacity: usize,
    ended: bool,
}

/// Why input was refused; nothing of it was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InputError {
    /// Bytes are missing between what was accepted and what came.
    #[error("input starts at byte {offset}, expected {expected}: bytes are missing in between")]
    Gap {
        /// Where the refused bytes start.
        offset: u64,
        /// Where they had to start.
        expected: u64,
    },
    /// The client sends faster than the window it was told.
    #[error("more than {capacity} bytes of input wait for the program")]
    Full {
        /// Bytes that may wait.
        capacity: usize,
    },
    /// The client had closed this input.
    #[error("input after its end")]
    Ended,
}

impl InputLog {
    /// No input yet; at most `capacity` bytes wait for the program.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { waiting: VecDeque::new(), accepted: 0, capacity, ended: false }
    }

    /// Offset after the last byte that the program took: what is acknowledged to the client.
    pub(crate) fn applied_to(&self) -> u64 {
        self.accepted - self.waiting.len() as u64
    }

    /// Takes the bytes that stand at `offset`; those that were accepted before are trimmed.
    ///
    /// # Errors
    /// [`InputError`]: the client broke the rules; nothing was taken.
    pub(crate) fn accept(&mut self, offset: u64, bytes: &[u8]) -> Result<(), InputError> {
        let Some(known) = self.accepted.checked_sub(offset) else {
            return Err(InputError::Gap { offset, expected: self.accepted });
        };
        let fresh = usize::try_from(known).ok().and_then(|known| bytes.get(known..)).unwrap_or_default();
        if fresh.is_empty() {
            return Ok(());
        }
        if self.ended {
            return Err(InputError::Ended);
        }
        if self.waiting.len() + fresh.len() > self.capacity {
            return Err(InputError::Full { capacity: self.capacity });
        }
        self.waiting.extend(fresh);
        self.accepted += fresh.len() as u64;
        Ok(())
    }

    /// The client closes its input at `offset`, once every byte before it was accepted.
    ///
    /// # Errors
    /// [`InputError::Gap`] when bytes before the end are missing.
    pub(crate) fn end_at(&mut self, offset: u64) -> Result<(), InputError> {
        if offset > self.accepted {
            return Err(InputError::Gap { offset, expected: self.accepted });
        }
        self.ended = true;
        Ok(())
    }

    /// The next bytes for the program; empty when none wait.
    pub(crate) fn front(&self) -> &[u8] {
        self.waiting.as_slices().0
    }

    /// The program took the first `count` bytes of [`Self::front`].
    pub(crate) fn applied(&mut self, count: usize) {
        self.waiting.drain(..count);
        if self.waiting.is_empty() {
            self.waiting.shrink_to(4 << 10);
        }
    }

    /// The client closed its input and the program has taken all of it.
    pub(crate) fn is_finished(&self) -> bool {
        self.ended && self.waiting.is_empty()
    }

    /// The program is gone or takes no more: what waits can never be applied.
    pub(crate) fn abandon(&mut self) {
        self.waiting = VecDeque::new();
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

    #[test]
    fn duplicates_are_trimmed_and_gaps_refused() {
        let mut input = InputLog::new(100);
        input.accept(0, b"ls -l").unwrap();
        input.accept(0, b"ls -l\n").unwrap();
        input.accept(3, b"-l\n").unwrap();
        assert_eq!((input.front(), input.accepted), (&b"ls -l\n"[..], 6));
        assert_eq!(input.accept(7, b"x"), Err(InputError::Gap { offset: 7, expected: 6 }));
        assert_eq!(input.accept(u64::MAX, b"x"), Err(InputError::Gap { offset: u64::MAX, expected: 6 }));
        assert_eq!(input.accepted, 6);
    }

    #[test]
    fn a_full_buffer_refuses_all_or_nothing() {
        let mut input = InputLog::new(4);
        input.accept(0, b"abc").unwrap();
        assert_eq!(input.accept(3, b"de"), Err(InputError::Full { capacity: 4 }));
        assert_eq!(input.front(), b"abc");
        input.applied(2);
        input.accept(3, b"de").unwrap();
        assert_eq!(input.waiting, *b"cde");
    }

    #[test]
    fn the_end_comes_after_the_last_byte() {
        let mut input = InputLog::new(10);
        input.accept(0, b"abc").unwrap();
        assert_eq!(input.end_at(4), Err(InputError::Gap { offset: 4, expected: 3 }));
        input.end_at(3).unwrap();
        input.end_at(3).unwrap();
        assert!(!input.is_finished());
        input.applied(3);
        assert!(input.is_finished());
        input.accept(1, b"bc").unwrap();
        assert_eq!(input.accept(3, b"d"), Err(InputError::Ended));
    }

    /// A client that forgets acknowledgements and sends again at random: the program sees every byte once, in order.
    #[test]
    fn flt_01_random_resends_are_applied_once_and_in_order() {
        for seed in 0..300 {
            let mut state = seed;
            let (mut input, mut seen, total) = (InputLog::new(64), Vec::new(), 2_000u64);
            let byte = |offset: u64| (offset % 251) as u8;
            while (seen.len() as u64) < total {
                let from = input.accepted.saturating_sub(random(&mut state) % 40);
                let to = (from + random(&mut state) % 60).min(total);
                let bytes: Vec<u8> = (from..to).map(byte).collect();
                let room = 64 - (input.accepted - seen.len() as u64);
                match input.accept(from, &bytes) {
                    Ok(()) => assert!(input.accepted >= to),
                    Err(InputError::Full { .. }) => assert!(to - input.accepted > room),
                    Err(error @ (InputError::Gap { .. } | InputError::Ended)) => panic!("{error}, seed {seed}"),
                }
                let take = input.front().len().min(random(&mut state) as usize % 50);
                seen.extend_from_slice(&input.front()[..take]);
                input.applied(take);
            }
            assert!(seen.iter().enumerate().all(|(at, seen)| *seen == byte(at as u64)), "seed {seed}");
        }
    }
}
