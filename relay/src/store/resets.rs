//! One-time codes with which a person gives their account a new way to sign in. A code counts once, for minutes, and
//! no longer than the account waits for it: a password that was set meanwhile ends it.

use super::accounts::account;
use super::audit::{Action, note};
use super::logins::end_logins;
use super::passkeys::insert;
use super::rows::int;
use super::standing::{ChangeRefused, may_change};
use super::{Account, AccountRef, Actor, FirstPasskey, PasskeyNotAdded, Scoped, Store, StoreError, TenantRef};
use cloud_doctor_proto::time::UnixTime;
use sqlx::{Sqlite, Transaction};

/// A code that gave no way in.
#[derive(Debug, thiserror::Error)]
pub enum ResetRefused {
    /// There is no such code, it was used, or its time is over.
    #[error("this code does not count")]
    Code,
    /// See there.
    #[error(transparent)]
    Passkey(#[from] PasskeyNotAdded),
    /// See there.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What belongs to an account's ways to sign in.
const WAYS: [&str; 4] = [
    "DELETE FROM passkeys WHERE tenant_id = ? AND account_id = ?",
    "DELETE FROM totp WHERE tenant_id = ? AND account_id = ?",
    "DELETE FROM recovery_codes WHERE tenant_id = ? AND account_id = ?",
    "DELETE FROM identities WHERE tenant_id = ? AND account_id = ?",
];

impl Scoped<'_> {
    /// Takes every way to sign in from an account, ends its logins, and lets a code in instead.
    ///
    /// # Errors
    /// [`ChangeRefused`].
    pub async fn reset_account(
        &self,
        name: &str,
        code_hash: &[u8; 32],
        expires_at: UnixTime,
        by: Actor<'_>,
        now: UnixTime,
    ) -> Result<AccountRef, ChangeRefused> {
        let mut tx = self.store.begin().await?;
        let of = may_change(&mut tx, self.tenant, name, by).await?;
        let reset = async {
            for sql in WAYS {
                sqlx::query(sql).bind(self.tenant.0).bind(of.0).execute(&mut *tx).await?;
            }
            let sql = "UPDATE accounts SET password = '' WHERE tenant_id = ? AND account_id = ?";
            sqlx::query(sql).bind(self.tenant.0).bind(of.0).execute(&mut *tx).await?;
            let sql = "INSERT INTO reset_codes (account_id, tenant_id, code_hash, expires_at) VALUES (?, ?, ?, ?) \
                       ON CONFLICT (account_id) DO UPDATE SET code_hash = excluded.code_hash, \
                       expires_at = excluded.expires_at";
            let query = sqlx::query(sql).bind(of.0).bind(self.tenant.0).bind(code_hash.as_slice());
            query.bind(int(expires_at)).execute(&mut *tx).await?;
            end_logins(&mut tx, self.tenant, of, None).await?;
            note(&mut tx, self.tenant, by, (Action::AccountReset, name), now).await?;
            Ok::<_, StoreError>(tx.commit().await?)
        };
        reset.await?;
        Ok(of)
    }
}

impl Store {
    /// The account that a code would let in.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn reset_code(&self, code_hash: &[u8; 32], now: UnixTime) -> Result<Option<Account>, StoreError> {
        let query = sqlx::query(FIND).bind(code_hash.as_slice()).bind(int(now));
        let row = query.fetch_optional(&self.readers).await?;
        Ok(row.map(|row| account(&row)).transpose()?)
    }

    /// Uses a code to set a password (a PHC string).
    ///
    /// # Errors
    /// [`ResetRefused`].
    pub async fn reset_to_password(
        &self,
        code_hash: &[u8; 32],
        password: &str,
        client: &str,
        now: UnixTime,
    ) -> Result<Account, ResetRefused> {
        let mut tx = self.begin().await?;
        let account = use_code(&mut tx, code_hash, client, now).await?;
        let sql = "UPDATE accounts SET password = ? WHERE tenant_id = ? AND account_id = ?";
        let query = sqlx::query(sql).bind(password).bind(account.tenant.0).bind(account.account.0);
        query.execute(&mut *tx).await.map_err(StoreError::from)?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(account)
    }

    /// Uses a code to keep a passkey.
    ///
    /// # Errors
    /// [`ResetRefused`].
    pub async fn reset_to_passkey(
        &self,
        code_hash: &[u8; 32],
        key: &FirstPasskey,
        client: &str,
        now: UnixTime,
    ) -> Result<Account, ResetRefused> {
        let mut tx = self.begin().await?;
        let account = use_code(&mut tx, code_hash, client, now).await?;
        let sql = "UPDATE accounts SET user_handle = ? WHERE tenant_id = ? AND account_id = ?";
        let query = sqlx::query(sql).bind(key.handle.as_slice()).bind(account.tenant.0).bind(account.account.0);
        query.execute(&mut *tx).await.map_err(StoreError::from)?;
        insert(&mut tx, account.tenant, account.account, &key.passkey, now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(account)
    }
}

const FIND: &str = "SELECT a.account_id, a.tenant_id, a.name, a.role, a.created_at \
                    FROM reset_codes r JOIN accounts a USING (account_id) \
                    WHERE r.code_hash = ? AND r.expires_at > ? AND a.disabled_at IS NULL";

async fn use_code(
    tx: &mut Transaction<'static, Sqlite>,
    code_hash: &[u8; 32],
    client: &str,
    now: UnixTime,
) -> Result<Account, ResetRefused> {
    let query = sqlx::query(FIND).bind(code_hash.as_slice()).bind(int(now));
    let row = query.fetch_optional(&mut **tx).await.map_err(StoreError::from)?.ok_or(ResetRefused::Code)?;
    let account = account(&row).map_err(StoreError::from)?;
    forget_code(tx, account.tenant, account.account).await?;
    note(tx, account.tenant, Actor { account: &account.name, client }, (Action::ResetUsed, &account.name), now).await?;
    Ok(account)
}

/// The account's code, if there is one, counts no more.
pub(super) async fn forget_code(
    tx: &mut Transaction<'static, Sqlite>,
    tenant: TenantRef,
    of: AccountRef,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM reset_codes WHERE tenant_id = ? AND account_id = ?";
    sqlx::query(sql).bind(tenant.0).bind(of.0).execute(&mut **tx).await?;
    Ok(())
}
