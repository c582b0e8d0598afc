//! Who can sign: SSH keys (agent, file, hardware) by `ssh-keygen -Y` signatures, passkeys, and root on the host.
//!
//! The SSHSIG namespace is the context prefix: a signature made for one purpose never counts for another. RSA, DSA
//! and certificates are refused; a hardware key counts only when its holder touched it.

use crate::ids::{Hash, KeyId, VerifyKey};
use crate::limits::SIGNATURE_BYTES_MAX;
use crate::passkey;
use ed25519_dalek::{Signer as _, SigningKey};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sha2::{Digest as _, Sha512};
use ssh_key::{Algorithm, EcdsaCurve, PublicKey, SshSig, public::KeyData};

/// Namespace of trust-log entries.
pub const NAMESPACE_LOG: &str = "cloud-doctor-log-v1";
/// Namespace of an engineer's signature under a grant.
pub const NAMESPACE_GRANT: &str = "cloud-doctor-grant-v1";
/// Namespace of an engineer's signature under a grant for a server without an account (see [`crate::guest`]).
pub const NAMESPACE_GUEST: &str = "cloud-doctor-guest-v1";
/// Namespace of the second signature under a grant.
pub const NAMESPACE_SECOND: &str = "cloud-doctor-second-v1";

/// Flag bit "user present" of a hardware key's signature (PROTOCOL.u2f of OpenSSH).
const USER_PRESENT: u8 = 1;

/// Kinds of signers that a ceiling can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignerKind {
    /// An SSH key, through ssh-agent, a file or hardware.
    Sshsig,
    /// Root on the host.
    Local,
    /// A passkey with user verification.
    Webauthn,
    /// A browser key without a touch; for trials, only where a ceiling names it.
    Device,
}

impl SignerKind {
    /// As ceilings spell it.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            SignerKind::Sshsig => "sshsig",
            SignerKind::Local => "local",
            SignerKind::Webauthn => "webauthn",
            SignerKind::Device => "device",
        }
    }
}

/// What kind of key a person has, by the trust log: nobody who signs with it decides that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyKind {
    /// Held by a person: in ssh-agent, a file or hardware. An entry that does not say a kind means this one.
    #[default]
    Sshsig,
    /// A passkey: signs on its own page, when its holder is present and verified.
    Webauthn,
    /// Held by a browser, which signs without asking for a touch.
    Device,
}

impl KeyKind {
    /// What a ceiling must name for such a key to count.
    #[must_use]
    pub fn signer(self) -> SignerKind {
        match self {
            KeyKind::Sshsig => SignerKind::Sshsig,
            KeyKind::Webauthn => SignerKind::Webauthn,
            KeyKind::Device => SignerKind::Device,
        }
    }

    /// The default is not written, so that entries from before kinds keep their one form.
    pub(crate) fn is_sshsig(&self) -> bool {
        *self == KeyKind::Sshsig
    }
}

/// An SSH public key in wire format (the blob that `authorized_keys` holds in base64).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SshKey(ByteBuf);

impl std::fmt::Debug for SshKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SshKey({})", self.id().short())
    }
}

/// Why a key or signature is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// Not an SSH public key.
    #[error("this is not an SSH public key: {0}")]
    NotAKey(String),
    /// A key type that is not accepted.
    #[error("keys of type {0} are not accepted; use ssh-ed25519, sk-ssh-ed25519 or ecdsa-sha2-nistp256")]
    KeyType(String),
    /// Not an SSHSIG.
    #[error("the signature is malformed")]
    Malformed,
    /// Made by another key than the one that was to sign.
    #[error("the signature was made by another key")]
    OtherKey,
    /// Does not verify: other bytes, other namespace, or forged.
    #[error("the signature does not verify")]
    Wrong,
    /// A hardware key or passkey that nobody touched, or whose holder was not verified.
    #[error("the key was not touched by its holder")]
    NotTouched,
    /// A passkey that another page than its own has used.
    #[error("the passkey was used on a page that is not its own")]
    Origin,
}

impl SshKey {
    /// Reads one line of `authorized_keys` or a `.pub` file.
    ///
    /// # Errors
    /// [`SignerError`] when it is no key, or not of an accepted type.
    pub fn from_openssh(line: &str) -> Result<Self, SignerError> {
        let key = PublicKey::from_openssh(line.trim()).map_err(|e| SignerError::NotAKey(e.to_string()))?;
        Self::from_key_data(key.key_data())
    }

