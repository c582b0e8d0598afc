//! When to dial again: full jitter below a doubling cap. Pure: randomness comes in, a wait comes out.

use std::time::Duration;

/// Cap of the first wait.
const FIRST: Duration = Duration::from_millis(500);
/// Cap while somebody may be waiting for their shell.
const CAP_SESSION: Duration = Duration::from_secs(1);
/// Cap otherwise: ten thousand agents spread over this after a relay's restart.
const CAP_IDLE: Duration = Duration::from_secs(30);

/// Failures so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait before the next attempt. `session`: a sealed stream was open lately. `random`: uniform.
    pub(super) fn after_failure(&mut self, session: bool, random: u64) -> Duration {
        let cap = if session { CAP_SESSION } else { CAP_IDLE };
        let doubled = FIRST.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        share(doubled.min(cap), random)
    }

    /// The wait after the relay said that it does not want us now: never below half of the cap.
    pub(super) fn after_refusal(&mut self, random: u64) -> Duration {
        self.failures = u32::MAX;
        CAP_IDLE / 2 + share(CAP_IDLE / 2, random)
    }

    /// A tunnel stood for a while.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A uniform share of `cap`.
fn share(cap: Duration, random: u64) -> Duration {
    let nanos = cap.as_nanos() * u128::from(random) / u128::from(u64::MAX);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flt_34_caps_double_and_the_whole_range_is_used() {
        let mut backoff = Backoff::default();
        let caps: Vec<Duration> = (0..9).map(|_| backoff.after_failure(false, u64::MAX)).collect();
        let expected = [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000].map(Duration::from_millis);
        assert_eq!(caps, expected);
        assert_eq!(backoff.after_failure(false, 0), Duration::ZERO);
        assert_eq!(backoff.after_failure(false, u64::MAX / 2).as_secs(), 14);
        backoff.reset();
        assert_eq!(backoff.after_failure(false, u64::MAX), FIRST);
    }

    #[test]
    fn flt_01_at_most_a_second_while_somebody_waits() {
        let mut backoff = Backoff::default();
        for _ in 0..100 {
            assert!(backoff.after_failure(true, u64::MAX) <= Duration::from_secs(1));
        }
    }

    #[test]
    fn a_refused_tunnel_does_not_knock_again_at_once() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.after_refusal(0), Duration::from_secs(15));
        assert_eq!(backoff.after_refusal(u64::MAX), Duration::from_secs(30));
        assert_eq!(backoff.after_failure(false, u64::MAX), CAP_IDLE);
    }
}
