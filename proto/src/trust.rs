//! The customer's trust log: an append-only, hash-chained list of who may sign what.
//!
//! Each entry names its number, the hash of the entry before it, and the key that signs it. A copy is pinned by the
//! hash of its first entry and only ever grows: an entry that does not continue it is a fork and changes nothing.
//! The relay stores and hands out entries; it can withhold new ones, never invent any.

use crate::ceiling::Span;
use crate::control::{self, TrustHead};
use crate::ids::{AgentId, Hash, KeyId, Nonce, TenantId, VerifyKey};
use crate::limits::{BATCH_SECS_MAX, BATCH_USES_MAX, ENGINEER_DAYS_MAX, ENTRIES_MAX, ENTRY_BYTES_MAX, NAME_CHARS_MAX};
use crate::pack::{self, PackError};
use crate::signer::{NAMESPACE_LOG, SignerError, SshKey};
use crate::time::{DAY_SECS, UnixTime};
use ed25519_dalek::{Signer as _, SigningKey};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::collections::BTreeMap;

/// A new server's clock may be this much behind the clock of whoever signed the newest entry.
const CLOCKS_APART_SECS: u64 = DAY_SECS;
const BATCH_CONTEXT: &[u8] = b"cloud-doctor log entry v1\0";

/// A person's key with the name that others see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedKey {
    /// The key.
    pub key: SshKey,
    /// Who holds it, for example a mail address. Two keys of one person have the same name.
    pub person: String,
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
    },
    /// A further root.
    AddRoot {
        /// Its key.
        key: NamedKey,
    },
    /// A root is gone. The last one cannot be removed.
    RemoveRoot {
        /// Which.
        key: KeyId,
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
    /// A server is gone.
    RemoveAgent {
        /// Which.
        agent: AgentId,
    },
    /// Replaces the customer's policy; the stricter of policy and ceiling wins.
    SetPolicy {
        /// The new one.
        policy: Policy,
    },
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
    /// Binary SSHSIG by a person's key, or 64 bytes of Ed25519 by a batch key.
    pub signature: ByteBuf,
}

/// An entry that may not be appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Not its one form.
    #[error("entry {seq} is {error}")]
    Pack {
        /// Expected number.
        seq: u64,
        /// What is wrong.
        error: PackError,
    },
    /// Does not follow the newest entry: another history.
    #[error("entry {found} does not continue the log at {expected}")]
    Fork {
        /// Number that was expected.
        expected: u64,
        /// Number that came.
        found: u64,
    },
    /// The first entry is not the pinned one.
    #[error("the log begins with {found}, pinned is {pinned}")]
    OtherTenant {
        /// Pinned customer.
        pinned: TenantId,
        /// Customer that came.
        found: TenantId,
    },
    /// The signer may not say this.
    #[error("entry {seq}: key {by} may not sign this")]
    NotAllowed {
        /// Number of the entry.
        seq: u64,
        /// Short id of the key.
        by: String,
    },
    /// The signature does not verify.
    #[error("entry {seq}: {error}")]
    Signature {
        /// Number of the entry.
        seq: u64,
        /// Why.
        error: SignerError,
    },
    /// A rule of the log is broken.
    #[error("entry {seq}: {rule}")]
    Rule {
        /// Number of the entry.
        seq: u64,
        /// Which rule.
        rule: &'static str,
    },
    /// No entries at all.
    #[error("the log is empty")]
    Empty,
}

/// A person as the log stands now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Key and name.
    pub key: NamedKey,
    /// For what.
    pub role: Role,
    /// Last moment.
    pub until: UnixTime,
}

/// A batch as the log stands now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Its key.
    pub key: VerifyKey,
    /// Last moment.
    pub until: UnixTime,
    /// Servers that it may still bind.
    pub uses_left: u32,
    /// For people.
    pub note: String,
}

/// A server as the log stands now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRecord {
    /// Its identity.
    pub identity: VerifyKey,
    /// Its name. A stranger's text: escape it where it is shown.
    pub name: String,
}

