//! AUT-09, row by row, with an authenticator made by hand.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::signer::{NAMESPACE_GRANT, NAMESPACE_LOG};
use p256::ecdsa::SigningKey;
use p256::ecdsa::signature::Signer as _;

const RP_ID: &str = "console.example.com";
const MESSAGE: &[u8] = b"a grant";

fn private(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

fn public(private: &SigningKey, rp_id: &str) -> SshKey {
    let string = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
    let point = private.verifying_key().to_encoded_point(false);
    let fields: [&[u8]; 4] = [b"sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", point.as_bytes(), rp_id.as_bytes()];
    SshKey::from_blob(&fields.map(string).concat()).unwrap()
}

/// An EdDSA passkey of this page.
pub(crate) fn eddsa(seed: u8) -> SshKey {
    let string = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
    let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes();
    let fields: [&[u8]; 3] = [b"sk-ssh-ed25519@openssh.com", &key, RP_ID.as_bytes()];
    SshKey::from_blob(&fields.map(string).concat()).unwrap()
}

/// Its signature, as the page packs it.
pub(crate) fn touch(seed: u8, namespace: &str, message: &[u8]) -> Vec<u8> {
    let client = client("webauthn.get", namespace, message, "https://console.example.com", false);
    let hash = Sha256::digest(RP_ID.as_bytes());
    let authenticator = [hash.as_slice(), &[USER_PRESENT | USER_VERIFIED, 0, 0, 0, 0]].concat();
    let signed = [authenticator.as_slice(), &Sha256::digest(client.as_bytes())].concat();
    let signature = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]).sign(&signed).to_bytes();
    let (authenticator, client) = (ByteBuf::from(authenticator), ByteBuf::from(client));
    pack::to_bytes(&Assertion { key: eddsa(seed).id(), authenticator, client, signature })
}

/// What a browser and an authenticator would answer.
struct Answer {
    client: String,
    rp_id: &'static str,
    flags: u8,
    more: &'static [u8],
    signs: SigningKey,
}

