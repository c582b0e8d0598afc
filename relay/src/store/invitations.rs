//! Invitations: one code, one guest, one account that may reach it. What counts on the guest's side is not here.

use super::audit::{Action, note};
use super::rows::{bytes, bytes_or_none, int, time, time_or_none, unsigned};
use super::{Actor, Scoped, Store, StoreError, TenantRef};
use cloud_doctor_proto::ids::{AgentId, TenantId, VerifyKey};
use cloud_doctor_proto::limits::VISIT_SECS_MAX;
use cloud_doctor_proto::time::UnixTime;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

/// An invitation to be made.
#[derive(Debug, Clone)]
pub struct NewInvitation {
    /// Its id.
    pub id: [u8; 16],
    /// SHA-256 of the code's secret.
    pub secret_hash: [u8; 32],
    /// The key that will sign, in SSH's wire format.
    pub engineer_key: Vec<u8>,
    /// Last second in which the code counts.
    pub expires_at: UnixTime,
}

/// An invitation as it stands.
#[derive(Debug, Clone)]
pub struct Invitation {
    /// Its id.
    pub id: [u8; 16],
    /// The engineer's customer.
    pub tenant: TenantRef,
    /// Who invites.
    pub account: String,
    /// The key that will sign.
    pub engineer_key: Vec<u8>,
    /// Last second in which the code counts.
    pub expires_at: UnixTime,
    /// Over, by the engineer's word.
    pub ended: bool,
    /// Who came.
    pub guest: Option<Guest>,
}

/// A server that came with a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// When.
    pub came_at: UnixTime,
    /// Key of its tunnel.
    pub transport_key: VerifyKey,
    /// Its identity's hash, made for this visit.
    pub agent: AgentId,
    /// The log that it made for this visit.
    pub log: TenantId,
    /// What it calls itself. A stranger's text.
    pub hostname: String,
}

impl Invitation {
    /// The guest, while it may still be reached: the visit was not ended, and no visit is longer.
    #[must_use]
    pub fn guest_at(&self, now: UnixTime) -> Option<&Guest> {
        let in_time = |guest: &&Guest| now <= guest.came_at.plus_secs(VISIT_SECS_MAX);
        self.guest.as_ref().filter(in_time).filter(|_| !self.ended)
    }
}

const COLUMNS: &str = "SELECT invitation_id, tenant_id, account, engineer_key, expires_at, ended_at, came_at, \
                       transport_key, agent_id, genesis, hostname FROM invitations";

fn invitation(row: &SqliteRow) -> Result<Invitation, sqlx::Error> {
    let guest = match time_or_none(row, "came_at")? {
        Some(came_at) => {
            let (key, agent, log) = ("transport_key", "agent_id", "genesis");
            let all = (bytes_or_none(row, key)?, bytes_or_none(row, agent)?, bytes_or_none(row, log)?);
            let (Some(key), Some(agent), Some(log)) = all else { return Err(sqlx::Error::RowNotFound) };
            let (transport_key, agent, log) = (VerifyKey(key), AgentId(agent), TenantId(log));
            Some(Guest { came_at, transport_key, agent, log, hostname: row.try_get("hostname")? })
        }
        None => None,
    };
    Ok(Invitation {
        id: bytes(row, "invitation_id")?,
        tenant: TenantRef(row.try_get("tenant_id")?),
        account: row.try_get("account")?,
        engineer_key: row.try_get("engineer_key")?,
        expires_at: time(row, "expires_at")?,
        ended: time_or_none(row, "ended_at")?.is_some(),
        guest,
    })
}

