//! Grants that wait for a second signature. The relay carries bytes between two signers and can use none of them.

use super::audit::note;
use super::rows::{bytes, int, time};
use super::{Actor, Scoped, Store, StoreError};
use cloud_doctor_proto::ids::AgentId;
use cloud_doctor_proto::time::UnixTime;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

/// A grant that needs a second signature.
#[derive(Debug, Clone)]
pub struct NewApproval {
    /// Its id.
    pub id: [u8; 16],
    /// Which server.
    pub agent: AgentId,
    /// Who asks.
    pub account: String,
    /// The grant's exact bytes.
    pub grant: Vec<u8>,
    /// The engineer's signature.
    pub signature: Vec<u8>,
    /// The challenge, so that the second signer can check what it is for.
    pub challenge: Vec<u8>,
    /// When nobody needs it any more.
    pub expires_at: UnixTime,
}

/// As lists show it.
#[derive(Debug, Clone)]
pub struct Approval {
    /// What was asked.
    pub asked: NewApproval,
    /// When.
    pub created_at: UnixTime,
    /// The second signature, once given.
    pub second: Option<Vec<u8>>,
    /// The account that delivered it.
    pub second_by: Option<String>,
}

/// A second signature that was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SecondRefused {
    /// No such grant waits here.
    #[error("nothing of this id waits for a signature")]
    Unknown,
    /// It is too late, or somebody was faster.
    #[error("this grant is signed already or too old")]
    Over,
    /// See there.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Forgets approvals that ended before `before`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_approvals(&self, before: UnixTime) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM approvals WHERE expires_at < ?").bind(int(before)).execute(&self.writer).await?;
        Ok(())
    }
}

impl Scoped<'_> {
    /// Adds a waiting grant unless the customer has `most` waiting already; `false` then.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_approval(
        &self,
        new: &NewApproval,
        most: u32,
        client: &str,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let mut tx = self.store.begin().await?;
        let sql = "INSERT INTO approvals \
                   (approval_id, tenant_id, agent_id, account, grant_bytes, signature, challenge, created_at, expires_at) \
                   SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 WHERE (SELECT count(*) FROM approvals \
                   WHERE tenant_id = ?2 AND second IS NULL AND expires_at >= ?8) < ?10";
        let done = sqlx::query(sql)
            .bind(new.id.as_slice())
            .bind(self.tenant.0)
            .bind(new.agent.0.as_slice())
            .bind(&new.account)
            .bind(&new.grant)
            .bind(&new.signature)
            .bind(&new.challenge)
            .bind(int(now))
            .bind(int(new.expires_at))
            .bind(i64::from(most))
            .execute(&mut *tx)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        let by = Actor { account: &new.account, client };
        note(&mut tx, self.tenant, by, ("second-asked", &new.agent.to_string()), now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Grants that still wait at `now`, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn pending_approvals(&self, now: UnixTime) -> Result<Vec<Approval>, StoreError> {
        let sql = "SELECT approval_id, agent_id, account, grant_bytes, signature, challenge, created_at, expires_at, \
                   second, second_by FROM approvals WHERE tenant_id = ? AND second IS NULL AND expires_at >= ? \
                   ORDER BY created_at, approval_id";
        let query = sqlx::query(sql).bind(self.tenant.0).bind(int(now));
        let rows = query.fetch_all(&self.store.readers).await?;
        Ok(rows.iter().map(approval).collect::<Result<_, _>>()?)
    }

    /// One of them, also after it was signed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn approval(&self, id: &[u8; 16]) -> Result<Option<Approval>, StoreError> {
        let sql = "SELECT approval_id, agent_id, account, grant_bytes, signature, challenge, created_at, expires_at, \
                   second, second_by FROM approvals WHERE tenant_id = ? AND approval_id = ?";
        let query = sqlx::query(sql).bind(self.tenant.0).bind(id.as_slice());
        let row = query.fetch_optional(&self.store.readers).await?;
        Ok(row.as_ref().map(approval).transpose()?)
    }

    /// Adds the second signature: the first that arrives in time stays.
    ///
    /// # Errors
    /// [`SecondRefused`].
    pub async fn sign_approval(
        &self,
        id: &[u8; 16],
        second: &[u8],
        by: Actor<'_>,
        now: UnixTime,
    ) -> Result<(), SecondRefused> {
        let mut tx = self.store.begin().await?;
        let sql = "UPDATE approvals SET second = ?, second_by = ?, second_at = ? \
                   WHERE tenant_id = ? AND approval_id = ? AND second IS NULL AND expires_at >= ?";
        let done = sqlx::query(sql)
            .bind(second)
            .bind(by.account)
            .bind(int(now))
            .bind(self.tenant.0)
            .bind(id.as_slice())
            .bind(int(now))
            .execute(&mut *tx)
            .await
            .map_err(StoreError::from)?;
        if done.rows_affected() == 0 {
            let known = self.approval(id).await?.is_some();
            return Err(if known { SecondRefused::Over } else { SecondRefused::Unknown });
        }
        note(&mut tx, self.tenant, by, ("second-given", &data_encoding::HEXLOWER.encode(id)), now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}

fn approval(row: &SqliteRow) -> Result<Approval, sqlx::Error> {
    Ok(Approval {
        asked: NewApproval {
            id: bytes(row, "approval_id")?,
            agent: AgentId(bytes(row, "agent_id")?),
            account: row.try_get("account")?,
            grant: row.try_get("grant_bytes")?,
            signature: row.try_get("signature")?,
            challenge: row.try_get("challenge")?,
            expires_at: time(row, "expires_at")?,
        },
        created_at: time(row, "created_at")?,
        second: row.try_get("second")?,
        second_by: row.try_get("second_by")?,
    })
}
