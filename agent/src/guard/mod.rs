//! Role `guard`: the root part. It holds the identity, checks grants against ceiling and trust log, has holders started,
//! and writes the host's audit log.
//!
//! - [`core`] decides: synchronous, with the time as an argument. [`visits`] and [`channels`] are what it remembers.
//! - [`server`] owns sockets and tasks: [`client`] for sealed streams, [`checks`] and [`metrics`] for what a
//!   relay may ask without a grant, [`control`] for the tunnel's own questions,
//!   [`admin`] for root's commands, [`link`] for each living holder.
//!
//! It never speaks to the network, runs a shell or carries a terminal byte, and a stranger can make it hold no more
//! than one frame.

pub(crate) mod admin;
mod admission;
mod channels;
mod checks;
mod client;
mod control;
mod core;
mod damaged;
mod link;
mod metrics;
mod server;
pub(crate) mod sockets;
mod start;
mod stream;
mod visits;

pub(crate) use server::{now, random, run};

/// Writes the file that keeps a server locked down, without a guard.
///
/// # Errors
/// [`crate::state::files::FileError`].
pub(crate) fn lock_down_lasting(places: &crate::state::Places) -> Result<(), crate::state::files::FileError> {
    core::lock_down_lasting(places, now())
}

/// Ends a holder from outside a guard: the supervisor's good-bye, or a lockdown without a guard.
pub(crate) async fn end_holder(socket: &std::path::Path, reason: cloud_doctor_proto::session::FinReason) {
    link::end(socket, reason).await;
}