    /// Reads the wire format.
    ///
    /// # Errors
    /// As [`Self::from_openssh`].
    pub fn from_blob(blob: &[u8]) -> Result<Self, SignerError> {
        let key = PublicKey::from_bytes(blob).map_err(|e| SignerError::NotAKey(e.to_string()))?;
        Self::from_key_data(key.key_data())
    }

    /// A raw Ed25519 key in wire format.
    #[must_use]
    pub fn of_ed25519(key: &VerifyKey) -> Self {
        Self(ByteBuf::from([string(b"ssh-ed25519"), string(&key.0)].concat()))
    }

    fn from_key_data(data: &KeyData) -> Result<Self, SignerError> {
        let accepted = matches!(
            data.algorithm(),
            Algorithm::Ed25519
                | Algorithm::SkEd25519
                | Algorithm::SkEcdsaSha2NistP256
                | Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }
        );
        if !accepted {
            return Err(SignerError::KeyType(data.algorithm().to_string()));
        }
        let blob = PublicKey::from(data.clone()).to_bytes().map_err(|e| SignerError::NotAKey(e.to_string()))?;
        Ok(Self(ByteBuf::from(blob)))
    }

    /// Parsed; `None` when the bytes are no accepted key.
    pub(crate) fn data(&self) -> Option<KeyData> {
        PublicKey::from_bytes(&self.0).ok().map(|key| key.key_data().clone())
    }

    /// The key's id.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId(Hash::of(&[&self.0]).0)
    }

    /// Whether it is of the kind that browsers make: then somebody has to say what it is.
    #[must_use]
    pub fn may_be_a_browsers(&self) -> bool {
        PublicKey::from_bytes(&self.0)
            .is_ok_and(|key| matches!(key.algorithm(), Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }))
    }

    /// Wire format.
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        &self.0
    }

    /// As a line of `authorized_keys`, without comment. `None` when the bytes are no accepted key.
    #[must_use]
    pub fn to_openssh(&self) -> Option<String> {
        PublicKey::from_bytes(&self.0).ok()?.to_openssh().ok()
    }

    /// `SHA256:…` as `ssh-keygen -lf` prints it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", data_encoding::BASE64_NOPAD.encode(&self.id().0))
    }

    /// Checks a binary SSHSIG (the armour's content) over `message`.
    ///
    /// # Errors
    /// [`SignerError`]: the signature counts for nothing.
    pub fn verify(&self, namespace: &str, message: &[u8], sshsig: &[u8]) -> Result<(), SignerError> {
        if sshsig.len() > SIGNATURE_BYTES_MAX {
            return Err(SignerError::Malformed);
        }
        let key = PublicKey::from_bytes(&self.0).map_err(|e| SignerError::NotAKey(e.to_string()))?;
        Self::from_key_data(key.key_data())?;
        let pem = ssh_key::LineEnding::LF;
        let sig = parse_sshsig(sshsig)?;
        if sig.version() != 1 || !sig.reserved().is_empty() {
            return Err(SignerError::Malformed);
        }
        if sig.public_key() != key.key_data() {
            return Err(SignerError::OtherKey);
        }
        // The armoured form must give back the same bytes: no second encoding of one signature.
        if unarmour(&sig.to_pem(pem).map_err(|_| SignerError::Malformed)?)? != sshsig {
            return Err(SignerError::Malformed);
        }
        key.verify(namespace, message, &sig).map_err(|_| SignerError::Wrong)?;
        touched(&sig)
    }
}

/// Whose key a signature of either form names: for asking about it, never for believing it.
#[must_use]
pub fn signer_of(signature: &[u8]) -> Option<KeyId> {
    if !signature.starts_with(MAGIC) {
        return passkey::signer_of(signature);
    }
    let sshsig = parse_sshsig(signature).ok()?;
    SshKey::from_key_data(sshsig.public_key()).ok().map(|key| key.id())
}

/// What a binary SSHSIG begins with.
const MAGIC: &[u8] = b"SSHSIG";

/// A field of SSH's wire format: `u32 length | bytes`.
fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("fields of a signature are short");
    [&length.to_be_bytes(), bytes].concat()
}

/// A binary SSHSIG by an Ed25519 key that lives in this process (PROTOCOL.sshsig of OpenSSH).
#[must_use]
pub fn sign_ed25519(key: &SigningKey, namespace: &str, message: &[u8]) -> Vec<u8> {
    let about = [string(namespace.as_bytes()), string(b""), string(b"sha512")].concat();
    let signed = [MAGIC, &about, &string(&Sha512::digest(message))].concat();
    let signature = [string(b"ssh-ed25519"), string(&key.sign(&signed).to_bytes())].concat();
    let public = SshKey::of_ed25519(&VerifyKey(key.verifying_key().to_bytes()));
    [MAGIC, &1u32.to_be_bytes(), &string(public.blob()), &about, &string(&signature)].concat()
}

