//! The one place that reads clocks and the kernel's randomness; everything that decides takes both as arguments.

use cloud_doctor_proto::time::UnixTime;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The wall clock: for dates in signed objects, never for timers.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this file is where the client reads the clock")]
pub fn wall() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// The monotonic clock: for timers.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this file is where the client reads the clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// Random bytes from the kernel.
///
/// # Panics
/// When the kernel has no randomness: no key made then would be worth anything.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the kernel gives random bytes");
    bytes
}

/// A random time below `limit` (full jitter).
#[must_use]
pub fn jitter(limit: Duration) -> Duration {
    limit.mul_f64(f64::from(u32::from_be_bytes(random())) / f64::from(u32::MAX))
}
