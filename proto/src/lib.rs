//! What agent, relay and clients say to each other.
//!
//! Three absences: no sockets, no clock, no runtime. Everything here takes bytes, `now` and randomness as
//! arguments and returns bytes or decisions, so that a day passes in a millisecond of test.
//!
//! - [`frame`], [`limits`], [`ids`], [`pack`]: how bytes are cut and what they may cost.
//! - [`control`]: tunnel and relay, tolerant of newer peers.
//! - [`visit`], [`grant`], [`trust`], [`ceiling`], [`decide`]: who may start what, signed and strict.
//! - [`channel`], [`session`]: the sealed channel and what is said inside it.
//! - [`refusal`], [`words`]: what people read.

// ceiling
pub mod channel;
pub mod close;
pub mod control;
// decide
pub mod frame;
// grant
pub mod ids;
pub mod limits;
pub mod pack;
pub mod pin;
// preset
// refusal
pub mod session;
pub mod signer;
pub mod time;
// trust
pub mod visit;
// words
