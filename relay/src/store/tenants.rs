//! Customers, and the one moment when the first of them appears.

use super::audit::{Action, note};
use super::rows::{bytes_or_none, int, time};
use super::{
    Account, AccountRef, Actor, NameTaken, NewPasskey, PasskeyNotAdded, Role, Scoped, Store, StoreError, TenantRef,
    passkeys,
};
use cloud_doctor_proto::ids::TenantId;
use cloud_doctor_proto::time::UnixTime;
use sqlx::{Row as _, Sqlite, Transaction};

/// A customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its number here.
    pub tenant: TenantRef,
    /// Its name, for people.
    pub name: String,
    /// Hash of its trust log's first entry, once that was posted.
    pub genesis: Option<TenantId>,
    /// When it was set up.
    pub created_at: UnixTime,
}

/// The account and customer that first-run set-up makes.
#[derive(Debug, Clone)]
pub struct FirstAccount {
    /// The customer's name.
    pub tenant_name: String,
    /// The account's name.
    pub account: String,
    /// PHC string of its password; empty when it has none.
    pub password: String,
}

/// The passkey of an account that is made with it.
#[derive(Debug, Clone)]
pub struct FirstPasskey {
    /// What passkeys call the account.
    pub handle: [u8; 16],
    /// The passkey.
    pub passkey: NewPasskey,
}

/// Somebody was set up before: set-up happens once.
#[derive(Debug, thiserror::Error)]
pub enum AlreadySetUp {
    /// There is an account.
    #[error("this relay is set up already")]
    Done,
    /// See there.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Whether anybody could sign in.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn has_accounts(&self) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT EXISTS (SELECT 1 FROM accounts) AS found").fetch_one(&self.readers).await?;
        Ok(row.try_get::<i64, _>("found")? == 1)
    }

    /// Makes the first customer and account, if there is none.
    ///
    /// # Errors
    /// [`AlreadySetUp`].
    pub async fn set_up(&self, first: &FirstAccount, client: &str, now: UnixTime) -> Result<TenantRef, AlreadySetUp> {
        let mut tx = self.begin().await?;
        nobody_yet(&mut tx).await?;
        let made = insert(&mut tx, first, client, now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(made.tenant)
    }

    /// Makes the first customer and an account with a passkey, if there is none.
    ///
    /// # Errors
    /// [`AlreadySetUp`].
    pub async fn set_up_with_passkey(
        &self,
        first: &FirstAccount,
        key: &FirstPasskey,
        client: &str,
        now: UnixTime,
    ) -> Result<Account, AlreadySetUp> {
        let mut tx = self.begin().await?;
        nobody_yet(&mut tx).await?;
        let made = insert(&mut tx, first, client, now).await?;
        passkeys::insert_first(&mut tx, &made, key, now).await.map_err(|e| match e {
            PasskeyNotAdded::Store(error) => AlreadySetUp::Store(error),
            // Without an account there is no passkey either.
            PasskeyNotAdded::Known | PasskeyNotAdded::TooMany => AlreadySetUp::Done,
        })?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(made)
    }

    /// Adds a further customer with its first account, an admin.
    ///
    /// # Errors
    /// [`NameTaken`].
    pub async fn add_tenant(&self, first: &FirstAccount, now: UnixTime) -> Result<TenantRef, NameTaken> {
        let mut tx = self.begin().await?;
        let taken = sqlx::query("SELECT 1 FROM accounts WHERE name = ?").bind(&first.account);
        if taken.fetch_optional(&mut *tx).await.map_err(StoreError::from)?.is_some() {
            return Err(NameTaken::Taken);
        }
        let made = insert(&mut tx, first, "", now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(made.tenant)
    }
}

async fn nobody_yet(tx: &mut Transaction<'static, Sqlite>) -> Result<(), AlreadySetUp> {
    let exists = sqlx::query("SELECT 1 FROM accounts LIMIT 1").fetch_optional(&mut **tx).await;
    if exists.map_err(StoreError::from)?.is_some() { Err(AlreadySetUp::Done) } else { Ok(()) }
}

async fn insert(
    tx: &mut Transaction<'static, Sqlite>,
    first: &FirstAccount,
    client: &str,
    now: UnixTime,
) -> Result<Account, StoreError> {
    let tenant = sqlx::query("INSERT INTO tenants (name, created_at) VALUES (?, ?)")
        .bind(&first.tenant_name)
        .bind(int(now))
        .execute(&mut **tx)
        .await?
        .last_insert_rowid();
    let account = "INSERT INTO accounts (tenant_id, name, role, password, created_at) VALUES (?, ?, ?, ?, ?)";
    let account = sqlx::query(account)
        .bind(tenant)
        .bind(&first.account)
        .bind(Role::Admin.id())
        .bind(&first.password)
        .bind(int(now))
        .execute(&mut **tx)
        .await?
        .last_insert_rowid();
    let by = Actor { account: &first.account, client };
    note(tx, TenantRef(tenant), by, (Action::SetUp, &first.tenant_name), now).await?;
    Ok(Account {
        account: AccountRef(account),
        tenant: TenantRef(tenant),
        name: first.account.clone(),
        role: Role::Admin,
        created_at: now,
    })
}

impl Scoped<'_> {
    /// This customer.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tenant(&self) -> Result<Tenant, StoreError> {
        let sql = "SELECT name, genesis, created_at FROM tenants WHERE tenant_id = ?";
        let row = sqlx::query(sql).bind(self.tenant.0).fetch_one(&self.store.readers).await?;
        Ok(Tenant {
            tenant: self.tenant,
            name: row.try_get("name")?,
            genesis: bytes_or_none(&row, "genesis")?.map(TenantId),
            created_at: time(&row, "created_at")?,
        })
    }
}
