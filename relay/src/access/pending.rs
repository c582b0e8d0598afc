//! Things that were begun and wait for their second half: each counts once, for a few minutes, in memory.
//!
//! Strangers may begin things, so the oldest make room for new ones: a crowd can shorten how long somebody may take,
//! and can neither fill the memory nor keep anybody out. Never: a second use, whatever became of the first.

use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// From begin to end: somebody looks for a security key, or signs in at a provider.
pub(super) const PENDING_LIFETIME: Duration = Duration::from_secs(5 * 60);
/// Things that wait at once, some hundred bytes each.
const ALL: usize = 4096;

/// What waits, by the hash of the id that its beginner holds.
pub(super) struct Pending<T>(Mutex<HashMap<[u8; 32], Held<T>>>);

struct Held<T> {
    what: T,
    ends: Instant,
}

impl<T> Pending<T> {
    /// Keeps something; the id is for whoever began it.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub(super) fn keep(&self, what: T, now: Instant) -> Result<String, getrandom::Error> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= ALL {
            held.retain(|_, one| now < one.ends);
        }
        if held.len() >= ALL {
            let oldest = held.iter().min_by_key(|(_, one)| one.ends).map(|(id, _)| *id);
            oldest.and_then(|id| held.remove(&id));
        }
        held.insert(Sha256::digest(secret).into(), Held { what, ends: now + PENDING_LIFETIME });
        Ok(BASE64URL_NOPAD.encode(&secret))
    }

    /// Takes what was kept under this id, if it fits; else it stays.
    pub(super) fn take_if(&self, id: &str, now: Instant, fits: impl FnOnce(&T) -> bool) -> Option<T> {
        let hash: [u8; 32] = Sha256::digest(BASE64URL_NOPAD.decode(id.as_bytes()).ok()?).into();
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(&hash).filter(|one| now < one.ends && fits(&one.what))?;
        held.remove(&hash).map(|one| one.what)
    }

    /// Takes what was kept under this id.
    pub(super) fn take(&self, id: &str, now: Instant) -> Option<T> {
        let hash: [u8; 32] = Sha256::digest(BASE64URL_NOPAD.decode(id.as_bytes()).ok()?).into();
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&hash)?;
        (now < held.ends).then_some(held.what)
    }
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_struct("Pending").field("held", &held).finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]
    use super::*;

    #[test]
    fn aut_09_what_was_begun_counts_once_and_for_five_minutes() {
        let (pending, start) = (Pending::default(), Instant::now());
        let [once, late, last] = ["once", "late", "last"].map(|what| pending.keep(what, start).unwrap());
        assert_eq!((pending.take(&once, start), pending.take(&once, start)), (Some("once"), None));
        assert_eq!(pending.take(&last, start + PENDING_LIFETIME - Duration::from_millis(1)), Some("last"));
        assert_eq!(pending.take_if(&late, start, |what| *what == "other"), None, "and stays");
        assert_eq!(pending.take(&late, start + PENDING_LIFETIME), None);
        for bad in ["", "x", &late[1..], &BASE64URL_NOPAD.encode(&[0; 32])] {
            assert_eq!(pending.take(bad, start), None, "{bad}");
        }
    }

    #[test]
    fn dos_the_oldest_make_room_and_the_newest_stay() {
        let (pending, start) = (Pending::default(), Instant::now());
        let first = pending.keep(0, start).unwrap();
        for at in 1..=ALL {
            pending.keep(at, start + Duration::from_millis(u64::try_from(at).unwrap())).unwrap();
        }
        let newest = pending.keep(usize::MAX, start + Duration::from_secs(60)).unwrap();
        assert_eq!(format!("{pending:?}"), "Pending { held: 4096 }");
        assert_eq!((pending.take(&first, start), pending.take(&newest, start)), (None, Some(usize::MAX)));
    }
}
