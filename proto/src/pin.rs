//! Pins: how a key that nobody certifies is named on a command line and compared in a handshake.
//!
//! A pin is the SHA-256 of a public key's SubjectPublicKeyInfo in DER. Tunnels and relays have Ed25519 keys (RFC 7250
//! raw public keys), whose form is fixed: anything that is not exactly that form is no key.

use crate::ids::VerifyKey;
use sha2::{Digest, Sha256};

/// Length of an Ed25519 SubjectPublicKeyInfo.
pub const SPKI_BYTES: usize = 44;
/// Everything of it that is not the key: SEQUENCE { SEQUENCE { OID 1.3.101.112 } BIT STRING }.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// SHA-256 of a SubjectPublicKeyInfo, written `sha256:` and 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pin(pub [u8; 32]);

/// The text is not a pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pin is written sha256: followed by 64 hexadecimal digits; the relay prints its own when it starts")]
pub struct NotAPin;

impl Pin {
    /// The pin of a key in its DER form, of whatever algorithm.
    #[must_use]
    pub fn of_spki(spki: &[u8]) -> Self {
        Self(Sha256::digest(spki).into())
    }

    /// The pin of a raw Ed25519 key.
    #[must_use]
    pub fn of(key: &VerifyKey) -> Self {
        Self::of_spki(&spki(key))
    }
}

/// The DER form of an Ed25519 key.
#[must_use]
pub fn spki(key: &VerifyKey) -> [u8; SPKI_BYTES] {
    let mut der = [0; SPKI_BYTES];
    der[..SPKI_PREFIX.len()].copy_from_slice(&SPKI_PREFIX);
    der[SPKI_PREFIX.len()..].copy_from_slice(&key.0);
    der
}

/// The Ed25519 key in a SubjectPublicKeyInfo; `None` for every other algorithm or form.
#[must_use]
pub fn key_of_spki(der: &[u8]) -> Option<VerifyKey> {
    let key = der.strip_prefix(&SPKI_PREFIX)?;
    Some(VerifyKey(key.try_into().ok()?))
}

impl std::fmt::Display for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sha256:{}", data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl std::fmt::Debug for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pin({self})")
    }
}

impl std::str::FromStr for Pin {
    type Err = NotAPin;
    fn from_str(text: &str) -> Result<Self, NotAPin> {
        let hex = text.strip_prefix("sha256:").ok_or(NotAPin)?;
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).map_err(|_| NotAPin)?;
        Ok(Self(bytes.try_into().map_err(|_| NotAPin)?))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn text_and_der_round_trip() {
        let key = VerifyKey([7; 32]);
        let pin = Pin::of(&key);
        assert_eq!(pin.to_string().parse::<Pin>().unwrap(), pin);
        assert_eq!(pin.to_string().len(), "sha256:".len() + 64);
        assert_eq!(key_of_spki(&spki(&key)), Some(key));
        for bad in ["", "sha256:", "sha256:00", "sha1:00", &pin.to_string()[7..], &format!("{pin}0")] {
            assert_eq!(bad.parse::<Pin>(), Err(NotAPin), "{bad}");
        }
    }

    #[test]
    fn tls_01_only_the_exact_form_of_an_ed25519_key_is_a_key() {
        let der = spki(&VerifyKey([7; 32]));
        for at in 0..12 {
            let mut bad = der;
            bad[at] ^= 1;
            assert_eq!(key_of_spki(&bad), None, "byte {at}");
        }
        assert_eq!(key_of_spki(&der[..43]), None);
        assert_eq!(key_of_spki(&[&der[..], &[0]].concat()), None);
    }
}
