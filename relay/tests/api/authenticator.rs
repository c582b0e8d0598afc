//! A software authenticator with every knob that an attacker would turn, and the browser around it.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::world::{base64, unbase64};

/// User present, user verified.
const UP: u8 = 0x01;
const UV: u8 = 0x04;
/// A new credential follows.
const AT: u8 = 0x40;

/// What the browser says and the authenticator does.
#[derive(Debug, Clone)]
pub(crate) struct Manner {
    pub(crate) origin: String,
    pub(crate) rp_id: String,
    pub(crate) flags: u8,
    pub(crate) cross_origin: bool,
    pub(crate) kind: Option<&'static str>,
    pub(crate) counter: u32,
}

impl Manner {
    /// Honest, at this origin.
    pub(crate) fn honest(origin: &str) -> Self {
        let rp_id = origin.split("://").nth(1).unwrap().split(':').next().unwrap().to_owned();
        Self { origin: origin.to_owned(), rp_id, flags: UP | UV, cross_origin: false, kind: None, counter: 0 }
    }

    pub(crate) fn absent(self) -> Self {
        Self { flags: self.flags & !UP, ..self }
    }

    pub(crate) fn unverified(self) -> Self {
        Self { flags: self.flags & !UV, ..self }
    }

    fn client_data(&self, kind: &str, challenge: &Value) -> String {
        let kind = self.kind.unwrap_or(kind);
        json!({"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": self.cross_origin})
            .to_string()
    }

    fn auth_data(&self, more: u8) -> Vec<u8> {
        let mut data = Sha256::digest(&self.rp_id).to_vec();
        data.push(self.flags | more);
        data.extend(self.counter.to_be_bytes());
        data
    }
}

/// A passkey in software.
#[derive(Debug)]
pub(crate) struct Authenticator {
    key: EcdsaKeyPair,
    pub(crate) id: Vec<u8>,
    pub(crate) handle: Vec<u8>,
}

impl Authenticator {
    pub(crate) fn new(id: &str) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        Self { key, id: id.as_bytes().to_vec(), handle: Vec::new() }
    }

    /// Makes the credential that `options` ask for.
    pub(crate) fn make(&mut self, options: &Value, manner: &Manner) -> Value {
        let point = self.key.public_key().as_ref();
        let (x, y) = (&point[1..33], &point[33..]);
        // {1: 2, 3: -7, -1: 1, -2: x, -3: y}
        let cose = [&[0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32], x, &[0x22, 0x58, 32], y].concat();
        self.make_with(options, manner, &cose)
    }

    /// Makes a credential with an RSA key, which never signs.
    pub(crate) fn make_rsa(&mut self, options: &Value, manner: &Manner) -> Value {
        // {1: 3, 3: -257, -1: n, -2: e}
        let cose = [&[0xa4, 1, 3, 3, 0x39, 1, 0, 0x20, 0x59, 1, 0], &[0xc1; 256][..], &[0x21, 0x43, 1, 0, 1]].concat();
        self.make_with(options, manner, &cose)
    }

    fn make_with(&mut self, options: &Value, manner: &Manner, cose: &[u8]) -> Value {
        self.handle = unbase64(&options["user"]["id"]);
        let mut data = manner.auth_data(AT);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend(&self.id);
        data.extend(cose);
        let length = u16::try_from(data.len()).unwrap().to_be_bytes();
        // {"fmt": "none", "attStmt": {}, "authData": bytes}
        let object = [b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59", &length[..], &data].concat();
        let client_data = manner.client_data("webauthn.create", &options["challenge"]);
        json!({
            "id": base64(&self.id), "rawId": base64(&self.id), "type": "public-key", "clientExtensionResults": {},
            "response": {"clientDataJSON": base64(client_data.as_bytes()), "attestationObject": base64(&object)},
        })
    }

    /// Signs the challenge in `options`.
    pub(crate) fn sign(&self, options: &Value, manner: &Manner) -> Value {
        let client_data = manner.client_data("webauthn.get", &options["challenge"]);
        let data = manner.auth_data(0);
        let signed = [&data[..], &Sha256::digest(&client_data)].concat();
        let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap();
        json!({
            "id": base64(&self.id), "rawId": base64(&self.id), "type": "public-key", "clientExtensionResults": {},
            "response": {
                "clientDataJSON": base64(client_data.as_bytes()), "authenticatorData": base64(&data),
                "signature": base64(signature.as_ref()), "userHandle": base64(&self.handle),
            },
        })
    }
}
