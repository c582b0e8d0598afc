//! Grants that wait for a second signature. The relay carries bytes between two signers and can use none of them.

use super::audit::{Action, note};
use super::rows::{bytes, int, time, time_or_none};
use super::{Actor, Scoped, Store, StoreError, TenantRef};
use cloud_doctor_proto::ids::AgentId;
use cloud_doctor_proto::time::UnixTime;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Row as _, Sqlite, Transaction};

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
    /// How it ended, if somebody ended it.
    pub ended: Option<Ended>,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Signed, denied or withdrawn.
    pub state: ApprovalState,
    /// The account that did it.
    pub by: String,
    /// When.
    pub at: UnixTime,
    /// Why, if whoever said no has said so.
    pub why: Option<String>,
}

/// How a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApprovalState {
    /// Somebody waits for an answer.
    Waiting,
    /// The second signature is there.
    Signed,
    /// Somebody said no.
    Denied,
    /// Whoever asked has left, or was told to.
    Withdrawn,
    /// Nobody answered in time.
    Expired,
}

impl ApprovalState {
    /// As stored and shown.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            ApprovalState::Waiting => "waiting",
            ApprovalState::Signed => "signed",
            ApprovalState::Denied => "denied",
            ApprovalState::Withdrawn => "withdrawn",
            ApprovalState::Expired => "expired",
        }
    }
}

impl Approval {
    /// How it stands at `now`.
    #[must_use]
    pub fn state(&self, now: UnixTime) -> ApprovalState {
        match &self.ended {
            Some(ended) => ended.state,
            None if now <= self.asked.expires_at => ApprovalState::Waiting,
            None => ApprovalState::Expired,
        }
    }
}

/// An answer that is no signature.
#[derive(Debug, Clone, Copy)]
pub enum Closing<'a> {
    /// No, and why.
    Denied(Option<&'a str>),
    /// Nobody needs it any more.
    Withdrawn,
}

/// An answer that was not taken.
#[derive(Debug, thiserror::Error)]
pub enum AnswerRefused {
    /// No such grant waits here.
    #[error("nothing of this id waits for a signature")]
    Unknown,
    /// It is too late, or somebody was faster.
    #[error("this grant is answered already or too old")]
    Over,
    /// See there.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Requests of one customer that are kept: at 40 KiB each, no account fills the disk with them.
const KEPT_MAX: u32 = 2_000;

/// All columns of requests, for a condition.
macro_rules! approvals_where {
    ($where:literal) => {
        concat!(
            "SELECT approval_id, agent_id, account, grant_bytes, signature, challenge, created_at, expires_at, \
             second, second_by, second_at, ended_as, ended_by, ended_at, why FROM approvals WHERE tenant_id = ?1 AND ",
            $where
        )
    };
}

impl Store {
    /// Forgets approvals that ended before `before`: what they were stands in the audit.
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
                   WHERE tenant_id = ?2 AND second IS NULL AND ended_as IS NULL AND expires_at >= ?8) < ?10";
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
        let sql = "DELETE FROM approvals WHERE approval_id IN (SELECT approval_id FROM approvals WHERE tenant_id = ? \
                   ORDER BY created_at DESC, approval_id LIMIT -1 OFFSET ?)";
        sqlx::query(sql).bind(self.tenant.0).bind(i64::from(KEPT_MAX)).execute(&mut *tx).await?;
        let by = Actor { account: &new.account, client };
        note(&mut tx, self.tenant, by, (Action::SecondAsked, &new.agent.to_string()), now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Grants that still wait at `now`, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn pending_approvals(&self, now: UnixTime) -> Result<Vec<Approval>, StoreError> {
        let sql = approvals_where!(
            "second IS NULL AND ended_as IS NULL AND expires_at >= ?2 ORDER BY created_at, approval_id"
        );
        let query = sqlx::query(sql).bind(self.tenant.0).bind(int(now));
        let rows = query.fetch_all(&self.store.readers).await?;
        Ok(rows.iter().map(approval).collect::<Result<_, _>>()?)
    }

    /// Requests that nobody waits for any more at `now`, the newest first, at most `most`; those after `before`, if there
    /// is one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn past_approvals(
        &self,
        before: Option<&[u8; 16]>,
        most: u32,
        now: UnixTime,
    ) -> Result<Vec<Approval>, StoreError> {
        let sql = approvals_where!(
            "(second IS NOT NULL OR ended_as IS NOT NULL OR expires_at < ?2) AND (?3 IS NULL OR \
             (created_at, approval_id) < (SELECT created_at, approval_id FROM approvals \
             WHERE tenant_id = ?1 AND approval_id = ?3)) ORDER BY created_at DESC, approval_id DESC LIMIT ?4"
        );
        let before = before.map(<[u8; 16]>::as_slice);
        let query = sqlx::query(sql).bind(self.tenant.0).bind(int(now)).bind(before).bind(i64::from(most));
        Ok(query.fetch_all(&self.store.readers).await?.iter().map(approval).collect::<Result<_, _>>()?)
    }