fn client(kind: &str, namespace: &str, message: &[u8], origin: &str, cross: bool) -> String {
    let challenge = data_encoding::BASE64URL_NOPAD.encode(&challenge(namespace, message));
    format!(r#"{{"type":"{kind}","challenge":"{challenge}","origin":"{origin}","crossOrigin":{cross}}}"#)
}

fn good() -> Answer {
    let client = client("webauthn.get", NAMESPACE_GRANT, MESSAGE, "https://console.example.com", false);
    Answer { client, rp_id: RP_ID, flags: USER_PRESENT | USER_VERIFIED, more: &[], signs: private(1) }
}

fn assertion(answer: &Answer) -> Assertion {
    let hash = Sha256::digest(answer.rp_id.as_bytes());
    let authenticator = [hash.as_slice(), &[answer.flags, 0, 0, 0, 7], answer.more].concat();
    let signed = [authenticator.as_slice(), &Sha256::digest(answer.client.as_bytes())].concat();
    let signature: P256Signature = answer.signs.sign(&signed);
    let signature = signature.normalize_s().unwrap_or(signature).to_bytes().into();
    let key = public(&private(1), RP_ID).id();
    Assertion {
        key,
        authenticator: ByteBuf::from(authenticator),
        client: ByteBuf::from(answer.client.clone()),
        signature,
    }
}

fn verdict(answer: &Answer) -> Result<(), SignerError> {
    verify(&public(&private(1), RP_ID), NAMESPACE_GRANT, MESSAGE, &pack::to_bytes(&assertion(answer)))
}

#[test]
fn aut_09_an_assertion_holds_for_its_key_purpose_page_and_bytes_only() {
    assert_eq!(verdict(&good()), Ok(()));
    let with = |client: String| Answer { client, ..good() };
    let from = |origin| with(client("webauthn.get", NAMESPACE_GRANT, MESSAGE, origin, false));
    let rows = [
        (
            "made to register",
            with(client("webauthn.create", NAMESPACE_GRANT, MESSAGE, "https://console.example.com", false)),
            SignerError::Wrong,
        ),
        (
            "another purpose",
            with(client("webauthn.get", NAMESPACE_LOG, MESSAGE, "https://console.example.com", false)),
            SignerError::Wrong,
        ),
        (
            "other bytes, or another's challenge",
            with(client("webauthn.get", NAMESPACE_GRANT, b"a grent", "https://console.example.com", false)),
            SignerError::Wrong,
        ),
        ("another site", from("https://console.example.org"), SignerError::Origin),
        ("a page below", from("https://evil.console.example.com"), SignerError::Origin),
        ("a page above", from("https://example.com"), SignerError::Origin),
        ("a longer name", from("https://console.example.com.evil.org"), SignerError::Origin),
        ("a user in front", from("https://console.example.com:x@evil.org"), SignerError::Origin),
        ("without TLS", from("http://console.example.com"), SignerError::Origin),
        (
            "in another site's frame",
            with(client("webauthn.get", NAMESPACE_GRANT, MESSAGE, "https://console.example.com", true)),
            SignerError::Origin,
        ),
        ("another RP ID", Answer { rp_id: "example.com", ..good() }, SignerError::Origin),
        ("nobody present", Answer { flags: USER_VERIFIED, ..good() }, SignerError::NotTouched),
        ("nobody verified", Answer { flags: USER_PRESENT, ..good() }, SignerError::NotTouched),
        ("extensions", Answer { flags: USER_PRESENT | USER_VERIFIED | 1 << 7, ..good() }, SignerError::Malformed),
        ("data behind", Answer { more: &[0xa0], ..good() }, SignerError::Malformed),
        ("another key", Answer { signs: private(2), ..good() }, SignerError::Wrong),
        ("no JSON", with("{".to_owned()), SignerError::Malformed),
    ];
    for (name, answer, expected) in rows {
        assert_eq!(verdict(&answer), Err(expected), "{name}");
    }
    assert_eq!(verdict(&from("https://console.example.com:8443")), Ok(()), "the same host on another port");
    let newer = good().client.replace('}', r#","other_keys_can_be_added_here":"yes"}"#);
    assert_eq!(verdict(&with(newer)), Ok(()), "members of newer browsers are ignored");
}

#[test]
fn aut_09_a_signature_has_one_form_and_every_bit_counts() {
    let key = public(&private(1), RP_ID);
    let good = assertion(&good());
    let high = {
        let signature = P256Signature::from_slice(&good.signature).unwrap();
        let (r, s) = (signature.r(), -*signature.s());
        P256Signature::from_scalars(r.to_bytes(), s.to_bytes()).unwrap()
    };
    let malleable = Assertion { signature: high.to_bytes().into(), ..good.clone() };
    let packed = pack::to_bytes(&malleable);
    assert_eq!(verify(&key, NAMESPACE_GRANT, MESSAGE, &packed), Err(SignerError::Wrong));
    let bytes = pack::to_bytes(&good);
    assert_eq!(signer_of(&bytes), Some(key.id()));
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(verify(&key, NAMESPACE_GRANT, MESSAGE, &bad).is_err(), "bit {bit}");
    }
    for cut in 0..bytes.len() {
        assert!(verify(&key, NAMESPACE_GRANT, MESSAGE, &bytes[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn aut_09_keys_that_are_no_passkeys_are_told_apart() {
    assert_eq!(rp_id(&public(&private(1), RP_ID)).as_deref(), Some(RP_ID));
    assert_eq!(rp_id(&public(&private(1), "ssh:")), None, "an OpenSSH hardware key");
    let plain = SshKey::of_ed25519(&crate::ids::VerifyKey([1; 32]));
    assert_eq!(rp_id(&plain), None);
    let bytes = pack::to_bytes(&Assertion { key: plain.id(), ..assertion(&good()) });
    assert_eq!(verify(&plain, NAMESPACE_GRANT, MESSAGE, &bytes), Err(SignerError::OtherKey));
    let local = public(&private(1), "localhost");
    let client = client("webauthn.get", NAMESPACE_GRANT, MESSAGE, "http://localhost:8440", false);
    let answer = assertion(&Answer { client, rp_id: "localhost", ..good() });
    let bytes = pack::to_bytes(&Assertion { key: local.id(), ..answer });
    assert_eq!(verify(&local, NAMESPACE_GRANT, MESSAGE, &bytes), Ok(()), "a trial on one's own machine");
}
