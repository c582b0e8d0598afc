//! How the kernel's clock is doing: its one call that no file shows.
//!
//! It must never set anything: `modes` is zero, which only reads (adjtimex(2)).
#![allow(unsafe_code)]

use super::Host;
use crate::found::Gap;
use crate::words;
use std::io;
use std::mem::MaybeUninit;

/// The clock, as who disciplines it told the kernel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Clock {
    /// Whether the kernel holds it for synchronised.
    pub(crate) is_synchronised: bool,
    /// How far it may be off at most, seconds.
    pub(crate) error_max_secs: f64,
    /// What is still to be corrected by running faster or slower, seconds.
    pub(crate) offset_secs: f64,
}

impl Host {
    /// The clock of this running host.
    ///
    /// # Errors
    /// [`Gap::Unknown`] when the kernel does not say, or on a root that is not running.
    pub(crate) fn clock(&self) -> Result<Clock, Gap> {
        self.must_live()?;
        self.memo.clock.get_or_init(|| read().map_err(|error| unread(&error))).clone()
    }
}

fn unread(error: &io::Error) -> Gap {
    Gap::Unknown(words!("the kernel does not say how its clock is: {error}", "内核未返回时钟状态：{error}"))
}

fn read() -> io::Result<Clock> {
    let mut state = MaybeUninit::<libc::timex>::zeroed();
    // SAFETY: the pointer is to a whole `timex` that lives through the call. All its fields are integers, so zeroes are a
    // valid one, and `modes` zero makes the kernel fill it and change nothing.
    let answer = unsafe { libc::adjtimex(state.as_mut_ptr()) };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: zeroes were a valid `timex`, and the kernel has only written integers over them.
    let state = unsafe { state.assume_init() };
    let per_second = if state.status & libc::STA_NANO == 0 { 1e6 } else { 1e9 };
    #[expect(clippy::cast_precision_loss, reason = "microseconds below 16 s, and half a second in nanoseconds")]
    let (error_max, offset) = (state.maxerror as f64, state.offset as f64);
    Ok(Clock {
        is_synchronised: answer != libc::TIME_ERROR,
        error_max_secs: error_max / 1e6,
        offset_secs: offset / per_second,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::host::fixture::Fixture;

    #[test]
    fn the_kernel_says_how_its_clock_is() {
        let clock = Fixture::live().host().clock().unwrap();
        assert!((0.0..=16.1).contains(&clock.error_max_secs), "{clock:?}");
        assert!(clock.offset_secs.abs() <= 1.0, "{clock:?}");
        assert!(Fixture::image().host().clock().is_err());
    }
}
