//! Who may append what to a trust log. A rule that is broken names itself; nothing is changed here.

use super::entry::BATCH_CONTEXT;
use super::{Entry, NamedKey, SignedEntry, TrustLog, What};
use crate::control;
use crate::ids::{AgentId, KeyId, TenantId};
use crate::limits::{BATCH_SECS_MAX, BATCH_USES_MAX, ENGINEER_DAYS_MAX, NAME_CHARS_MAX};
use crate::pack::PackError;
use crate::signer::{NAMESPACE_LOG, SignerError};
use crate::time::DAY_SECS;
use std::collections::BTreeMap;

/// A new server's clock may be this much behind the clock of whoever signed the newest entry.
const CLOCKS_APART_SECS: u64 = DAY_SECS;

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

impl TrustLog {
    pub(super) fn verify_signer(&self, signed: &SignedEntry, entry: &Entry) -> Result<(), LogError> {
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

    pub(super) fn verify_person(
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

    pub(super) fn verify_rules(&self, entry: &Entry) -> Result<(), LogError> {
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
}

pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().count() <= NAME_CHARS_MAX
}

pub(super) fn check(seq: u64, rules: &[(bool, &'static str)]) -> Result<(), LogError> {
    match rules.iter().find(|(holds, _)| !holds) {
        Some((_, rule)) => Err(LogError::Rule { seq, rule }),
        None => Ok(()),
    }
}
