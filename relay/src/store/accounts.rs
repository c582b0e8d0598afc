//! People who may sign in to the relay. Signing in opens no server: that takes a signed grant.

use super::audit::{Action, note};
use super::logins::end_logins;
use super::resets::forget_code;
use super::rows::{damaged, int, time};
use super::standing::{ChangeRefused, is_admin, may_change};
use super::{Actor, Scoped, Store, StoreError, TenantRef};
use cloud_doctor_proto::time::UnixTime;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite, Transaction};

/// An account's number in the database. Only the store hands these out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AccountRef(pub(super) i64);

/// What an account may do on the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything within its customer: accounts, enrolment tokens, removing servers.
    Admin,
    /// See servers, open streams to them, carry signed things.
    Member,
}

/// A role that this build does not know.
#[derive(Debug, thiserror::Error)]
#[error("the role is admin or member")]
pub struct NotARole;

impl Role {
    /// As stored and shown.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::Member => "member",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = NotARole;
    fn from_str(text: &str) -> Result<Self, NotARole> {
        [Role::Admin, Role::Member].into_iter().find(|role| role.id() == text).ok_or(NotARole)
    }
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its number.
    pub account: AccountRef,
    /// Its customer.
    pub tenant: TenantRef,
    /// Its name.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Since when.
    pub created_at: UnixTime,
}

/// An account with what its password is checked against.
#[derive(Clone)]
pub struct AccountWithHash {
    /// The account.
    pub account: Account,
    /// PHC string; `None`: the account has no password.
    pub password: Option<String>,
    /// It signed in from the place that was asked for.
    pub knows_place: bool,
}

impl std::fmt::Debug for AccountWithHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccountWithHash").field("account", &self.account).finish_non_exhaustive()
    }
}

/// An account that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum NameTaken {
    /// Names are unique on the relay.
    #[error("this account name is taken")]
    Taken,
    /// Whoever wanted it is no admin any more.
    #[error("only an admin may do that")]
    NotAdmin,
    /// See there.
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub(super) fn account(row: &SqliteRow) -> Result<Account, sqlx::Error> {
    let role: &str = row.try_get("role")?;
    Ok(Account {
        account: AccountRef(row.try_get("account_id")?),
        tenant: TenantRef(row.try_get("tenant_id")?),
        name: row.try_get("name")?,
        role: role.parse().map_err(|e: NotARole| damaged("role", e))?,
        created_at: time(row, "created_at")?,
    })
}

impl Store {
    /// The account of this name, to check a password against, and whether it signed in from `place` since `since`:
    /// one question, so that the answer takes the same time for names that do not exist.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn account_by_name(
        &self,
        name: &str,
        place: &[u8],
        since: UnixTime,
    ) -> Result<Option<AccountWithHash>, StoreError> {
        let sql = "SELECT a.account_id, a.tenant_id, a.name, a.role, a.created_at, a.password, \
                   EXISTS (SELECT 1 FROM known_places p WHERE p.tenant_id = a.tenant_id \
                   AND p.account_id = a.account_id AND p.prefix = ? AND p.seen_at >= ?) AS knows_place \
                   FROM accounts a WHERE a.name = ? AND a.disabled_at IS NULL";
        let query = sqlx::query(sql).bind(place).bind(int(since)).bind(name);
        let Some(row) = query.fetch_optional(&self.readers).await? else { return Ok(None) };
        let knows_place = row.try_get("knows_place")?;
        let password = Some(row.try_get("password")?).filter(|hash: &String| !hash.is_empty());
        Ok(Some(AccountWithHash { account: account(&row)?, password, knows_place }))
    }
}

