//! The relay's API through its own front door: a whole relay in this process, on loopback ports, spoken to in HTTP.
#![allow(clippy::unwrap_used, missing_docs)]
#![allow(clippy::disallowed_methods, reason = "tests measure, and join what they start")]

mod accounts;
mod approvals;
mod authenticator;
mod browser;
mod checks;
mod client;
mod console;
mod customer;
mod edges;
mod idle;
mod joins;
mod logins;
mod metrics;
#[path = "../../../tests/src/not_tested.rs"]
mod not_tested;
mod oidc;
mod origins;
mod passkeys;
mod program;
mod provider;
mod queries;
mod routes;
mod scans;
mod second_step;
mod servers;
mod slow;
mod smuggled;
mod standing;
mod streams;
mod tls;
mod tokens;
mod trust_log;
mod weak;
mod world;
