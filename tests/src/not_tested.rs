//! Tests that need what this machine or its user does not have: they say so and pass, and `make test` lists them in its
//! last line, so that nobody takes them for tested.
#![allow(unreachable_pub, reason = "the agent's tests include this file as a module of their own")]

use std::io::Write as _;

/// Notes that the test which runs on this thread looked at nothing, and why.
pub fn not_tested(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test without a name");
    eprintln!("NOT TESTED: {test}: {why}");
    let Some(list) = std::env::var_os("CLOUD_DOCTOR_NOT_TESTED") else { return };
    let line = format!("{test}\t{why}\n");
    let noted = std::fs::OpenOptions::new().append(true).create(true).open(list);
    noted.and_then(|mut list| list.write_all(line.as_bytes())).expect("the list of what was not tested can be written");
}
