//! Waiting for a condition with a deadline: the only way in which tests wait.

use std::time::{Duration, Instant};

/// Time for anything that has to happen once, also on a busy machine.
pub const SOON: Duration = Duration::from_secs(10);

/// Asks until `condition` has an answer.
///
/// # Panics
/// When it has none within `within`.
#[track_caller]
pub fn eventually<T>(within: Duration, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begun.elapsed() < within, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Looks again and again for `during`; what never may happen must not have happened.
///
/// # Panics
/// When it happens.
#[track_caller]
pub fn never(during: Duration, what: &str, mut happened: impl FnMut() -> bool) {
    let begun = Instant::now();
    while begun.elapsed() < during {
        assert!(!happened(), "happened after {:?}: {what}", begun.elapsed());
        std::thread::sleep(Duration::from_millis(10));
    }
}
