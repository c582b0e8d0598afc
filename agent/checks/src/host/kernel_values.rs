//! Small values of the kernel: one number in one file of `/proc/sys` or `/sys`, and how long it has been running.

use super::Host;
use crate::found::Gap;
use crate::words;
use std::str::FromStr;

impl Host {
    /// The one number that a file holds.
    ///
    /// # Errors
    /// As [`Host::read`]; also when it is no such number.
    pub(crate) fn number<T: FromStr>(&self, path: &str) -> Result<T, Gap> {
        let text = self.read(path)?;
        text.trim()
            .parse()
            .map_err(|_| Gap::Unknown(words!("{path} holds no number that makes sense", "{path} 中没有有效的数值")))
    }

    /// Seconds since the kernel started, suspend included; nothing on a root that is not running.
    pub(crate) fn uptime_secs(&self) -> Option<f64> {
        let text = if self.live { self.read("/proc/uptime").ok()? } else { return None };
        text.split_ascii_whitespace().next()?.parse().ok().filter(|secs: &f64| secs.is_finite() && *secs >= 0.0)
    }
}
