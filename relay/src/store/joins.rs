//! Links that let new people in: one account each, and the key that its owner sends. Whether the key counts is decided
//! by whoever holds the link's other half; nothing here can tell.

use super::accounts::insert_account;
use super::audit::{Action, note};
use super::passkeys::{self, PasskeyNotAdded};
use super::rows::{bytes, int, time};
use super::tenants::FirstPasskey;
use super::{Account, Actor, Role, Scoped, Store, StoreError, TenantRef};
use cloud_doctor_proto::join::JoinId;
use cloud_doctor_proto::time::UnixTime;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

/// A link to be made.
#[derive(Debug, Clone)]
pub struct NewJoin {
    /// Its name.
    pub id: JoinId,
    /// SHA-256 of its token.
    pub token_hash: [u8; 32],
    /// Last second in which the token counts.
    pub expires_at: UnixTime,
    /// Who is invited and as what, as the inviter said.
    pub invited: Invited,
}

/// Who is invited and as what: for lists, never for a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invited {
    /// The person's name.
    pub person: String,
    /// `engineer` or `approver`.
    pub role: String,
    /// A browser's key without a touch is welcome.
    pub device: bool,
}

/// A link as it stands.
#[derive(Debug, Clone)]
pub struct Join {
    /// Its name.
    pub id: JoinId,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: UnixTime,
    /// Last second in which the token counts.
    pub expires_at: UnixTime,
    /// Who is invited and as what.
    pub invited: Invited,
    /// The account that was made with it.
    pub account: Option<String>,
    /// The key that its owner sent.
    pub key: Option<JoinKey>,
    ended: Option<JoinState>,
}

/// A key that a new person sent. Nobody here can tell whether the person did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinKey {
    /// As a line of `authorized_keys`.
    pub line: String,
    /// What kind of key it is, as the trust log will say.
    pub kind: String,
    /// What the link's secret says about both.
    pub mac: Vec<u8>,
}

/// How a link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinState {
    /// Nobody has used it.
    Open,
    /// It made an account, whose key has not come.
    Joined,
    /// The key is here and waits for the inviter.
    Key,
    /// The inviter signed the key into the trust log.
    Accepted,
    /// The key was not the new person's.
    Refused,
    /// Taken back.
    Revoked,
    /// Nobody used it in time.
    Expired,
}

impl JoinState {
    /// As stored and shown.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            JoinState::Open => "open",
            JoinState::Joined => "joined",
            JoinState::Key => "key",
            JoinState::Accepted => "accepted",
            JoinState::Refused => "refused",
            JoinState::Revoked => "revoked",
            JoinState::Expired => "expired",
        }
    }

    /// Whether nothing follows any more.
    #[must_use]
    pub fn is_over(self) -> bool {
        match self {
            JoinState::Accepted | JoinState::Refused | JoinState::Revoked | JoinState::Expired => true,
            JoinState::Open | JoinState::Joined | JoinState::Key => false,
        }
    }
}

impl Join {
    /// How it stands at `now`.
    #[must_use]
    pub fn state(&self, now: UnixTime) -> JoinState {
        match (self.ended, &self.account, &self.key) {
            (Some(ended), _, _) => ended,
            (None, Some(_), Some(_)) => JoinState::Key,
            (None, Some(_), None) => JoinState::Joined,
            (None, None, _) if now > self.expires_at => JoinState::Expired,
            (None, None, _) => JoinState::Open,
        }
    }
}

