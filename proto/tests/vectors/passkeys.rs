//! Signatures by passkeys with a verdict each.

use super::log::signing;
use super::{flipped, hex};
use cloud_doctor_proto::pack;
use cloud_doctor_proto::passkey::{self, Assertion};
use cloud_doctor_proto::signer::{NAMESPACE_GRANT, NAMESPACE_LOG, SshKey};
use ed25519_dalek::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use serde_bytes::ByteBuf;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const RP_ID: &str = "console.example.com";
const ORIGIN: &str = "https://console.example.com";
const MESSAGE: &[u8] = b"what is signed";

fn key(fields: &[&[u8]]) -> SshKey {
    let string = |bytes: &&[u8]| [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), *bytes].concat();
    SshKey::from_blob(&fields.iter().flat_map(string).collect::<Vec<u8>>()).unwrap()
}

fn private() -> SigningKey {
    SigningKey::from_slice(&[11; 32]).unwrap()
}

/// An ES256 passkey.
fn es256(rp_id: &str) -> SshKey {
    let point = private().verifying_key().to_encoded_point(false);
    key(&[b"sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", point.as_bytes(), rp_id.as_bytes()])
}

/// An EdDSA passkey.
pub(crate) fn eddsa(seed: u8) -> SshKey {
    key(&[b"sk-ssh-ed25519@openssh.com", &signing(seed).verifying_key().to_bytes(), RP_ID.as_bytes()])
}

fn client(kind: &str, namespace: &str, message: &[u8], origin: &str, more: &str) -> String {
    let challenge = data_encoding::BASE64URL_NOPAD.encode(&passkey::challenge(namespace, message));
    format!(r#"{{"type":"{kind}","challenge":"{challenge}","origin":"{origin}"{more}}}"#)
}

fn authenticator(rp_id: &str, flags: u8) -> Vec<u8> {
    [Sha256::digest(rp_id.as_bytes()).as_slice(), &[flags, 0, 0, 1, 2]].concat()
}

fn signed(authenticator: &[u8], client: &str) -> Vec<u8> {
    [authenticator, &Sha256::digest(client.as_bytes())].concat()
}

fn packed(key: &SshKey, authenticator: Vec<u8>, client: &str, signature: [u8; 64]) -> Vec<u8> {
    let client = ByteBuf::from(client.as_bytes());
    pack::to_bytes(&Assertion { key: key.id(), authenticator: ByteBuf::from(authenticator), client, signature })
}

/// What an EdDSA passkey answers.
pub(crate) fn touch(seed: u8, namespace: &str, message: &[u8]) -> Vec<u8> {
    let client = client("webauthn.get", namespace, message, ORIGIN, "");
    let authenticator = authenticator(RP_ID, 5);
    let signature = signing(seed).sign(&signed(&authenticator, &client)).to_bytes();
    packed(&eddsa(seed), authenticator, &client, signature)
}

/// What an ES256 passkey answers; with the larger `s` if asked.
fn es256_answer(rp_id: &str, flags: u8, client: &str, large: bool) -> Vec<u8> {
    let authenticator = authenticator(rp_id, flags);
    let signature: Signature = private().sign(&signed(&authenticator, client));
    let small = signature.normalize_s().unwrap_or(signature);
    let signature = match large {
        true => Signature::from_scalars(small.r().to_bytes(), (-*small.s()).to_bytes()).unwrap(),
        false => small,
    };
    packed(&es256(RP_ID), authenticator, client, signature.to_bytes().into())
}

pub(crate) fn assertions() -> Value {
    let get = |namespace, message, origin, more| client("webauthn.get", namespace, message, origin, more);
    let usual = get(NAMESPACE_GRANT, MESSAGE, ORIGIN, r#","crossOrigin":false"#);
    let from = |origin| es256_answer(RP_ID, 5, &get(NAMESPACE_GRANT, MESSAGE, origin, ""), false);
    let said = |client: &str| es256_answer(RP_ID, 5, client, false);
    let rows: [(&str, SshKey, Vec<u8>); 24] = [
        ("es256", es256(RP_ID), said(&usual)),
        ("eddsa", eddsa(8), touch(8, NAMESPACE_GRANT, MESSAGE)),
        ("another key", eddsa(9), touch(8, NAMESPACE_GRANT, MESSAGE)),
        ("a key of OpenSSH", es256("ssh:"), said(&usual)),
        ("the larger s", es256(RP_ID), es256_answer(RP_ID, 5, &usual, true)),
        ("another purpose", es256(RP_ID), said(&get(NAMESPACE_LOG, MESSAGE, ORIGIN, ""))),
        ("other bytes", es256(RP_ID), said(&get(NAMESPACE_GRANT, b"what is signee", ORIGIN, ""))),
        ("made to register", es256(RP_ID), said(&client("webauthn.create", NAMESPACE_GRANT, MESSAGE, ORIGIN, ""))),
        ("another port", es256(RP_ID), from("https://console.example.com:8443")),
        ("no port", es256(RP_ID), from("https://console.example.com:")),
        ("too large a port", es256(RP_ID), from("https://console.example.com:65536")),
        ("a signed port", es256(RP_ID), from("https://console.example.com:+1")),
        ("a path", es256(RP_ID), from("https://console.example.com/")),
        ("a page below", es256(RP_ID), from("https://a.console.example.com")),
        ("a page above", es256(RP_ID), from("https://example.com")),
        ("a longer name", es256(RP_ID), from("https://console.example.com.example.org")),
        ("without TLS", es256(RP_ID), from("http://console.example.com")),
        ("in a frame", es256(RP_ID), said(&get(NAMESPACE_GRANT, MESSAGE, ORIGIN, r#","crossOrigin":true"#))),
        ("a newer member", es256(RP_ID), said(&get(NAMESPACE_GRANT, MESSAGE, ORIGIN, r#","topic":{"a":[1]}"#))),
        ("another RP ID", es256(RP_ID), es256_answer("example.com", 5, &usual, false)),
        ("nobody present", es256(RP_ID), es256_answer(RP_ID, 4, &usual, false)),
        ("nobody verified", es256(RP_ID), es256_answer(RP_ID, 1, &usual, false)),
        ("extensions", es256(RP_ID), es256_answer(RP_ID, 5 | 1 << 7, &usual, false)),
        ("no JSON", es256(RP_ID), said("{")),
    ];
    let rows: Vec<Value> = rows.iter().map(|(name, key, bytes)| row(name, key, bytes)).collect();
    json!(rows)
}

fn row(name: &str, key: &SshKey, bytes: &[u8]) -> Value {
    let verdict = passkey::verify(key, NAMESPACE_GRANT, MESSAGE, bytes);
    let flips = if matches!(name, "es256" | "eddsa") {
        flipped(bytes, |bytes| passkey::verify(key, NAMESPACE_GRANT, MESSAGE, bytes).is_ok())
    } else {
        String::new()
    };
    json!({
        "name": name,
        "blob": hex(key.blob()),
        "rpId": passkey::rp_id(key),
        "namespace": NAMESPACE_GRANT,
        "message": hex(MESSAGE),
        "challenge": hex(passkey::challenge(NAMESPACE_GRANT, MESSAGE)),
        "assertion": hex(bytes),
        "verdict": verdict.map_or_else(|error| format!("{error:?}"), |()| "ok".to_owned()),
        "flipped": flips,
    })
}
