//! Sessions through the front door: the real binary as a holder, a guard and a client made of the same wire code.
#![allow(clippy::unwrap_used, dead_code, reason = "tests; the included modules are used in parts")]

#[path = "../src/session/door.rs"]
mod door;
#[path = "../src/session/exhausted.rs"]
mod exhausted;
#[path = "session/harness.rs"]
mod harness;
#[path = "session/life.rs"]
mod life;
#[path = "../../tests/src/not_tested.rs"]
mod not_tested;
#[path = "session/resume.rs"]
mod resume;
#[path = "session/run.rs"]
mod run;
#[path = "session/watch.rs"]
mod watch;
#[path = "../src/session/wire.rs"]
mod wire;
