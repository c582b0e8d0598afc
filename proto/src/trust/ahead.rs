//! Second signatures given ahead: for one engineer's key, on one server, for some hours.
//!
//! A signature over a grant that does not exist yet is a standing permission, so it stands where nobody but its signers can
//! make, move or end one: in the log. Never: for longer than a day, or by the person who would use it.

use super::broken::Rule;
use super::rules::visible;
use super::{Entry, NamedKey, Person, Role, TrustLog};
use crate::grant::Scope;
use crate::ids::{AgentId, KeyId};
use crate::limits::{AHEAD_MAX, AHEAD_SCOPES_MAX, AHEAD_SECS_MAX, AHEAD_START_SECS_MAX, REASON_CHARS_MAX};
use crate::signer::{KeyKind, SignerKind};
use crate::time::UnixTime;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is signed ahead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ahead {
    /// The one server.
    pub agent: AgentId,
    /// The one key that may use it.
    pub engineer: KeyId,
    /// Exactly these; sorted, no doubles.
    pub scopes: Vec<Scope>,
    /// First moment.
    pub from: UnixTime,
    /// Last moment, also of the visits that it opens.
    pub until: UnixTime,
    /// Why, for people.
    pub note: String,
}

/// A second signature ahead as the log stands now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedAhead {
    /// What.
    pub what: Ahead,
    /// The key that signed it. It ends with that key.
    pub by: KeyId,
    /// Its holder.
    pub person: String,
    /// Of which kind it is.
    pub kind: SignerKind,
}

impl SignedAhead {
    /// Whether it stands for a second signature under a visit with this scope from `low` (the server's clock) to `high`
    /// (the later of that clock and the log's, plus the visit's length).
    #[must_use]
    pub fn covers(&self, agent: &AgentId, engineer: &KeyId, scope: &Scope, (low, high): (UnixTime, UnixTime)) -> bool {
        let Ahead { agent: there, engineer: whose, scopes, from, until, .. } = &self.what;
        there == agent && whose == engineer && scopes.contains(scope) && *from <= low && high <= *until
    }
}

impl TrustLog {
    /// Keys that may sign ahead, and end what was signed: those of the customer's approvers, and roots.
    ///
    /// By the later of `at` and the log's own clock: a key that is past its time is not revived by an early date.
    #[must_use]
    pub fn approvers_at(&self, at: UnixTime) -> BTreeMap<KeyId, NamedKey> {
        let at = at.max(self.at);
        let counts = |person: &&Person| person.role == Role::Approver && person.until >= at;
        let people = self.people.values().filter(counts).map(|person| (person.key.key.id(), person.key.clone()));
        people.chain(self.roots.iter().map(|(id, key)| (*id, key.clone()))).collect()
    }

    pub(super) fn rules_of_ahead(&self, entry: &Entry, what: &Ahead) -> Vec<(bool, Rule)> {
        let Ahead { agent, engineer, scopes, from, until, note } = what;
        let engineer = self.person(engineer, Role::Engineer);
        let signer = self.approvers_at(entry.at).remove(&entry.by);
        let other = |signer: &NamedKey| engineer.is_none_or(|engineer| engineer.key.person != signer.person);
        let opens = |scope: &Scope| !scope.only_looks();
        let start = entry.at.plus_secs(AHEAD_START_SECS_MAX);
        vec![
            (self.agents.contains_key(agent), Rule::NoServer),
            (engineer.is_some(), Rule::Nobody),
            (signer.as_ref().is_some_and(other), Rule::AheadSelf),
            (signer.is_none_or(|signer| signer.kind != KeyKind::Device), Rule::AheadDevice),
            (from < until && until.0 - from.0 <= AHEAD_SECS_MAX, Rule::AheadHours),
            (*from <= start && *until > entry.at, Rule::AheadHours),
            (!scopes.is_empty() && scopes.len() <= AHEAD_SCOPES_MAX, Rule::AheadScopes),
            (scopes.is_sorted_by(|a, b| a < b) && scopes.iter().all(opens), Rule::AheadScopes),
            (note.chars().count() <= REASON_CHARS_MAX, Rule::NoteLength),
            visible(note),
            (self.ahead.len() < AHEAD_MAX, Rule::AheadMany),
        ]
    }

    /// Forgets what is over by the log's own clock, so that every copy of a log remembers the same.
    pub(super) fn forget_past(&mut self) {
        let at = self.at;
        self.ahead.retain(|_, ahead| ahead.what.until > at);
    }

    /// A key or server is gone, and with it what was signed ahead by it or for it.
    pub(super) fn forget_ahead(&mut self, gone: impl Fn(&SignedAhead) -> bool) {
        self.ahead.retain(|_, ahead| !gone(ahead));
    }
}

#[cfg(test)]
#[path = "ahead_tests.rs"]
mod tests;