/// A verified log: its entries and what they add up to.
#[derive(Debug, Clone)]
pub struct TrustLog {
    entries: Vec<Vec<u8>>,
    head: TrustHead,
    tenant: TenantId,
    at: UnixTime,
    /// The customer's name.
    pub name: String,
    /// Keys that may sign entries.
    pub roots: BTreeMap<KeyId, NamedKey>,
    /// Key that may replace roots.
    pub recovery: NamedKey,
    /// People.
    pub people: BTreeMap<KeyId, Person>,
    /// Batches that are not used up.
    pub batches: BTreeMap<KeyId, Batch>,
    /// Servers.
    pub agents: BTreeMap<AgentId, AgentRecord>,
    /// Rules for all servers.
    pub policy: Policy,
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

impl TrustLog {
    /// Starts a copy from its first entry.
    ///
    /// # Errors
    /// [`LogError`] when it is not the pinned one, or not signed by a root that it names itself.
    pub fn genesis(bytes: &[u8], pinned: Option<TenantId>) -> Result<Self, LogError> {
        let (signed, entry) = decode(bytes, 0)?;
        let tenant = TenantId(signed.hash().0);
        if let Some(pinned) = pinned.filter(|pinned| *pinned != tenant) {
            return Err(LogError::OtherTenant { pinned, found: tenant });
        }
        let What::Genesis { name, roots, recovery, .. } = &entry.what else {
            return Err(LogError::Rule { seq: 0, rule: "the first entry must be a genesis" });
        };
        let log = Self {
            entries: vec![bytes.to_vec()],
            head: TrustHead { seq: 0, hash: signed.hash() },
            tenant,
            at: entry.at,
            name: name.clone(),
            roots: roots.iter().map(|root| (root.key.id(), root.clone())).collect(),
            recovery: recovery.clone(),
            people: BTreeMap::new(),
            batches: BTreeMap::new(),
            agents: BTreeMap::new(),
            policy: Policy::default(),
        };
        let shape = [
            (entry.version == 1 && entry.seq == 0 && entry.prev == Hash([0; 32]), "the first entry is malformed"),
            (!roots.is_empty() && roots.len() <= 16, "a customer has 1 to 16 roots"),
            (log.roots.len() == roots.len(), "two roots are the same key"),
            (!log.roots.contains_key(&recovery.key.id()), "the recovery key must be another key than the roots"),
            (
                roots.iter().chain([recovery]).all(|k| is_name(&k.person)) && is_name(name),
                "a name is empty or too long",
            ),
        ];
        check(0, &shape)?;
        log.verify_person(&log.roots, &signed, &entry)?;
        Ok(log)
    }

    /// Verifies a whole copy.
    ///
    /// # Errors
    /// The first [`LogError`].
    pub fn replay<B: AsRef<[u8]>>(entries: &[B], pinned: Option<TenantId>) -> Result<Self, LogError> {
        let (first, rest) = entries.split_first().ok_or(LogError::Empty)?;
        let mut log = Self::genesis(first.as_ref(), pinned)?;
        for entry in rest {
            log.append(entry.as_ref())?;
        }
        Ok(log)
    }

    /// Appends one entry after verifying it; on an error nothing changes.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), LogError> {
        let seq = self.head.seq + 1;
        let (signed, entry) = decode(bytes, seq)?;
        if entry.seq != seq || entry.prev != self.head.hash {
            return Err(LogError::Fork { expected: seq, found: entry.seq });
        }
        let shape =
            [(entry.version == 1, "entries of another version"), (self.entries.len() < ENTRIES_MAX, "the log is full")];
        check(seq, &shape)?;
        self.verify_signer(&signed, &entry)?;
        self.verify_rules(&entry)?;
        self.apply(&entry);
        self.head = TrustHead { seq, hash: signed.hash() };
        self.at = self.at.max(entry.at);
        self.entries.push(bytes.to_vec());
        Ok(())
    }

