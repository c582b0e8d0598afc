//! Challenge and grant: the two signed objects that open a visit (design 5, steps 1 to 3).
//!
//! Both are verified over the exact bytes that travel, before they are decoded, and refuse unknown fields.

use crate::ceiling::ScopeName;
use crate::channel::ChannelKind;
use crate::control;
use crate::ids::{AgentId, BootId, ExchangeKey, Hash, KeyId, Nonce, TenantId, VerifyKey, VisitId};
use crate::limits::{CHALLENGE_BYTES_MAX, GRANT_BYTES_MAX, NAME_CHARS_MAX, REASON_CHARS_MAX};
use crate::pack::{self, PackError};
use crate::time::UnixTime;
use ed25519_dalek::{Signer as _, SigningKey};
use serde::{Deserialize, Serialize};

const CHALLENGE_CONTEXT: &[u8] = b"cloud-doctor challenge v1\0";

/// Guard's one-time question to a client that wants a visit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    /// Wire version of the visit: the newest that both speak.
    pub version: u16,
    /// Oldest version that the client offered, as it arrived here: a relay that narrows the offer is found out.
    pub offered_min: u16,
    /// Newest version that the client offered, as it arrived here.
    pub offered_max: u16,
    /// The agent's identity.
    pub identity: VerifyKey,
    /// The customer that the agent has pinned.
    pub tenant: TenantId,
    /// Host name, for people.
    pub host: String,
    /// Changes with every boot.
    pub boot: BootId,
    /// Makes it unique.
    pub nonce: Nonce,
    /// Fresh key of the visit's holders.
    pub agent_key: ExchangeKey,
    /// Newest trust-log entry that guard has.
    pub trust_seq: u64,
    /// Its hash.
    pub trust_head: Hash,
    /// The server's wall clock, so that a wrong one is noticed. Decides nothing.
    pub at: UnixTime,
    /// Seconds within which the grant must arrive, by the server's boot clock.
    pub ttl_secs: u64,
}

/// What a visit may do, one entry per kind and user.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Scope {
    /// Login shells as this user.
    Shell {
        /// User name on the server.
        user: String,
    },
    /// Commands as this user.
    Exec {
        /// User name on the server.
        user: String,
    },
    /// Watching the living shells that run as this user, whoever works in them.
    Watch {
        /// User name on the server.
        user: String,
    },
    /// Reading the host's own audit log.
    Audit {},
}

impl Scope {
    /// What a ceiling calls it.
    #[must_use]
    pub fn name(&self) -> ScopeName {
        match self {
            Scope::Shell { .. } => ScopeName::Shell,
            Scope::Exec { .. } => ScopeName::Exec,
            Scope::Watch { .. } => ScopeName::Watch,
            Scope::Audit {} => ScopeName::Audit,
        }
    }

    /// The channel kind that this scope opens.
    #[must_use]
    pub fn kind(&self) -> ChannelKind {
        match self {
            Scope::Shell { .. } => ChannelKind::Shell,
            Scope::Exec { .. } => ChannelKind::Exec,
            Scope::Watch { .. } => ChannelKind::Watch,
            Scope::Audit {} => ChannelKind::Ask,
        }
    }

    /// The user that it runs as, or whose shells it shows; none for the audit, which is about all of them.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        match self {
            Scope::Shell { user } | Scope::Exec { user } | Scope::Watch { user } => Some(user),
            Scope::Audit {} => None,
        }
    }

    /// Whether it only looks: it starts nothing and types nothing. An approver may sign such a scope alone.
    #[must_use]
    pub fn only_looks(&self) -> bool {
        match self {
            Scope::Shell { .. } | Scope::Exec { .. } => false,
            Scope::Watch { .. } | Scope::Audit {} => true,
        }
    }
}

/// `shell root`, `watch deploy`, `audit`.
impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.user() {
            Some(user) => write!(f, "{} {user}", self.name()),
            None => write!(f, "{}", self.name()),
        }
    }
}