impl Store {
    /// The invitation of a code that counts at `now`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn invitation_of_code(
        &self,
        secret_hash: &[u8; 32],
        now: UnixTime,
    ) -> Result<Option<Invitation>, StoreError> {
        let sql =
            format!("{COLUMNS} WHERE secret_hash = ? AND came_at IS NULL AND ended_at IS NULL AND expires_at >= ?");
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(secret_hash.as_slice()).bind(int(now));
        Ok(query.fetch_optional(&self.readers).await?.as_ref().map(invitation).transpose()?)
    }

    /// The invitation whose guest's tunnel has this key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn invitation_of_tunnel(&self, key: &VerifyKey) -> Result<Option<Invitation>, StoreError> {
        let sql = format!("{COLUMNS} WHERE transport_key = ?");
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(key.0.as_slice());
        Ok(query.fetch_optional(&self.readers).await?.as_ref().map(invitation).transpose()?)
    }

    /// Uses a code up. `false`: somebody else was faster, or its time is over.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn use_invitation(
        &self,
        invited: &Invitation,
        guest: &Guest,
        client: &str,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let sql = "UPDATE invitations SET came_at = ?, transport_key = ?, agent_id = ?, genesis = ?, hostname = ? \
                   WHERE invitation_id = ? AND came_at IS NULL AND ended_at IS NULL AND expires_at >= ?";
        let done = sqlx::query(sql)
            .bind(int(guest.came_at))
            .bind(guest.transport_key.0.as_slice())
            .bind(guest.agent.0.as_slice())
            .bind(guest.log.0.as_slice())
            .bind(&guest.hostname)
            .bind(invited.id.as_slice())
            .bind(int(now))
            .execute(&mut *tx)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        let subject = format!("{} {}", hex(&invited.id), guest.hostname);
        let by = Actor { account: &invited.account, client };
        note(&mut tx, invited.tenant, by, (Action::GuestCame, &subject), now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Ends the invitation whose guest has left.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn guest_left(&self, key: &VerifyKey, now: UnixTime) -> Result<(), StoreError> {
        let Some(invited) = self.invitation_of_tunnel(key).await?.filter(|invited| !invited.ended) else {
            return Ok(());
        };
        let mut tx = self.begin().await?;
        let sql = "UPDATE invitations SET ended_at = ? WHERE invitation_id = ? AND ended_at IS NULL";
        sqlx::query(sql).bind(int(now)).bind(invited.id.as_slice()).execute(&mut *tx).await?;
        let by = Actor { account: &invited.account, client: "" };
        note(&mut tx, invited.tenant, by, (Action::GuestLeft, &hex(&invited.id)), now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Forgets invitations made before `before`: what they were stands in the audit.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_invitations(&self, before: UnixTime) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM invitations WHERE created_at < ?").bind(int(before)).execute(&self.writer).await?;
        Ok(())
    }
}

impl Scoped<'_> {
    /// Adds an invitation unless the account has `most` open already; `false` then.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_invitation(
        &self,
        new: &NewInvitation,
        most: u32,
        by: Actor<'_>,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let mut tx = self.store.begin().await?;
        let sql = "INSERT INTO invitations \
                   (invitation_id, tenant_id, account, secret_hash, engineer_key, created_at, expires_at) \
                   SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE (SELECT count(*) FROM invitations WHERE tenant_id = ?2 \
                   AND account = ?3 AND ended_at IS NULL AND coalesce(came_at + ?9, expires_at) >= ?6) < ?8";
        let done = sqlx::query(sql)
            .bind(new.id.as_slice())
            .bind(self.tenant.0)
            .bind(by.account)
            .bind(new.secret_hash.as_slice())
            .bind(&new.engineer_key)
            .bind(int(now))
            .bind(int(new.expires_at))
            .bind(i64::from(most))
            .bind(unsigned(VISIT_SECS_MAX))
            .execute(&mut *tx)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        note(&mut tx, self.tenant, by, (Action::Invited, &hex(&new.id)), now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// An invitation of this account.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn invitation(&self, id: &[u8; 16], account: &str) -> Result<Option<Invitation>, StoreError> {
        let sql = format!("{COLUMNS} WHERE tenant_id = ? AND account = ? AND invitation_id = ?");
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(self.tenant.0).bind(account).bind(id.as_slice());
        Ok(query.fetch_optional(&self.store.readers).await?.as_ref().map(invitation).transpose()?)
    }

    /// Ends an invitation of this account. `false`: there is none, or it was ended before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_invitation(&self, id: &[u8; 16], by: Actor<'_>, now: UnixTime) -> Result<bool, StoreError> {
        let mut tx = self.store.begin().await?;
        let sql = "UPDATE invitations SET ended_at = ? \
                   WHERE tenant_id = ? AND account = ? AND invitation_id = ? AND ended_at IS NULL";
        let query = sqlx::query(sql).bind(int(now)).bind(self.tenant.0).bind(by.account).bind(id.as_slice());
        if query.execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(false);
        }
        note(&mut tx, self.tenant, by, (Action::InvitationEnded, &hex(id)), now).await?;
        tx.commit().await?;
        Ok(true)
    }
}

fn hex(id: &[u8; 16]) -> String {
    data_encoding::HEXLOWER.encode(id)
}
