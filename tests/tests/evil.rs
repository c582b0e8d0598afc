//! The evil relay: somebody with the relay's keys and database sits in its place and tries to start something.
//!
//! Passed means: the kernel saw nothing started and no file changed but what the agent writes about it, and the attempt
//! stands in the host's audit.

#![allow(clippy::unwrap_used)]

mod evil {
    mod channels;
    mod clients;
    mod grants;
    mod logs;
    mod stage;
}
