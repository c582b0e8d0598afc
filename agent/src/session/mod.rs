//! Sessions: a shell or command, its PTY or pipes, and the sealed channel to whoever works in it (design 3 and 6).
//!
//! - [`holder`] is one process per channel: it ends the sealed channel, owns the PTY and the byte log, and kills
//!   everything that it started when the grant is over. [`door`] is how guard talks to it.
//! - [`pty`] and [`shell_exec`] are the two short-lived processes between a holder and the user's program.
//!
//! It never outlives its grant, never starts anything before the client's first sealed record, never drops a byte
//! without saying so, and never types one twice. It knows nothing of relays, tunnels or the trust log.

mod account;
mod bytelog;
mod clock;
mod input;
mod kill;
pub(crate) mod pty;
pub(crate) mod shell_exec;
mod sys;
