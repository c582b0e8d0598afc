//! Counters of the kernel, read twice: what happens per second is their difference over the time between.

use super::{Host, boot_time};
use crate::found::Gap;
use crate::words;
use cloud_doctor_proto::time::BootTime;
use std::collections::BTreeMap;
use std::time::Duration;

/// The files that are read at the start of a run. A second reading comes when a check asks for it.
const COUNTERS: [&str; 8] = [
    "/proc/stat",
    "/proc/vmstat",
    "/proc/diskstats",
    "/proc/net/dev",
    "/proc/net/snmp",
    "/proc/net/netstat",
    "/proc/net/softnet_stat",
    "/proc/interrupts",
];

/// Between the two readings at least. Checks that need no rate run meanwhile.
const BETWEEN_MS: u64 = 1000;

/// First readings.
#[derive(Debug, Default)]
pub(super) struct Samples {
    first: BTreeMap<String, String>,
    at: Option<BootTime>,
    /// In tests: how far apart the readings are said to be.
    #[cfg(test)]
    pub(super) pretended_secs: Option<f64>,
}

/// One file, read twice.
#[derive(Debug, Clone, PartialEq)]
pub struct Twice {
    /// The first reading.
    pub before: String,
    /// The second.
    pub after: String,
    /// Seconds between them, above zero.
    pub secs: f64,
}

impl Samples {
    pub(super) fn begin(host: &Host, now: BootTime) -> Self {
        let paths = COUNTERS.iter().map(|path| (*path).to_owned()).chain(host.counters_found());
        let first = paths.filter_map(|path| host.read(&path).ok().map(|text| (path, text))).collect();
        Self {
            first,
            at: Some(now),
            #[cfg(test)]
            pretended_secs: None,
        }
    }

    pub(super) fn second_at(&self) -> BootTime {
        self.at.map_or(BootTime(0), |at| BootTime(at.0 + BETWEEN_MS))
    }

    fn secs(&self) -> f64 {
        #[cfg(test)]
        if let Some(secs) = self.pretended_secs {
            return secs;
        }
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of one run")]
        let millis = self.at.map_or(0, |at| at.millis_until(boot_time())) as f64;
        millis / 1000.0
    }
}

impl Host {
    /// Reads the counters for the first time, so that rates can be told later.
    pub fn begin_rates(&mut self) {
        self.samples = Samples::begin(self, boot_time());
    }

    #[expect(clippy::disallowed_methods, reason = "time itself is what a rate needs")]
    fn wait_for_second_reading(&self) {
        let left = boot_time().millis_until(self.samples.second_at());
        std::thread::sleep(Duration::from_millis(left));
    }

    /// A counter file as it was at the start of the run and as it is now.
    ///
    /// # Errors
    /// [`Gap::Unknown`] on a root that is not running, when the file cannot be read, or when no time has passed.
    pub fn twice(&self, path: &str) -> Result<Twice, Gap> {
        self.must_live()?;
        self.wait_for_second_reading();
        let after = self.must_read(path)?;
        let secs = self.samples.secs();
        match self.samples.first.get(path) {
            Some(before) if secs > 0.0 => Ok(Twice { before: before.clone(), after, secs }),
            Some(_) | None => Err(Gap::Unknown(words!("{path} was not read twice", "{path} 未能两次采样"))),
        }
    }
}
