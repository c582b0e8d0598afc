//! Customers' trust logs: compare-and-append, and enrolment, which is an append with consequences.
//!
//! The log is the customer's. The relay refuses junk, but no server believes an entry because it stands here.

use super::agents::take_off;
use super::audit::{Action, note};
use super::enrol_tokens::use_token;
use super::rows::{bytes, count, int, unsigned};
use super::{Actor, NewAgent, Scoped, Store, StoreError, TenantRef, TokenRefused};
use cloud_doctor_proto::control::TrustHead;
use cloud_doctor_proto::ids::{AgentId, Hash, TenantId};
use cloud_doctor_proto::time::UnixTime;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite, Transaction};

/// An entry that was not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Somebody appended first: fetch from here on and sign again.
    #[error("the log has moved on")]
    HeadMoved {
        /// Where the log stands; `None`: it has no entry yet.
        head: Option<TrustHead>,
    },
    /// This first entry belongs to another customer of this relay.
    #[error("this trust log belongs to another customer of this relay")]
    OtherTenant,
    /// See there.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An enrolment that did not happen; nothing of it was written.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The token does not count.
    #[error(transparent)]
    Token(#[from] TokenRefused),
    /// The entry was not appended.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The identity or transport key belongs to a server that is enrolled.
    #[error("this identity or transport key is enrolled already")]
    Known,
    /// See there.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All that one enrolment changes.
#[derive(Debug, Clone)]
pub struct Enrolment {
    /// SHA-256 of the token's relay secret.
    pub secret_hash: [u8; 32],
    /// The log's head that the entry continues.
    pub expected: TrustHead,
    /// Hash of the entry.
    pub hash: Hash,
    /// The signed entry.
    pub entry: Vec<u8>,
    /// The server.
    pub agent: NewAgent,
    /// The address it came from.
    pub client: String,
}

type Tx = Transaction<'static, Sqlite>;

fn head(row: &SqliteRow) -> Result<TrustHead, sqlx::Error> {
    Ok(TrustHead { seq: count(row, "seq")?, hash: Hash(bytes(row, "hash")?) })
}

const HEAD: &str = "SELECT seq, hash FROM trust_entries WHERE tenant_id = ? ORDER BY seq DESC LIMIT 1";

impl Store {
    /// Uses a token, appends the entry and puts the server on the list, or does nothing.
    ///
    /// # Errors
    /// [`EnrolError`].
    pub async fn enrol(&self, enrolment: &Enrolment, now: UnixTime) -> Result<(TenantRef, TrustHead), EnrolError> {
        let mut tx = self.begin().await?;
        let tenant = use_token(&mut tx, &enrolment.secret_hash, now).await?;
        let head = append(&mut tx, tenant, Some(enrolment.expected), enrolment.hash, &enrolment.entry, now).await?;
        put_agent(&mut tx, tenant, &enrolment.agent, now).await?;
        let by = Actor { account: "", client: &enrolment.client };
        let subject = format!("{} {}", enrolment.agent.agent, enrolment.agent.name);
        note(&mut tx, tenant, by, (Action::ServerEnrolled, &subject), now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok((tenant, head))
    }
}

impl Scoped<'_> {
    /// Where the log stands; `None`: no entry yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn log_head(&self) -> Result<Option<TrustHead>, StoreError> {
        let row = sqlx::query(HEAD).bind(self.tenant.0).fetch_optional(&self.store.readers).await?;
        Ok(row.as_ref().map(head).transpose()?)
    }

    /// Signed entries from number `from` on, at most `most`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn log_entries(&self, from: u64, most: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        let sql = "SELECT entry FROM trust_entries WHERE tenant_id = ? AND seq >= ? ORDER BY seq LIMIT ?";
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows =
            sqlx::query(sql).bind(self.tenant.0).bind(unsigned(from)).bind(most).fetch_all(&self.store.readers).await?;
        Ok(rows.iter().map(|row| row.try_get("entry")).collect::<Result<_, _>>()?)
    }

    /// Appends a signed entry if the log stands at `expected`; with `None` it is the first, which names the customer.
    /// `removes`: the server that the entry takes off the list, in the same transaction.
    ///
    /// # Errors
    /// [`AppendError`].
    pub async fn append_entry(
        &self,
        expected: Option<TrustHead>,
        hash: Hash,
        entry: &[u8],
        removes: Option<AgentId>,
        by: Actor<'_>,
        now: UnixTime,
    ) -> Result<TrustHead, AppendError> {
        let mut tx = self.store.begin().await?;
        let head = append(&mut tx, self.tenant, expected, hash, entry, now).await?;
        if let Some(agent) = removes {
            take_off(&mut tx, self.tenant, &agent, now).await?;
        }
        note(&mut tx, self.tenant, by, (Action::LogAppended, &format!("{} {hash}", head.seq)), now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(head)
    }
}

