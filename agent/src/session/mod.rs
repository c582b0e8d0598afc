//! Sessions: a shell or command, its PTY or pipes, and the sealed channel to whoever works in it (design 3 and 6).
//!
//! - [`holder`] is one process per channel: it ends the sealed channel, owns the PTY and the byte log, and kills
//!   everything that it started when the grant is over. [`door`] is what guard says to it, [`wire`] how.
//! - [`watch`] lets others look at a shell: they see what its engineer sees, and nothing of theirs reaches the PTY.
//! - [`pty`] and [`shell_exec`] are the two short-lived processes between a holder and the user's program.
//!
//! It never outlives its grant, never starts anything before the client's first sealed record, never drops a byte
//! without saying so, and never types one twice. It knows nothing of relays, tunnels or the trust log.

pub(crate) mod account;
mod admit;
mod audit_queue;
mod bytelog;
pub(crate) mod clock;
pub(crate) mod door;
mod exhausted;
mod finish;
pub(crate) mod holder;
mod input;
mod kill;
mod lifetime;
mod program;
pub(crate) mod pty;
mod serve;
pub(crate) mod shell_exec;
mod start;
mod sys;
pub(crate) mod user;
mod view;
mod visits;
mod watch;
mod watchers;
pub(crate) mod wire;

/// Closes every descriptor but 0, 1 and 2: what was inherited from whoever started us.
pub(crate) fn close_inherited() {
    sys::close_others();
}