/// A token that made no account.
#[derive(Debug, thiserror::Error)]
pub enum JoinRefused {
    /// Unknown, used, too old or taken back: nobody is told which.
    #[error("this link does not count")]
    Token,
    /// It counts, but the name is somebody's; it counts for another try.
    #[error("this account name is taken")]
    Taken,
    /// It counts, but the passkey is another account's.
    #[error("this passkey is known already")]
    Known,
    /// See there.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How a new account signs in first.
#[derive(Debug, Clone, Copy)]
pub enum FirstWay<'a> {
    /// By a password, as a PHC string.
    Password(&'a str),
    /// By a passkey; it has no password.
    Passkey(&'a FirstPasskey),
}

/// A step that a link does not take.
#[derive(Debug, thiserror::Error)]
pub enum StepRefused {
    /// There is no such link.
    #[error("there is no such link")]
    Unknown,
    /// It is over, or has taken this step with something else.
    #[error("this link has ended, or has another key already")]
    Over,
    /// See there.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All columns of links, for a condition.
macro_rules! joins_where {
    ($where:literal) => {
        concat!(
            "SELECT join_id, tenant_id, created_by, created_at, expires_at, person, role, device, account, key_line, \
             key_kind, key_mac, ended_as FROM joins WHERE ",
            $where
        )
    };
}

fn join(row: &SqliteRow) -> Result<Join, sqlx::Error> {
    let key = match (row.try_get("key_line")?, row.try_get("key_kind")?, row.try_get("key_mac")?) {
        (Some(line), Some(kind), Some(mac)) => Some(JoinKey { line, kind, mac }),
        (_, _, _) => None,
    };
    let ended: Option<&str> = row.try_get("ended_as")?;
    let states = [JoinState::Accepted, JoinState::Refused, JoinState::Revoked];
    Ok(Join {
        id: JoinId(bytes(row, "join_id")?),
        created_by: row.try_get("created_by")?,
        created_at: time(row, "created_at")?,
        expires_at: time(row, "expires_at")?,
        invited: Invited { person: row.try_get("person")?, role: row.try_get("role")?, device: row.try_get("device")? },
        account: row.try_get("account")?,
        key,
        ended: states.into_iter().find(|state| Some(state.id()) == ended),
    })
}

const OPEN: &str = joins_where!("token_hash = ? AND account IS NULL AND ended_as IS NULL AND expires_at >= ?");

impl Store {
    /// The link of a token that counts at `now`, and the customer who made it.
    ///
    /// # Errors
    /// [`JoinRefused::Token`] for every token that does not, and [`JoinRefused::Store`].
    pub async fn open_join(&self, token_hash: &[u8; 32], now: UnixTime) -> Result<(Join, TenantRef), JoinRefused> {
        let query = sqlx::query(OPEN).bind(token_hash.as_slice()).bind(int(now));
        let row = query.fetch_optional(&self.readers).await.map_err(StoreError::from)?;
        let row = row.ok_or(JoinRefused::Token)?;
        let tenant = TenantRef(row.try_get("tenant_id").map_err(StoreError::from)?);
        Ok((join(&row).map_err(StoreError::from)?, tenant))
    }

    /// Makes the account of a token that counts at `now`, a member's, with its first way in. The token is used up.
    ///
    /// # Errors
    /// [`JoinRefused`]; nothing was changed.
    pub async fn join(
        &self,
        token_hash: &[u8; 32],
        (name, way): (&str, FirstWay<'_>),
        client: &str,
        now: UnixTime,
    ) -> Result<(Account, Join), JoinRefused> {
        let mut tx = self.begin().await?;
        let sql = "UPDATE joins SET account = ?1 WHERE token_hash = ?2 AND account IS NULL AND ended_as IS NULL \
                   AND expires_at >= ?3 RETURNING *";
        let query = sqlx::query(sql).bind(name).bind(token_hash.as_slice()).bind(int(now));
        let Some(row) = query.fetch_optional(&mut *tx).await.map_err(StoreError::from)? else {
            return Err(JoinRefused::Token);
        };
        let joined = join(&row).map_err(StoreError::from)?;
        let tenant = TenantRef(row.try_get("tenant_id").map_err(StoreError::from)?);
        let password = if let FirstWay::Password(hash) = way { hash } else { "" };
        let account = insert_account(&mut tx, tenant, (name, Role::Member, password), now).await?;
        let account = account.ok_or(JoinRefused::Taken)?;
        if let FirstWay::Passkey(first) = way {
            passkeys::insert_first(&mut tx, &account, first, now).await.map_err(|error| match error {
                PasskeyNotAdded::Store(error) => JoinRefused::Store(error),
                PasskeyNotAdded::Known | PasskeyNotAdded::TooMany => JoinRefused::Known,
            })?;
        }
        let by = Actor { account: name, client };
        note(&mut tx, tenant, by, (Action::Joined, &format!("{} {}", joined.id, joined.invited.person)), now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok((account, joined))
    }

    /// Forgets links made before `before`: what they were stands in the audit.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_joins(&self, before: UnixTime) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM joins WHERE created_at < ?").bind(int(before)).execute(&self.writer).await?;
        Ok(())
    }
}

impl Scoped<'_> {
    /// Adds a link unless the customer has `most` open already; `false` then.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_join(&self, new: &NewJoin, most: u32, by: Actor<'_>, now: UnixTime) -> Result<bool, StoreError> {
        let mut tx = self.store.begin().await?;
        let sql = "INSERT INTO joins \
                   (join_id, tenant_id, token_hash, created_by, created_at, expires_at, person, role, device) \
                   SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 WHERE (SELECT count(*) FROM joins WHERE tenant_id = ?2 \
                   AND ended_as IS NULL AND (account IS NOT NULL OR expires_at >= ?5)) < ?10";
        let done = sqlx::query(sql)
            .bind(new.id.0.as_slice())
            .bind(self.tenant.0)
            .bind(new.token_hash.as_slice())
            .bind(by.account)
            .bind(int(now))
            .bind(int(new.expires_at))
            .bind(&new.invited.person)
            .bind(&new.invited.role)
            .bind(new.invited.device)
            .bind(i64::from(most))
            .execute(&mut *tx)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        note(&mut tx, self.tenant, by, (Action::PersonInvited, &format!("{} {}", new.id, new.invited.person)), now)
            .await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The customer's links, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn joins(&self) -> Result<Vec<Join>, StoreError> {
        let sql = joins_where!("tenant_id = ? ORDER BY created_at DESC, join_id");
        let rows = sqlx::query(sql).bind(self.tenant.0).fetch_all(&self.store.readers).await?;
        Ok(rows.iter().map(join).collect::<Result<_, _>>()?)
    }

    /// One of them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn join(&self, id: &JoinId) -> Result<Option<Join>, StoreError> {
        let query =
            sqlx::query(joins_where!("tenant_id = ? AND join_id = ?")).bind(self.tenant.0).bind(id.0.as_slice());
        Ok(query.fetch_optional(&self.store.readers).await?.as_ref().map(join).transpose()?)
    }

    /// The link that made an account.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn join_of(&self, account: &str) -> Result<Option<Join>, StoreError> {
        let query = sqlx::query(joins_where!("tenant_id = ? AND account = ?")).bind(self.tenant.0).bind(account);
        Ok(query.fetch_optional(&self.store.readers).await?.as_ref().map(join).transpose()?)
    }

