//! One-time codes that a person types or that stand in a link: random letters and digits, stored as SHA-256 only.

use data_encoding::BASE32_NOPAD;
use sha2::{Digest as _, Sha256};

/// A code, as printed: groups of letters and digits.
#[derive(Clone)]
pub struct OneTimeCode {
    text: String,
    group: usize,
}

impl OneTimeCode {
    /// For a link, or to be typed once: 120 bits in groups of six.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn long() -> Result<Self, getrandom::Error> {
        Self::random::<15>(6)
    }

    /// For a sheet of paper: 80 bits in groups of four. Nobody guesses that through the limits of signing in.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn short() -> Result<Self, getrandom::Error> {
        Self::random::<10>(4)
    }

    fn random<const BYTES: usize>(group: usize) -> Result<Self, getrandom::Error> {
        let mut secret = [0; BYTES];
        getrandom::fill(&mut secret)?;
        Ok(Self { text: BASE32_NOPAD.encode(&secret), group })
    }

    /// For the one who is to use it.
    #[must_use]
    pub fn reveal(&self) -> String {
        let groups: Vec<&str> =
            (0..self.text.len()).step_by(self.group).filter_map(|at| self.text.get(at..at + self.group)).collect();
        groups.join("-")
    }

    /// What the store knows it by.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.text).into()
    }
}

impl std::fmt::Debug for OneTimeCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OneTimeCode(..)")
    }
}

/// What the store knows a typed code by.
#[must_use]
pub fn hash_of_typed(typed: &str) -> [u8; 32] {
    Sha256::digest(plain(typed)).into()
}

/// A code without the dashes, blanks and small letters of people.
pub(super) fn plain(typed: &str) -> String {
    typed.chars().filter(char::is_ascii_alphanumeric).take(64).map(|c| c.to_ascii_uppercase()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn codes_are_known_as_people_type_them_and_never_printed() {
        for (code, length) in [(OneTimeCode::long().unwrap(), 27), (OneTimeCode::short().unwrap(), 19)] {
            let shown = code.reveal();
            assert_eq!(shown.len(), length, "{shown}");
            assert_eq!(hash_of_typed(&shown.replace('-', " ").to_lowercase()), code.hash());
            assert_ne!(hash_of_typed(&shown[1..]), code.hash());
            assert!(!format!("{code:?}").contains(&shown[..4]));
        }
    }
}
