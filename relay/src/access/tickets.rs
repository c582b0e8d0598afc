//! Tickets for streams: a page asks for one by its login and hands it in with the WebSocket's handshake.
//!
//! A browser sends cookies with every handshake, whichever page begins it; a ticket only its own page can have. Each
//! counts once, for half a minute, for the login that asked. Never: a ticket on disk, in a log or in an URL.

use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// From asking to the handshake (H-04): a slow network takes seconds.
const LIFETIME: Duration = Duration::from_secs(30);
/// Tickets that one login may hold: a page that comes back opens all its terminals at once.
const PER_LOGIN: usize = 32;
/// Tickets of everybody, about 100 bytes each.
const ALL: usize = 8192;

/// Why there is no ticket.
#[derive(Debug, thiserror::Error)]
pub enum NoTicket {
    /// Too many wait to be used.
    #[error("too many tickets wait to be used")]
    Full,
    /// The operating system gives no random numbers.
    #[error("no randomness: {0}")]
    Randomness(#[from] getrandom::Error),
}

/// Tickets that were given out and not used yet.
#[derive(Debug, Default)]
pub struct Tickets(Mutex<HashMap<[u8; 32], Held>>);

/// A ticket, kept under its hash.
#[derive(Debug)]
struct Held {
    login: [u8; 32],
    ends: Instant,
}

impl Tickets {
    /// A ticket for this login.
    ///
    /// # Errors
    /// [`NoTicket`].
    pub fn issue(&self, login: &[u8; 32], now: Instant) -> Result<String, NoTicket> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        let mut held = self.lock();
        held.retain(|_, ticket| now < ticket.ends);
        let of_login = held.values().filter(|ticket| ticket.login == *login).count();
        if held.len() >= ALL || of_login >= PER_LOGIN {
            return Err(NoTicket::Full);
        }
        held.insert(Sha256::digest(secret).into(), Held { login: *login, ends: now + LIFETIME });
        Ok(BASE64URL_NOPAD.encode(&secret))
    }

    /// Takes a ticket back. It counts when this login asked for it, in time, and it was not used before; whatever the
    /// answer, it counts no more.
    pub fn redeem(&self, ticket: &str, login: &[u8; 32], now: Instant) -> bool {
        let Ok(secret) = BASE64URL_NOPAD.decode(ticket.as_bytes()) else { return false };
        let hash: [u8; 32] = Sha256::digest(secret).into();
        self.lock().remove(&hash).is_some_and(|held| held.login == *login && now < held.ends)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], Held>> {
        // The lock is for one look at a table.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]
    use super::*;

    #[test]
    fn web_01_a_ticket_counts_once_for_its_login_and_for_half_a_minute() {
        let (tickets, start) = (Tickets::default(), Instant::now());
        let (ann, bob) = ([1; 32], [2; 32]);
        let issue = || tickets.issue(&ann, start).unwrap();
        let (used, foreign, late, last) = (issue(), issue(), issue(), issue());
        assert!(tickets.redeem(&used, &ann, start) && !tickets.redeem(&used, &ann, start), "once");
        assert!(!tickets.redeem(&foreign, &bob, start) && !tickets.redeem(&foreign, &ann, start), "by its login");
        assert!(!tickets.redeem(&late, &ann, start + LIFETIME), "in time");
        assert!(tickets.redeem(&last, &ann, start + LIFETIME - Duration::from_millis(1)));
        for bad in ["", "x", &used[1..], &BASE64URL_NOPAD.encode(&[0; 32]), "ticket"] {
            assert!(!tickets.redeem(bad, &ann, start), "{bad}");
        }
        assert!(tickets.lock().is_empty());
    }

    #[test]
    fn dos_tickets_are_bounded_and_old_ones_make_room() {
        let (tickets, start) = (Tickets::default(), Instant::now());
        for _ in 0..PER_LOGIN {
            tickets.issue(&[1; 32], start).unwrap();
        }
        assert!(matches!(tickets.issue(&[1; 32], start), Err(NoTicket::Full)));
        tickets.issue(&[2; 32], start).unwrap();
        tickets.issue(&[1; 32], start + LIFETIME).unwrap();
        assert_eq!(tickets.lock().len(), 1);
        let printed = format!("{tickets:?}");
        assert!(!printed.contains(&tickets.issue(&[1; 32], start + LIFETIME).unwrap()), "{printed}");
    }
}