async fn append(
    tx: &mut Tx,
    tenant: TenantRef,
    expected: Option<TrustHead>,
    hash: Hash,
    entry: &[u8],
    now: UnixTime,
) -> Result<TrustHead, AppendError> {
    let row = sqlx::query(HEAD).bind(tenant.0).fetch_optional(&mut **tx).await.map_err(StoreError::from)?;
    let found = row.as_ref().map(head).transpose().map_err(StoreError::from)?;
    if found != expected {
        return Err(AppendError::HeadMoved { head: found });
    }
    let seq = expected.map_or(0, |head| head.seq + 1);
    if seq == 0 {
        name_tenant(tx, tenant, TenantId(hash.0)).await?;
    }
    sqlx::query("INSERT INTO trust_entries (tenant_id, seq, hash, entry, stored_at) VALUES (?, ?, ?, ?, ?)")
        .bind(tenant.0)
        .bind(unsigned(seq))
        .bind(hash.0.as_slice())
        .bind(entry)
        .bind(int(now))
        .execute(&mut **tx)
        .await
        .map_err(StoreError::from)?;
    Ok(TrustHead { seq, hash })
}

async fn name_tenant(tx: &mut Tx, tenant: TenantRef, id: TenantId) -> Result<(), AppendError> {
    let sql = "UPDATE tenants SET genesis = ? WHERE tenant_id = ? AND genesis IS NULL";
    let done = sqlx::query(sql).bind(id.0.as_slice()).bind(tenant.0).execute(&mut **tx).await;
    match done {
        Ok(_) => Ok(()),
        Err(e) if e.as_database_error().is_some_and(|e| e.is_unique_violation()) => Err(AppendError::OtherTenant),
        Err(e) => Err(AppendError::Store(e.into())),
    }
}

async fn put_agent(tx: &mut Tx, tenant: TenantRef, agent: &NewAgent, now: UnixTime) -> Result<(), EnrolError> {
    // The tunnel of a server that left may come back under another identity.
    sqlx::query("DELETE FROM agents WHERE transport_key = ? AND agent_id <> ? AND removed_at IS NOT NULL")
        .bind(agent.transport_key.0.as_slice())
        .bind(agent.agent.0.as_slice())
        .execute(&mut **tx)
        .await
        .map_err(StoreError::from)?;
    // A server that was removed may come back, to any customer; one that is enrolled is never taken over (ENR-08).
    let sql = "INSERT INTO agents (agent_id, tenant_id, transport_key, name, hostname, os, kernel, arch, enrolled_at) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) \
               ON CONFLICT (agent_id) DO UPDATE SET tenant_id = excluded.tenant_id, \
               transport_key = excluded.transport_key, name = excluded.name, enrolled_at = excluded.enrolled_at, \
               last_seen_at = NULL, removed_at = NULL WHERE removed_at IS NOT NULL";
    let done = sqlx::query(sql)
        .bind(agent.agent.0.as_slice())
        .bind(tenant.0)
        .bind(agent.transport_key.0.as_slice())
        .bind(&agent.name)
        .bind(&agent.host.hostname)
        .bind(&agent.host.os)
        .bind(&agent.host.kernel)
        .bind(&agent.host.arch)
        .bind(int(now))
        .execute(&mut **tx)
        .await;
    match done {
        Ok(done) if done.rows_affected() == 1 => Ok(()),
        Ok(_) => Err(EnrolError::Known),
        Err(e) if e.as_database_error().is_some_and(|e| e.is_unique_violation()) => Err(EnrolError::Known),
        Err(e) => Err(EnrolError::Store(e.into())),
    }
}
