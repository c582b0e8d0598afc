//! Visits that are open, and grants that wait for a second signature. Pure.

use crate::session::door;
use cloud_doctor_proto::decide::Permit;
use cloud_doctor_proto::grant::{Grant, ObjectError, Scope};
use cloud_doctor_proto::ids::{ChannelId, KeyId};
use cloud_doctor_proto::limits::GRANT_BYTES_MAX;
use cloud_doctor_proto::pack;
use cloud_doctor_proto::refusal::Refused;
use cloud_doctor_proto::time::{BootTime, UnixTime};
use cloud_doctor_proto::visit::VisitOpened;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::collections::BTreeSet;
use tokio::sync::oneshot;

/// Channels that one visit may ever open: a script's worth, and a bound for what guard remembers of it.
pub(super) const CHANNELS_PER_VISIT_MAX: usize = 512;

/// What guard keeps of a visit, also inside its holders for the time when guard is restarted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Note {
    /// The grant's signed bytes.
    pub(super) grant: ByteBuf,
    /// The engineer's name in the log.
    pub(super) person: String,
    /// Who signed second; empty when nobody had to.
    pub(super) second: String,
    /// The log's entry in which that was signed ahead; the visit ends with it.
    #[serde(default)]
    pub(super) ahead: Option<u64>,
    /// When it began.
    pub(super) opened_at: UnixTime,
}

/// A visit that is open.
#[derive(Debug)]
pub(super) struct Visit {
    /// What its holders need.
    pub(super) door: door::Visit,
    /// What was granted.
    pub(super) grant: Grant,
    /// Guard's own record.
    pub(super) note: Note,
    /// When it last had a living channel, or was opened.
    pub(super) used_at: BootTime,
    /// Channels that were opened under it: a first message for one of them that is over can only be a replay.
    pub(super) used: BTreeSet<ChannelId>,
    /// It has read from the host's audit, and that is written there.
    pub(super) reads_audit: bool,
}

/// A grant that waits for a second signature.
#[derive(Debug)]
pub(super) struct Pending {
    /// The first signature's decision.
    pub(super) permit: Permit,
    /// Who asks, as the relay claims.
    pub(super) claims: Claims,
    /// When nobody waits any longer.
    pub(super) deadline: BootTime,
    /// The client's task.
    pub(super) answer: oneshot::Sender<Result<VisitOpened, Refused>>,
}

/// What the relay says about a client: for the audit, never for a decision.
#[derive(Debug, Clone, Default)]
pub(super) struct Claims {
    /// The account that it knows.
    pub(super) account: String,
    /// The address that it saw.
    pub(super) client: String,
}

impl Visit {
    /// The visit that a permit opens at `now`.
    pub(super) fn open(permit: Permit, second: String, now: BootTime, at: UnixTime) -> Self {
        let grant = permit.grant;
        let ahead = permit.ahead.map(|(entry, _)| entry);
        let note =
            Note { grant: ByteBuf::from(permit.grant_bytes), person: permit.person, second, ahead, opened_at: at };
        let door = door::Visit {
            visit: permit.visit,
            version: grant.version,
            challenge: permit.issued.hash,
            grant: permit.grant_hash,
            agent_secret: permit.issued.secret,
            client_key: grant.client_key,
            ends_at: now.plus_secs(grant.ttl_secs),
            note: ByteBuf::from(pack::to_bytes(&note)),
        };
        Self { door, grant, note, used_at: now, used: BTreeSet::new(), reads_audit: false }
    }

    /// A visit that a living holder gives back after guard was restarted.
    ///
    /// # Errors
    /// [`ObjectError`] when the holder's memory is not what guard wrote there.
    pub(super) fn learn(door: door::Visit, now: BootTime) -> Result<Self, ObjectError> {
        let note: Note = pack::from_bytes(&door.note, door::DOOR_BYTES_MAX)?;
        if note.grant.len() > GRANT_BYTES_MAX || Grant::hash(&note.grant) != door.grant {
            return Err(ObjectError::Signature);
        }
        let grant = Grant::from_bytes(&note.grant)?;
        Ok(Self { grant, note, door, used_at: now, used: BTreeSet::new(), reads_audit: false })
    }

    /// What was signed for.
    pub(super) fn scopes(&self) -> &[Scope] {
        &self.grant.scopes
    }

    /// Whose visit it is.
    pub(super) fn engineer(&self) -> &KeyId {
        &self.grant.engineer
    }
}
