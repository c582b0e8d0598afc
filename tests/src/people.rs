//! People with SSH keys, and a customer with a trust log: made fresh for every test, thrown away after it.

use cloud_doctor_proto::ids::{KeyId, Nonce};
use cloud_doctor_proto::pack;
use cloud_doctor_proto::signer::{NAMESPACE_LOG, SshKey, unarmour};
use cloud_doctor_proto::time::{DAY_SECS, UnixTime};
use cloud_doctor_proto::trust::{Entry, NamedKey, Role, SignedEntry, TrustLog, What};
use cloud_doctor_proto::visit::Signed;
use ed25519_dalek::SigningKey;
use serde_bytes::ByteBuf;
use ssh_key::private::Ed25519Keypair;
use ssh_key::{HashAlg, LineEnding, PrivateKey};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Bytes that nobody has seen before.
///
/// # Panics
/// When the kernel has none.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the kernel has random bytes");
    bytes
}

/// The wall clock.
#[must_use]
pub fn now() -> UnixTime {
    UnixTime(SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs()))
}

/// Somebody with a key.
#[derive(Debug, Clone)]
pub struct Person {
    /// As others see them.
    pub name: String,
    key: PrivateKey,
}

impl Person {
    /// A new person with a new Ed25519 key.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), key: PrivateKey::from(Ed25519Keypair::from_seed(&random())) }
    }

    /// Somebody who has this private key, whatever it was made for.
    #[must_use]
    pub fn with(name: &str, key: &SigningKey) -> Self {
        Self { name: name.to_owned(), key: PrivateKey::from(Ed25519Keypair::from_seed(key.as_bytes())) }
    }

    /// Reads an OpenSSH key file without passphrase.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn read(name: &str, file: &Path) -> Self {
        let text = fs::read_to_string(file).expect("a key file can be read");
        Self { name: name.to_owned(), key: PrivateKey::from_openssh(text).expect("an OpenSSH key") }
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> SshKey {
        let blob = self.key.public_key().to_bytes().expect("a key has bytes");
        SshKey::from_blob(&blob).expect("Ed25519 is accepted")
    }

    /// The public key's id.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.public().id()
    }

    /// Key and name, as the log has them.
    #[must_use]
    pub fn named(&self) -> NamedKey {
        NamedKey::ssh(self.public(), self.name.as_str())
    }

    /// A binary SSHSIG.
    #[must_use]
    pub fn sign(&self, namespace: &str, message: &[u8]) -> Vec<u8> {
        let signature = self.key.sign(namespace, HashAlg::Sha512, message).expect("Ed25519 signs anything");
        unarmour(&signature.to_pem(LineEnding::LF).expect("a signature has a PEM form")).expect("PEM is base64")
    }

    /// The same with the key's id.
    #[must_use]
    pub fn signed(&self, namespace: &str, message: &[u8]) -> Signed {
        Signed { key: self.id(), sshsig: ByteBuf::from(self.sign(namespace, message)) }
    }

    /// Writes `<folder>/<name>` and `<folder>/<name>.pub` as `ssh-keygen` would; returns the first.
    ///
    /// # Panics
    /// When they cannot be written.
    #[must_use]
    pub fn write(&self, folder: &Path) -> PathBuf {
        let file = folder.join(&self.name);
        let private = self.key.to_openssh(LineEnding::LF).expect("a key has an OpenSSH form");
        fs::write(&file, private.as_bytes()).expect("a key file can be written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("our own file");
        let public = self.key.public_key().to_openssh().expect("a key has an OpenSSH form");
        fs::write(file.with_extension("pub"), format!("{public} {}\n", self.name)).expect("a key file can be written");
        file
    }
}

/// A customer: roots and the log that they sign.
#[derive(Debug)]
pub struct Customer {
    /// Signs entries.
    pub root: Person,
    /// Kept offline.
    pub recovery: Person,
    /// The log as the customer has it.
    pub log: TrustLog,
}

impl Customer {
    /// A customer without people and servers.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let (root, recovery) = (Person::new("root"), Person::new("recovery"));
        let what = What::Genesis {
            name: name.to_owned(),
            roots: vec![root.named()],
            recovery: recovery.named(),
            salt: Nonce(random()),
            first: vec![],
        };
        let genesis =
            Entry { version: 1, seq: 0, prev: cloud_doctor_proto::ids::Hash([0; 32]), at: now(), by: root.id(), what };
        let log = TrustLog::genesis(&sign_entry(&root, &genesis), None).expect("a well-formed genesis");
        Self { root, recovery, log }
    }

    /// Appends what the root signs; returns the entry.
    ///
    /// # Panics
    /// When the log does not accept it.
    #[track_caller]
    pub fn say(&mut self, what: What) -> Vec<u8> {
        let entry = self.log.next_entry(self.root.id(), now(), what);
        let bytes = sign_entry(&self.root, &entry);
        self.log.append(&bytes).expect("the root may say this");
        bytes
    }

    /// Lets somebody sign for 90 days.
    #[track_caller]
    pub fn add(&mut self, person: &Person, role: Role) -> Vec<u8> {
        let until = now().plus_secs(89 * DAY_SECS);
        self.say(What::AddPerson { key: person.named(), role, until })
    }

    /// A batch key for some servers.
    #[track_caller]
    pub fn batch(&mut self, uses: u32) -> SigningKey {
        let batch = SigningKey::from_bytes(&random());
        let key = cloud_doctor_proto::ids::VerifyKey(batch.verifying_key().to_bytes());
        let until = now().plus_secs(3600);
        self.say(What::EnrolBatch { key, until, uses, note: "test".to_owned() });
        batch
    }
}

/// An entry with a person's signature, as stored and sent.
#[must_use]
pub fn sign_entry(by: &Person, entry: &Entry) -> Vec<u8> {
    let bytes = pack::to_bytes(entry);
    let signature = by.sign(NAMESPACE_LOG, &bytes);
    SignedEntry { entry: ByteBuf::from(bytes), signature: ByteBuf::from(signature) }.to_bytes()
}
