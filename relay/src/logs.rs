//! Appending to a customer's trust log for an account: verified first, so that people hear of a mistake at once.
//!
//! The relay refuses junk, but no server believes an entry because it passed here. Never: a signature made here, or
//! an entry stored that was not verified.

use crate::store::{Actor, AppendError, Scoped, Store, StoreError, TenantRef};
use crate::tunnels::Heads;
use crate::tunnels::registry::Registry;
use crate::tunnels::trust::{self as copies, ReadLogError};
use cloud_doctor_proto::control::TrustHead;
use cloud_doctor_proto::ids::{AgentId, TenantId};
use cloud_doctor_proto::signer::NAMESPACE_SECOND;
use cloud_doctor_proto::time::UnixTime;
use cloud_doctor_proto::trust::{self, Entry, LogError, Role, TrustLog, What};
use std::sync::Arc;

/// An entry that was not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendRefused {
    /// The entry does not continue the log as it stands: fetch from here on and sign again.
    #[error("the log has moved on")]
    HeadMoved {
        /// Where the log stands.
        head: Option<TrustHead>,
    },
    /// The entry breaks a rule of the log.
    #[error("{0}")]
    Entry(#[from] LogError),
    /// This log belongs to another customer of this relay.
    #[error("this trust log belongs to another customer of this relay")]
    OtherTenant,
    /// A server is bound to its log by enrolling, not by an account.
    #[error("servers are added by enrolling them")]
    Enrol,
    /// The database failed, or what stands in it is no log.
    #[error("{0}")]
    Unreadable(LogError),
    /// See there.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Appends entries for accounts and tells tunnels.
#[derive(Debug)]
pub struct Logs {
    store: Store,
    copies: copies::Logs,
    heads: Arc<Heads>,
    registry: Arc<Registry>,
}

impl Logs {
    /// Over the store; tells `heads` what was appended and `registry` who was removed.
    #[must_use]
    pub fn new(store: Store, heads: Arc<Heads>, registry: Arc<Registry>) -> Self {
        Self { store, copies: copies::Logs::default(), heads, registry }
    }

    /// Appends a signed entry; it names the head that it continues. On disk when this returns.
    ///
    /// # Errors
    /// [`AppendRefused`]; the log is unchanged.
    pub async fn append(
        &self,
        tenant: TenantRef,
        bytes: &[u8],
        by: Actor<'_>,
        now: UnixTime,
    ) -> Result<TrustHead, AppendRefused> {
        let scoped = self.store.of(tenant);
        let (signed, entry) = trust::decode(bytes, 0)?;
        let removes = removed(&entry)?;
        let known = scoped.tenant().await?.genesis;
        let id = match known {
            Some(id) => self.check_next(scoped, id, &entry, bytes).await?,
            None => TrustLog::genesis(bytes, None)?.tenant(),
        };
        let head = scoped.append_entry(continues(&entry), signed.hash(), bytes, removes, by, now).await?;
        self.heads.bump(id, head.seq);
        if let Some(agent) = removes {
            self.registry.remove(&agent);
        }
        Ok(head)
    }

    /// Whether `signature` is a second signature under `grant` by an approver whom the customer's log names. Servers
    /// decide for themselves whether it counts; here it keeps junk from taking the place of the real one.
    ///
    /// # Errors
    /// [`AppendRefused`] when the log cannot be read.
    pub async fn is_second(&self, tenant: TenantRef, grant: &[u8], signature: &[u8]) -> Result<bool, AppendRefused> {
        let scoped = self.store.of(tenant);
        let Some(id) = scoped.tenant().await?.genesis else { return Ok(false) };
        let log = self.copies.newest(scoped, id).await?;
        let mut approvers = log.people.values().filter(|person| person.role == Role::Approver);
        Ok(approvers.any(|person| person.key.verify(NAMESPACE_SECOND, grant, signature).is_ok()))
    }

    async fn check_next(
        &self,
        scoped: Scoped<'_>,
        id: TenantId,
        entry: &Entry,
        bytes: &[u8],
    ) -> Result<TenantId, AppendRefused> {
        let log = self.copies.newest(scoped, id).await?;
        if continues(entry) != Some(log.head()) {
            return Err(AppendRefused::HeadMoved { head: Some(log.head()) });
        }
        let mut longer = (*log).clone();
        longer.append(bytes)?;
        Ok(id)
    }
}

/// The head that an entry continues; `None` for a first one.
fn continues(entry: &Entry) -> Option<TrustHead> {
    entry.seq.checked_sub(1).map(|seq| TrustHead { seq, hash: entry.prev })
}

fn removed(entry: &Entry) -> Result<Option<AgentId>, AppendRefused> {
    match &entry.what {
        What::RemoveAgent { agent } => Ok(Some(*agent)),
        What::AddAgent { .. } => Err(AppendRefused::Enrol),
        What::Genesis { .. }
        | What::AddRoot { .. }
        | What::RemoveRoot { .. }
        | What::ReplaceRoots { .. }
        | What::AddPerson { .. }
        | What::RemovePerson { .. }
        | What::EnrolBatch { .. }
        | What::RenameAgent { .. }
        | What::SignAhead { .. }
        | What::EndAhead { .. }
        | What::SetPolicy { .. } => Ok(None),
    }
}

impl From<AppendError> for AppendRefused {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::HeadMoved { head } => AppendRefused::HeadMoved { head },
            AppendError::OtherTenant => AppendRefused::OtherTenant,
            AppendError::Store(error) => AppendRefused::Store(error),
        }
    }
}

impl From<ReadLogError> for AppendRefused {
    fn from(error: ReadLogError) -> Self {
        match error {
            ReadLogError::Store(error) => AppendRefused::Store(error),
            ReadLogError::Log(error) => AppendRefused::Unreadable(error),
        }
    }
}
