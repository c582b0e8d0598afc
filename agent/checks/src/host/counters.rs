//! Counter files whose names depend on the host: those of services with a limit, processors and disks. They are read twice
//! like the others.

use super::Host;
use super::control_groups::Controller;

/// Such files at most; each costs a reading at the start of every run.
const COUNTERS_MAX: usize = 2000;

impl Host {
    /// The files that are there. A folder that cannot be read has none: the check that asks says so.
    pub(super) fn counters_found(&self) -> Vec<String> {
        if !self.live {
            return Vec::new();
        }
        let heat = ["core_throttle_count", "package_throttle_count"].into_iter().flat_map(|name| {
            self.glob(&format!("/sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/{name}")).unwrap_or_default()
        });
        let disks = ["ioerr_cnt", "iorequest_cnt"].into_iter();
        let disks = disks.flat_map(|name| self.glob(&format!("/sys/block/*/device/{name}")).unwrap_or_default());
        let groups = self.limited_groups().into_iter().map(|(path, _)| format!("{path}/cpu.stat"));
        heat.chain(disks).chain(groups).take(COUNTERS_MAX).collect()
    }

    /// Folders and names of the groups whose processor time is limited.
    pub(crate) fn limited_groups(&self) -> Vec<(String, String)> {
        let Ok(found) = self.control_groups(Controller::Cpu) else { return Vec::new() };
        let limited = |path: &str| {
            if found.unified {
                self.read(&format!("{path}/cpu.max")).is_ok_and(|limit| !limit.starts_with("max"))
            } else {
                self.number::<i64>(&format!("{path}/cpu.cfs_quota_us")).is_ok_and(|quota| quota > 0)
            }
        };
        let groups = found.groups.into_iter().filter(|group| limited(&group.path));
        groups.map(|group| (group.path, group.name)).collect()
    }
}
