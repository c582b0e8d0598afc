//! Checks of a host: what is wrong here, what does it cost, what helps.
//!
//! A check is one file with one [`Check`] in it, listed by its group's `mod.rs`; the command line, the docs page and the
//! console's texts come from there. Checks see a host only through [`Host`], which reads and never writes, is bounded in
//! bytes, files and depth, and works the same over another root. A check that cannot tell says so ([`Gap`]); it must
//! never guess, never start a program, never write, and never trust what it reads.

mod backup;
mod busiest;
mod check;
mod cloud;
mod container;
mod cpu;
mod db;
mod disk;
mod dns;
mod document;
pub mod forecast;
mod found;
mod haproxy;
mod hardware;
pub mod host;
mod kernel;
mod lb;
mod log;
mod many;
mod memo;
mod memory;
mod net;
mod nginx;
mod number;
pub mod pack;
mod process;
mod record;
pub mod redact;
pub mod report;
mod run;
mod security;
mod service;
pub mod show;
mod time;
mod tls;
mod web;

pub use busiest::{Used, busiest};
pub use check::{Check, Group, Needs, Param, Text};
pub use found::{Found, Gap, Outcome};
pub use host::Host;
pub use record::{Damaged, RECORD_BYTES_MAX, Record};
pub use run::{BadSetting, Before, Pending, RTO_SECS_DEFAULT, Ran, Settings, Shares, Wanted, apart, run, unknown};

/// Every check, in the order of groups and of the list in each; at the end those of the host's own packs and plugins,
/// once they were installed.
pub fn all() -> impl Iterator<Item = &'static Check> {
    [
        lb::CHECKS,
        haproxy::CHECKS,
        nginx::CHECKS,
        web::CHECKS,
        cpu::CHECKS,
        memory::CHECKS,
        disk::CHECKS,
        net::CHECKS,
        kernel::CHECKS,
        hardware::CHECKS,
        process::CHECKS,
        service::CHECKS,
        time::CHECKS,
        dns::CHECKS,
        tls::CHECKS,
        security::CHECKS,
        db::CHECKS,
        container::CHECKS,
        log::CHECKS,
        backup::CHECKS,
        cloud::CHECKS,
    ]
    .into_iter()
    .flatten()
    .copied()
    .chain(pack::checks())
}

/// The check with this id.
#[must_use]
pub fn by_id(id: &str) -> Option<&'static Check> {
    all().find(|check| check.id == id)
}
