//! End to end: real programs, real terminals, real kills. One binary, one module per theme.

#![allow(clippy::unwrap_used)]

mod e2e {
    mod acme;
    mod ahead;
    mod bad_input;
    mod checks;
    mod enrolment;
    mod faults;
    mod fleet;
    mod given_back;
    mod guest;
    mod happened;
    mod harness;
    mod joining;
    mod listeners;
    mod measured;
    mod metrics;
    mod neighbours;
    mod numbers;
    mod people;
    mod roots;
    mod scans;
    mod second_step;
    mod shell;
    mod signatures;
    mod slice;
    mod terminal;
    mod top;
    mod watch;
}
