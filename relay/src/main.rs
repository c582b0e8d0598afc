//! `cloud-doctor-relay`: the command line around the library.

fn main() {}
