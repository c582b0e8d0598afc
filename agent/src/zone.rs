//! The server's time zone: how far local time is from UTC, for the ceiling's hours.
//!
//! The C library knows the host's rules; this is its one call. It must never decide anything.
#![allow(unsafe_code)]

use crate::session::clock;

/// Seconds east of UTC at this moment.
pub(crate) fn offset_secs() -> i32 {
    let now = libc::time_t::try_from(clock::unix_time().0).unwrap_or(0);
    // SAFETY: an all-zero `tm` is valid: integers, and a pointer that may be null.
    let mut local: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to locals that live through the call; guard has one thread, so no environment changes.
    let filled = unsafe { libc::localtime_r(&raw const now, &raw mut local) };
    if filled.is_null() { 0 } else { i32::try_from(local.tm_gmtoff).unwrap_or(0) }
}
