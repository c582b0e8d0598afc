//! Passkeys for signing in, and the rule that nobody takes away their own last way in.
//!
//! Never: a key that may sign a grant. Those stand in the customer's trust log and nowhere here.

use super::accounts::account;
use super::audit::{Action, note};
use super::rows::{bytes_or_none, int, time, time_or_none};
use super::tenants::FirstPasskey;
use super::{Account, AccountRef, Actor, Scoped, Store, StoreError, TenantRef};
use cloud_doctor_proto::time::UnixTime;
use sqlx::{Row as _, Sqlite, Transaction};

/// Passkeys of one account: more than anybody has devices, and a list that a page can show.
const PER_ACCOUNT: i64 = 20;

/// A passkey as its account sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasskeyRow {
    /// What its authenticator calls it.
    pub credential_id: Vec<u8>,
    /// What its owner calls it.
    pub name: String,
    /// Since when.
    pub created_at: UnixTime,
    /// When it signed in last.
    pub used_at: Option<UnixTime>,
}

/// A passkey that was made.
#[derive(Debug, Clone)]
pub struct NewPasskey {
    /// What its authenticator calls it.
    pub credential_id: Vec<u8>,
    /// What its owner calls it.
    pub name: String,
    /// Public key and counter, as the library writes them.
    pub passkey: String,
}

/// A passkey that somebody showed, with its account.
#[derive(Debug, Clone)]
pub struct KnownPasskey {
    /// Whose.
    pub account: Account,
    /// What passkeys call the account.
    pub handle: [u8; 16],
    /// Public key and counter, as the library wrote them.
    pub passkey: String,
}

/// A passkey that was not kept.
#[derive(Debug, thiserror::Error)]
pub enum PasskeyNotAdded {
    /// It is registered already, here or for somebody else.
    #[error("this passkey is registered already")]
    Known,
    /// The account has as many as it may.
    #[error("the account has {PER_ACCOUNT} passkeys")]
    TooMany,
    /// See there.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A way in that was not taken away.
#[derive(Debug, thiserror::Error)]
pub enum WayNotRemoved {
    /// There is none such.
    #[error("there is no such way in")]
    Unknown,
    /// It is the last one.
    #[error("it is the account's last way in")]
    Last,
    /// See there.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// The passkey of this id. `None`: there is none, or its account is disabled.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn passkey(&self, credential_id: &[u8]) -> Result<Option<KnownPasskey>, StoreError> {
        let sql = "SELECT a.account_id, a.tenant_id, a.name, a.role, a.created_at, a.user_handle, p.passkey \
                   FROM passkeys p JOIN accounts a USING (account_id) \
                   WHERE p.credential_id = ? AND a.disabled_at IS NULL";
        let Some(row) = sqlx::query(sql).bind(credential_id).fetch_optional(&self.readers).await? else {
            return Ok(None);
        };
        let Some(handle) = bytes_or_none(&row, "user_handle")? else { return Ok(None) };
        Ok(Some(KnownPasskey { account: account(&row)?, handle, passkey: row.try_get("passkey")? }))
    }
}

