//! Who an account is at an identity provider: issuer and subject, nothing else.

use super::accounts::account;
use super::audit::{Action, note};
use super::passkeys::still_has_a_way_in;
use super::rows::{int, time};
use super::{Account, AccountRef, Actor, Role, Scoped, Store, StoreError, TenantRef, WayNotRemoved};
use cloud_doctor_proto::time::UnixTime;
use sqlx::Row as _;

/// An identity elsewhere, as its account sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityRow {
    /// For lists.
    pub label: String,
    /// Since when.
    pub created_at: UnixTime,
}

/// Somebody at a provider.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    /// Which provider.
    pub issuer: &'a str,
    /// Who, there.
    pub subject: &'a str,
    /// For lists.
    pub label: &'a str,
}

/// An account that was not made for somebody who proved who they are.
#[derive(Debug, thiserror::Error)]
pub enum NotCreated {
    /// There is an account of this name, which may be anybody's.
    #[error("this account name is taken")]
    Taken,
    /// The relay has several customers, or none: it cannot tell whose the account would be.
    #[error("the relay has not exactly one customer")]
    WhichCustomer,
    /// See there.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// The account of somebody at a provider. `None`: there is none, or it is disabled.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn account_by_identity(&self, issuer: &str, subject: &str) -> Result<Option<Account>, StoreError> {
        let sql = "SELECT a.account_id, a.tenant_id, a.name, a.role, a.created_at \
                   FROM identities i JOIN accounts a USING (account_id) \
                   WHERE i.issuer = ? AND i.subject = ? AND a.disabled_at IS NULL";
        let row = sqlx::query(sql).bind(issuer).bind(subject).fetch_optional(&self.readers).await?;
        Ok(row.map(|row| account(&row)).transpose()?)
    }

    /// Whether somebody at a provider has an account, disabled or not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn knows_identity(&self, issuer: &str, subject: &str) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM identities WHERE issuer = ? AND subject = ?)";
        Ok(sqlx::query_scalar(sql).bind(issuer).bind(subject).fetch_one(&self.readers).await?)
    }

    /// Makes a member of the relay's only customer for somebody at a provider.
    ///
    /// # Errors
    /// [`NotCreated`].
    pub async fn create_for_identity(
        &self,
        name: &str,
        who: Identity<'_>,
        client: &str,
        now: UnixTime,
    ) -> Result<Account, NotCreated> {
        let mut tx = self.begin().await?;
        let tenants = sqlx::query_scalar::<_, i64>("SELECT tenant_id FROM tenants LIMIT 2").fetch_all(&mut *tx).await;
        let [tenant] = tenants.map_err(StoreError::from)?[..] else { return Err(NotCreated::WhichCustomer) };
        let sql = "INSERT INTO accounts (tenant_id, name, role, password, created_at) VALUES (?, ?, ?, '', ?) \
                   ON CONFLICT (name) DO NOTHING RETURNING account_id, tenant_id, name, role, created_at";
        let query = sqlx::query(sql).bind(tenant).bind(name).bind(Role::Member.id()).bind(int(now));
        let row = query.fetch_optional(&mut *tx).await.map_err(StoreError::from)?.ok_or(NotCreated::Taken)?;
        let made = account(&row).map_err(StoreError::from)?;
        let sql = "INSERT INTO identities (issuer, subject, tenant_id, account_id, label, created_at) \
                   VALUES (?, ?, ?, ?, ?, ?)";
        let query = sqlx::query(sql).bind(who.issuer).bind(who.subject).bind(tenant).bind(made.account.0);
        query.bind(who.label).bind(int(now)).execute(&mut *tx).await.map_err(StoreError::from)?;
        let by = Actor { account: name, client };
        note(&mut tx, TenantRef(tenant), by, (Action::AccountAdded, name), now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(made)
    }
}

impl Scoped<'_> {
    /// Who the account is at a provider.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn identity(&self, of: AccountRef, issuer: &str) -> Result<Option<IdentityRow>, StoreError> {
        let sql = "SELECT label, created_at FROM identities WHERE tenant_id = ? AND account_id = ? AND issuer = ?";
        let query = sqlx::query(sql).bind(self.tenant.0).bind(of.0).bind(issuer);
        let read = |row: sqlx::sqlite::SqliteRow| {
            Ok::<_, sqlx::Error>(IdentityRow { label: row.try_get("label")?, created_at: time(&row, "created_at")? })
        };
        Ok(query.fetch_optional(&self.store.readers).await?.map(read).transpose()?)
    }

    /// Adds an identity to an account; one per provider. `false`: this person, or this account, is linked already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn link(
        &self,
        of: AccountRef,
        who: Identity<'_>,
        by: Actor<'_>,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let mut tx = self.store.begin().await?;
        let sql = "INSERT INTO identities (issuer, subject, tenant_id, account_id, label, created_at) \
                   SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE NOT EXISTS \
                   (SELECT 1 FROM identities WHERE issuer = ?1 AND account_id = ?4) \
                   ON CONFLICT (issuer, subject) DO NOTHING";
        let query = sqlx::query(sql).bind(who.issuer).bind(who.subject).bind(self.tenant.0).bind(of.0);
        if query.bind(who.label).bind(int(now)).execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(false);
        }
        note(&mut tx, self.tenant, by, (Action::IdentityLinked, who.label), now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Takes an identity away from its own account.
    ///
    /// # Errors
    /// [`WayNotRemoved`].
    pub async fn unlink(
        &self,
        of: AccountRef,
        issuer: &str,
        by: Actor<'_>,
        now: UnixTime,
    ) -> Result<(), WayNotRemoved> {
        let mut tx = self.store.begin().await?;
        let sql = "DELETE FROM identities WHERE tenant_id = ? AND account_id = ? AND issuer = ? RETURNING label";
        let query = sqlx::query(sql).bind(self.tenant.0).bind(of.0).bind(issuer);
        let row = query.fetch_optional(&mut *tx).await.map_err(StoreError::from)?.ok_or(WayNotRemoved::Unknown)?;
        let label: String = row.try_get("label").map_err(StoreError::from)?;
        still_has_a_way_in(&mut tx, self.tenant, of, Some(issuer)).await?;
        note(&mut tx, self.tenant, by, (Action::IdentityUnlinked, &label), now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}
