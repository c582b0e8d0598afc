//! Guard through its front door: the real process on a state of its own, a client that speaks the wire, and the relay's
//! place taken by the test.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests start programs, read clocks and wait")]

#[path = "guard/attacks.rs"]
mod attacks;
#[path = "guard/bounds.rs"]
mod bounds;
#[path = "guard/checks.rs"]
mod checks;
#[path = "guard/client.rs"]
mod client;
#[path = "guard/customer.rs"]
mod customer;
#[path = "guard/evidence.rs"]
mod evidence;
#[path = "guard/full.rs"]
mod full;
#[path = "guard/grants.rs"]
mod grants;
#[path = "guard/host.rs"]
mod host;
#[path = "guard/life.rs"]
mod life;
#[path = "guard/local.rs"]
mod local;
#[path = "guard/logs.rs"]
mod logs;
#[path = "guard/metrics.rs"]
mod metrics;
#[path = "../../tests/src/not_tested.rs"]
mod not_tested;
#[path = "guard/second.rs"]
mod second;
#[path = "guard/watch.rs"]
mod watch;
