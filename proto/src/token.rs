//! The install token: one line that lets one server enrol. It stands in a file, never in argv or the environment.
//!
//! `cdt1.` and base64url of `relay secret | batch seed | genesis hash`, 32 bytes each. The relay knows the hash of the
//! first part only; the second one signs the server's entry of the trust log; the third one says whose log it is. It
//! must never be shown: `Debug` hides it and memory is wiped.

use crate::ids::TenantId;
use data_encoding::BASE64URL_NOPAD;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

const PREFIX: &str = "cdt1.";
const PART: usize = 32;

/// A token, taken apart.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Token {
    /// The relay's part: shows it that this host may use it.
    pub secret: [u8; PART],
    /// Seed of the batch's Ed25519 key, which signs the host's log entry.
    pub batch_seed: [u8; PART],
    /// Whose log the batch is in.
    #[zeroize(skip)]
    pub tenant: TenantId,
}

/// The line is not a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAToken {
    /// Another beginning.
    #[error("the token file does not begin with `cdt1.`; it is not an install token of this version")]
    Prefix,
    /// Cut off, or changed on the way.
    #[error("the token is incomplete or was changed; copy the whole line again")]
    Damaged,
}

impl Token {
    /// Reads the line of a token file; blanks around it are ignored.
    ///
    /// # Errors
    /// [`NotAToken`].
    pub fn parse(line: &str) -> Result<Self, NotAToken> {
        let encoded = line.trim().strip_prefix(PREFIX).ok_or(NotAToken::Prefix)?;
        let decoded = BASE64URL_NOPAD.decode(encoded.as_bytes()).map_err(|_| NotAToken::Damaged)?;
        let bytes = Zeroizing::new(decoded);
        let part = |at: usize| -> Option<[u8; PART]> { bytes.get(at * PART..(at + 1) * PART)?.try_into().ok() };
        match (part(0), part(1), part(2)) {
            (Some(secret), Some(batch_seed), Some(tenant)) if bytes.len() == 3 * PART => {
                Ok(Self { secret, batch_seed, tenant: TenantId(tenant) })
            }
            _ => Err(NotAToken::Damaged),
        }
    }

    /// The line for the token file, without a line end.
    #[must_use]
    pub fn line(&self) -> Zeroizing<String> {
        let bytes = Zeroizing::new([self.secret, self.batch_seed, self.tenant.0].concat());
        Zeroizing::new(format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&bytes)))
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn enr_07_tokens_round_trip_and_do_not_show_themselves() {
        let token = Token { secret: [0xa1; 32], batch_seed: [0xb2; 32], tenant: TenantId([3; 32]) };
        let line = token.line();
        assert_eq!(Token::parse(&format!(" {}\n", *line)), Ok(token.clone()));
        let shown = format!("{token:?}");
        assert!(!shown.contains("161") && !shown.contains("a1a1") && shown.contains("0303"), "{shown}");
    }

    #[test]
    fn enr_02_damaged_tokens_are_refused() {
        let line = Token { secret: [1; 32], batch_seed: [2; 32], tenant: TenantId([3; 32]) }.line();
        for len in 0..line.len() {
            assert!(Token::parse(&line[..len]).is_err(), "{len}");
        }
        assert_eq!(Token::parse(&format!("{}A", *line)), Err(NotAToken::Damaged));
        assert_eq!(Token::parse(&line.replace("cdt1", "cdt2")), Err(NotAToken::Prefix));
        assert_eq!(Token::parse(&line.replacen("cdt1.A", "cdt1.+", 1)), Err(NotAToken::Damaged));
    }
}
