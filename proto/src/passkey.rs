//! Passkeys as signers: a WebAuthn assertion over a challenge that is the hash of exactly what is signed.
//!
//! A passkey's public key travels as OpenSSH writes one: an `sk-` key whose application is the RP ID. What an
//! authenticator signs names the page that asked; only a page of that RP ID's own host counts, with its holder present
//! and verified. Never: an assertion that was made to sign somebody in, whose challenge somebody else has chosen.

use crate::ids::KeyId;
use crate::limits::SIGNATURE_BYTES_MAX;
use crate::pack;
use crate::signer::{SignerError, SshKey};
use ed25519_dalek::{Signature as Ed25519Signature, VerifyingKey as Ed25519Key};
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature as P256Signature, VerifyingKey as P256Key};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sha2::{Digest as _, Sha256};
use ssh_key::public::SkEcdsaSha2NistP256;

/// In front of what a challenge is the hash of.
const CHALLENGE_CONTEXT: &[u8] = b"cloud-doctor passkey v1\0";
/// Flag bit "user present".
const USER_PRESENT: u8 = 1;
/// Flag bit "user verified": by a PIN, a finger or a face.
const USER_VERIFIED: u8 = 1 << 2;
/// Flag bits of data that an assertion without extensions does not have.
const MORE_DATA: u8 = 1 << 6 | 1 << 7;
/// What OpenSSH puts in front of the application of its own hardware keys.
const OPENSSH_APPLICATION: &str = "ssh:";

/// A signature by a passkey, in its one form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assertion {
    /// Whose.
    pub key: KeyId,
    /// `authenticatorData`, 37 bytes.
    pub authenticator: ByteBuf,
    /// `clientDataJSON`.
    pub client: ByteBuf,
    /// `r | s` with the smaller `s` of ES256, or Ed25519's 64 bytes: no second form of one signature.
    #[serde(with = "serde_bytes")]
    pub signature: [u8; 64],
}

/// What a browser says about the page that asked (WebAuthn Level 2, 5.8.1). Newer members are ignored, as it demands.
#[derive(Deserialize)]
struct ClientData {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
    origin: String,
    #[serde(rename = "crossOrigin", default)]
    cross_origin: bool,
}

/// The challenge under which a passkey signs `message` for one purpose.
#[must_use]
pub fn challenge(namespace: &str, message: &[u8]) -> [u8; 32] {
    let length = u8::try_from(namespace.len()).expect("namespaces of this crate are short");
    let parts = [CHALLENGE_CONTEXT, &[length], namespace.as_bytes(), message].concat();
    Sha256::digest(parts).into()
}

/// The RP ID of a passkey's key; `None`: the key is no passkey's.
#[must_use]
pub fn rp_id(key: &SshKey) -> Option<String> {
    let data = key.data()?;
    let p256 = data.sk_ecdsa_p256().map(|key| key.application());
    let application = p256.or_else(|| data.sk_ed25519().map(|key| key.application()))?;
    (!application.starts_with(OPENSSH_APPLICATION)).then(|| application.to_owned())
}

/// Whose key a passkey's signature names: for asking about it, never for believing it.
#[must_use]
pub fn signer_of(assertion: &[u8]) -> Option<KeyId> {
    pack::from_signed_bytes::<Assertion>(assertion, SIGNATURE_BYTES_MAX).ok().map(|assertion| assertion.key)
}

/// Checks a packed [`Assertion`] over `message`.
///
/// # Errors
/// [`SignerError`]: the signature counts for nothing.
pub fn verify(key: &SshKey, namespace: &str, message: &[u8], assertion: &[u8]) -> Result<(), SignerError> {
    let assertion: Assertion =
        pack::from_signed_bytes(assertion, SIGNATURE_BYTES_MAX).map_err(|_| SignerError::Malformed)?;
    if assertion.key != key.id() {
        return Err(SignerError::OtherKey);
    }
    let rp_id = rp_id(key).ok_or(SignerError::OtherKey)?;
    let client: ClientData = serde_json::from_slice(&assertion.client).map_err(|_| SignerError::Malformed)?;
    let asked = data_encoding::BASE64URL_NOPAD.encode(&challenge(namespace, message));
    if client.kind != "webauthn.get" || client.challenge != asked {
        return Err(SignerError::Wrong);
    }
    if client.cross_origin || !is_page_of(&client.origin, &rp_id) {
        return Err(SignerError::Origin);
    }
    held(&assertion.authenticator, &rp_id)?;
    let signed = [assertion.authenticator.as_slice(), &Sha256::digest(&assertion.client)].concat();
    if signed_by(key, &signed, &assertion.signature) { Ok(()) } else { Err(SignerError::Wrong) }
}

/// Whether an origin is the RP ID's own host, on any port. A sibling or child of it may be somebody else's page.
fn is_page_of(origin: &str, rp_id: &str) -> bool {
    // A browser takes its own machine for safe without TLS.
    let plain = if rp_id == "localhost" { origin.strip_prefix("http://") } else { None };
    let Some(rest) = origin.strip_prefix("https://").or(plain).and_then(|host| host.strip_prefix(rp_id)) else {
        return false;
    };
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port)
}

/// Authenticator data without extensions is `32 bytes RP ID hash | u8 flags | u32 counter` (WebAuthn Level 2, 6.1).
fn held(authenticator: &[u8], rp_id: &str) -> Result<(), SignerError> {
    let Some((hash, [flags, _, _, _, _])) = authenticator.split_at_checked(32) else {
        return Err(SignerError::Malformed);
    };
    if hash != Sha256::digest(rp_id.as_bytes()).as_slice() {
        return Err(SignerError::Origin);
    }
    if flags & MORE_DATA != 0 {
        return Err(SignerError::Malformed);
    }
    let needed = USER_PRESENT | USER_VERIFIED;
    if flags & needed == needed { Ok(()) } else { Err(SignerError::NotTouched) }
}

fn signed_by(key: &SshKey, message: &[u8], signature: &[u8; 64]) -> bool {
    let Some(data) = key.data() else { return false };
    if let Some(key) = data.sk_ecdsa_p256() {
        return by_p256(key, message, signature);
    }
    let key = data.sk_ed25519().and_then(|key| Ed25519Key::from_bytes(&key.public_key().0).ok());
    key.is_some_and(|key| key.verify_strict(message, &Ed25519Signature::from_bytes(signature)).is_ok())
}

fn by_p256(key: &SkEcdsaSha2NistP256, message: &[u8], signature: &[u8; 64]) -> bool {
    let Ok(signature) = P256Signature::from_slice(signature) else { return false };
    let is_smaller = signature.normalize_s().is_none();
    is_smaller && P256Key::from_encoded_point(key.ec_point()).is_ok_and(|key| key.verify(message, &signature).is_ok())
}

#[cfg(test)]
#[path = "passkey_tests.rs"]
pub(crate) mod tests;
