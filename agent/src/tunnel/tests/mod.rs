//! The tunnel against a relay and a guard that are made of test, over loopback.
#![allow(clippy::unwrap_used)]

mod enrolment;
mod faults;
mod metrics;
mod piping;
mod stage;
