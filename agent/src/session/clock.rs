//! The session side's only clocks: `CLOCK_BOOTTIME` for every deadline, wall time for the audit, and one timer.
//!
//! A timer of the kernel on the same clock, so that a suspended machine finds its deadlines passed when it wakes. It
//! must never decide anything: deciding code gets `now`.

use super::sys;
use cloud_doctor_proto::time::{BootTime, UnixTime};
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime, timerfd_create,
    timerfd_settime,
};
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Milliseconds since boot, suspend included.
pub(crate) fn boot_time() -> BootTime {
    let now = clock_gettime(ClockId::Boottime);
    let (secs, nanos) = (u64::try_from(now.tv_sec).unwrap_or(0), u64::try_from(now.tv_nsec).unwrap_or(0));
    BootTime(secs * 1000 + nanos / 1_000_000)
}

/// Seconds since 1970, for what people read.
pub(crate) fn unix_time() -> UnixTime {
    UnixTime(u64::try_from(clock_gettime(ClockId::Realtime).tv_sec).unwrap_or(0))
}

/// One timer for all deadlines of a holder.
#[derive(Debug)]
pub(crate) struct Timer {
    fd: AsyncFd<OwnedFd>,
    armed: Option<BootTime>,
}

impl Timer {
    /// A timer that is not set.
    ///
    /// # Errors
    /// The kernel's, when no descriptor is left.
    pub(crate) fn new() -> std::io::Result<Self> {
        let fd = timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        Ok(Self { fd: sys::watch(fd, Interest::READABLE)?, armed: None })
    }

    /// Wakes at `at` at the latest. An earlier setting stays: waking early costs less than setting twice per key.
    pub(crate) fn wake_at(&mut self, at: BootTime) {
        if self.armed.is_some_and(|armed| armed <= at) {
            return;
        }
        let secs = i64::try_from(at.0 / 1000).unwrap_or(i64::MAX);
        let nanos = i64::try_from(at.0 % 1000).unwrap_or(0) * 1_000_000;
        // Zero would switch the timer off instead of letting it ring at once.
        let value = Timespec { tv_sec: secs, tv_nsec: nanos.max(1) };
        let spec = Itimerspec { it_interval: Timespec::default(), it_value: value };
        timerfd_settime(self.fd.get_ref(), TimerfdTimerFlags::ABSTIME, &spec)
            .expect("a timer of ours takes any time after boot");
        self.armed = Some(at);
    }

    /// Ready when the timer rang; it is then not set any more.
    pub(crate) fn poll_rang(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.armed.is_none() {
            return Poll::Pending;
        }
        let Ok(mut guard) = ready!(self.fd.poll_read_ready(cx)) else { return Poll::Pending };
        let mut count = [0; 8];
        let rang = guard.try_io(|fd| Ok(rustix::io::read(fd, &mut count)?));
        match rang {
            Ok(_) => {
                self.armed = None;
                Poll::Ready(())
            }
            Err(_would_block) => self.poll_rang(cx),
        }
    }
}
