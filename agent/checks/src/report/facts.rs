//! What machine this is: facts that an engineer asks for first. What is not known is left out, never guessed.

use crate::host::Host;
use crate::host::control_groups::Controller;
use crate::lb::{self, detect::detection};
use crate::words;
use cloud_doctor_proto::finding::Words;
use cloud_doctor_proto::refusal::one_line;
use serde::{Deserialize, Serialize};

const LIST_MAX: usize = 100;
const NAME_CHARS_MAX: usize = 200;
/// File systems that answer from a disk of this host; others may hang.
const LOCAL: [&str; 9] = ["ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "vfat", "jfs"];

/// The machine and its system.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct System {
    /// `Debian GNU/Linux 12 (bookworm)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// `6.1.0-18-amd64`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// Processors that are in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<usize>,
    /// All memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Since the kernel started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime_secs: Option<f64>,
    /// Its time zone's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Seconds east of UTC now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub east_secs: Option<i64>,
    /// Its own addresses, without loopback.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Services of systemd that run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub services: Option<usize>,
}

/// One file system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileSystem {
    /// Where it is mounted.
    pub mount: String,
    /// `ext4`.
    pub kind: String,
    /// Its size; nothing for one that may not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// What is left for users who are not root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_bytes: Option<u64>,
}

/// One pool of a load balancer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadBalancer {
    /// `haproxy`.
    pub system: String,
    /// Its name there.
    pub pool: String,
    /// Servers in it.
    pub members: usize,
    /// Worst time until one that hangs is out; nothing where no probe tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hanging_secs: Option<f64>,
    /// Worst time until one that refuses is out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused_secs: Option<f64>,
    /// Worst time until one that lives again is back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_secs: Option<f64>,
}

pub(super) fn system(host: &Host) -> System {
    let line = |path: &str| host.read(path).ok().map(|text| one_line(text.trim(), NAME_CHARS_MAX));
    let live = |path: &str| host.is_live().then(|| line(path)).flatten().filter(|text| !text.is_empty());
    let release = host.os_release().ok();
    let memory = host.is_live().then(|| host.read("/proc/meminfo").ok()).flatten();
    let memory = memory.as_deref().and_then(|text| text.lines().find_map(|line| line.strip_prefix("MemTotal:")));
    let kib = memory.and_then(|rest| rest.split_ascii_whitespace().next()?.parse::<u64>().ok());
    let addresses = host.addresses().unwrap_or_default().into_iter().filter(|address| !address.is_loopback());
    let zone = host.zone();
    let now = i64::try_from(host.now().0).unwrap_or(0);
    System {
        os: release.map(|release| release.pretty_name).filter(|name| !name.is_empty()),
        kernel: live("/proc/sys/kernel/osrelease"),
        cpus: live("/sys/devices/system/cpu/online").and_then(|text| count(&text)),
        memory_bytes: kib.and_then(|kib| kib.checked_mul(1024)),
        uptime_secs: host.uptime_secs(),
        east_secs: zone.is_known.then(|| zone.east_secs(now)),
        zone: Some(zone.name).filter(|name| !name.is_empty()),
        addresses: addresses.take(LIST_MAX).map(|address| address.to_string()).collect(),
        services: services(host),
    }
}

/// How many `0-3,8` names.
fn count(list: &str) -> Option<usize> {
    let mut all = 0_usize;
    for part in list.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to) = (from.trim().parse::<usize>().ok()?, to.trim().parse::<usize>().ok()?);
        all = all.checked_add(to.checked_sub(from)?.checked_add(1)?)?;
    }
    Some(all)
}

fn services(host: &Host) -> Option<usize> {
    let found = host.control_groups(Controller::Cpu).ok().filter(|found| !found.cut)?;
    let of_system = found.groups.iter().filter(|group| group.path.contains("/system.slice/"));
    let count = of_system.filter(|group| group.name.ends_with(".service") && !group.name.contains('/')).count();
    (count > 0).then_some(count)
}

