//! The metrics' only clocks. It must never decide anything: what decides gets a [`Moment`].

use rustix::time::{ClockId, Timespec, clock_gettime};

/// One moment by both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// Milliseconds of Unix time; anybody may set this clock.
    pub(super) wall: u64,
    /// Microseconds since boot, suspend included; nobody can set this one.
    pub(super) boot: u64,
}

pub(super) fn now() -> Moment {
    Moment { wall: micros(clock_gettime(ClockId::Realtime)) / 1_000, boot: micros(clock_gettime(ClockId::Boottime)) }
}

/// Microseconds of processor time that the calling thread has used.
pub(super) fn thread_micros() -> u64 {
    micros(clock_gettime(ClockId::ThreadCPUTime))
}

/// The same of the whole process.
pub(super) fn process_micros() -> u64 {
    micros(clock_gettime(ClockId::ProcessCPUTime))
}

/// A clock before its epoch shows its epoch.
fn micros(time: Timespec) -> u64 {
    let (secs, nanos) = (u64::try_from(time.tv_sec).unwrap_or(0), u64::try_from(time.tv_nsec).unwrap_or(0));
    secs.saturating_mul(1_000_000).saturating_add(nanos / 1_000)
}
