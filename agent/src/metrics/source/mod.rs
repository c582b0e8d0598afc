//! Where values come from: one file for each part of a host. Each keeps its files open and its series' slots.
//!
//! What a kernel does not have has no series, or one without a value. It must never write, start anything or wait: what
//! may hang is asked by a thread of its own (`filesystems`).

pub(super) mod cpu;
mod devices;
pub(super) mod disks;
pub(super) mod filesystems;
pub(super) mod hardware;
pub(super) mod memory;
pub(super) mod network;
pub(super) mod protocols;
pub(super) mod services;
#[cfg(test)]
mod tests;
