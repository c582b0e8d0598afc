//! A customer with keys made from numbers: root 1, recovery 2, engineers 5 (eve) and 8 (dan), approvers 6 (carl) and 7
//! (eve's other key).

use cloud_doctor_proto::ids::{AgentId, Hash, KeyId, Nonce, VerifyKey};
use cloud_doctor_proto::signer::{NAMESPACE_LOG, SshKey, unarmour};
use cloud_doctor_proto::time::UnixTime;
use cloud_doctor_proto::trust::{Entry, NamedKey, Role, SignedEntry, TrustLog, What, batch_id};
use cloud_doctor_proto::visit::Signed;
use ed25519_dalek::SigningKey;
use serde_bytes::ByteBuf;
use ssh_key::{HashAlg, LineEnding, PrivateKey, private::Ed25519Keypair};

pub(crate) const ROOT: u8 = 1;
pub(crate) const EVE: u8 = 5;
pub(crate) const CARL: u8 = 6;
pub(crate) const EVE_AGAIN: u8 = 7;
pub(crate) const DAN: u8 = 8;
pub(crate) const STRANGER: u8 = 99;

fn private(seed: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
}

pub(crate) fn named(seed: u8, person: &str) -> NamedKey {
    let key = SshKey::from_blob(&private(seed).public_key().to_bytes().unwrap()).unwrap();
    NamedKey::ssh(key, person)
}

pub(crate) fn key_id(seed: u8) -> KeyId {
    named(seed, "x").key.id()
}

pub(crate) fn sshsig(seed: u8, namespace: &str, bytes: &[u8]) -> ByteBuf {
    let pem = private(seed).sign(namespace, HashAlg::Sha512, bytes).unwrap().to_pem(LineEnding::LF).unwrap();
    ByteBuf::from(unarmour(&pem).unwrap())
}

pub(crate) fn signed(seed: u8, namespace: &str, bytes: &[u8]) -> Signed {
    Signed { key: key_id(seed), sshsig: sshsig(seed, namespace, bytes) }
}

pub(crate) fn sign_entry(seed: u8, entry: &Entry) -> Vec<u8> {
    let bytes = entry.to_bytes();
    let signature = sshsig(seed, NAMESPACE_LOG, &bytes);
    SignedEntry { entry: ByteBuf::from(bytes), signature }.to_bytes()
}

pub(crate) fn now() -> UnixTime {
    UnixTime(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs())
}

/// A customer, and one server of theirs.
#[derive(Clone)]
pub(crate) struct Customer {
    pub(crate) log: TrustLog,
    pub(crate) identity: SigningKey,
}

impl Customer {
    pub(crate) fn new() -> Self {
        Self::with_server(4)
    }

    /// A customer whose server has the identity of this number.
    pub(crate) fn with_server(server: u8) -> Self {
        // An hour ago, so that no entry comes from the future.
        let at = UnixTime(now().0 - 3600);
        let roots = vec![named(ROOT, "root")];
        let what = What::Genesis {
            name: "ACME".into(),
            roots,
            recovery: named(2, "safe"),
            salt: Nonce([0; 16]),
            first: vec![],
        };
        let entry = Entry { version: 1, seq: 0, prev: Hash([0; 32]), at, by: key_id(ROOT), what };
        let mut log = TrustLog::genesis(&sign_entry(ROOT, &entry), None).unwrap();
        let until = now().plus_secs(86_400);
        let batch = SigningKey::from_bytes(&[3; 32]);
        let batch_key = VerifyKey(batch.verifying_key().to_bytes());
        for what in [
            What::AddPerson { key: named(EVE, "eve"), role: Role::Engineer, until },
            What::AddPerson { key: named(DAN, "dan"), role: Role::Engineer, until },
            What::AddPerson { key: named(CARL, "carl"), role: Role::Approver, until },
            What::AddPerson { key: named(EVE_AGAIN, "eve"), role: Role::Approver, until },
            What::EnrolBatch { key: batch_key, until, uses: 2, note: String::new() },
        ] {
            log.append(&sign_entry(ROOT, &log.next_entry(key_id(ROOT), at, what))).unwrap();
        }
        let identity = SigningKey::from_bytes(&[server; 32]);
        let what = What::AddAgent { identity: VerifyKey(identity.verifying_key().to_bytes()), name: "web".into() };
        let entry = log.next_entry(batch_id(&batch_key), at, what).sign_with_batch(&batch).to_bytes();
        log.append(&entry).unwrap();
        Self { log, identity }
    }

    pub(crate) fn verify_key(&self) -> VerifyKey {
        VerifyKey(self.identity.verifying_key().to_bytes())
    }

    pub(crate) fn agent(&self) -> AgentId {
        AgentId::of(&self.verify_key())
    }

    /// Appends an entry signed by the root; returns it for the relay to hand out.
    pub(crate) fn says(&mut self, what: What) -> ByteBuf {
        let entry = sign_entry(ROOT, &self.log.next_entry(key_id(ROOT), now(), what));
        self.log.append(&entry).unwrap();
        ByteBuf::from(entry)
    }
}
