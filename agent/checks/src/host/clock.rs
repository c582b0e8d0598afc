//! The checks' only clocks. Deciding code gets `now`.
use cloud_doctor_proto::time::{BootTime, UnixTime};
use rustix::time::{ClockId, clock_gettime};

/// Milliseconds since boot, suspend included.
#[must_use]
pub fn boot_time() -> BootTime {
    BootTime(millis(ClockId::Boottime))
}

/// Milliseconds since 1970.
#[must_use]
pub fn unix_millis() -> u64 {
    millis(ClockId::Realtime)
}

/// Seconds since 1970.
#[must_use]
pub fn unix_time() -> UnixTime {
    UnixTime(unix_millis() / 1000)
}

fn millis(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    let (secs, nanos) = (u64::try_from(now.tv_sec).unwrap_or(0), u64::try_from(now.tv_nsec).unwrap_or(0));
    secs * 1000 + nanos / 1_000_000
}
