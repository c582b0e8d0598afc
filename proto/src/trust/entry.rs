//! What stands in a trust log: entries, their exact bytes and their signatures. Nothing here is verified.

use super::{Ahead, LogError};
use crate::ceiling::Span;
use crate::ids::{AgentId, Hash, KeyId, Nonce, VerifyKey};
use crate::limits::ENTRY_BYTES_MAX;
use crate::pack;
use crate::passkey;
#[cfg(doc)]
use crate::signer::NAMESPACE_LOG;
use crate::signer::{KeyKind, SignerError, SshKey};
use crate::time::UnixTime;
use ed25519_dalek::{Signer as _, SigningKey};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// What a batch key's signature covers, in front of the entry.
pub(super) const BATCH_CONTEXT: &[u8] = b"cloud-doctor log entry v1\0";

/// A person's key with the name that others see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedKey {
    /// The key.
    pub key: SshKey,
    /// Who holds it, for example a mail address. Two keys of one person have the same name.
    pub person: String,
    /// What kind of key it is.
    #[serde(rename = "signer", default, skip_serializing_if = "KeyKind::is_sshsig")]
    pub kind: KeyKind,
}

impl NamedKey {
    /// A key that a person holds.
    #[must_use]
    pub fn ssh(key: SshKey, person: impl Into<String>) -> Self {
        Self { key, person: person.into(), kind: KeyKind::Sshsig }
    }

    /// A key that a person holds, as an SSH key or a passkey: the key itself says which.
    #[must_use]
    pub fn held(key: SshKey, person: impl Into<String>) -> Self {
        let kind = if passkey::rp_id(&key).is_some() { KeyKind::Webauthn } else { KeyKind::Sshsig };
        Self { key, person: person.into(), kind }
    }

    /// Checks a signature by this key, in the one form that its kind has.
    ///
    /// # Errors
    /// [`SignerError`]: the signature counts for nothing.
    pub fn verify(&self, namespace: &str, message: &[u8], signature: &[u8]) -> Result<(), SignerError> {
        match self.kind {
            KeyKind::Sshsig | KeyKind::Device => self.key.verify(namespace, message, signature),
            KeyKind::Webauthn => passkey::verify(&self.key, namespace, message, signature),
        }
    }

    /// A browser's key.
    #[must_use]
    pub fn device(key: SshKey, person: impl Into<String>) -> Self {
        Self { key, person: person.into(), kind: KeyKind::Device }
    }
}

/// What a person's key may sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Grants.
    Engineer,
    /// Second signatures under other people's grants.
    Approver,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum What {
    /// The first entry; its hash names the customer.
    Genesis {
        /// The customer's name, for people.
        name: String,
        /// Keys that may sign entries.
        roots: Vec<NamedKey>,
        /// Key that may replace roots; kept offline.
        recovery: NamedKey,
        /// Makes two customers of one name different.
        salt: Nonce,
        /// What holds from the first moment besides: people and install tokens, so that a person who starts alone signs
        /// once.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        first: Vec<First>,
    },
    /// A further root.
    AddRoot {
        /// Its key.
        key: NamedKey,
    },
    /// A root is gone, and with it whatever its key could do besides. The last one cannot be removed.
    RemoveRoot {
        /// Which.
        key: KeyId,
    },
    /// The recovery key's own word: from now on these are the roots, and those that they replace can do nothing more.
    /// One entry, so that a stolen root finds no moment in between.
    ReplaceRoots {
        /// All of them.
        roots: Vec<NamedKey>,
    },
    /// A person may sign; the same key again renews it.
    AddPerson {
        /// The key.
        key: NamedKey,
        /// For what.
        role: Role,
        /// Last moment; at most 90 days ahead for engineers.
        until: UnixTime,
    },
    /// A person's key counts no more; running visits end.
    RemovePerson {
        /// Which key.
        key: KeyId,
    },
    /// A one-purpose key that may bind new servers for a while.
    EnrolBatch {
        /// The batch's Ed25519 key; its private half is in the install token.
        key: VerifyKey,
        /// Last moment.
        until: UnixTime,
        /// Servers that it may bind.
        uses: u32,
        /// For people.
        note: String,
    },
    /// A server, signed by the batch key that it was installed with.
    AddAgent {
        /// The server's identity.
        identity: VerifyKey,
        /// Its name, for people.
        name: String,
    },
    /// A server is called something else from now on.
    RenameAgent {
        /// Which.
        agent: AgentId,
        /// Its new name, for people.
        name: String,
    },
    /// A server is gone.
    RemoveAgent {
        /// Which.
        agent: AgentId,
    },
    /// A second signature ahead, by an approver or a root.
    SignAhead {
        /// What.
        ahead: Ahead,
    },
    /// Ends one that was signed ahead, and the visits that it opened.
    EndAhead {
        /// Number of its entry.
        seq: u64,
    },
    /// Replaces the customer's policy; the stricter of policy and ceiling wins.
    SetPolicy {
        /// The new one.
        policy: Policy,
    },
}

