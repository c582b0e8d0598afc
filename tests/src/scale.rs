//! Load of a test: scaled by default, full under `make stress`. The one place that reads the variable.

use std::time::Duration;

/// Full load was asked for.
#[must_use]
pub fn full() -> bool {
    std::env::var_os("CLOUD_DOCTOR_STRESS").is_some_and(|value| value == "1")
}

/// One of two sizes.
#[must_use]
pub fn pick<T>(scaled: T, stress: T) -> T {
    if full() { stress } else { scaled }
}

/// When a test is given up: before nextest would kill it and leave its processes behind.
#[must_use]
pub fn patience() -> Duration {
    pick(Duration::from_secs(26), Duration::from_secs(580))
}
