//! The customer's audit log on the relay: append-only, numbered without gaps, on disk before it is acknowledged.
//! The host keeps its own; that one is signed and does not depend on us.
//!
//! A change and its row are one transaction: methods that change something take the [`Actor`] and write the row
//! themselves, so there is no change without a row and no row without its change.

use super::rows::{count, int, time, unsigned};
use super::{Scoped, StoreError, TenantRef};
use cloud_doctor_proto::time::UnixTime;
use sqlx::{Row as _, Sqlite, Transaction};

/// Who does something, from where. Both are stored as they are and escaped where they are shown.
#[derive(Debug, Clone, Copy)]
pub struct Actor<'a> {
    /// The account's name; empty for the relay itself and for hosts.
    pub account: &'a str,
    /// The address it came from.
    pub client: &'a str,
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

/// Appends a row within a transaction.
pub(super) async fn note(
    tx: &mut Transaction<'static, Sqlite>,
    tenant: TenantRef,
    by: Actor<'_>,
    (action, subject): (&'static str, &str),
    now: UnixTime,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO audit (tenant_id, seq, at, account, client, action, subject) \
               SELECT ?1, coalesce(max(seq), 0) + 1, ?2, ?3, ?4, ?5, ?6 FROM audit WHERE tenant_id = ?1";
    sqlx::query(sql)
        .bind(tenant.0)
        .bind(int(now))
        .bind(by.account)
        .bind(by.client)
        .bind(action)
        .bind(subject)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

impl Scoped<'_> {
    /// Appends a row about something that changes nothing here, such as a refused enrolment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn note(
        &self,
        by: Actor<'_>,
        action: &'static str,
        subject: &str,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let mut tx = self.store.begin().await?;
        note(&mut tx, self.tenant, by, (action, subject), now).await?;
        Ok(tx.commit().await?)
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
