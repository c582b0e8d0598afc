//! What this server calls itself and runs, for the relay's list of servers.

use cloud_doctor_proto::control::HostFacts;
use cloud_doctor_proto::time::UnixTime;
use rustix::time::{ClockId, clock_gettime};

/// Reads the facts. Missing ones are empty.
pub(crate) fn read() -> HostFacts {
    let system = rustix::system::uname();
    // Asked of the kernel: a sandboxed service does not see all of /proc.
    let sizes = rustix::system::sysinfo();
    // To the nanosecond: whole seconds would begin at different moments, and the start would move to and fro.
    let nanos = |clock| {
        let now = clock_gettime(clock);
        i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)
    };
    let start = (nanos(ClockId::Realtime) - nanos(ClockId::Boottime)) / 1_000_000_000;
    let text = |value: &std::ffi::CStr| value.to_string_lossy().into_owned();
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    HostFacts {
        hostname: text(system.nodename()),
        os: pretty_name(&release).unwrap_or_default(),
        kernel: text(system.release()),
        arch: text(system.machine()),
        cpus: std::fs::read_to_string("/sys/devices/system/cpu/online").ok().and_then(|list| count(&list)),
        memory_bytes: u64::from(sizes.mem_unit).checked_mul(sizes.totalram),
        booted_at: u64::try_from(start).ok().map(UnixTime),
    }
}

/// Processors in the kernel's list: `0-3,6`.
fn count(list: &str) -> Option<u32> {
    list.trim().split(',').try_fold(0u32, |sum, range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        sum.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

fn pretty_name(release: &str) -> Option<String> {
    let value = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(value.trim_matches(['"', '\'']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_systems() {
        let debian = "NAME=\"Debian GNU/Linux\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n";
        assert_eq!(pretty_name(debian).as_deref(), Some("Debian GNU/Linux 12 (bookworm)"));
        assert_eq!(pretty_name("NAME=x\n"), None);
        assert!(!read().hostname.is_empty());
    }

    #[test]
    fn processors_in_the_kernels_list() {
        assert_eq!(count("0-3\n"), Some(4));
        assert_eq!(count("0"), Some(1));
        assert_eq!(count("0-1,4,6-7"), Some(5));
        for odd in ["", "3-1", "x", "0-", "0-4294967295"] {
            assert_eq!(count(odd), None, "{odd}");
        }
    }

    #[test]
    fn this_machine_has_a_size_and_a_start() {
        let facts = read();
        assert!(facts.cpus.is_some_and(|cpus| cpus > 0), "{facts:?}");
        assert!(facts.memory_bytes.is_some_and(|bytes| bytes > 1 << 20), "{facts:?}");
        assert!(facts.booted_at.is_some_and(|at| at.0 > 1_000_000_000), "{facts:?}");
    }
}
