//! Security: what an attacker would look for first.

pub(crate) mod automatic_updates;
mod debian_version;
pub(crate) mod docker_socket;
pub(crate) mod empty_passwords;
pub(crate) mod exposed_ports;
pub(crate) mod file_modes;
pub(crate) mod firewall;
pub(crate) mod login_failures;
pub(crate) mod open_stores;
pub(crate) mod password_login;
pub(crate) mod root_login;
pub(crate) mod second_root;
pub(crate) mod security_updates;
pub(crate) mod ssh_limits;
mod sshd_config;
pub(crate) mod sysctl_profile;
pub(crate) mod temporary_folders;
pub(crate) mod watchers;

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
    &automatic_updates::CHECK,
    &docker_socket::CHECK,
    &file_modes::CHECK,
    &login_failures::CHECK,
    &open_stores::CHECK,
    &temporary_folders::CHECK,
    &watchers::CHECK,
];
