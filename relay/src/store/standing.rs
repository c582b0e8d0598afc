//! How accounts stand: what an admin sees of their ways to sign in, and what an admin changes about them.
//!
//! Every change asks within its transaction whether whoever wants it is still an admin: two who take each other's role
//! away at once must not both succeed, and nothing succeeds after the change that forbids it (AUT-14).

use super::accounts::account;
use super::audit::{Action, note};
use super::logins::end_logins;
use super::rows::{count, int, time_or_none};
use super::{Account, AccountRef, Actor, Role, Scoped, StoreError, TenantRef};
use cloud_doctor_proto::time::UnixTime;
use sqlx::{Row as _, Sqlite, Transaction};

/// An account as an admin sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The account.
    pub account: Account,
    /// Since when it may not sign in.
    pub disabled_at: Option<UnixTime>,
    /// When it signed in last.
    pub signed_in_at: Option<UnixTime>,
    /// It has a password.
    pub password: bool,
    /// So many passkeys.
    pub passkeys: u64,
    /// Its password needs a code besides.
    pub totp: bool,
    /// So many identities elsewhere.
    pub identities: u64,
    /// Until when a one-time code lets it in.
    pub reset_until: Option<UnixTime>,
}

/// A change of an account.
#[derive(Debug, Clone, Copy, Default)]
pub struct Change {
    /// Another role.
    pub role: Option<Role>,
    /// Whether it may sign in.
    pub disabled: Option<bool>,
}

/// An account that was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeRefused {
    /// There is none of this name.
    #[error("there is no such account")]
    Unknown,
    /// Whoever wanted it is no admin any more.
    #[error("only an admin may do that")]
    NotAdmin,
    /// See there.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Scoped<'_> {
    /// All accounts of the customer with their ways to sign in, by name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn standings(&self, now: UnixTime) -> Result<Vec<Standing>, StoreError> {
        let sql = "SELECT account_id, tenant_id, name, role, created_at, disabled_at, signed_in_at, \
                   password <> '' AS has_password, \
                   (SELECT count(*) FROM passkeys p WHERE p.account_id = a.account_id) AS passkeys, \
                   (SELECT count(*) FROM totp t WHERE t.account_id = a.account_id) AS totp, \
                   (SELECT count(*) FROM identities i WHERE i.account_id = a.account_id) AS identities, \
                   (SELECT r.expires_at FROM reset_codes r WHERE r.account_id = a.account_id \
                   AND r.expires_at > ?) AS reset_until \
                   FROM accounts a WHERE tenant_id = ? ORDER BY name";
        let rows = sqlx::query(sql).bind(int(now)).bind(self.tenant.0).fetch_all(&self.store.readers).await?;
        let read = |row: &sqlx::sqlite::SqliteRow| {
            Ok::<_, sqlx::Error>(Standing {
                account: account(row)?,
                disabled_at: time_or_none(row, "disabled_at")?,
                signed_in_at: time_or_none(row, "signed_in_at")?,
                password: row.try_get("has_password")?,
                passkeys: count(row, "passkeys")?,
                totp: count(row, "totp")? > 0,
                identities: count(row, "identities")?,
                reset_until: time_or_none(row, "reset_until")?,
            })
        };
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }

    /// Changes an account and ends its logins: whoever may do something else from now on begins anew.
    ///
    /// # Errors
    /// [`ChangeRefused`].
    pub async fn change_account(
        &self,
        name: &str,
        change: Change,
        by: Actor<'_>,
        now: UnixTime,
    ) -> Result<AccountRef, ChangeRefused> {
        let mut tx = self.store.begin().await?;
        let of = may_change(&mut tx, self.tenant, name, by).await?;
        let changed = async {
            let sql = "UPDATE accounts SET role = coalesce(?1, role), \
                       disabled_at = CASE ?2 WHEN 1 THEN coalesce(disabled_at, ?3) WHEN 0 THEN NULL \
                       ELSE disabled_at END WHERE tenant_id = ?4 AND account_id = ?5";
            let query = sqlx::query(sql).bind(change.role.map(Role::id)).bind(change.disabled).bind(int(now));
            query.bind(self.tenant.0).bind(of.0).execute(&mut *tx).await?;
            end_logins(&mut tx, self.tenant, of, None).await?;
            for action in change.actions() {
                note(&mut tx, self.tenant, by, (action, name), now).await?;
            }
            Ok::<_, StoreError>(tx.commit().await?)
        };
        changed.await?;
        Ok(of)
    }
}

impl Change {
    fn actions(self) -> impl Iterator<Item = Action> {
        let role = self.role.map(|role| match role {
            Role::Admin => Action::AccountMadeAdmin,
            Role::Member => Action::AccountMadeMember,
        });
        let disabled =
            self.disabled.map(|disabled| if disabled { Action::AccountDisabled } else { Action::AccountEnabled });
        [role, disabled].into_iter().flatten()
    }
}

/// The account of this name, if whoever wants to change it is still an admin.
pub(super) async fn may_change(
    tx: &mut Transaction<'static, Sqlite>,
    tenant: TenantRef,
    name: &str,
    by: Actor<'_>,
) -> Result<AccountRef, ChangeRefused> {
    if !is_admin(tx, tenant, by).await? {
        return Err(ChangeRefused::NotAdmin);
    }
    let sql = "SELECT account_id FROM accounts WHERE tenant_id = ? AND name = ?";
    let found = sqlx::query_scalar(sql).bind(tenant.0).bind(name).fetch_optional(&mut **tx).await;
    found.map_err(StoreError::from)?.map(AccountRef).ok_or(ChangeRefused::Unknown)
}

/// Whether somebody is an admin at this moment.
pub(super) async fn is_admin(
    tx: &mut Transaction<'static, Sqlite>,
    tenant: TenantRef,
    who: Actor<'_>,
) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM accounts WHERE tenant_id = ? AND name = ? AND role = 'admin' \
               AND disabled_at IS NULL)";
    Ok(sqlx::query_scalar(sql).bind(tenant.0).bind(who.account).fetch_one(&mut **tx).await?)
}
