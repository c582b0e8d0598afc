//! Security: what an attacker would look for first.

mod debian_version;
pub(crate) mod empty_passwords;
pub(crate) mod exposed_ports;
pub(crate) mod firewall;
pub(crate) mod password_login;
pub(crate) mod root_login;
pub(crate) mod second_root;
pub(crate) mod security_updates;
pub(crate) mod ssh_limits;
mod sshd_config;
pub(crate) mod sysctl_profile;

use crate::check::Check;

/// This group's checks.
pub(crate) const CHECKS: &[&Check] = &[
    &root_login::CHECK,
    &password_login::CHECK,
    &ssh_limits::CHECK,
    &empty_passwords::CHECK,
    &second_root::CHECK,
    &exposed_ports::CHECK,
    &firewall::CHECK,
    &sysctl_profile::CHECK,
    &security_updates::CHECK,
];
