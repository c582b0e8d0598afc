//! Who may append what to a trust log. A rule that is broken names itself; nothing is changed here.

use super::broken::{LogError, Rule};
use super::entry::BATCH_CONTEXT;
use super::{Entry, NamedKey, Role, SignedEntry, TrustLog, What};
use crate::control;
use crate::ids::{AgentId, KeyId};
use crate::limits::{BATCH_SECS_MAX, BATCH_USES_MAX, ENGINEER_DAYS_MAX, NAME_CHARS_MAX};
use crate::passkey;
use crate::refusal::is_hidden;
use crate::signer::{KeyKind, NAMESPACE_LOG, SignerError};
use crate::time::DAY_SECS;
use std::collections::{BTreeMap, BTreeSet};

/// A new server's clock may be this much behind the clock of whoever signed the newest entry.
const CLOCKS_APART_SECS: u64 = DAY_SECS;

/// More roots than this are nobody's overview.
const ROOTS_MAX: usize = 16;
/// Users that a policy names.
const POLICY_USERS_MAX: usize = 100;

impl TrustLog {
    pub(super) fn verify_signer(&self, signed: &SignedEntry, entry: &Entry) -> Result<(), LogError> {
        match &entry.what {
            What::AddAgent { .. } => self.verify_batch(signed, entry),
            What::ReplaceRoots { .. } => {
                let recovery = BTreeMap::from([(self.recovery.key.id(), self.recovery.clone())]);
                self.verify_person(&recovery, signed, entry)
            }
            What::AddRoot { .. } | What::RemoveRoot { .. } => {
                // A touch that a page has talked somebody into must not make a root that lasts.
                let mut signers = self.roots.clone();
                signers.retain(|_, root| root.kind != KeyKind::Webauthn);
                signers.insert(self.recovery.key.id(), self.recovery.clone());
                self.verify_person(&signers, signed, entry)
            }
            What::SignAhead { .. } => self.verify_person(&self.approvers_at(entry.at), signed, entry),
            What::EndAhead { seq } => {
                let mut signers = self.approvers_at(entry.at);
                // Giving up a permission needs nobody else.
                let own = self.ahead.get(seq).and_then(|ahead| self.person(&ahead.what.engineer, Role::Engineer));
                signers.extend(own.map(|own| (own.key.key.id(), own.key.clone())));
                self.verify_person(&signers, signed, entry)
            }
            What::AddPerson { .. }
            | What::RemovePerson { .. }
            | What::EnrolBatch { .. }
            | What::RenameAgent { .. }
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
        let verified = signer.verify(NAMESPACE_LOG, &signed.entry, &signed.signature);
        verified.map_err(|error| LogError::Signature { seq, error })
    }

    fn verify_batch(&self, signed: &SignedEntry, entry: &Entry) -> Result<(), LogError> {
        let seq = entry.seq;
        let batch = self.batches.get(&entry.by).ok_or(LogError::NotAllowed { seq, by: entry.by.short() })?;
        let dated = [
            (entry.at.max(self.at) <= batch.until, Rule::BatchPast),
            (entry.at.plus_secs(CLOCKS_APART_SECS) >= self.at, Rule::Backdated),
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
            What::Genesis { .. } => check(seq, &[(false, Rule::OneGenesis)]),
            What::AddRoot { key } => check(
                seq,
                &[
                    of_length(&key.person),
                    visible(&key.person),
                    (self.roots.len() < ROOTS_MAX, Rule::Roots),
                    (!self.roots.contains_key(&key.key.id()), Rule::RootAlready),
                    (key.key != self.recovery.key, Rule::RecoveryApart),
                    held_by_a_person(key),
                    of_its_kind(key),
                ],
            ),
            What::RemoveRoot { key } => {
                check(seq, &[(self.roots.contains_key(key), Rule::NoRoot), (self.roots.len() > 1, Rule::LastRoot)])
            }
            What::ReplaceRoots { roots } => may_be_roots(seq, roots, &self.recovery),
            What::AddPerson { key, role, until } => {
                let last = entry.at.plus_secs(ENGINEER_DAYS_MAX * DAY_SECS);
                let known = self.people.get(&key.key.id());
                let other_role = known.is_some_and(|p| p.role != *role);
                // A renewal that forgets the kind must not make more of a browser's key than it was.
                let other_kind = known.is_some_and(|p| p.key.kind != key.kind);
                check(
                    seq,
                    &[
                        of_length(&key.person),
                        visible(&key.person),
                        (*until <= last, Rule::PersonDays),
                        (*until > entry.at, Rule::PersonPast),
                        (!other_role, Rule::OtherRole),
                        (!other_kind, Rule::OtherKind),
                        of_its_kind(key),
                    ],
                )
            }
            What::RemovePerson { key } => check(seq, &[(self.people.contains_key(key), Rule::Nobody)]),
            What::EnrolBatch { until, uses, note, .. } => check(
                seq,
                &[
                    (*until <= entry.at.plus_secs(BATCH_SECS_MAX), Rule::BatchDays),
                    (*uses > 0 && *uses <= BATCH_USES_MAX, Rule::BatchUses),
                    (note.chars().count() <= NAME_CHARS_MAX, Rule::NoteLength),
                    visible(note),
                ],
            ),
            What::AddAgent { identity, name } => {
                let known = self.agents.contains_key(&AgentId::of(identity));
                check(seq, &[of_length(name), visible(name), (!known, Rule::Enrolled)])
            }
            What::RenameAgent { agent, name } => {
                check(seq, &[of_length(name), visible(name), (self.agents.contains_key(agent), Rule::NoServer)])
            }
            What::RemoveAgent { agent } => check(seq, &[(self.agents.contains_key(agent), Rule::NoServer)]),
            What::SignAhead { ahead } => check(seq, &self.rules_of_ahead(entry, ahead)),
            What::EndAhead { seq: of } => check(seq, &[(self.ahead.contains_key(of), Rule::NoAhead)]),
            What::SetPolicy { policy } => {
                let users = policy.second_for.iter().chain(&policy.never);
                let short = policy.second_for.len() + policy.never.len() <= POLICY_USERS_MAX;
                check(seq, &[(short, Rule::PolicyLength)])?;
                users.flat_map(|user| [of_length(user), visible(user)]).try_for_each(|rule| check(seq, &[rule]))
            }
        }
    }
}

/// Whether these may be all the roots of a customer with this recovery key.
pub(super) fn may_be_roots(seq: u64, roots: &[NamedKey], recovery: &NamedKey) -> Result<(), LogError> {
    let ids: BTreeSet<KeyId> = roots.iter().map(|root| root.key.id()).collect();
    check(
        seq,
        &[
            (!roots.is_empty() && roots.len() <= ROOTS_MAX, Rule::Roots),
            (ids.len() == roots.len(), Rule::SameRoots),
            (!ids.contains(&recovery.key.id()), Rule::RecoveryApart),
        ],
    )?;
    roots
        .iter()
        .flat_map(|root| [of_length(&root.person), visible(&root.person), held_by_a_person(root), of_its_kind(root)])
        .try_for_each(|rule| check(seq, &[rule]))
}

/// The rule that a name breaks, if any: for whoever is about to sign it.
#[must_use]
pub fn broken_by_name(name: &str) -> Option<Rule> {
    [of_length(name), visible(name)].into_iter().find(|(holds, _)| !holds).map(|(_, rule)| rule)
}

/// Whoever may say who is trusted does so with a key that a page cannot use by itself.
pub(super) fn held_by_a_person(key: &NamedKey) -> (bool, Rule) {
    (key.kind != KeyKind::Device, Rule::RootKind)
}

/// A passkey signs in a form of its own, on a page of its own: no other key may claim to, and none of them to be another.
pub(super) fn of_its_kind(key: &NamedKey) -> (bool, Rule) {
    let is_passkey = passkey::rp_id(&key.key).is_some();
    (is_passkey == (key.kind == KeyKind::Webauthn), Rule::PasskeyKind)
}

/// What replaces roots must work when every browser is lost, and when the page is somebody else's.
pub(super) fn outside_a_browser(recovery: &NamedKey) -> (bool, Rule) {
    (recovery.kind == KeyKind::Sshsig, Rule::RecoveryKind)
}

pub(super) fn of_length(name: &str) -> (bool, Rule) {
    (!name.is_empty() && name.chars().count() <= NAME_CHARS_MAX, Rule::NameLength)
}

/// Names are what people decide by: what cannot be seen must not tell two of them apart, or turn one around.
pub(super) fn visible(name: &str) -> (bool, Rule) {
    (!name.chars().any(is_hidden), Rule::NameHidden)
}

pub(super) fn check(seq: u64, rules: &[(bool, Rule)]) -> Result<(), LogError> {
    match rules.iter().find(|(holds, _)| !holds) {
        Some((_, rule)) => Err(LogError::Rule { seq, rule: *rule }),
        None => Ok(()),
    }
}
