//! This computer's time zone. The C library knows its rules; this is its one call. It must never read the clock.
#![allow(unsafe_code)]

use cloud_doctor_proto::time::UnixTime;

/// Seconds east of UTC at a moment.
#[must_use]
pub fn offset_secs(at: UnixTime) -> i32 {
    let at = libc::time_t::try_from(at.0).unwrap_or(0);
    // SAFETY: an all-zero `tm` is valid: integers, and a pointer that may be null.
    let mut local: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to locals that live through the call; nothing in this program changes its environment.
    let filled = unsafe { libc::localtime_r(&raw const at, &raw mut local) };
    if filled.is_null() { 0 } else { i32::try_from(local.tm_gmtoff).unwrap_or(0) }
}
