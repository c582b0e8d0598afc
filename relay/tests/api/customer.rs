//! A customer with a root key and an enrolment batch, who signs entries.

use crate::world::base64;
use cloud_doctor_proto::ids::{Hash, KeyId, Nonce, VerifyKey};
use cloud_doctor_proto::signer::{self, NAMESPACE_LOG, SshKey};
use cloud_doctor_proto::trust::{Entry, NamedKey, Role, SignedEntry, TrustLog, What, batch_id};
use cloud_doctor_relay::clock;
use ed25519_dalek::SigningKey;
use serde_bytes::ByteBuf;
use ssh_key::{HashAlg, LineEnding, PrivateKey, private::Ed25519Keypair};

pub(crate) struct Customer {
    pub(crate) log: TrustLog,
    seed: u8,
    batch: SigningKey,
    posted: u64,
}

impl Customer {
    pub(crate) fn new(seed: u8) -> Self {
        let what = What::Genesis {
            name: "ACME".into(),
            roots: vec![named(seed, "root@acme")],
            recovery: named(seed + 1, "safe"),
            salt: Nonce([seed; 16]),
            first: vec![],
        };
        let by = named(seed, "x").key.id();
        let genesis = Entry { version: 1, seq: 0, prev: Hash([0; 32]), at: clock::now(), by, what };
        let mut log = TrustLog::genesis(&sign(&genesis, seed), None).unwrap();
        let batch = SigningKey::from_bytes(&[seed + 2; 32]);
        let key = VerifyKey(batch.verifying_key().to_bytes());
        let until = clock::now().plus_secs(3600);
        let what = What::EnrolBatch { key, until, uses: 10, note: "test".into() };
        log.append(&sign(&log.next_entry(by, clock::now(), what), seed)).unwrap();
        Self { log, seed, batch, posted: 0 }
    }

    pub(crate) fn root(&self) -> KeyId {
        named(self.seed, "x").key.id()
    }

    /// Entries that were not handed out before, in base64.
    pub(crate) fn new_entries(&mut self) -> Vec<String> {
        let entries: Vec<String> = self.log.entries_from(self.posted, 100).iter().map(|e| base64(e)).collect();
        self.posted = self.log.head().seq + 1;
        entries
    }

    /// The next entry, signed, not yet in this copy.
    pub(crate) fn engineer(&self, seed: u8) -> Vec<u8> {
        let until = clock::now().plus_secs(86_400);
        let what = What::AddPerson { key: named(seed, "eve"), role: Role::Engineer, until };
        sign(&self.log.next_entry(self.root(), clock::now(), what), self.seed)
    }

    /// The recovery key replaces the root by another key; the entry, not yet in this copy.
    pub(crate) fn recover(&self, root: u8) -> Vec<u8> {
        let what = What::ReplaceRoots { roots: vec![named(root, "new root")] };
        let recovery = named(self.seed + 1, "x").key.id();
        sign(&self.log.next_entry(recovery, clock::now(), what), self.seed + 1)
    }

    /// Lets a key give second signatures; appended to this copy.
    pub(crate) fn add_approver(&mut self, seed: u8) {
        let until = clock::now().plus_secs(86_400);
        let what = What::AddPerson { key: named(seed, "carl"), role: Role::Approver, until };
        let entry = sign(&self.log.next_entry(self.root(), clock::now(), what), self.seed);
        self.log.append(&entry).unwrap();
    }

    pub(crate) fn remove_agent(&self, agent: cloud_doctor_proto::ids::AgentId) -> Vec<u8> {
        sign(&self.log.next_entry(self.root(), clock::now(), What::RemoveAgent { agent }), self.seed)
    }

    /// A server's own entry, appended to this copy.
    pub(crate) fn add_agent(&mut self, identity: VerifyKey, name: &str) -> (Vec<u8>, Hash) {
        let by = batch_id(&VerifyKey(self.batch.verifying_key().to_bytes()));
        let what = What::AddAgent { identity, name: name.into() };
        let entry = self.log.next_entry(by, clock::now(), what).sign_with_batch(&self.batch);
        self.log.append(&entry.to_bytes()).unwrap();
        self.posted = self.log.head().seq + 1;
        (entry.to_bytes(), entry.hash())
    }
}

fn private(seed: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
}

fn named(seed: u8, person: &str) -> NamedKey {
    let key = SshKey::from_blob(&private(seed).public_key().to_bytes().unwrap()).unwrap();
    NamedKey::ssh(key, person)
}

/// A binary SSHSIG.
pub(crate) fn sshsig(seed: u8, namespace: &str, bytes: &[u8]) -> Vec<u8> {
    let pem = private(seed).sign(namespace, HashAlg::Sha512, bytes).unwrap().to_pem(LineEnding::LF).unwrap();
    signer::unarmour(&pem).unwrap()
}

fn sign(entry: &Entry, seed: u8) -> Vec<u8> {
    let bytes = entry.to_bytes();
    let signature = ByteBuf::from(sshsig(seed, NAMESPACE_LOG, &bytes));
    SignedEntry { entry: ByteBuf::from(bytes), signature }.to_bytes()
}
