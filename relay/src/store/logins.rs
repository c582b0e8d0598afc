//! Logins: opaque bearer tokens, kept as hashes, ended on the server's side.

use super::accounts::account;
use super::audit::{Action, note};
use super::rows::{bytes, damaged, int, time};
use super::{Account, AccountRef, Actor, Scoped, Store, StoreError, TenantRef};
use cloud_doctor_proto::time::UnixTime;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite, Transaction};

/// A login with the account it belongs to.
#[derive(Debug, Clone)]
pub struct Login {
    /// Whose.
    pub account: Account,
    /// When it began.
    pub created_at: UnixTime,
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

/// What a login is kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginKind {
    /// A browser's cookie.
    Browser,
    /// A file of the command line, or another program.
    Program,
}

impl LoginKind {
    const ALL: [Self; 2] = [Self::Browser, Self::Program];

    /// As stored and shown.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Browser => "browser",
            Self::Program => "program",
        }
    }
}

/// How somebody showed who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By a password, and a code where the account asks for one.
    Password,
    /// By a passkey.
    Passkey,
    /// At an identity provider.
    Oidc,
}

impl Way {
    const ALL: [Self; 3] = [Self::Password, Self::Passkey, Self::Oidc];

    /// As stored and shown.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Passkey => "passkey",
            Self::Oidc => "oidc",
        }
    }
}

/// A login that begins.
#[derive(Debug, Clone, Copy)]
pub struct NewLogin<'a> {
    /// Of its token.
    pub token_hash: &'a [u8; 32],
    /// What it is kept in.
    pub kind: LoginKind,
    /// How it came about.
    pub way: Way,
    /// The network that it came from.
    pub place: &'a [u8],
    /// The address that it came from.
    pub client: &'a str,
    /// What the client calls itself: a stranger's text.
    pub user_agent: &'a str,
    /// How long it lasts.
    pub lifetime: Lifetime,
}

/// A login's number in lists: the first half of its hash, which opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginId(pub [u8; 16]);

impl LoginId {
    /// Of the login with this hash.
    #[must_use]
    pub fn of(token_hash: &[u8; 32]) -> Self {
        let [id @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = *token_hash;
        Self(id)
    }
}

/// A login as its account sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginRow {
    /// Its number.
    pub id: LoginId,
    /// What it is kept in.
    pub kind: LoginKind,
    /// How it came about.
    pub way: Way,
    /// When.
    pub created_at: UnixTime,
    /// Last use that was written down.
    pub used_at: UnixTime,
    /// When it ends whatever happens.
    pub ends_at: UnixTime,
    /// From which address it was used then.
    pub client: String,
    /// What the client called itself: a stranger's text.
    pub user_agent: String,
}

impl LoginRow {
    fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let (kind, way): (&str, &str) = (row.try_get("kind")?, row.try_get("way")?);
        let unknown = |column| damaged(column, std::io::Error::other("no such kind"));
        Ok(Self {
            id: LoginId::of(&bytes(row, "token_hash")?),
            kind: LoginKind::ALL.into_iter().find(|k| k.id() == kind).ok_or_else(|| unknown("kind"))?,
            way: Way::ALL.into_iter().find(|w| w.id() == way).ok_or_else(|| unknown("way"))?,
            created_at: time(row, "created_at")?,
            used_at: time(row, "used_at")?,
            ends_at: time(row, "ends_at")?,
            client: row.try_get("client")?,
            user_agent: row.try_get("user_agent")?,
        })
    }
}