pub(super) fn file_systems(host: &Host) -> Result<Vec<FileSystem>, Words> {
    if !host.is_live() {
        return Err(words!("file systems: only the running host can tell", "文件系统：只有运行中的主机才能判断"));
    }
    let mounts = host.read("/proc/self/mounts").or_else(|_| host.must_read("/proc/mounts"));
    let mounts = mounts.map_err(|gap| match gap {
        crate::found::Gap::NotHere(why) | crate::found::Gap::Unknown(why) => why,
    })?;
    let mut seen = std::collections::BTreeSet::new();
    let rows = mounts.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (device, mount, kind) = (fields.next()?, unescape(fields.next()?), fields.next()?);
        let is_local = LOCAL.contains(&kind);
        let is_remote = matches!(kind, "nfs" | "nfs4" | "cifs" | "smb3" | "ceph" | "glusterfs" | "lustre");
        ((is_local || is_remote) && seen.insert(device.to_owned())).then(|| (mount, kind.to_owned(), is_local))
    });
    Ok(rows.take(LIST_MAX).map(|(mount, kind, is_local)| file_system(host, mount, kind, is_local)).collect())
}

fn file_system(host: &Host, mount: String, kind: String, is_local: bool) -> FileSystem {
    // A server that is away makes whoever asks wait for ever.
    let space = is_local.then(|| host.statvfs(&mount).ok()).flatten();
    let bytes = |blocks: u64, size: u64| blocks.checked_mul(size);
    FileSystem {
        bytes: space.as_ref().and_then(|space| bytes(space.f_blocks, space.f_frsize)),
        free_bytes: space.as_ref().and_then(|space| bytes(space.f_bavail, space.f_frsize)),
        mount: one_line(&mount, NAME_CHARS_MAX),
        kind,
    }
}

/// `\040` for a space, as the kernel writes mount points.
fn unescape(text: &str) -> String {
    ["\\040", "\\011", "\\134"]
        .iter()
        .zip([" ", "\t", "\\"])
        .fold(text.to_owned(), |text, (code, one)| text.replace(code, one))
}

pub(super) fn load_balancers(host: &Host) -> Vec<LoadBalancer> {
    super::files::fleet_files(host);
    let Ok(fleet) = lb::fleet(host) else { return Vec::new() };
    let pool = |pool: &lb::Pool| {
        let times: Vec<_> = pool.active().map(|(_, probe)| detection(probe)).collect();
        let worst = |of: fn(&lb::detect::Detection) -> f64| {
            times.iter().map(of).reduce(f64::max).filter(|secs| secs.is_finite())
        };
        LoadBalancer {
            system: pool.system.name().to_owned(),
            pool: one_line(&pool.name, NAME_CHARS_MAX),
            members: pool.members.len(),
            hanging_secs: worst(|times| times.hanging_secs),
            refused_secs: worst(|times| times.refused_secs),
            return_secs: worst(|times| times.return_secs),
        }
    };
    fleet.pools.iter().take(LIST_MAX).map(pool).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn facts_are_what_the_kernel_says_or_nothing() {
        let fixture = Fixture::live()
            .file("/etc/os-release", "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n")
            .file("/proc/sys/kernel/osrelease", "6.1.0-18-amd64\n")
            .file("/sys/devices/system/cpu/online", "0-3,8\n")
            .file("/proc/meminfo", "MemTotal:        2097152 kB\nMemFree: 1 kB\n")
            .file("/proc/uptime", "3600.5 1\n")
            .file("/proc/self/mounts", "/dev/vda1 / ext4 rw 0 0\nproc /proc proc rw 0 0\ns:/x /mnt/a\\040b nfs4 rw 0 0\n/dev/vda1 /again ext4 rw 0 0\n");
        let host = fixture.host();
        let found = system(&host);
        assert_eq!(found.os.as_deref(), Some("Debian GNU/Linux 12 (bookworm)"));
        assert_eq!((found.cpus, found.memory_bytes, found.uptime_secs), (Some(5), Some(2 << 30), Some(3600.5)));
        assert_eq!((found.zone.as_deref(), found.east_secs), (Some("UTC"), Some(0)));
        let disks = file_systems(&host).unwrap();
        assert_eq!(disks.len(), 2, "{disks:?}");
        assert!(disks[0].bytes.is_some());
        assert_eq!((disks[1].mount.as_str(), disks[1].bytes), ("/mnt/a b", None), "a remote one is not asked");
        let nothing = system(&Fixture::image().host());
        assert_eq!((nothing.kernel, nothing.cpus, nothing.memory_bytes), (None, None, None));
        assert!(file_systems(&Fixture::image().host()).is_err());
        for odd in ["", "3-1", "x", "0-18446744073709551615,0-1"] {
            assert_eq!(count(odd), None, "{odd}");
        }
    }
}
