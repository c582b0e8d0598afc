//! The customer's audit log on the relay: append-only, numbered without gaps, on disk before it is acknowledged.
//! The host keeps its own; that one is signed and does not depend on us.

use super::rows::{count, int, time, unsigned};
use super::{Scoped, StoreError};
use cloud_doctor_proto::time::UnixTime;
use sqlx::Row as _;

/// Something that happened.
#[derive(Debug, Clone, Copy)]
pub struct AuditEvent<'a> {
    /// Account that did it; empty for the relay itself.
    pub account: &'a str,
    /// From which address.
    pub client: &'a str,
    /// What, as a fixed word.
    pub action: &'static str,
    /// To whom or what.
    pub subject: &'a str,
}

/// An event as read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its number; the customer's first is 1.
    pub seq: u64,
    /// When, by the relay's clock. Order is by number.
    pub at: UnixTime,
    /// Account that did it.
    pub account: String,
    /// From which address.
    pub client: String,
    /// What.
    pub action: String,
    /// To whom or what.
    pub subject: String,
}

impl Scoped<'_> {
    /// Appends an event; on disk when this returns.
    ///
    /// # Errors
    /// [`StoreError`]: the event is not written and what it was about must not happen.
    pub async fn audit(&self, event: AuditEvent<'_>, now: UnixTime) -> Result<u64, StoreError> {
        let sql = "INSERT INTO audit (tenant_id, seq, at, account, client, action, subject) \
                   SELECT ?1, coalesce(max(seq), 0) + 1, ?2, ?3, ?4, ?5, ?6 FROM audit WHERE tenant_id = ?1 \
                   RETURNING seq";
        let row = sqlx::query(sql)
            .bind(self.tenant.0)
            .bind(int(now))
            .bind(event.account)
            .bind(event.client)
            .bind(event.action)
            .bind(event.subject)
            .fetch_one(&self.store.writer)
            .await?;
        Ok(count(&row, "seq")?)
    }

    /// Events after number `after`, oldest first, at most `most`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit_rows(&self, after: u64, most: u32) -> Result<Vec<AuditRow>, StoreError> {
        let sql = "SELECT seq, at, account, client, action, subject FROM audit \
                   WHERE tenant_id = ? AND seq > ? ORDER BY seq LIMIT ?";
        let query = sqlx::query(sql).bind(self.tenant.0).bind(unsigned(after)).bind(i64::from(most));
        let rows = query.fetch_all(&self.store.readers).await?;
        let read = |row: &sqlx::sqlite::SqliteRow| {
            Ok::<_, sqlx::Error>(AuditRow {
                seq: count(row, "seq")?,
                at: time(row, "at")?,
                account: row.try_get("account")?,
                client: row.try_get("client")?,
                action: row.try_get("action")?,
                subject: row.try_get("subject")?,
            })
        };
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }
}
