//! First-run set-up: a one-time code that the relay prints on its own terminal and keeps only in memory.

use super::codes::plain;
use data_encoding::BASE32_NOPAD;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq as _;

/// How long the code counts after the relay's start.
pub const SETUP_CODE_LIFETIME: Duration = Duration::from_secs(30 * 60);
/// 120 bits: nobody guesses that in half an hour at any rate.
const SECRET_BYTES: usize = 15;

/// The code, as printed: four groups of six letters and digits.
#[derive(Clone)]
pub struct SetupCode(String);

impl SetupCode {
    /// A new one.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret)?;
        Ok(Self(BASE32_NOPAD.encode(&secret)))
    }

    /// For the relay's terminal.
    #[must_use]
    pub fn reveal(&self) -> String {
        let groups: Vec<&str> = [0, 6, 12, 18].into_iter().filter_map(|at| self.0.get(at..at + 6)).collect();
        groups.join("-")
    }

    fn is(&self, typed: &str) -> bool {
        self.0.as_bytes().ct_eq(plain(typed).as_bytes()).into()
    }
}

impl std::fmt::Debug for SetupCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SetupCode(..)")
    }
}

/// The set-up, while it is open.
#[derive(Debug)]
pub struct SetupDoor(Mutex<Option<(SetupCode, Instant)>>);

/// Whether somebody may set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetupAnswer {
    /// The code is right. The door stays open until [`SetupDoor::close`].
    Right,
    /// The code is wrong.
    Wrong,
    /// There is nothing to set up, or the code's time is over.
    Closed,
}

impl SetupDoor {
    /// Open until `deadline` for who knows the code.
    #[must_use]
    pub fn open(code: SetupCode, deadline: Instant) -> Self {
        Self(Mutex::new(Some((code, deadline))))
    }

    /// Never open.
    #[must_use]
    pub fn closed() -> Self {
        Self(Mutex::new(None))
    }

    /// Compares what was typed.
    pub fn ask(&self, typed: &str, now: Instant) -> SetupAnswer {
        // The lock is for one comparison.
        let mut door = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match door.take_if(|(_, deadline)| now >= *deadline) {
            Some(_) => SetupAnswer::Closed,
            None => match &*door {
                None => SetupAnswer::Closed,
                Some((code, _)) if code.is(typed) => SetupAnswer::Right,
                Some(_) => SetupAnswer::Wrong,
            },
        }
    }

    /// Whether somebody who knows the code may set up now.
    #[must_use]
    pub fn is_open(&self, now: Instant) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(|(_, deadline)| now < *deadline)
    }

    /// Set-up is done: the code is forgotten.
    pub fn close(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]
    use super::*;

    #[test]
    fn aut_03_the_code_counts_once_and_for_half_an_hour() {
        let start = Instant::now();
        let code = SetupCode::random().unwrap();
        let typed = code.reveal();
        assert_eq!(typed.len(), 27, "{typed}");
        let door = SetupDoor::open(code.clone(), start + SETUP_CODE_LIFETIME);
        assert_eq!(door.ask("", start), SetupAnswer::Wrong);
        assert!(door.is_open(start) && !door.is_open(start + SETUP_CODE_LIFETIME));
        assert_eq!(door.ask(&typed.replace('-', " ").to_lowercase(), start), SetupAnswer::Right);
        door.close();
        assert!(!door.is_open(start));
        assert_eq!(door.ask(&typed, start), SetupAnswer::Closed);
        let door = SetupDoor::open(code, start + SETUP_CODE_LIFETIME);
        assert_eq!(door.ask(&typed, start + SETUP_CODE_LIFETIME), SetupAnswer::Closed);
        assert_eq!(door.ask(&typed, start), SetupAnswer::Closed, "closed for good");
    }
}