    fn verify_signer(&self, signed: &SignedEntry, entry: &Entry) -> Result<(), LogError> {
        match &entry.what {
            What::AddAgent { .. } => self.verify_batch(signed, entry),
            What::AddRoot { .. } | What::RemoveRoot { .. } => {
                let mut signers = self.roots.clone();
                signers.insert(self.recovery.key.id(), self.recovery.clone());
                self.verify_person(&signers, signed, entry)
            }
            What::AddPerson { .. }
            | What::RemovePerson { .. }
            | What::EnrolBatch { .. }
            | What::RemoveAgent { .. }
            | What::SetPolicy { .. }
            | What::Genesis { .. } => self.verify_person(&self.roots, signed, entry),
        }
    }

    fn verify_person(
        &self,
        signers: &BTreeMap<KeyId, NamedKey>,
        signed: &SignedEntry,
        entry: &Entry,
    ) -> Result<(), LogError> {
        let seq = entry.seq;
        let signer = signers.get(&entry.by).ok_or(LogError::NotAllowed { seq, by: entry.by.short() })?;
        let verified = signer.key.verify(NAMESPACE_LOG, &signed.entry, &signed.signature);
        verified.map_err(|error| LogError::Signature { seq, error })
    }

    fn verify_batch(&self, signed: &SignedEntry, entry: &Entry) -> Result<(), LogError> {
        let seq = entry.seq;
        let batch = self.batches.get(&entry.by).ok_or(LogError::NotAllowed { seq, by: entry.by.short() })?;
        let dated = [
            (entry.at.max(self.at) <= batch.until, "the enrolment batch is past its last moment"),
            (entry.at.plus_secs(CLOCKS_APART_SECS) >= self.at, "the entry is dated before the log's newest"),
        ];
        check(seq, &dated)?;
        let signature: Option<&[u8; 64]> = signed.signature.as_slice().try_into().ok();
        match signature {
            Some(signature) if control::verify(&batch.key, BATCH_CONTEXT, &signed.entry, signature) => Ok(()),
            Some(_) | None => Err(LogError::Signature { seq, error: SignerError::Wrong }),
        }
    }

    fn verify_rules(&self, entry: &Entry) -> Result<(), LogError> {
        let seq = entry.seq;
        match &entry.what {
            What::Genesis { .. } => check(seq, &[(false, "a log has one genesis")]),
            What::AddRoot { key } => check(
                seq,
                &[
                    (is_name(&key.person), "a name is empty or too long"),
                    (self.roots.len() < 16, "a customer has 1 to 16 roots"),
                    (!self.roots.contains_key(&key.key.id()), "this key is a root already"),
                ],
            ),
            What::RemoveRoot { key } => check(
                seq,
                &[
                    (self.roots.contains_key(key), "this key is no root"),
                    (self.roots.len() > 1, "the last root cannot be removed; add another first"),
                ],
            ),
            What::AddPerson { key, role, until } => {
                let last = entry.at.plus_secs(ENGINEER_DAYS_MAX * DAY_SECS);
                let other_role = self.people.get(&key.key.id()).is_some_and(|p| p.role != *role);
                check(
                    seq,
                    &[
                        (is_name(&key.person), "a name is empty or too long"),
                        (*until <= last, "a key is valid for at most 90 days"),
                        (*until > entry.at, "the key's last day is in the past"),
                        (!other_role, "this key has another role; remove it first"),
                    ],
                )
            }
            What::RemovePerson { key } => check(seq, &[(self.people.contains_key(key), "nobody has this key")]),
            What::EnrolBatch { until, uses, note, .. } => check(
                seq,
                &[
                    (*until <= entry.at.plus_secs(BATCH_SECS_MAX), "a batch lives at most seven days"),
                    (*uses > 0 && *uses <= BATCH_USES_MAX, "a batch binds 1 to 10,000 servers"),
                    (note.chars().count() <= NAME_CHARS_MAX, "the note is too long"),
                ],
            ),
            What::AddAgent { identity, name } => {
                let known = self.agents.contains_key(&AgentId::of(identity));
                check(
                    seq,
                    &[(is_name(name), "a name is empty or too long"), (!known, "this server is enrolled already")],
                )
            }
            What::RemoveAgent { agent } => check(seq, &[(self.agents.contains_key(agent), "no such server")]),
            What::SetPolicy { policy } => {
                let users = policy.second_for.iter().chain(&policy.never);
                let short = policy.second_for.len() + policy.never.len() <= 100;
                check(seq, &[(short && users.clone().all(|u| is_name(u)), "the policy is too long")])
            }
        }
    }

