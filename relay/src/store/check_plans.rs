//! What people say about a server's checks: how often the relay asks by itself, and which findings somebody answers for.

use super::agents::is_there;
use super::audit::{Action, note};
use super::rows::{bytes, count, int, time, time_or_none, unsigned};
use super::scan_servers::waived_again;
use super::{Actor, Scoped, Store, StoreError, TenantRef};
use cloud_doctor_proto::ids::AgentId;
use cloud_doctor_proto::time::UnixTime;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite, Transaction};

/// Waivers of one server: more are no exceptions.
pub const WAIVERS_MAX: u32 = 500;

/// A finding that somebody answers for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWaiver {
    /// Its name in lists.
    pub id: [u8; 16],
    /// Of which server.
    pub agent: AgentId,
    /// The check's id.
    pub check: String,
    /// What it is about, to the letter.
    pub subject: String,
    /// Why it may stay as it is.
    pub reason: String,
    /// The last second in which this counts.
    pub until: UnixTime,
}

/// A waiver as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiver {
    /// What was said.
    pub new: NewWaiver,
    /// Who answers for it.
    pub account: String,
    /// Since when.
    pub created_at: UnixTime,
}

impl Waiver {
    /// Whether it counts at `now`.
    #[must_use]
    pub fn counts(&self, now: UnixTime) -> bool {
        now <= self.new.until
    }
}

/// What was said was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PlanRefused {
    /// The customer has no such server, or the server no such waiver.
    #[error("there is nothing of this name")]
    Unknown,
    /// The server has [`WAIVERS_MAX`].
    #[error("a server has at most 500 waivers")]
    TooMany,
    /// See there.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A server that is to be asked again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheduled {
    /// Whose.
    pub tenant: TenantRef,
    /// Which.
    pub agent: AgentId,
    /// How often.
    pub every_secs: u64,
    /// When the newest report of all its checks came.
    pub last: Option<UnixTime>,
}

impl Store {
    /// All servers that are to be asked by themselves.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn check_schedules(&self) -> Result<Vec<Scheduled>, StoreError> {
        let sql = "SELECT s.tenant_id, s.agent_id, s.every_secs, (SELECT max(received_at) FROM check_runs r \
                   WHERE r.tenant_id = s.tenant_id AND r.agent_id = s.agent_id AND r.whole = 1) AS last \
                   FROM check_schedules s ORDER BY s.tenant_id, s.agent_id";
        let rows = sqlx::query(sql).fetch_all(&self.readers).await?;
        let read = |row: &SqliteRow| {
            Ok::<_, sqlx::Error>(Scheduled {
                tenant: TenantRef(row.try_get("tenant_id")?),
                agent: AgentId(bytes(row, "agent_id")?),
                every_secs: count(row, "every_secs")?,
                last: time_or_none(row, "last")?,
            })
        };
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }
}

