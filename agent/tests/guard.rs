//! Guard through its front door: the real process on a state of its own, a client that speaks the wire, and the relay's
//! place taken by the test.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests start programs, read clocks and wait")]

#[path = "guard/attacks.rs"]
mod attacks;
#[path = "guard/client.rs"]
mod client;
#[path = "guard/customer.rs"]
mod customer;
#[path = "guard/evidence.rs"]
mod evidence;
#[path = "guard/full.rs"]
mod full;
#[path = "guard/host.rs"]
mod host;
#[path = "guard/life.rs"]
mod life;
#[path = "guard/trust.rs"]
mod trust;