/// The binary content of an armoured SSHSIG (`-----BEGIN SSH SIGNATURE-----`).
///
/// # Errors
/// [`SignerError::Malformed`].
pub fn unarmour(pem: &str) -> Result<Vec<u8>, SignerError> {
    let mut base64 = String::new();
    for line in pem.lines() {
        let line = line.trim();
        if !line.starts_with("-----") {
            base64.push_str(line);
        }
    }
    data_encoding::BASE64.decode(base64.as_bytes()).map_err(|_| SignerError::Malformed)
}

fn parse_sshsig(bytes: &[u8]) -> Result<SshSig, SignerError> {
    let mut pem = String::from("-----BEGIN SSH SIGNATURE-----\n");
    for line in data_encoding::BASE64.encode(bytes).as_bytes().chunks(70) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END SSH SIGNATURE-----\n");
    SshSig::from_pem(pem).map_err(|_| SignerError::Malformed)
}

/// Hardware signatures end in `u8 flags | u32 counter`; without the presence flag nobody touched the key.
fn touched(sig: &SshSig) -> Result<(), SignerError> {
    let signature = sig.signature();
    let is_hardware = matches!(signature.algorithm(), Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256);
    if !is_hardware {
        return Ok(());
    }
    let bytes = signature.as_bytes();
    match bytes.len().checked_sub(5).map(|at| bytes[at]) {
        Some(flags) if flags & USER_PRESENT != 0 => Ok(()),
        Some(_) | None => Err(SignerError::NotTouched),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ssh_key::{HashAlg, PrivateKey, private::Ed25519Keypair};

    fn key(seed: u8) -> (PrivateKey, SshKey) {
        let private = PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]));
        let public = SshKey::from_blob(&private.public_key().to_bytes().unwrap()).unwrap();
        (private, public)
    }

    #[test]
    fn signatures_hold_for_their_key_namespace_and_bytes_only() {
        let (private, public) = key(1);
        let (_, other) = key(2);
        for hash in [HashAlg::Sha512, HashAlg::Sha256] {
            let sig = private.sign(NAMESPACE_GRANT, hash, b"message").unwrap();
            let sig = unarmour(&sig.to_pem(ssh_key::LineEnding::LF).unwrap()).unwrap();
            assert_eq!(public.verify(NAMESPACE_GRANT, b"message", &sig), Ok(()));
            assert_eq!(public.verify(NAMESPACE_SECOND, b"message", &sig), Err(SignerError::Wrong));
            assert_eq!(public.verify(NAMESPACE_GRANT, b"messagf", &sig), Err(SignerError::Wrong));
            assert_eq!(other.verify(NAMESPACE_GRANT, b"message", &sig), Err(SignerError::OtherKey));
            for bit in 0..sig.len() * 8 {
                let mut bad = sig.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert!(public.verify(NAMESPACE_GRANT, b"message", &bad).is_err(), "bit {bit}");
            }
        }
    }

    #[test]
    fn our_own_signatures_are_those_of_ssh_key() {
        let (private, public) = key(7);
        let seed = SigningKey::from_bytes(&[7; 32]);
        assert_eq!(SshKey::of_ed25519(&VerifyKey(seed.verifying_key().to_bytes())), public);
        let theirs = private.sign(NAMESPACE_LOG, HashAlg::Sha512, b"message").unwrap();
        let theirs = unarmour(&theirs.to_pem(ssh_key::LineEnding::LF).unwrap()).unwrap();
        let ours = sign_ed25519(&seed, NAMESPACE_LOG, b"message");
        assert_eq!(ours, theirs);
        assert_eq!(public.verify(NAMESPACE_LOG, b"message", &ours), Ok(()));
    }

    #[test]
    fn keys_round_trip_and_rsa_is_refused() {
        let (_, public) = key(1);
        assert_eq!(SshKey::from_openssh(&public.to_openssh().unwrap()), Ok(public.clone()));
        assert!(public.fingerprint().starts_with("SHA256:"));
        assert!(matches!(SshKey::from_openssh("ssh-rsa AAAA"), Err(SignerError::NotAKey(_))));
        assert!(SshKey::from_blob(b"junk").is_err());
    }
}
