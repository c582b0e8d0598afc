//! Until when releases of systems get security updates.
//!
//! As of 2026-11. Debian and Ubuntu: distro-info-data 0.58+deb12u7 (`debian.csv`, `ubuntu.csv`). Alibaba Cloud Linux: Alibaba
//! Cloud, "Alibaba Cloud Linux lifecycle" (2025-11-13). Amazon Linux: AWS, "Release cadence" and the Amazon Linux 2 FAQ.
//! openEuler: <https://www.openeuler.org/en/download/archive/>. All others: endoflife.date, which cites the vendors' pages
//! (access.redhat.com/support/policy/updates/errata, suse.com/lifecycle, docs.fedoraproject.org/en-US/releases/lifecycle).
//! What is not in here is unknown, and never taken for fine.

use crate::host::os_release::OsRelease;

/// A release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Release {
    id: &'static str,
    version: &'static str,
    /// The last day of security updates that everybody gets. For Debian that is the end of LTS.
    pub(super) until: &'static str,
    /// The last day of those that are to be paid for, or empty.
    pub(super) paid_until: &'static str,
}

const fn row(id: &'static str, version: &'static str, until: &'static str, paid_until: &'static str) -> Release {
    Release { id, version, until, paid_until }
}

const RELEASES: &[Release] = &[
    row("debian", "8", "2020-06-30", "2025-06-30"),
    row("debian", "9", "2022-06-30", "2027-06-30"),
    row("debian", "10", "2024-06-30", "2029-06-30"),
    row("debian", "11", "2026-08-31", "2031-06-30"),
    row("debian", "12", "2028-06-30", "2033-06-30"),
    row("debian", "13", "2030-06-30", "2035-06-30"),
    row("ubuntu", "14.04", "2019-04-25", "2026-04-28"),
    row("ubuntu", "16.04", "2021-04-30", "2028-04-25"),
    row("ubuntu", "18.04", "2023-05-31", "2030-04-30"),
    row("ubuntu", "20.04", "2025-05-29", "2032-04-27"),
    row("ubuntu", "22.04", "2027-06-01", "2034-04-25"),
    row("ubuntu", "23.04", "2024-01-25", ""),
    row("ubuntu", "23.10", "2024-07-11", ""),
    row("ubuntu", "24.04", "2029-05-31", "2036-04-29"),
    row("ubuntu", "24.10", "2025-07-10", ""),
    row("ubuntu", "25.04", "2026-01-15", ""),
    row("ubuntu", "25.10", "2026-07-09", ""),
    row("ubuntu", "26.04", "2031-05-29", "2038-04-27"),
    row("ubuntu", "26.10", "2027-07-15", ""),
    row("rhel", "6", "2020-11-30", "2024-06-30"),
    row("rhel", "7", "2024-06-30", "2028-06-30"),
    row("rhel", "8", "2029-05-31", "2032-05-31"),
    row("rhel", "9", "2032-05-31", "2035-05-31"),
    row("centos", "6", "2020-11-30", ""),
    row("centos", "7", "2024-06-30", ""),
    row("centos", "8", "2021-12-31", ""),
    row("centos-stream", "8", "2024-05-31", ""),
    row("centos-stream", "9", "2027-05-31", ""),
    row("centos-stream", "10", "2030-01-01", ""),
    row("rocky", "8", "2029-05-31", ""),
    row("rocky", "9", "2032-05-31", ""),
    row("almalinux", "8", "2029-03-01", ""),
    row("almalinux", "9", "2032-05-31", ""),
    row("almalinux", "10", "2035-05-31", ""),
    row("alinux", "2", "2026-03-31", ""),
    row("alinux", "3", "2031-03-31", ""),
    row("amzn", "2018.03", "2023-12-31", ""),
    row("amzn", "2", "2026-06-30", ""),
    row("amzn", "2023", "2029-06-30", ""),
    row("openeuler", "20.03 LTS", "2021-03-31", ""),
    row("openeuler", "20.03 LTS-SP1", "2022-12-31", ""),
    row("openeuler", "20.03 LTS-SP2", "2022-04-30", ""),
    row("openeuler", "20.03 LTS-SP3", "2023-12-31", ""),
    row("openeuler", "20.03 LTS-SP4", "2025-11-30", ""),
    row("openeuler", "22.03 LTS", "2024-03-31", ""),
    row("openeuler", "22.03 LTS-SP1", "2024-12-31", ""),
    row("openeuler", "22.03 LTS-SP2", "2024-03-31", ""),
    row("openeuler", "22.03 LTS-SP3", "2025-12-31", ""),
    row("openeuler", "22.03 LTS-SP4", "2026-06-30", ""),
    row("openeuler", "24.03 LTS", "2026-05-31", ""),
    row("openeuler", "24.03 LTS-SP1", "2026-12-31", ""),
    row("openeuler", "24.03 LTS-SP2", "2026-03-31", ""),
    row("openeuler", "24.03 LTS-SP3", "2027-12-31", ""),
    row("openeuler", "24.03 LTS-SP4", "2027-03-31", ""),
    row("sles", "12.5", "2024-10-31", "2027-10-31"),
    row("sles", "15", "2019-12-31", "2022-12-31"),
    row("sles", "15.1", "2021-01-31", "2024-01-31"),
    row("sles", "15.2", "2021-12-31", "2024-12-31"),
    row("sles", "15.3", "2022-12-31", "2025-12-31"),
    row("sles", "15.4", "2023-12-31", "2026-12-31"),
    row("sles", "15.5", "2024-12-31", "2027-12-31"),
    row("fedora", "38", "2024-05-21", ""),
    row("fedora", "39", "2024-11-26", ""),
    row("fedora", "40", "2025-05-13", ""),
    row("fedora", "41", "2025-12-15", ""),
    row("fedora", "42", "2026-05-13", ""),
    row("fedora", "43", "2026-12-09", ""),
];

/// The row of a system, when it is in the table.
pub(super) fn of(system: &OsRelease) -> Option<&'static Release> {
    let id = system.id.to_ascii_lowercase();
    let major = || system.version_id.split('.').next().unwrap_or_default().to_owned();
    let (id, version) = match id.as_str() {
        "centos" if system.name.contains("Stream") => ("centos-stream", major()),
        "rhel" | "centos" | "rocky" | "almalinux" | "alinux" => (id.as_str(), major()),
        "sles" | "sles_sap" => ("sles", system.version_id.clone()),
        // `22.03 (LTS-SP4)`; the version's id says nothing of service packs.
        "openeuler" => ("openeuler", system.version.replace(['(', ')'], "")),
        _ => (id.as_str(), system.version_id.clone()),
    };
    RELEASES.iter().find(|release| release.id == id && release.version == version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::date::parse_day;
    use std::collections::BTreeSet;

    #[test]
    fn krn_13_the_table_is_in_order() {
        let mut seen = BTreeSet::new();
        for release in RELEASES {
            assert!(seen.insert((release.id, release.version)), "{release:?} twice");
            assert!(parse_day(release.until).is_some(), "{release:?}");
            assert!(
                release.paid_until.is_empty() || parse_day(release.paid_until) > parse_day(release.until),
                "{release:?}"
            );
        }
    }
}
