//! Bearer tokens of logins: 256 random bits, opaque, ended on the server's side. Stored as SHA-256.

use cloud_doctor_proto::time::{DAY_SECS, UnixTime};
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest as _, Sha256};

/// How long a login lasts. It opens no server either way: that takes a signature each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    /// In a browser: a working day and a half at most, 15 minutes without use.
    Short,
    /// In a file that only its owner may read, for the command line: 30 days at most, 12 hours without use, so that a
    /// password is typed once a day and not before every command.
    Long,
}

impl Lasting {
    /// A login ends after this time whatever happens.
    #[must_use]
    pub fn age_secs(self) -> u64 {
        match self {
            Lasting::Short => 12 * 3600,
            Lasting::Long => 30 * DAY_SECS,
        }
    }

    /// A login that was not used for so long has ended.
    #[must_use]
    pub fn idle_secs(self) -> u64 {
        match self {
            Lasting::Short => 15 * 60,
            Lasting::Long => 12 * 3600,
        }
    }
}

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

/// Whether this use should be written down.
#[must_use]
pub fn needs_touch(used_at: UnixTime, now: UnixTime) -> bool {
    now >= used_at.plus_secs(TOUCH_SECS)
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
    fn uses_are_written_down_once_a_minute() {
        let start = UnixTime(1000);
        assert!(!needs_touch(start, UnixTime(1059)));
        assert!(needs_touch(start, UnixTime(1060)));
    }
}
