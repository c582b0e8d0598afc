//! Bearer tokens of logins: 256 random bits, opaque, ended on the server's side. Stored as SHA-256.

use cloud_doctor_proto::time::UnixTime;
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest as _, Sha256};

/// A login ends after this time whatever happens: a working day and a half.
pub(super) const LOGIN_SECS: u64 = 12 * 3600;
/// A login that was not used for so long has ended.
const IDLE_SECS: u64 = 15 * 60;
/// Uses are written down at most this often.
const TOUCH_SECS: u64 = 60;
/// What secret scanners look for.
const PREFIX: &str = "cd_ses_";

/// What a client sends in `Authorization: Bearer`.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken([u8; 32]);

impl BearerToken {
    /// A new one.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        Ok(Self(secret))
    }

    /// Reads what a client sent.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let secret = BASE64URL_NOPAD.decode(text.strip_prefix(PREFIX)?.as_bytes()).ok()?;
        Some(Self(secret.try_into().ok()?))
    }

    /// What the store knows it by.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }

    /// What the client keeps. Goes into the one answer that hands it out and nowhere else.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&self.0))
    }
}

impl std::fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BearerToken(..)")
    }
}

/// Whether a login still counts.
#[must_use]
pub fn is_alive(used_at: UnixTime, ends_at: UnixTime, now: UnixTime) -> bool {
    now < ends_at && now <= used_at.plus_secs(IDLE_SECS)
}

/// Whether this use should be written down.
#[must_use]
pub fn needs_touch(used_at: UnixTime, now: UnixTime) -> bool {
    now >= used_at.plus_secs(TOUCH_SECS)
}

/// Logins last used before this have ended.
#[must_use]
pub fn idle_since(now: UnixTime) -> UnixTime {
    UnixTime(now.0.saturating_sub(IDLE_SECS))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn tokens_are_read_as_written_and_never_printed() {
        let token = BearerToken::random().unwrap();
        let text = token.reveal();
        assert!(text.starts_with("cd_ses_") && text.len() == 7 + 43, "{text}");
        assert_eq!(BearerToken::parse(&text), Some(token.clone()));
        assert!(!format!("{token:?}").contains(&text[7..20]));
        for bad in ["", "cd_ses_", &text[1..], &text[..text.len() - 1], &format!("{text}A")] {
            assert_eq!(BearerToken::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn aut_08_logins_end_by_idleness_and_by_age() {
        let (start, end) = (UnixTime(1000), UnixTime(1000 + LOGIN_SECS));
        assert!(is_alive(start, end, UnixTime(1000 + 900)));
        assert!(!is_alive(start, end, UnixTime(1000 + 901)));
        assert!(is_alive(UnixTime(end.0 - 1), end, UnixTime(end.0 - 1)));
        assert!(!is_alive(UnixTime(end.0 - 1), end, end));
        assert!(!needs_touch(start, UnixTime(1059)));
        assert!(needs_touch(start, UnixTime(1060)));
    }
}
