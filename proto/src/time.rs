//! The two clocks, as values. Nobody reads them here: callers pass `now`.

use serde::{Deserialize, Serialize};

/// Wall clock, seconds since 1970 UTC. For dates that people set (a key's last day), never for timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnixTime(pub u64);

/// `CLOCK_BOOTTIME` in milliseconds: monotonic, counts suspend, starts at boot. For deadlines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BootTime(pub u64);

impl UnixTime {
    /// `secs` later; saturates.
    #[must_use]
    pub fn plus_secs(self, secs: u64) -> Self {
        Self(self.0.saturating_add(secs))
    }

    /// Whole seconds between two times, whichever is first.
    #[must_use]
    pub fn distance_secs(self, other: Self) -> u64 {
        self.0.abs_diff(other.0)
    }
}

impl BootTime {
    /// `secs` later; saturates.
    #[must_use]
    pub fn plus_secs(self, secs: u64) -> Self {
        Self(self.0.saturating_add(secs.saturating_mul(1000)))
    }

    /// Milliseconds until `later`, zero when it has passed.
    #[must_use]
    pub fn millis_until(self, later: Self) -> u64 {
        later.0.saturating_sub(self.0)
    }
}

/// Seconds in a day, for readability of limits.
pub const DAY_SECS: u64 = 86_400;

/// Weekday (0 = Monday) and minute of the day of `now` shifted by `offset_secs` east of UTC.
///
/// Day 0 of Unix time was a Thursday.
#[must_use]
pub fn weekday_and_minute(now: UnixTime, offset_secs: i32) -> (u8, u16) {
    let local = i128::from(now.0) + i128::from(offset_secs);
    let day_secs = i128::from(DAY_SECS);
    let weekday = (local.div_euclid(day_secs) + 3).rem_euclid(7);
    let minute = local.rem_euclid(day_secs) / 60;
    (u8::try_from(weekday).unwrap_or(0), u16::try_from(minute).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weekdays() {
        assert_eq!(weekday_and_minute(UnixTime(0), 0), (3, 0));
        // 2026-11-21 12:34:00 UTC is a Saturday.
        assert_eq!(weekday_and_minute(UnixTime(1_795_264_440), 0), (5, 754));
        assert_eq!(weekday_and_minute(UnixTime(0), -60), (2, 1439));
    }
}
