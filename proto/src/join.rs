//! A link that lets a new person in: nobody compares fingerprints, and the relay cannot swap the key.
//!
//! ```text
//!  inviter ── link (token.secret.tenant) ──▶ invited, over any channel that the inviter trusts
//!  invited ── token ──▶ relay                an account there, nothing more
//!  invited ── key, kind, mac(secret) ──▶ relay ──▶ inviter: verifies, and only then signs the key into the log
//! ```
//!
//! The relay knows the token's hash and never the secret, so it cannot make a mac for a key of its own; whoever has the
//! link can. It must never be shown but to be sent: `Debug` hides it, memory is wiped.

use crate::ids::TenantId;
use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of the relay's part.
pub const TOKEN_BYTES: usize = 16;
/// Bytes of the part that the relay never sees.
pub const SECRET_BYTES: usize = 32;

/// Prefix of what a token's name is the hash of.
const TOKEN_CONTEXT: &[u8] = b"cloud-doctor join token v1\0";
/// Prefix of what the secret vouches for.
const MAC_CONTEXT: &[u8] = b"cloud-doctor join v1\0";

/// What a token is called in lists, and what the mac names: it says nothing about the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct JoinId(pub [u8; 16]);

impl JoinId {
    /// The name of a token.
    #[must_use]
    pub fn of(token: &[u8; TOKEN_BYTES]) -> Self {
        let hash = Sha256::new().chain_update(TOKEN_CONTEXT).chain_update(token).finalize();
        let mut id = [0; 16];
        id.copy_from_slice(&hash[..16]);
        Self(id)
    }
}

impl std::fmt::Display for JoinId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl std::str::FromStr for JoinId {
    type Err = NotALink;
    fn from_str(text: &str) -> Result<Self, NotALink> {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).map_err(|_| NotALink)?;
        bytes.try_into().map(Self).map_err(|_| NotALink)
    }
}

/// What stands in a link behind `#/join/`.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct JoinLink {
    /// The relay's part: it makes one account.
    pub token: [u8; TOKEN_BYTES],
    /// What vouches for the new person's key.
    pub secret: [u8; SECRET_BYTES],
    /// Whose log the new person believes, whatever the relay says.
    #[zeroize(skip)]
    pub tenant: TenantId,
}

/// The text is no such link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the link is incomplete or was changed; copy the whole of it again")]
pub struct NotALink;

impl JoinLink {
    /// Reads `token.secret.tenant`, exactly as it was written.
    ///
    /// # Errors
    /// [`NotALink`].
    pub fn parse(text: &str) -> Result<Self, NotALink> {
        let mut parts = text.split('.');
        let link =
            Self { token: part(parts.next())?, secret: part(parts.next())?, tenant: TenantId(part(parts.next())?) };
        if parts.next().is_none() { Ok(link) } else { Err(NotALink) }
    }

    /// `token.secret.tenant`, base64url each.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        let [token, secret, tenant] =
            [&self.token[..], &self.secret, &self.tenant.0].map(|part| Zeroizing::new(BASE64URL_NOPAD.encode(part)));
        Zeroizing::new(format!("{}.{}.{}", *token, *secret, *tenant))
    }

    /// What the secret says about a key: `kind` as the trust log spells it, the key in SSH's wire format.
    #[must_use]
    pub fn mac(&self, kind: &str, key: &[u8]) -> [u8; 32] {
        self.begun(kind, key).finalize().into_bytes().into()
    }

    /// Whether whoever made this mac had the link and meant this key.
    #[must_use]
    pub fn vouches(&self, kind: &str, key: &[u8], mac: &[u8]) -> bool {
        self.begun(kind, key).verify_slice(mac).is_ok()
    }

    fn begun(&self, kind: &str, key: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes keys of any length");
        let id = JoinId::of(&self.token);
        // A kind holds no zero byte, so that where it ends is beyond doubt.
        for part in [MAC_CONTEXT, &id.0, &self.tenant.0, kind.as_bytes(), b"\0", key] {
            mac.update(part);
        }
        mac
    }
}

fn part<const N: usize>(text: Option<&str>) -> Result<[u8; N], NotALink> {
    let bytes = BASE64URL_NOPAD.decode(text.ok_or(NotALink)?.as_bytes()).map_err(|_| NotALink)?;
    Zeroizing::new(bytes).as_slice().try_into().map_err(|_| NotALink)
}

impl std::fmt::Debug for JoinLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinLink").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn link() -> JoinLink {
        JoinLink { token: [0xa1; 16], secret: [0xb2; 32], tenant: TenantId([3; 32]) }
    }

    #[test]
    fn links_round_trip_and_do_not_show_themselves() {
        let text = link().text();
        assert_eq!(text.len(), 22 + 1 + 43 + 1 + 43);
        assert_eq!(JoinLink::parse(&text), Ok(link()));
        let shown = format!("{:?}", link());
        assert!(!shown.contains("178") && !shown.contains("b2b2") && shown.contains("0303"), "{shown}");
    }

    #[test]
    fn damaged_links_are_refused() {
        let text = link().text();
        for len in 0..text.len() {
            assert_eq!(JoinLink::parse(&text[..len]), Err(NotALink), "{len}");
        }
        for bad in [format!("{}.", *text), format!("{}A", *text), text.replace('.', "/"), format!(" {}", *text)] {
            assert_eq!(JoinLink::parse(&bad), Err(NotALink), "{bad}");
        }
    }

    #[test]
    fn a_mac_vouches_for_one_key_of_one_kind_by_one_link() {
        let mac = link().mac("device", b"key");
        assert!(link().vouches("device", b"key", &mac));
        assert!(!link().vouches("sshsig", b"key", &mac) && !link().vouches("device", b"kez", &mac));
        assert!(!link().vouches("devic", b"ekey", &mac) && !link().vouches("device", b"key", &mac[..31]));
        let others = [
            JoinLink { token: [0; 16], ..link() },
            JoinLink { secret: [0; 32], ..link() },
            JoinLink { tenant: TenantId([0; 32]), ..link() },
        ];
        assert!(others.iter().all(|other| !other.vouches("device", b"key", &mac)));
        for bit in 0..256 {
            let mut bad = mac;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!link().vouches("device", b"key", &bad), "bit {bit}");
        }
    }
}