impl Scoped<'_> {
    /// All accounts of the customer, by name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        let sql =
            "SELECT account_id, tenant_id, name, role, created_at FROM accounts WHERE tenant_id = ? ORDER BY name";
        let rows = sqlx::query(sql).bind(self.tenant.0).fetch_all(&self.store.readers).await?;
        Ok(rows.iter().map(account).collect::<Result<_, _>>()?)
    }

    /// Adds an account; `password` is a PHC string.
    ///
    /// # Errors
    /// [`NameTaken`].
    pub async fn add_account(
        &self,
        name: &str,
        role: Role,
        password: &str,
        by: Actor<'_>,
        now: UnixTime,
    ) -> Result<(), NameTaken> {
        let mut tx = self.store.begin().await?;
        if !is_admin(&mut tx, self.tenant, by).await? {
            return Err(NameTaken::NotAdmin);
        }
        let added = insert_account(&mut tx, self.tenant, (name, role, password), now).await?;
        added.ok_or(NameTaken::Taken)?;
        note(&mut tx, self.tenant, by, (Action::AccountAdded, name), now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Removes an account and its logins; says which it was.
    ///
    /// # Errors
    /// [`ChangeRefused`].
    pub async fn remove_account(&self, name: &str, by: Actor<'_>, now: UnixTime) -> Result<AccountRef, ChangeRefused> {
        let mut tx = self.store.begin().await?;
        let of = may_change(&mut tx, self.tenant, name, by).await?;
        let removed = async {
            let sql = "DELETE FROM accounts WHERE tenant_id = ? AND account_id = ?";
            sqlx::query(sql).bind(self.tenant.0).bind(of.0).execute(&mut *tx).await?;
            // Whoever gets this name next must not find another's guests.
            let sql = "DELETE FROM invitations WHERE tenant_id = ? AND account = ?";
            sqlx::query(sql).bind(self.tenant.0).bind(name).execute(&mut *tx).await?;
            let sql = "UPDATE joins SET ended_as = coalesce(ended_as, 'revoked'), ended_at = coalesce(ended_at, ?), \
                       account = NULL WHERE tenant_id = ? AND account = ?";
            sqlx::query(sql).bind(int(now)).bind(self.tenant.0).bind(name).execute(&mut *tx).await?;
            note(&mut tx, self.tenant, by, (Action::AccountRemoved, name), now).await?;
            Ok::<_, StoreError>(tx.commit().await?)
        };
        removed.await?;
        Ok(of)
    }

    /// Whether an account signs in by a password at all.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn has_password(&self, of: AccountRef) -> Result<bool, StoreError> {
        let sql = "SELECT password <> '' FROM accounts WHERE tenant_id = ? AND account_id = ?";
        let query = sqlx::query_scalar::<_, bool>(sql).bind(self.tenant.0).bind(of.0);
        Ok(query.fetch_one(&self.store.readers).await?)
    }

    /// Sets a password and ends every login of the account but `keep`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_password(
        &self,
        of: AccountRef,
        password: &str,
        keep: &[u8; 32],
        by: Actor<'_>,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let mut tx = self.store.begin().await?;
        sqlx::query("UPDATE accounts SET password = ? WHERE tenant_id = ? AND account_id = ?")
            .bind(password)
            .bind(self.tenant.0)
            .bind(of.0)
            .execute(&mut *tx)
            .await?;
        end_logins(&mut tx, self.tenant, of, Some(keep)).await?;
        forget_code(&mut tx, self.tenant, of).await?;
        note(&mut tx, self.tenant, by, (Action::PasswordChanged, by.account), now).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Adds an account within a transaction. `None`: somebody has this name.
pub(super) async fn insert_account(
    tx: &mut Transaction<'static, Sqlite>,
    tenant: TenantRef,
    (name, role, password): (&str, Role, &str),
    now: UnixTime,
) -> Result<Option<Account>, StoreError> {
    let sql = "INSERT INTO accounts (tenant_id, name, role, password, created_at) VALUES (?, ?, ?, ?, ?) \
               ON CONFLICT (name) DO NOTHING RETURNING account_id, tenant_id, name, role, created_at";
    let query = sqlx::query(sql).bind(tenant.0).bind(name).bind(role.id()).bind(password).bind(int(now));
    let row = query.fetch_optional(&mut **tx).await?;
    Ok(row.as_ref().map(account).transpose()?)
}
