//! What this server calls itself and runs, for the relay's list of servers.

use cloud_doctor_proto::control::HostFacts;

/// Reads the facts. Missing ones are empty.
pub(crate) fn read() -> HostFacts {
    let system = rustix::system::uname();
    let text = |value: &std::ffi::CStr| value.to_string_lossy().into_owned();
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    HostFacts {
        hostname: text(system.nodename()),
        os: pretty_name(&release).unwrap_or_default(),
        kernel: text(system.release()),
        arch: text(system.machine()),
    }
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
}