    fn apply(&mut self, entry: &Entry) {
        match &entry.what {
            What::Genesis { .. } => {}
            What::AddRoot { key } => {
                self.roots.insert(key.key.id(), key.clone());
            }
            What::RemoveRoot { key } => {
                self.roots.remove(key);
            }
            What::AddPerson { key, role, until } => {
                self.people.insert(key.key.id(), Person { key: key.clone(), role: *role, until: *until });
            }
            What::RemovePerson { key } => {
                self.people.remove(key);
            }
            What::EnrolBatch { key, until, uses, note } => {
                let batch = Batch { key: *key, until: *until, uses_left: *uses, note: note.clone() };
                self.batches.insert(batch_id(key), batch);
            }
            What::AddAgent { identity, name } => {
                let record = AgentRecord { identity: *identity, name: name.clone() };
                self.agents.insert(AgentId::of(identity), record);
                if let Some(batch) = self.batches.get_mut(&entry.by) {
                    batch.uses_left -= 1;
                }
                self.batches.retain(|_, batch| batch.uses_left > 0);
            }
            What::RemoveAgent { agent } => {
                self.agents.remove(agent);
            }
            What::SetPolicy { policy } => self.policy = policy.clone(),
        }
    }

    /// The customer.
    #[must_use]
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// The newest entry.
    #[must_use]
    pub fn head(&self) -> TrustHead {
        self.head
    }

    /// The latest moment that an entry claims: no clock that is right stands before it.
    #[must_use]
    pub fn newest_claim(&self) -> UnixTime {
        self.at
    }

    /// The hash of entry `seq`, if this copy goes that far.
    #[must_use]
    pub fn hash_at(&self, seq: u64) -> Option<Hash> {
        let bytes = self.entries.get(usize::try_from(seq).ok()?)?;
        decode(bytes, seq).ok().map(|(signed, _)| signed.hash())
    }

    /// Entries from number `seq` on, at most `count`.
    #[must_use]
    pub fn entries_from(&self, seq: u64, count: usize) -> Vec<ByteBuf> {
        let from = usize::try_from(seq).unwrap_or(usize::MAX);
        self.entries.iter().skip(from).take(count).map(|e| ByteBuf::from(e.clone())).collect()
    }

    /// An entry that continues this log, ready to be signed by `by`.
    #[must_use]
    pub fn next_entry(&self, by: KeyId, at: UnixTime, what: What) -> Entry {
        Entry { version: 1, seq: self.head.seq + 1, prev: self.head.hash, at, by, what }
    }

    /// A person's key that may sign in this role at this time.
    #[must_use]
    pub fn person(&self, key: &KeyId, role: Role) -> Option<&Person> {
        self.people.get(key).filter(|person| person.role == role)
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

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().count() <= NAME_CHARS_MAX
}

fn check(seq: u64, rules: &[(bool, &'static str)]) -> Result<(), LogError> {
    match rules.iter().find(|(holds, _)| !holds) {
        Some((_, rule)) => Err(LogError::Rule { seq, rule }),
        None => Ok(()),
    }
}

#[cfg(test)]
#[path = "trust_tests.rs"]
mod tests;
