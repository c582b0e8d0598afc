//! Passwords: argon2id, few at a time, on threads that move no bytes.
//!
//! Two queues, so that a crowd of guessers cannot keep out somebody who comes from a place that the account knows.

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Characters of a password. The upper bound is what hashing should not be fed by strangers.
pub const PASSWORD_CHARS: RangeInclusive<usize> = 12..=256;
/// How long somebody waits for their turn.
const PATIENCE: Duration = Duration::from_secs(3);

/// Too many passwords are being checked.
#[derive(Debug, thiserror::Error)]
#[error("too many passwords are being checked right now")]
pub struct Busy;

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// The account signed in from this network before.
    Known,
    /// Everybody else.
    Strangers,
}

/// The workers: one per queue, 19 MiB each.
#[derive(Debug, Clone)]
pub struct Passwords {
    known: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    /// Checked in place of an account that does not exist.
    decoy: String,
}

impl Passwords {
    /// Makes the decoy, which takes as long as checking a password.
    ///
    /// # Panics
    /// When the operating system gives no randomness: nothing that follows would be safe.
    #[must_use]
    pub fn new() -> Self {
        let decoy = hash_now("no password of anybody");
        Self { known: Arc::new(Semaphore::new(1)), strangers: Arc::new(Semaphore::new(1)), decoy }
    }

    /// Hashes a new password.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn hash(&self, password: &str) -> Result<String, Busy> {
        let password = password.to_owned();
        Self::run(&self.known, move || hash_now(&password)).await
    }

    /// Whether `stored` is the hash of `password`. Without `stored` it works as long and says no.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn verify(&self, password: &str, stored: Option<String>, queue: Queue) -> Result<bool, Busy> {
        let slots = match queue {
            Queue::Known => &self.known,
            Queue::Strangers => &self.strangers,
        };
        let exists = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.decoy.clone());
        let password: String = password.chars().take(PASSWORD_CHARS.end() + 1).collect();
        let right = Self::run(slots, move || verify_now(&password, &stored)).await?;
        Ok(right && exists)
    }

    async fn run<T: Send + 'static>(
        slots: &Arc<Semaphore>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let turn = tokio::time::timeout(PATIENCE, slots.clone().acquire_owned()).await;
        let turn = turn.map_err(|_| Busy)?.map_err(|_| Busy)?;
        // 19 MiB are filled twice: 20 to 40 ms of a core.
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(turn);
            result
        });
        done.await.map_err(|_| Busy)
    }
}

impl Default for Passwords {
    fn default() -> Self {
        Self::new()
    }
}

/// Hashes with argon2id (19 MiB, 2 passes) and a random salt. Blocking.
///
/// # Panics
/// When the operating system gives no randomness.
fn hash_now(password: &str) -> String {
    let hash: Result<PasswordHash, _> = Argon2::default().hash_password(password.as_bytes());
    hash.expect("argon2's default parameters are valid and the operating system gives randomness").to_string()
}

fn verify_now(password: &str, stored: &str) -> bool {
    PasswordHash::new(stored).is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn aut_02_unknown_accounts_are_checked_as_long_and_refused() {
        let passwords = Passwords::new();
        let stored = passwords.hash("correct horse battery").await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        let check = |password: &'static str, stored| passwords.verify(password, stored, Queue::Strangers);
        assert!(check("correct horse battery", Some(stored.clone())).await.unwrap());
        assert!(!check("correct horse batterx", Some(stored)).await.unwrap());
        assert!(!check("no password of anybody", None).await.unwrap());
        assert!(!check("x", Some("damaged".to_owned())).await.unwrap());
    }
}
