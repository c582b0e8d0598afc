//! Whether a path still works, from answers alone. Pure: `now` and the count of answers come in.
//!
//! While a sealed stream is open a sign of life goes out every second and an answer is missed after four; otherwise
//! every ten seconds, missed after twenty. So a dead relay is noticed within 5 and 31 seconds. Acknowledgements of
//! QUIC would not do: a peer that hears nothing repeats its last one with whatever it sends.

use cloud_doctor_proto::limits::TUNNEL_KEEP_ALIVE_SECS;
use std::time::{Duration, Instant};

/// How fast a dead path is noticed.
#[derive(Debug, Clone, Copy)]
struct Pace {
    every: Duration,
    missed: Duration,
}

const BUSY: Pace = Pace { every: Duration::from_secs(1), missed: Duration::from_secs(4) };
const IDLE: Pace = Pace {
    every: Duration::from_secs(TUNNEL_KEEP_ALIVE_SECS),
    missed: Duration::from_secs(2 * TUNNEL_KEEP_ALIVE_SECS),
};

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Send a sign of life, then look again at this time.
    Ping(Instant),
    /// Look again at this time.
    Wait(Instant),
    /// Nothing works any more.
    Dead,
}

/// What is known about one path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Liveness {
    answers: u64,
    /// When the last sign of life was sent.
    sent: Instant,
    /// When the first one was sent that has no answer yet.
    waiting: Option<Instant>,
}

impl Liveness {
    /// A path that worked a moment ago.
    pub(super) fn new(now: Instant, answers: u64) -> Self {
        Self { answers, sent: now, waiting: None }
    }

    /// Decides. `answers`: those received so far. `busy`: a sealed stream is open.
    pub(super) fn step(&mut self, now: Instant, answers: u64, busy: bool) -> Step {
        let pace = if busy { BUSY } else { IDLE };
        if answers != self.answers {
            self.answers = answers;
            self.waiting = None;
        }
        if self.waiting.is_some_and(|since| now >= since + pace.missed) {
            return Step::Dead;
        }
        // Asked again while an answer is due: on a bad path the second question may be the one that arrives.
        if now >= self.sent + pace.every {
            self.sent = now;
            self.waiting.get_or_insert(now);
            return Step::Ping(now + BUSY.every);
        }
        let next = self.sent + pace.every;
        Step::Wait(self.waiting.map_or(next, |since| next.min(since + pace.missed)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "some moment to count from")]
    use super::*;

    /// Seconds until a path that dies right after `start` is given up.
    fn noticed_after(busy: bool, offset_millis: u64) -> Duration {
        let start = Instant::now();
        let mut liveness = Liveness::new(start, 7);
        let died = start + Duration::from_millis(offset_millis);
        let (mut now, mut acks, mut pings) = (start, 7, 0);
        loop {
            match liveness.step(now, acks, busy) {
                Step::Dead => return now - died.min(now),
                Step::Ping(next) => {
                    pings += 1;
                    if now < died {
                        acks += 1;
                    }
                    now = next;
                }
                Step::Wait(next) => now = next,
            }
            assert!(pings < 1000 && now < start + Duration::from_secs(3600));
        }
    }

    #[test]
    fn flt_12_dead_paths_are_noticed_in_time() {
        for offset in (0..40_000).step_by(730) {
            assert!(noticed_after(true, offset) <= Duration::from_secs(5), "{offset}");
            assert!(noticed_after(false, offset) <= Duration::from_secs(31), "{offset}");
        }
    }

    #[test]
    fn a_session_that_opens_on_a_quiet_path_is_not_given_up() {
        let start = Instant::now();
        let mut liveness = Liveness::new(start, 1);
        let later = start + Duration::from_secs(9);
        let Step::Ping(_) = liveness.step(later, 1, true) else { panic!("must ask first") };
        assert_eq!(liveness.step(later + Duration::from_millis(20), 2, true), Step::Wait(later + BUSY.every));
    }

    #[test]
    fn an_idle_tunnel_asks_every_ten_seconds_only() {
        let start = Instant::now();
        let mut liveness = Liveness::new(start, 0);
        let (mut now, mut acks, mut wakes) = (start, 0, 0);
        while now < start + Duration::from_secs(3600) {
            wakes += 1;
            now = match liveness.step(now, acks, false) {
                Step::Ping(next) => {
                    acks += 1;
                    next
                }
                Step::Wait(next) => next,
                Step::Dead => panic!("alive"),
            };
        }
        assert!(wakes <= 3 * 360, "{wakes} wake-ups in an hour");
    }
}