impl Scoped<'_> {
    /// What passkeys call the account: `fresh` when it has no such name yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn user_handle(&self, of: AccountRef, fresh: [u8; 16]) -> Result<[u8; 16], StoreError> {
        let sql = "UPDATE accounts SET user_handle = coalesce(user_handle, ?) WHERE tenant_id = ? AND account_id = ? \
                   RETURNING user_handle";
        let query = sqlx::query(sql).bind(fresh.as_slice()).bind(self.tenant.0).bind(of.0);
        let row = query.fetch_one(&self.store.writer).await?;
        Ok(super::rows::bytes(&row, "user_handle")?)
    }

    /// The account's passkeys, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn passkeys(&self, of: AccountRef) -> Result<Vec<PasskeyRow>, StoreError> {
        let sql = "SELECT credential_id, name, created_at, used_at FROM passkeys \
                   WHERE tenant_id = ? AND account_id = ? ORDER BY created_at, credential_id";
        let rows = sqlx::query(sql).bind(self.tenant.0).bind(of.0).fetch_all(&self.store.readers).await?;
        let read = |row: &sqlx::sqlite::SqliteRow| {
            Ok::<_, sqlx::Error>(PasskeyRow {
                credential_id: row.try_get("credential_id")?,
                name: row.try_get("name")?,
                created_at: time(row, "created_at")?,
                used_at: time_or_none(row, "used_at")?,
            })
        };
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }

    /// Keeps a passkey of the account.
    ///
    /// # Errors
    /// [`PasskeyNotAdded`].
    pub async fn add_passkey(
        &self,
        of: AccountRef,
        new: &NewPasskey,
        by: Actor<'_>,
        now: UnixTime,
    ) -> Result<(), PasskeyNotAdded> {
        let mut tx = self.store.begin().await?;
        insert(&mut tx, self.tenant, of, new, now).await?;
        note(&mut tx, self.tenant, by, (Action::PasskeyAdded, &new.name), now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Notes that a passkey signed in, with the counter that it has now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn used_passkey(&self, credential_id: &[u8], passkey: &str, now: UnixTime) -> Result<(), StoreError> {
        let sql = "UPDATE passkeys SET passkey = ?, used_at = ? WHERE tenant_id = ? AND credential_id = ?";
        let query = sqlx::query(sql).bind(passkey).bind(int(now)).bind(self.tenant.0).bind(credential_id);
        query.execute(&self.store.writer).await?;
        Ok(())
    }

    /// Gives a passkey of the account another name. `false`: there is none such.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn rename_passkey(
        &self,
        of: AccountRef,
        credential_id: &[u8],
        name: &str,
        by: Actor<'_>,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let mut tx = self.store.begin().await?;
        let sql = "UPDATE passkeys SET name = ? WHERE tenant_id = ? AND account_id = ? AND credential_id = ?";
        let query = sqlx::query(sql).bind(name).bind(self.tenant.0).bind(of.0).bind(credential_id);
        if query.execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(false);
        }
        note(&mut tx, self.tenant, by, (Action::PasskeyRenamed, name), now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Takes a passkey away from its own account, which may have another way in at `issuer`.
    ///
    /// # Errors
    /// [`WayNotRemoved`].
    pub async fn remove_passkey(
        &self,
        of: AccountRef,
        credential_id: &[u8],
        issuer: Option<&str>,
        by: Actor<'_>,
        now: UnixTime,
    ) -> Result<(), WayNotRemoved> {
        let mut tx = self.store.begin().await?;
        let sql = "DELETE FROM passkeys WHERE tenant_id = ? AND account_id = ? AND credential_id = ? RETURNING name";
        let query = sqlx::query(sql).bind(self.tenant.0).bind(of.0).bind(credential_id);
        let row = query.fetch_optional(&mut *tx).await.map_err(StoreError::from)?.ok_or(WayNotRemoved::Unknown)?;
        let name: String = row.try_get("name").map_err(StoreError::from)?;
        still_has_a_way_in(&mut tx, self.tenant, of, issuer).await?;
        note(&mut tx, self.tenant, by, (Action::PasskeyRemoved, &name), now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}

/// The first passkey of an account that is being made, with the handle under which authenticators know it.
pub(super) async fn insert_first(
    tx: &mut Transaction<'static, Sqlite>,
    of: &Account,
    first: &FirstPasskey,
    now: UnixTime,
) -> Result<(), PasskeyNotAdded> {
    let sql = "UPDATE accounts SET user_handle = ? WHERE tenant_id = ? AND account_id = ?";
    let query = sqlx::query(sql).bind(first.handle.as_slice()).bind(of.tenant.0).bind(of.account.0);
    query.execute(&mut **tx).await.map_err(StoreError::from)?;
    insert(tx, of.tenant, of.account, &first.passkey, now).await
}

/// Keeps a passkey within a transaction.
pub(super) async fn insert(
    tx: &mut Transaction<'static, Sqlite>,
    tenant: TenantRef,
    of: AccountRef,
    new: &NewPasskey,
    now: UnixTime,
) -> Result<(), PasskeyNotAdded> {
    let sql = "SELECT count(*) FROM passkeys WHERE tenant_id = ? AND account_id = ?";
    let count = sqlx::query_scalar::<_, i64>(sql).bind(tenant.0).bind(of.0).fetch_one(&mut **tx).await;
    if count.map_err(StoreError::from)? >= PER_ACCOUNT {
        return Err(PasskeyNotAdded::TooMany);
    }
    let sql = "INSERT INTO passkeys (credential_id, tenant_id, account_id, name, passkey, created_at) \
               VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (credential_id) DO NOTHING";
    let query = sqlx::query(sql)
        .bind(new.credential_id.as_slice())
        .bind(tenant.0)
        .bind(of.0)
        .bind(&new.name)
        .bind(&new.passkey)
        .bind(int(now));
    match query.execute(&mut **tx).await.map_err(StoreError::from)?.rows_affected() {
        0 => Err(PasskeyNotAdded::Known),
        _ => Ok(()),
    }
}

/// Asked before a change that took something away is committed. Identities count at the provider in use only.
pub(super) async fn still_has_a_way_in(
    tx: &mut Transaction<'static, Sqlite>,
    tenant: TenantRef,
    of: AccountRef,
    issuer: Option<&str>,
) -> Result<(), WayNotRemoved> {
    let sql = "SELECT (password <> '') + (SELECT count(*) FROM passkeys p WHERE p.account_id = a.account_id) + \
               (SELECT count(*) FROM identities i WHERE i.account_id = a.account_id AND i.issuer = ?) \
               FROM accounts a WHERE tenant_id = ? AND account_id = ?";
    let ways = sqlx::query_scalar::<_, i64>(sql).bind(issuer).bind(tenant.0).bind(of.0).fetch_one(&mut **tx).await;
    if ways.map_err(StoreError::from)? > 0 { Ok(()) } else { Err(WayNotRemoved::Last) }
}