    /// Keeps the key of a new person; the same one again is no other.
    ///
    /// # Errors
    /// [`StepRefused`].
    pub async fn put_join_key(&self, key: &JoinKey, by: Actor<'_>, now: UnixTime) -> Result<(), StepRefused> {
        let mut tx = self.store.begin().await?;
        let sql = "UPDATE joins SET key_line = ?1, key_kind = ?2, key_mac = ?3 WHERE tenant_id = ?4 AND account = ?5 \
                   AND ended_as IS NULL AND (key_line IS NULL OR (key_line = ?1 AND key_kind = ?2 AND key_mac = ?3)) \
                   RETURNING join_id";
        let query = sqlx::query(sql).bind(&key.line).bind(&key.kind).bind(&key.mac).bind(self.tenant.0);
        let row = query.bind(by.account).fetch_optional(&mut *tx).await.map_err(StoreError::from)?;
        let Some(row) = row else {
            let known = self.join_of(by.account).await?.is_some();
            return Err(if known { StepRefused::Over } else { StepRefused::Unknown });
        };
        let id = JoinId(bytes(&row, "join_id").map_err(StoreError::from)?);
        note(&mut tx, self.tenant, by, (Action::JoinKey, &id.to_string()), now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Ends a link: accepted, refused or revoked.
    ///
    /// # Errors
    /// [`StepRefused`].
    pub async fn end_join(
        &self,
        id: &JoinId,
        state: JoinState,
        by: Actor<'_>,
        now: UnixTime,
    ) -> Result<(), StepRefused> {
        let mut tx = self.store.begin().await?;
        let sql =
            "UPDATE joins SET ended_as = ?, ended_at = ? WHERE tenant_id = ? AND join_id = ? AND ended_as IS NULL";
        let query = sqlx::query(sql).bind(state.id()).bind(int(now)).bind(self.tenant.0).bind(id.0.as_slice());
        if query.execute(&mut *tx).await.map_err(StoreError::from)?.rows_affected() == 0 {
            let known = self.join(id).await?.is_some();
            return Err(if known { StepRefused::Over } else { StepRefused::Unknown });
        }
        note(&mut tx, self.tenant, by, (Action::JoinEnded, &format!("{id} {}", state.id())), now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}
