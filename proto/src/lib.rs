//! What agent, relay and clients say to each other.
//!
//! Three absences: no sockets, no clock, no runtime. Everything here takes bytes, `now` and randomness as
//! arguments and returns bytes or decisions, so that a day passes in a millisecond of test.
//!
//! - [`frame`], [`limits`], [`ids`], [`pack`]: how bytes are cut and what they may cost.
//! - [`control`]: tunnel and relay, tolerant of newer peers.
//! - [`visit`], [`grant`], [`trust`], [`ceiling`], [`decide`], [`signer`], [`passkey`]: who may start what, signed and
//!   strict.
//! - [`guest`], [`join`]: help without an account, and new people by a link.
//! - [`channel`], [`session`]: the sealed channel and what is said inside it.
//! - [`look`]: what a visit may see of others' shells and of the host's audit.
//! - [`audit`], [`token`]: the host's signed log, and the line that lets a server enrol.
//! - [`refusal`], [`told`], [`words`]: what people read.

pub mod audit;
pub mod ceiling;
pub mod channel;
pub mod checks;
pub mod close;
pub mod control;
pub mod decide;
pub mod events;
pub mod finding;
pub mod frame;
pub mod grant;
pub mod guest;
pub mod ids;
pub mod join;
pub mod limits;
pub mod look;
pub mod metrics;
pub mod pack;
pub mod passkey;
pub mod pin;
pub mod plugin;
pub mod preset;
pub mod refusal;
pub mod session;
pub mod signer;
pub mod time;
pub mod token;
pub mod told;
pub mod trust;
pub mod visit;
pub mod words;
