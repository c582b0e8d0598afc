//! The relay as a library: what `cloud-doctor-relay` runs and what tests run in their own process.
//!
//! It accepts tunnels and clients, finds the tunnel that a client may use, and moves sealed bytes. It holds no key
//! that can start anything on a customer's server, and parses no byte of a sealed stream.

pub mod access;
mod admin;
pub mod backup;
pub mod broker;
pub mod causes;
pub mod checks;
pub mod clock;
pub mod config;
pub mod data_dir;
pub mod http;
pub mod logs;
pub mod messages;
pub mod metrics;
pub mod scan;
mod serve;
pub mod store;
pub mod tls;
pub mod tunnels;
mod turns;
pub mod watch;

pub use serve::{Bound, Running, ServeError, serve};