/// One visit: one server, one engineer, for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Same as the challenge's.
    pub version: u16,
    /// The customer.
    pub tenant: TenantId,
    /// The server.
    pub agent: AgentId,
    /// Hash of the challenge's signed bytes.
    pub challenge: Hash,
    /// The client's own X25519 key: only it can open channels.
    pub client_key: ExchangeKey,
    /// Who signs.
    pub engineer: KeyId,
    /// What may be done. Sorted, no doubles, not empty.
    pub scopes: Vec<Scope>,
    /// Seconds that the visit lasts from the moment it opens, by the server's boot clock.
    pub ttl_secs: u64,
    /// Why, in the engineer's words.
    pub reason: String,
    /// Ticket number, or empty.
    pub ticket: String,
    /// Newest trust-log entry that the client has verified.
    pub trust_seq: u64,
    /// Its hash: a guard that is behind must catch up first.
    pub trust_head: Hash,
    /// The client's wall clock, for the audit.
    pub at: UnixTime,
}

/// A signed object that may not be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// Not its one form.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The identity did not sign it.
    #[error("the signature does not verify")]
    Signature,
    /// A field breaks a rule.
    #[error("{0}")]
    Field(&'static str),
}

impl Challenge {
    /// Encodes and signs.
    #[must_use]
    pub fn sign(&self, identity: &SigningKey) -> (Vec<u8>, [u8; 64]) {
        let bytes = pack::to_bytes(self);
        let signature = identity.sign(&[CHALLENGE_CONTEXT, &bytes].concat()).to_bytes();
        (bytes, signature)
    }

    /// Verifies against the identity that the trust log names, then decodes.
    ///
    /// # Errors
    /// [`ObjectError`]: this is not the server that was meant, or the challenge was changed.
    pub fn verify(bytes: &[u8], signature: &[u8; 64], identity: &VerifyKey) -> Result<Self, ObjectError> {
        if bytes.len() > CHALLENGE_BYTES_MAX || !control::verify(identity, CHALLENGE_CONTEXT, bytes, signature) {
            return Err(ObjectError::Signature);
        }
        let challenge: Self = pack::from_signed_bytes(bytes, CHALLENGE_BYTES_MAX)?;
        if challenge.identity != *identity {
            return Err(ObjectError::Signature);
        }
        Ok(challenge)
    }

    /// What a grant names and the prologue of channels holds.
    #[must_use]
    pub fn hash(bytes: &[u8]) -> Hash {
        Hash::of(&[CHALLENGE_CONTEXT, bytes])
    }
}

impl Grant {
    /// The exact bytes to sign.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        pack::to_bytes(self)
    }

    /// Decodes; the caller has verified a signature over `bytes` or is about to show them to a person.
    ///
    /// # Errors
    /// [`ObjectError`] with the rule that is broken.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ObjectError> {
        let grant: Self = pack::from_signed_bytes(bytes, GRANT_BYTES_MAX)?;
        let names = grant.scopes.iter().filter_map(Scope::user);
        let rules = [
            (!grant.scopes.is_empty(), "a grant needs at least one scope"),
            (grant.scopes.is_sorted_by(|a, b| a < b), "scopes must be sorted and different"),
            (grant.scopes.len() <= 20, "a grant has at most 20 scopes"),
            (names.clone().all(|n| !n.is_empty() && n.chars().count() <= NAME_CHARS_MAX), "a user name is too long"),
            (grant.reason.chars().count() <= REASON_CHARS_MAX, "the reason is too long"),
            (grant.ticket.chars().count() <= NAME_CHARS_MAX, "the ticket is too long"),
            (grant.ttl_secs > 0, "a visit needs some time"),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(ObjectError::Field(rule)),
            None => Ok(grant),
        }
    }

    /// What signers and channels refer to.
    #[must_use]
    pub fn hash(bytes: &[u8]) -> Hash {
        Hash::of(&[b"cloud-doctor grant v1\0", bytes])
    }

    /// The visit that these bytes open.
    #[must_use]
    pub fn visit(bytes: &[u8]) -> VisitId {
        VisitId::of(&Self::hash(bytes))
    }
}