/// What a first entry may say besides: as the entries of the same names do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum First {
    /// See [`What::AddPerson`].
    AddPerson {
        /// The key.
        key: NamedKey,
        /// For what.
        role: Role,
        /// Last moment.
        until: UnixTime,
    },
    /// See [`What::EnrolBatch`].
    EnrolBatch {
        /// The batch's key.
        key: VerifyKey,
        /// Last moment.
        until: UnixTime,
        /// Servers that it may bind.
        uses: u32,
        /// For people.
        note: String,
    },
}

impl From<First> for What {
    fn from(first: First) -> Self {
        match first {
            First::AddPerson { key, role, until } => What::AddPerson { key, role, until },
            First::EnrolBatch { key, until, uses, note } => What::EnrolBatch { key, until, uses, note },
        }
    }
}

/// Rules of the customer for all servers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Longest visit; `None`: the ceilings decide.
    pub visit: Option<Span>,
    /// Users whose shells and commands need a second signature everywhere.
    pub second_for: Vec<String>,
    /// Users that nobody becomes anywhere.
    pub never: Vec<String>,
}

/// An entry before its signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Format of entries: 1.
    pub version: u16,
    /// Its number; the first is 0.
    pub seq: u64,
    /// Hash of the entry before; zeroes for the first.
    pub prev: Hash,
    /// When, by the signer's clock.
    pub at: UnixTime,
    /// Who signs.
    pub by: KeyId,
    /// What it says.
    pub what: What,
}

/// An entry as it is stored and sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedEntry {
    /// The [`Entry`]'s exact bytes.
    pub entry: ByteBuf,
    /// Binary SSHSIG or packed assertion by a person's key, or 64 bytes of Ed25519 by a batch key.
    pub signature: ByteBuf,
}

/// The id under which a batch key signs.
#[must_use]
pub fn batch_id(key: &VerifyKey) -> KeyId {
    KeyId(Hash::of(&[b"batch\0", &key.0]).0)
}

impl Entry {
    /// The exact bytes to sign.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        pack::to_bytes(self)
    }

    /// Signs with a batch key; other entries are signed by `ssh-keygen -Y`-style signatures over [`Self::to_bytes`]
    /// in [`NAMESPACE_LOG`].
    #[must_use]
    pub fn sign_with_batch(&self, batch: &SigningKey) -> SignedEntry {
        let entry = self.to_bytes();
        let signature = batch.sign(&[BATCH_CONTEXT, &entry].concat()).to_bytes();
        SignedEntry { entry: ByteBuf::from(entry), signature: ByteBuf::from(signature.to_vec()) }
    }
}

impl SignedEntry {
    /// As stored and sent.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        pack::to_bytes(self)
    }

    /// The hash that the next entry names; of the first one: the customer's id.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Hash::of(&[&self.entry])
    }
}

/// Reads an entry without verifying it, for showing it to a person.
///
/// # Errors
/// [`LogError::Pack`].
pub fn decode(bytes: &[u8], seq: u64) -> Result<(SignedEntry, Entry), LogError> {
    let wrong = |error| LogError::Pack { seq, error };
    let signed: SignedEntry = pack::from_signed_bytes(bytes, ENTRY_BYTES_MAX).map_err(wrong)?;
    let entry: Entry = pack::from_signed_bytes(&signed.entry, ENTRY_BYTES_MAX).map_err(wrong)?;
    Ok((signed, entry))
}
