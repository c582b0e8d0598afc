//! The relay's clocks: the one file that reads them. Everything that decides takes `now` as an argument.

#![expect(clippy::disallowed_methods, reason = "this is the one place that reads the clocks")]

use cloud_doctor_proto::time::UnixTime;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The wall clock.
#[must_use]
pub fn now() -> UnixTime {
    // A clock that stands before 1970 is as wrong as one that stands at 1970.
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// The wall clock in milliseconds.
#[must_use]
pub fn now_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The monotonic clock, for limits and deadlines.
#[must_use]
pub fn instant() -> Instant {
    Instant::now()
}
