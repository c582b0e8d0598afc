//! Logins: opaque bearer tokens, kept as hashes, ended on the server's side.

use super::accounts::account;
use super::audit::note;
use super::rows::{int, time};
use super::{Account, Actor, Scoped, Store, StoreError};
use cloud_doctor_proto::time::UnixTime;

/// A login with the account it belongs to.
#[derive(Debug, Clone)]
pub struct Login {
    /// Whose.
    pub account: Account,
    /// Last use that was written down.
    pub used_at: UnixTime,
    /// When it ends whatever happens.
    pub ends_at: UnixTime,
    /// It has ended when it was not used for so long.
    pub idle_secs: u64,
}

impl Login {
    /// Whether it still counts.
    #[must_use]
    pub fn is_alive(&self, now: UnixTime) -> bool {
        now < self.ends_at && now <= self.used_at.plus_secs(self.idle_secs)
    }
}

/// How long a new login lasts.
#[derive(Debug, Clone, Copy)]
pub struct Lifetime {
    /// When it ends whatever happens.
    pub ends_at: UnixTime,
    /// It ends when it was not used for so long.
    pub idle_secs: u64,
}

impl Store {
    /// The login with this token hash. The caller decides whether it still counts.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn login(&self, token_hash: &[u8; 32]) -> Result<Option<Login>, StoreError> {
        let sql = "SELECT a.account_id, a.tenant_id, a.name, a.role, a.created_at, l.used_at, l.ends_at, l.idle_secs \
                   FROM logins l JOIN accounts a USING (account_id) WHERE l.token_hash = ?";
        let Some(row) = sqlx::query(sql).bind(token_hash.as_slice()).fetch_optional(&self.readers).await? else {
            return Ok(None);
        };
        let (used_at, ends_at) = (time(&row, "used_at")?, time(&row, "ends_at")?);
        Ok(Some(Login { account: account(&row)?, used_at, ends_at, idle_secs: time(&row, "idle_secs")?.0 }))
    }

    /// Notes that a login was used.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn touch_login(&self, token_hash: &[u8; 32], now: UnixTime) -> Result<(), StoreError> {
        let sql = "UPDATE logins SET used_at = max(used_at, ?) WHERE token_hash = ?";
        sqlx::query(sql).bind(int(now)).bind(token_hash.as_slice()).execute(&self.writer).await?;
        Ok(())
    }

    /// Ends a login.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_login(&self, token_hash: &[u8; 32]) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM logins WHERE token_hash = ?")
            .bind(token_hash.as_slice())
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    /// Forgets logins that ended, by their age or unused.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_logins(&self, now: UnixTime) -> Result<(), StoreError> {
        let sql = "DELETE FROM logins WHERE ends_at <= ? OR used_at + idle_secs < ?";
        sqlx::query(sql).bind(int(now)).bind(int(now)).execute(&self.writer).await?;
        Ok(())
    }
}

impl Scoped<'_> {
    /// Begins a login and remembers the network that it came from.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin_login(
        &self,
        of: &Account,
        token_hash: &[u8; 32],
        (place, client): (&[u8], &str),
        now: UnixTime,
        lifetime: Lifetime,
    ) -> Result<(), StoreError> {
        let mut tx = self.store.begin().await?;
        let sql = "INSERT INTO logins (token_hash, tenant_id, account_id, created_at, used_at, ends_at, idle_secs) \
                   VALUES (?, ?, ?, ?, ?, ?, ?)";
        sqlx::query(sql)
            .bind(token_hash.as_slice())
            .bind(self.tenant.0)
            .bind(of.account.0)
            .bind(int(now))
            .bind(int(now))
            .bind(int(lifetime.ends_at))
            .bind(int(UnixTime(lifetime.idle_secs)))
            .execute(&mut *tx)
            .await?;
        let sql = "INSERT INTO known_places (tenant_id, account_id, prefix, seen_at) VALUES (?, ?, ?, ?) \
                   ON CONFLICT (account_id, prefix) DO UPDATE SET seen_at = excluded.seen_at";
        sqlx::query(sql).bind(self.tenant.0).bind(of.account.0).bind(place).bind(int(now)).execute(&mut *tx).await?;
        note(&mut tx, self.tenant, Actor { account: &of.name, client }, ("signed-in", &of.name), now).await?;
        tx.commit().await?;
        Ok(())
    }
}
