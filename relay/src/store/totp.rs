//! The second step after a password: sealed secrets, the newest step that was used, codes on paper as hashes.

use super::audit::{Action, note};
use super::rows::{count, int, unsigned};
use super::{AccountRef, Actor, Scoped, StoreError, TenantRef};
use cloud_doctor_proto::time::UnixTime;
use sqlx::{Row as _, Sqlite, Transaction};

/// An account's second step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TotpRow {
    /// The app's secret, sealed.
    pub sealed: Vec<u8>,
    /// Codes on paper that are left.
    pub recovery_left: u64,
}

/// A second step that is turned on.
#[derive(Debug, Clone)]
pub struct NewTotp {
    /// The app's secret, sealed.
    pub sealed: Vec<u8>,
    /// The step of the code that turned it on.
    pub last_step: u64,
    /// Of the codes on paper.
    pub recovery: Vec<[u8; 32]>,
}

impl Scoped<'_> {
    /// The account's second step, if it is on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn totp(&self, of: AccountRef) -> Result<Option<TotpRow>, StoreError> {
        let sql = "SELECT sealed, (SELECT count(*) FROM recovery_codes r WHERE r.account_id = t.account_id) AS left \
                   FROM totp t WHERE tenant_id = ? AND account_id = ?";
        let row = sqlx::query(sql).bind(self.tenant.0).bind(of.0).fetch_optional(&self.store.readers).await?;
        let read = |row: sqlx::sqlite::SqliteRow| {
            Ok::<_, sqlx::Error>(TotpRow { sealed: row.try_get("sealed")?, recovery_left: count(&row, "left")? })
        };
        Ok(row.map(read).transpose()?)
    }

    /// Turns the second step on. `false`: it is on already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_totp(
        &self,
        of: AccountRef,
        new: &NewTotp,
        by: Actor<'_>,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let mut tx = self.store.begin().await?;
        let sql = "INSERT INTO totp (account_id, tenant_id, sealed, last_step, created_at) VALUES (?, ?, ?, ?, ?) \
                   ON CONFLICT (account_id) DO NOTHING";
        let query = sqlx::query(sql).bind(of.0).bind(self.tenant.0).bind(new.sealed.as_slice());
        let done = query.bind(unsigned(new.last_step)).bind(int(now)).execute(&mut *tx).await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        replace_codes(&mut tx, self.tenant, of, &new.recovery).await?;
        note(&mut tx, self.tenant, by, (Action::SecondStepOn, by.account), now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Uses the codes of a step. `false`: they, or later ones, were used before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_totp_step(&self, of: AccountRef, step: u64) -> Result<bool, StoreError> {
        let sql = "UPDATE totp SET last_step = ?1 WHERE tenant_id = ?2 AND account_id = ?3 AND last_step < ?1";
        let query = sqlx::query(sql).bind(unsigned(step)).bind(self.tenant.0).bind(of.0);
        Ok(query.execute(&self.store.writer).await?.rows_affected() == 1)
    }

    /// Uses a code on paper. `false`: the account has none such.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_recovery_code(
        &self,
        of: AccountRef,
        code_hash: &[u8; 32],
        by: Actor<'_>,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let mut tx = self.store.begin().await?;
        let sql = "DELETE FROM recovery_codes WHERE tenant_id = ? AND account_id = ? AND code_hash = ?";
        let query = sqlx::query(sql).bind(self.tenant.0).bind(of.0).bind(code_hash.as_slice());
        if query.execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(false);
        }
        note(&mut tx, self.tenant, by, (Action::RecoveryCodeUsed, by.account), now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Replaces the codes on paper.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_recovery_codes(
        &self,
        of: AccountRef,
        hashes: &[[u8; 32]],
        by: Actor<'_>,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let mut tx = self.store.begin().await?;
        replace_codes(&mut tx, self.tenant, of, hashes).await?;
        note(&mut tx, self.tenant, by, (Action::RecoveryCodesMade, by.account), now).await?;
        Ok(tx.commit().await?)
    }

    /// Turns the second step off.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove_totp(&self, of: AccountRef, by: Actor<'_>, now: UnixTime) -> Result<(), StoreError> {
        let mut tx = self.store.begin().await?;
        replace_codes(&mut tx, self.tenant, of, &[]).await?;
        let sql = "DELETE FROM totp WHERE tenant_id = ? AND account_id = ?";
        sqlx::query(sql).bind(self.tenant.0).bind(of.0).execute(&mut *tx).await?;
        note(&mut tx, self.tenant, by, (Action::SecondStepOff, by.account), now).await?;
        Ok(tx.commit().await?)
    }
}

async fn replace_codes(
    tx: &mut Transaction<'static, Sqlite>,
    tenant: TenantRef,
    of: AccountRef,
    hashes: &[[u8; 32]],
) -> Result<(), StoreError> {
    let sql = "DELETE FROM recovery_codes WHERE tenant_id = ? AND account_id = ?";
    sqlx::query(sql).bind(tenant.0).bind(of.0).execute(&mut **tx).await?;
    for hash in hashes {
        let sql = "INSERT INTO recovery_codes (code_hash, tenant_id, account_id) VALUES (?, ?, ?)";
        sqlx::query(sql).bind(hash.as_slice()).bind(tenant.0).bind(of.0).execute(&mut **tx).await?;
    }
    Ok(())
}