    /// One of them, also after it was answered.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn approval(&self, id: &[u8; 16]) -> Result<Option<Approval>, StoreError> {
        let sql = approvals_where!("approval_id = ?2");
        let query = sqlx::query(sql).bind(self.tenant.0).bind(id.as_slice());
        let row = query.fetch_optional(&self.store.readers).await?;
        Ok(row.as_ref().map(approval).transpose()?)
    }

    /// Adds the second signature: the first answer that arrives in time stays.
    ///
    /// # Errors
    /// [`AnswerRefused`].
    pub async fn sign_approval(
        &self,
        id: &[u8; 16],
        second: &[u8],
        by: Actor<'_>,
        now: UnixTime,
    ) -> Result<(), AnswerRefused> {
        let sql = "UPDATE approvals SET second = ?1, second_by = ?2, second_at = ?3 WHERE tenant_id = ?4 \
                   AND approval_id = ?5 AND second IS NULL AND ended_as IS NULL AND expires_at >= ?3";
        let query = sqlx::query(sql).bind(second).bind(by.account).bind(int(now));
        self.answer(query.bind(self.tenant.0).bind(id.as_slice()), id, Action::SecondGiven, by, now).await
    }

    /// Ends a request without a signature: the first answer that arrives in time stays.
    ///
    /// # Errors
    /// [`AnswerRefused`].
    pub async fn close_approval(
        &self,
        id: &[u8; 16],
        how: Closing<'_>,
        by: Actor<'_>,
        now: UnixTime,
    ) -> Result<(), AnswerRefused> {
        let (state, why, action) = match how {
            Closing::Denied(why) => (ApprovalState::Denied, why, Action::SecondDenied),
            Closing::Withdrawn => (ApprovalState::Withdrawn, None, Action::SecondWithdrawn),
        };
        let sql = "UPDATE approvals SET ended_as = ?6, ended_by = ?2, ended_at = ?3, why = ?1 WHERE tenant_id = ?4 \
                   AND approval_id = ?5 AND second IS NULL AND ended_as IS NULL AND expires_at >= ?3";
        let query = sqlx::query(sql).bind(why).bind(by.account).bind(int(now));
        self.answer(query.bind(self.tenant.0).bind(id.as_slice()).bind(state.id()), id, action, by, now).await
    }

    async fn answer(
        &self,
        update: Query<'_, Sqlite, SqliteArguments>,
        id: &[u8; 16],
        action: Action,
        by: Actor<'_>,
        now: UnixTime,
    ) -> Result<(), AnswerRefused> {
        let mut tx = self.store.begin().await?;
        if update.execute(&mut *tx).await.map_err(StoreError::from)?.rows_affected() == 0 {
            let known = self.approval(id).await?.is_some();
            return Err(if known { AnswerRefused::Over } else { AnswerRefused::Unknown });
        }
        note(&mut tx, self.tenant, by, (action, &data_encoding::HEXLOWER.encode(id)), now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}

/// Withdraws what an account waits for on a server to which it has no stream any more. Whether there was anything.
pub(super) async fn withdraw_of(
    tx: &mut Transaction<'static, Sqlite>,
    tenant: TenantRef,
    (account, agent): (&str, &[u8]),
    now: UnixTime,
) -> Result<bool, StoreError> {
    let sql = "UPDATE approvals SET ended_as = 'withdrawn', ended_by = ?2, ended_at = ?4 WHERE tenant_id = ?1 \
               AND account = ?2 AND agent_id = ?3 AND second IS NULL AND ended_as IS NULL AND expires_at >= ?4 \
               AND NOT EXISTS (SELECT 1 FROM streams WHERE tenant_id = ?1 AND account = ?2 AND agent_id = ?3 \
               AND closed_at IS NULL) RETURNING approval_id";
    let query = sqlx::query(sql).bind(tenant.0).bind(account).bind(agent).bind(int(now));
    let rows = query.fetch_all(&mut **tx).await?;
    for row in &rows {
        let id: [u8; 16] = bytes(row, "approval_id")?;
        let by = Actor { account, client: "" };
        note(tx, tenant, by, (Action::SecondWithdrawn, &data_encoding::HEXLOWER.encode(&id)), now).await?;
    }
    Ok(!rows.is_empty())
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
        ended: ended(row)?,
    })
}

fn ended(row: &SqliteRow) -> Result<Option<Ended>, sqlx::Error> {
    if let Some(at) = time_or_none(row, "second_at")? {
        let by = row.try_get("second_by")?;
        return Ok(Some(Ended { state: ApprovalState::Signed, by, at, why: None }));
    }
    let Some(at) = time_or_none(row, "ended_at")? else { return Ok(None) };
    let state = match row.try_get("ended_as")? {
        "denied" => ApprovalState::Denied,
        _ => ApprovalState::Withdrawn,
    };
    Ok(Some(Ended { state, by: row.try_get("ended_by")?, at, why: row.try_get("why")? }))
}
