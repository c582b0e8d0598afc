//! Passwords: argon2id, few at a time, on threads that move no bytes.
//!
//! Two queues, so that a crowd of guessers cannot keep out somebody who comes from a place that the account knows.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use data_encoding::BASE64_NOPAD;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use subtle::ConstantTimeEq as _;
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

/// The workers: one per queue, each with its own 19 MiB, which it keeps: memory that is returned and taken again by
/// ever other threads would stay in as many places.
#[derive(Debug, Clone)]
pub struct Passwords {
    known: Worker,
    strangers: Worker,
    /// Checked in place of an account that does not exist.
    decoy: String,
}

#[derive(Debug, Clone)]
struct Worker {
    turn: Arc<Semaphore>,
    memory: Arc<Mutex<Vec<Block>>>,
}

impl Passwords {
    /// Makes the decoy, which takes as long as checking a password.
    ///
    /// # Panics
    /// When the operating system gives no randomness: nothing that follows would be safe.
    #[must_use]
    pub fn new() -> Self {
        let (known, strangers) = (Worker::new(), Worker::new());
        let decoy = known.with_memory(|memory| hash_now("no password of anybody", memory));
        Self { known, strangers, decoy }
    }

    /// Hashes a new password.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn hash(&self, password: &str) -> Result<String, Busy> {
        let password = password.to_owned();
        self.known.run(move |memory| hash_now(&password, memory)).await
    }

    /// Whether `stored` is the hash of `password`. Without `stored` it works as long and says no.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn verify(&self, password: &str, stored: Option<String>, queue: Queue) -> Result<bool, Busy> {
        let worker = match queue {
            Queue::Known => &self.known,
            Queue::Strangers => &self.strangers,
        };
        let exists = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.decoy.clone());
        let password: String = password.chars().take(PASSWORD_CHARS.end() + 1).collect();
        let right = worker.run(move |memory| verify_now(&password, &stored, memory)).await?;
        Ok(right && exists)
    }
}

impl Worker {
    fn new() -> Self {
        let memory = vec![Block::new(); Params::DEFAULT.block_count()];
        Self { turn: Arc::new(Semaphore::new(1)), memory: Arc::new(Mutex::new(memory)) }
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&mut [Block]) -> T + Send + 'static) -> Result<T, Busy> {
        let turn = tokio::time::timeout(PATIENCE, self.turn.clone().acquire_owned()).await;
        let turn = turn.map_err(|_| Busy)?.map_err(|_| Busy)?;
        let worker = self.clone();
        // 19 MiB are filled twice: 20 to 40 ms of a core.
        let done = tokio::task::spawn_blocking(move || {
            let result = worker.with_memory(work);
            drop(turn);
            result
        });
        done.await.map_err(|_| Busy)
    }

    fn with_memory<T>(&self, work: impl FnOnce(&mut [Block]) -> T) -> T {
        // Whoever has the turn has the memory; nobody else waits for this lock.
        work(&mut self.memory.lock().unwrap_or_else(PoisonError::into_inner))
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
fn hash_now(password: &str, memory: &mut [Block]) -> String {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).expect("the operating system gives randomness");
    let params = Params::DEFAULT;
    let hash = derive(password, &salt, params.clone(), memory).expect("the memory is made for these parameters");
    let [salt, hash] = [&salt[..], &hash].map(|bytes| BASE64_NOPAD.encode(bytes));
    let (m, t, p) = (params.m_cost(), params.t_cost(), params.p_cost());
    format!("$argon2id$v=19$m={m},t={t},p={p}${salt}${hash}")
}

fn verify_now(password: &str, stored: &str, memory: &mut [Block]) -> bool {
    let Ok(stored) = PasswordHash::new(stored) else { return false };
    let (Some(salt), Some(hash), Ok(params)) = (&stored.salt, &stored.hash, Params::try_from(&stored)) else {
        return false;
    };
    let ours = stored.algorithm.as_str() == "argon2id" && stored.version == Some(19);
    let derived = derive(password, salt, params, memory);
    ours && derived.is_some_and(|derived| derived[..].ct_eq(hash.as_bytes()).into())
}

/// `None`: the parameters are not ones that we ever stored.
fn derive(password: &str, salt: &[u8], params: Params, memory: &mut [Block]) -> Option<[u8; 32]> {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut hash = [0; 32];
    argon2.hash_password_into_with_memory(password.as_bytes(), salt, &mut hash, memory).ok()?;
    Some(hash)
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
        for damaged in [
            "damaged",
            "$argon2id$v=19$m=1000000,t=2,p=1$c2FsdHNhbHQ$AAAA",
            "$argon2i$v=19$m=8,t=1,p=1$YWJjZGVmZ2g$AAAA",
        ] {
            assert!(!check("x", Some(damaged.to_owned())).await.unwrap(), "{damaged}");
        }
    }

    #[test]
    fn what_is_stored_is_what_the_library_itself_would_accept() {
        use argon2::password_hash::PasswordVerifier as _;
        let stored = Worker::new().with_memory(|memory| hash_now("correct horse battery", memory));
        let parsed = PasswordHash::new(&stored).unwrap();
        Argon2::default().verify_password(b"correct horse battery", &parsed).unwrap();
        assert!(Argon2::default().verify_password(b"another", &parsed).is_err());
    }
}