impl Scoped<'_> {
    /// How often a server is asked by itself; 0: never.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn check_schedule(&self, agent: &AgentId) -> Result<u64, StoreError> {
        let sql = "SELECT every_secs FROM check_schedules WHERE tenant_id = ? AND agent_id = ?";
        let query = sqlx::query(sql).bind(self.tenant.0).bind(agent.0.as_slice());
        let row = query.fetch_optional(&self.store.readers).await?;
        Ok(row.map(|row| count(&row, "every_secs")).transpose()?.unwrap_or(0))
    }

    /// Sets that.
    ///
    /// # Errors
    /// [`PlanRefused`]; nothing was changed.
    pub async fn set_check_schedule(
        &self,
        agent: &AgentId,
        every_secs: u64,
        by: Actor<'_>,
        now: UnixTime,
    ) -> Result<(), PlanRefused> {
        let mut tx = self.store.begin().await?;
        if !is_there(&mut tx, self.tenant, agent).await? {
            return Err(PlanRefused::Unknown);
        }
        let set = async {
            let sql = match every_secs {
                0 => "DELETE FROM check_schedules WHERE tenant_id = ?1 AND agent_id = ?2 AND ?3 = 0",
                _ => {
                    "INSERT INTO check_schedules (tenant_id, agent_id, every_secs) VALUES (?1, ?2, ?3) \
                     ON CONFLICT (tenant_id, agent_id) DO UPDATE SET every_secs = excluded.every_secs"
                }
            };
            let query = sqlx::query(sql).bind(self.tenant.0).bind(agent.0.as_slice()).bind(unsigned(every_secs));
            query.execute(&mut *tx).await?;
            note(&mut tx, self.tenant, by, (Action::ChecksScheduled, &format!("{agent} {every_secs}")), now).await?;
            Ok::<_, StoreError>(tx.commit().await?)
        };
        Ok(set.await?)
    }

    /// Waivers of a server by check and subject, also those that count no more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn waivers(&self, agent: &AgentId) -> Result<Vec<Waiver>, StoreError> {
        let sql = "SELECT waiver_id, agent_id, check_id, subject, reason, account, created_at, until FROM check_waivers \
                   WHERE tenant_id = ? AND agent_id = ? ORDER BY check_id, subject";
        let query = sqlx::query(sql).bind(self.tenant.0).bind(agent.0.as_slice());
        Ok(query.fetch_all(&self.store.readers).await?.iter().map(waiver).collect::<Result<_, _>>()?)
    }

    /// Adds a waiver, in place of one of the same check and subject. What counts no more goes.
    ///
    /// # Errors
    /// [`PlanRefused`]; nothing was changed.
    pub async fn waive(&self, new: &NewWaiver, by: Actor<'_>, now: UnixTime) -> Result<(), PlanRefused> {
        let mut tx = self.store.begin().await?;
        if !is_there(&mut tx, self.tenant, &new.agent).await? {
            return Err(PlanRefused::Unknown);
        }
        if !insert(&mut tx, self.tenant, new, by, now).await? {
            return Err(PlanRefused::TooMany);
        }
        waived_again(&mut tx, self.tenant, (&new.agent, &new.check, &new.subject), Some(new.until), now).await?;
        let subject = format!("{} {} {}", new.agent, new.check, new.subject);
        note(&mut tx, self.tenant, by, (Action::FindingWaived, &subject), now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Takes a waiver back.
    ///
    /// # Errors
    /// [`PlanRefused`]; nothing was changed.
    pub async fn unwaive(
        &self,
        agent: &AgentId,
        id: &[u8; 16],
        by: Actor<'_>,
        now: UnixTime,
    ) -> Result<(), PlanRefused> {
        let mut tx = self.store.begin().await?;
        let taken = async {
            let sql = "DELETE FROM check_waivers WHERE tenant_id = ? AND agent_id = ? AND waiver_id = ? \
                       RETURNING check_id, subject";
            let query = sqlx::query(sql).bind(self.tenant.0).bind(agent.0.as_slice()).bind(id.as_slice());
            let Some(row) = query.fetch_optional(&mut *tx).await? else { return Ok::<_, StoreError>(false) };
            let (check, subject): (String, String) = (row.try_get("check_id")?, row.try_get("subject")?);
            waived_again(&mut tx, self.tenant, (agent, &check, &subject), None, now).await?;
            note(&mut tx, self.tenant, by, (Action::FindingUnwaived, &format!("{agent} {check} {subject}")), now)
                .await?;
            tx.commit().await?;
            Ok(true)
        };
        if taken.await? { Ok(()) } else { Err(PlanRefused::Unknown) }
    }
}

/// `false`: there are too many.
async fn insert(
    tx: &mut Transaction<'static, Sqlite>,
    tenant: TenantRef,
    new: &NewWaiver,
    by: Actor<'_>,
    now: UnixTime,
) -> Result<bool, StoreError> {
    let sql = "DELETE FROM check_waivers WHERE tenant_id = ?1 AND agent_id = ?2 \
               AND (until < ?3 OR (check_id = ?4 AND subject = ?5))";
    let query = sqlx::query(sql).bind(tenant.0).bind(new.agent.0.as_slice()).bind(int(now));
    query.bind(&new.check).bind(&new.subject).execute(&mut **tx).await?;
    let sql = "INSERT INTO check_waivers \
               (waiver_id, tenant_id, agent_id, check_id, subject, reason, account, created_at, until) \
               SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 \
               WHERE (SELECT count(*) FROM check_waivers WHERE tenant_id = ?2 AND agent_id = ?3) < ?10";
    let done = sqlx::query(sql)
        .bind(new.id.as_slice())
        .bind(tenant.0)
        .bind(new.agent.0.as_slice())
        .bind(&new.check)
        .bind(&new.subject)
        .bind(&new.reason)
        .bind(by.account)
        .bind(int(now))
        .bind(int(new.until))
        .bind(i64::from(WAIVERS_MAX))
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

fn waiver(row: &SqliteRow) -> Result<Waiver, sqlx::Error> {
    Ok(Waiver {
        new: NewWaiver {
            id: bytes(row, "waiver_id")?,
            agent: AgentId(bytes(row, "agent_id")?),
            check: row.try_get("check_id")?,
            subject: row.try_get("subject")?,
            reason: row.try_get("reason")?,
            until: time(row, "until")?,
        },
        account: row.try_get("account")?,
        created_at: time(row, "created_at")?,
    })
}
