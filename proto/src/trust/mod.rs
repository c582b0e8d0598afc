//! The customer's trust log: an append-only, hash-chained list of who may sign what.
//!
//! Each entry names its number, the hash of the entry before it, and the key that signs it. A copy is pinned by the
//! hash of its first entry and only ever grows: an entry that does not continue it is a fork and changes nothing.
//! The relay stores and hands out entries; it can withhold new ones, never invent any. What an entry is stands in
//! `entry`, who may say what in `rules`; here is what the entries add up to.

mod ahead;
mod broken;
mod entry;
mod rules;

pub use ahead::{Ahead, SignedAhead};
pub use broken::{LogError, Rule};
pub use entry::{Entry, First, NamedKey, Policy, Role, SignedEntry, What, batch_id, decode};
pub use rules::broken_by_name;

use crate::control::TrustHead;
use crate::ids::{AgentId, Hash, KeyId, TenantId, VerifyKey};
use crate::limits::ENTRIES_MAX;
use crate::time::UnixTime;
use rules::{check, may_be_roots, of_its_kind, of_length, outside_a_browser, visible};
use serde_bytes::ByteBuf;
use std::collections::BTreeMap;

/// What a first entry may hold besides: a person's keys and an install token.
const FIRST_MAX: usize = 8;

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
    /// The root that made it, or the recovery key that began the log. It ends with that root, and when all are replaced.
    pub by: KeyId,
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
    /// Second signatures ahead, by the numbers of their entries.
    pub ahead: BTreeMap<u64, SignedAhead>,
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
        let What::Genesis { name, roots, recovery, first, .. } = &entry.what else {
            return Err(LogError::Rule { seq: 0, rule: Rule::GenesisFirst });
        };
        let mut log = Self {
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
            ahead: BTreeMap::new(),
        };
        let shape = [
            (entry.version == 1 && entry.seq == 0 && entry.prev == Hash([0; 32]), Rule::GenesisShape),
            of_length(name),
            visible(name),
            of_length(&recovery.person),
            visible(&recovery.person),
            outside_a_browser(recovery),
            of_its_kind(recovery),
            (first.len() <= FIRST_MAX, Rule::FirstCount),
        ];
        check(0, &shape)?;
        may_be_roots(0, roots, recovery)?;
        // The recovery key is above all roots, so it may say who they are from the start.
        let mut signers = log.roots.clone();
        signers.insert(recovery.key.id(), recovery.clone());
        log.verify_person(&signers, &signed, &entry)?;
        for what in first {
            let entry = Entry { what: what.clone().into(), ..entry.clone() };
            log.verify_rules(&entry)?;
            log.apply(&entry);
        }
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
        let shape = [(entry.version == 1, Rule::Version), (self.entries.len() < ENTRIES_MAX, Rule::Full)];
        check(seq, &shape)?;
        self.verify_signer(&signed, &entry)?;
        self.verify_rules(&entry)?;
        self.apply(&entry);
        self.head = TrustHead { seq, hash: signed.hash() };
        self.at = self.at.max(entry.at);
        self.forget_past();
        self.entries.push(bytes.to_vec());
        Ok(())
    }
    fn apply(&mut self, entry: &Entry) {
        match &entry.what {
            What::Genesis { .. } => {}
            What::AddRoot { key } => {
                self.roots.insert(key.key.id(), key.clone());
            }
            What::RemoveRoot { key } => {
                self.roots.remove(key);
                self.forget(key);
            }
            What::ReplaceRoots { roots } => {
                let roots = roots.iter().map(|root| (root.key.id(), root.clone())).collect();
                let before = std::mem::replace(&mut self.roots, roots);
                let gone: Vec<KeyId> = before.into_keys().filter(|key| !self.roots.contains_key(key)).collect();
                gone.iter().for_each(|key| self.forget(key));
                self.batches.retain(|_, batch| self.roots.contains_key(&batch.by));
            }
            What::AddPerson { key, role, until } => {
                self.people.insert(key.key.id(), Person { key: key.clone(), role: *role, until: *until });
            }
            What::RemovePerson { key } => {
                self.people.remove(key);
                self.forget_ahead(|ahead| ahead.by == *key || ahead.what.engineer == *key);
            }
            What::EnrolBatch { key, until, uses, note } => {
                let batch = Batch { key: *key, until: *until, uses_left: *uses, note: note.clone(), by: entry.by };
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
            What::RenameAgent { agent, name } => {
                if let Some(record) = self.agents.get_mut(agent) {
                    record.name.clone_from(name);
                }
            }
            What::RemoveAgent { agent } => {
                self.agents.remove(agent);
                self.forget_ahead(|ahead| ahead.what.agent == *agent);
            }
            What::SignAhead { ahead } => {
                if let Some(key) = self.approvers_at(entry.at).remove(&entry.by) {
                    let (person, kind) = (key.person, key.kind.signer());
                    let signed = SignedAhead { what: ahead.clone(), by: entry.by, person, kind };
                    self.ahead.insert(entry.seq, signed);
                }
            }
            What::EndAhead { seq } => {
                self.ahead.remove(seq);
            }
            What::SetPolicy { policy } => self.policy = policy.clone(),
        }
    }

    /// A root is gone: its key signs no grants either, and servers are bound no more by batches that it made.
    fn forget(&mut self, root: &KeyId) {
        self.people.remove(root);
        self.forget_ahead(|ahead| ahead.by == *root || ahead.what.engineer == *root);
        self.batches.retain(|_, batch| batch.by != *root);
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

    /// Whether an entry, once signed by somebody who may, could be appended: asked before a person signs it.
    ///
    /// # Errors
    /// The [`LogError::Rule`] that it breaks.
    pub fn allows(&self, entry: &Entry) -> Result<(), LogError> {
        self.verify_rules(entry)
    }

    /// A person's key that may sign in this role at this time.
    #[must_use]
    pub fn person(&self, key: &KeyId, role: Role) -> Option<&Person> {
        self.people.get(key).filter(|person| person.role == role)
    }
}

#[cfg(test)]
mod tests;
