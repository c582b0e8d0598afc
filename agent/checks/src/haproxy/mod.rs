//! HAProxy while it runs: what its socket for operators tells. What its configuration says is the business of `lb`.

mod errors_while_up;
mod flapping;
mod maintenance;
mod runtime;
mod saturation;
mod server_down;
mod stats_socket;
mod table;

pub(crate) use runtime::Runtime;

use crate::check::Check;

/// This group's checks.
pub(crate) const CHECKS: &[&Check] = &[
    &server_down::CHECK,
    &errors_while_up::CHECK,
    &saturation::CHECK,
    &flapping::CHECK,
    &maintenance::CHECK,
    &stats_socket::CHECK,
];
