//! A customer made of fixed keys, for the targets that need one, and the way in which input changes valid bytes.
//!
//! The keys are in the open: they must never be trusted by anything but a fuzz target.

use cloud_doctor_proto::ids::{AgentId, Hash, KeyId, Nonce, VerifyKey};
use cloud_doctor_proto::signer::{NAMESPACE_LOG, SshKey, unarmour};
use cloud_doctor_proto::time::UnixTime;
use cloud_doctor_proto::trust::{Entry, NamedKey, Role, SignedEntry, TrustLog, What, batch_id};
use ed25519_dalek::SigningKey;
use serde_bytes::ByteBuf;
use ssh_key::private::Ed25519Keypair;
use ssh_key::{HashAlg, LineEnding, PrivateKey};

/// The wall clock of every target.
pub const NOW: UnixTime = UnixTime(1_800_000_000);
/// Seed of the customer's root.
pub const ROOT: u8 = 1;
/// Seed of an engineer.
pub const ENGINEER: u8 = 5;

fn private(seed: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
}

/// A person's key.
#[must_use]
pub fn named(seed: u8, person: &str) -> NamedKey {
    let blob = private(seed).public_key().to_bytes().expect("a key encodes");
    NamedKey::ssh(SshKey::from_blob(&blob).expect("an Ed25519 key is taken"), person)
}

/// The id of a person's key.
#[must_use]
pub fn id(seed: u8) -> KeyId {
    named(seed, "x").key.id()
}

/// A signature as `ssh-keygen -Y sign` makes it.
#[must_use]
pub fn sshsig(seed: u8, namespace: &str, bytes: &[u8]) -> ByteBuf {
    let signature = private(seed).sign(namespace, HashAlg::Sha512, bytes).expect("Ed25519 signs everything");
    let pem = signature.to_pem(LineEnding::LF).expect("a signature encodes");
    ByteBuf::from(unarmour(&pem).expect("what was just encoded decodes"))
}

/// Bytes of an entry, signed by a person.
#[must_use]
pub fn signed(entry: Vec<u8>, seed: u8) -> Vec<u8> {
    let signature = sshsig(seed, NAMESPACE_LOG, &entry);
    SignedEntry { entry: ByteBuf::from(entry), signature }.to_bytes()
}

/// The one server.
#[must_use]
pub fn identity() -> SigningKey {
    SigningKey::from_bytes(&[4; 32])
}

/// Its id.
#[must_use]
pub fn agent() -> AgentId {
    AgentId::of(&VerifyKey(identity().verifying_key().to_bytes()))
}

/// A log with a root, an engineer, an approver and a server.
#[must_use]
pub fn log() -> TrustLog {
    let roots = vec![named(ROOT, "root")];
    let what =
        What::Genesis { name: "ACME".into(), roots, recovery: named(2, "safe"), salt: Nonce([0; 16]), first: vec![] };
    let first = Entry { version: 1, seq: 0, prev: Hash([0; 32]), at: NOW, by: id(ROOT), what };
    let mut log = TrustLog::genesis(&signed(first.to_bytes(), ROOT), None).expect("a valid first entry");
    let until = NOW.plus_secs(86_400);
    let batch = SigningKey::from_bytes(&[3; 32]);
    let key = VerifyKey(batch.verifying_key().to_bytes());
    for what in [
        What::AddPerson { key: named(ENGINEER, "eve"), role: Role::Engineer, until },
        What::AddPerson { key: named(6, "carl"), role: Role::Approver, until },
        What::EnrolBatch { key, until, uses: 2, note: String::new() },
    ] {
        let entry = log.next_entry(id(ROOT), NOW, what).to_bytes();
        log.append(&signed(entry, ROOT)).expect("a valid entry");
    }
    let what = What::AddAgent { identity: VerifyKey(identity().verifying_key().to_bytes()), name: "web".into() };
    let entry = log.next_entry(batch_id(&key), NOW, what).sign_with_batch(&batch).to_bytes();
    log.append(&entry).expect("a valid server");
    log
}

/// Changes valid bytes as the input says: first a list of places and values, ended by a place beyond the end; what is
/// left of the input replaces the end from its own first byte on.
#[must_use]
pub fn changed(valid: &[u8], input: &[u8]) -> Vec<u8> {
    let mut bytes = valid.to_vec();
    let mut rest = input;
    while let [high, low, value, tail @ ..] = rest {
        rest = tail;
        match bytes.get_mut(usize::from(u16::from_be_bytes([*high, *low]))) {
            Some(byte) => *byte = *value,
            None => {
                bytes.truncate(usize::from(*value) * bytes.len() / 255);
                bytes.extend(rest);
                break;
            }
        }
    }
    bytes
}
