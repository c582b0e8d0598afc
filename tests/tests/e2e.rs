//! End to end: real programs, real terminals, real kills. One binary, one module per theme.

#![allow(clippy::unwrap_used)]

mod e2e {
    mod faults;
    mod harness;
    mod numbers;
    mod shell;
    mod signatures;
    mod slice;
}
