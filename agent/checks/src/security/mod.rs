//! Security: what an attacker would look for first.

pub(crate) mod exposed_ports;
pub(crate) mod password_login;
pub(crate) mod root_login;
pub(crate) mod ssh_limits;
mod sshd_config;

use crate::check::Check;

/// This group's checks.
pub(crate) const CHECKS: &[&Check] =
    &[&root_login::CHECK, &password_login::CHECK, &ssh_limits::CHECK, &exposed_ports::CHECK];
