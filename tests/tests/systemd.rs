//! The units: read by systemd's own tools, and run by a real systemd that boots as process 1 of a machine of its own.
//!
//! It must never touch the systemd, the services or the files of the machine that runs the tests.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "systemd/boot.rs"]
mod boot;
#[path = "systemd/happened.rs"]
mod happened;
#[path = "systemd/journal.rs"]
mod journal;
#[path = "systemd/local.rs"]
mod local;
#[path = "systemd/machine.rs"]
mod machine;
#[path = "systemd/road.rs"]
mod road;
#[path = "systemd/units.rs"]
mod units;
