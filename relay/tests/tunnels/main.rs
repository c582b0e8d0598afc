//! The relay's side of tunnels, through its own listener on a loopback port, with peers that behave and peers that do not.
//!
//! Peers here speak QUIC themselves, so that they can also say what the agent never would.
#![allow(clippy::unwrap_used, missing_docs)]
#![allow(clippy::disallowed_methods, reason = "tests measure, and join what they start")]

mod checks;
mod enrolment;
mod faults;
mod frames;
mod handmade;
mod icmp;
mod identity;
mod listener;
#[path = "../../../tests/src/not_tested.rs"]
mod not_tested;
mod peer;
mod pipe;
mod prometheus;
mod push;
mod rawquic;
mod recorder;
mod replay;
mod scans;
mod watch;
#[path = "../api/weak.rs"]
mod weak;
mod world;