impl Store {
    /// The login with this token hash. The caller decides whether it still counts.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn login(&self, token_hash: &[u8; 32]) -> Result<Option<Login>, StoreError> {
        let sql = "SELECT a.account_id, a.tenant_id, a.name, a.role, a.created_at, l.created_at AS began_at, \
                   l.used_at, l.ends_at, l.idle_secs \
                   FROM logins l JOIN accounts a USING (account_id) WHERE l.token_hash = ?";
        let Some(row) = sqlx::query(sql).bind(token_hash.as_slice()).fetch_optional(&self.readers).await? else {
            return Ok(None);
        };
        Ok(Some(Login {
            account: account(&row)?,
            created_at: time(&row, "began_at")?,
            used_at: time(&row, "used_at")?,
            ends_at: time(&row, "ends_at")?,
            idle_secs: time(&row, "idle_secs")?.0,
        }))
    }

    /// Notes that a login was used, from `client` if a request came. Says whether there still is such a login.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn touch_login(
        &self,
        token_hash: &[u8; 32],
        client: Option<&str>,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE logins SET used_at = max(used_at, ?), client = coalesce(?, client) \
                   WHERE token_hash = ? AND ends_at > ?";
        let query = sqlx::query(sql).bind(int(now)).bind(client).bind(token_hash.as_slice()).bind(int(now));
        Ok(query.execute(&self.writer).await?.rows_affected() == 1)
    }

    /// Whether a login has not ended.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn login_lives(&self, token_hash: &[u8; 32], now: UnixTime) -> Result<bool, StoreError> {
        let query = sqlx::query("SELECT 1 FROM logins WHERE token_hash = ? AND ends_at > ?");
        Ok(query.bind(token_hash.as_slice()).bind(int(now)).fetch_optional(&self.readers).await?.is_some())
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
    /// Begins a login and remembers the network that it came from. `false`: meanwhile the account was disabled or
    /// removed, and there is no login.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin_login(&self, of: &Account, new: &NewLogin<'_>, now: UnixTime) -> Result<bool, StoreError> {
        let mut tx = self.store.begin().await?;
        let sql = "UPDATE accounts SET signed_in_at = ? WHERE tenant_id = ? AND account_id = ? AND disabled_at IS NULL";
        let query = sqlx::query(sql).bind(int(now)).bind(self.tenant.0).bind(of.account.0);
        if query.execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(false);
        }
        let sql = "INSERT INTO logins (token_hash, tenant_id, account_id, created_at, used_at, ends_at, idle_secs, \
                   kind, way, client, user_agent) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        sqlx::query(sql)
            .bind(new.token_hash.as_slice())
            .bind(self.tenant.0)
            .bind(of.account.0)
            .bind(int(now))
            .bind(int(now))
            .bind(int(new.lifetime.ends_at))
            .bind(int(UnixTime(new.lifetime.idle_secs)))
            .bind(new.kind.id())
            .bind(new.way.id())
            .bind(new.client)
            .bind(new.user_agent)
            .execute(&mut *tx)
            .await?;
        let sql = "INSERT INTO known_places (tenant_id, account_id, prefix, seen_at) VALUES (?, ?, ?, ?) \
                   ON CONFLICT (account_id, prefix) DO UPDATE SET seen_at = excluded.seen_at";
        let query = sqlx::query(sql).bind(self.tenant.0).bind(of.account.0).bind(new.place).bind(int(now));
        query.execute(&mut *tx).await?;
        let by = Actor { account: &of.name, client: new.client };
        note(&mut tx, self.tenant, by, (Action::SignedIn, &of.name), now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The account's logins that have not ended, newest use first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn logins(&self, of: AccountRef, now: UnixTime) -> Result<Vec<LoginRow>, StoreError> {
        let sql = "SELECT token_hash, kind, way, created_at, used_at, ends_at, client, user_agent FROM logins \
                   WHERE tenant_id = ? AND account_id = ? AND ends_at > ? AND used_at + idle_secs >= ? \
                   ORDER BY used_at DESC, created_at DESC";
        let query = sqlx::query(sql).bind(self.tenant.0).bind(of.0).bind(int(now)).bind(int(now));
        let rows = query.fetch_all(&self.store.readers).await?;
        Ok(rows.iter().map(LoginRow::read).collect::<Result<_, _>>()?)
    }

    /// Ends the account's login of this number and returns its hash. `None`: there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_login(
        &self,
        of: AccountRef,
        id: LoginId,
        by: Actor<'_>,
        now: UnixTime,
    ) -> Result<Option<[u8; 32]>, StoreError> {
        let mut tx = self.store.begin().await?;
        let sql = "DELETE FROM logins WHERE tenant_id = ? AND account_id = ? AND substr(token_hash, 1, 16) = ? \
                   RETURNING token_hash";
        let query = sqlx::query(sql).bind(self.tenant.0).bind(of.0).bind(id.0.as_slice());
        let Some(row) = query.fetch_optional(&mut *tx).await? else { return Ok(None) };
        let hash = bytes(&row, "token_hash")?;
        note(&mut tx, self.tenant, by, (Action::LoginEnded, by.account), now).await?;
        tx.commit().await?;
        Ok(Some(hash))
    }

    /// Ends every login of the account but `keep`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_other_logins(
        &self,
        of: AccountRef,
        keep: &[u8; 32],
        by: Actor<'_>,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let mut tx = self.store.begin().await?;
        end_logins(&mut tx, self.tenant, of, Some(keep)).await?;
        note(&mut tx, self.tenant, by, (Action::LoginsEnded, by.account), now).await?;
        Ok(tx.commit().await?)
    }
}

/// Ends the logins of an account, but `keep`, within a transaction.
pub(super) async fn end_logins(
    tx: &mut Transaction<'static, Sqlite>,
    tenant: TenantRef,
    of: AccountRef,
    keep: Option<&[u8; 32]>,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM logins WHERE tenant_id = ? AND account_id = ? AND token_hash IS NOT ?";
    let query = sqlx::query(sql).bind(tenant.0).bind(of.0).bind(keep.map(<[u8; 32]>::as_slice));
    query.execute(&mut **tx).await?;
    Ok(())
}
