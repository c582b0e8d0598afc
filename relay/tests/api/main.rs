//! The relay's API through its own front door: a whole relay in this process, on loopback ports, spoken to in HTTP.
#![allow(clippy::unwrap_used, missing_docs)]
#![allow(clippy::disallowed_methods, reason = "tests measure, and join what they start")]

mod accounts;
mod approvals;
mod browser;
mod client;
mod console;
mod customer;
mod edges;
mod joins;
mod origins;
mod program;
mod routes;
mod servers;
mod streams;
mod tls;
mod tokens;
mod trust_log;
mod weak;
mod world;
