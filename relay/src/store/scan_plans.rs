//! Scans by the clock. A plan's next time is kept, so that a relay which was away when it came runs it once, however many
//! times were missed.

use super::audit::{Action, note};
use super::rows::{bytes, bytes_or_none, int, time, time_or_none, unsigned};
use super::scans::{self, NewScan, Scan, ScanRefused, ScanTerms};
use super::{Actor, Scoped, Store, StoreError, TenantRef};
use cloud_doctor_proto::ids::ScanId;
use cloud_doctor_proto::time::UnixTime;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite, Transaction};

/// Plans of one customer.
pub const SCAN_PLANS_MAX: u32 = 50;

/// A plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanPlan {
    /// Its name in paths.
    pub id: [u8; 16],
    /// Its name for people; a customer has each once.
    pub name: String,
    /// When, in UTC.
    pub cron: String,
    /// What its scans are about.
    pub terms: ScanTerms,
    /// When the next one begins.
    pub next_at: UnixTime,
    /// None begins until somebody lets it go on.
    pub paused: bool,
}

/// A plan as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanPlanRow {
    /// Whose.
    pub tenant: TenantRef,
    /// What was planned.
    pub plan: ScanPlan,
    /// Who made it, or changed it last.
    pub account: String,
    /// When.
    pub created_at: UnixTime,
    /// The newest scan that it began and when that was, if that is still kept.
    pub last: Option<(ScanId, UnixTime)>,
}

/// A plan was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ScanPlanRefused {
    /// The customer has no such plan.
    #[error("there is no such plan")]
    Unknown,
    /// Another plan has this name.
    #[error("there is a plan of this name already")]
    NameTaken,
    /// The customer has [`SCAN_PLANS_MAX`].
    #[error("a customer has at most 50 plans")]
    TooMany,
    /// See there.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All columns of a plan, for a condition.
macro_rules! plans_where {
    ($where:literal) => {
        concat!(
            "SELECT tenant_id, plan_id, name, cron, labels, checks, at_once, wait_secs, account, created_at, next_at, paused, \
             (SELECT scan_id FROM scans s WHERE s.tenant_id = p.tenant_id AND s.plan = p.name AND s.plan <> '' \
             ORDER BY scan_no DESC LIMIT 1) AS last_scan, \
             (SELECT started_at FROM scans s WHERE s.tenant_id = p.tenant_id AND s.plan = p.name AND s.plan <> '' \
             ORDER BY scan_no DESC LIMIT 1) AS last_at FROM scan_plans p WHERE ",
            $where
        )
    };
}

fn plan(row: &SqliteRow) -> Result<ScanPlanRow, sqlx::Error> {
    Ok(ScanPlanRow {
        tenant: TenantRef(row.try_get("tenant_id")?),
        plan: ScanPlan {
            id: bytes(row, "plan_id")?,
            name: row.try_get("name")?,
            cron: row.try_get("cron")?,
            terms: scans::terms(row)?,
            next_at: time(row, "next_at")?,
            paused: row.try_get("paused")?,
        },
        account: row.try_get("account")?,
        created_at: time(row, "created_at")?,
        last: bytes_or_none(row, "last_scan")?.map(ScanId).zip(time_or_none(row, "last_at")?),
    })
}

impl Store {
    /// Plans whose time has come, of all customers.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn due_scan_plans(&self, now: UnixTime) -> Result<Vec<ScanPlanRow>, StoreError> {
        let sql = plans_where!("next_at <= ? AND paused = 0 ORDER BY next_at");
        let rows = sqlx::query(sql).bind(int(now)).fetch_all(&self.readers).await?;
        Ok(rows.iter().map(plan).collect::<Result<_, _>>()?)
    }
}

impl Scoped<'_> {
    /// The customer's plans by name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn scan_plans(&self) -> Result<Vec<ScanPlanRow>, StoreError> {
        let sql = plans_where!("tenant_id = ? ORDER BY name");
        let rows = sqlx::query(sql).bind(self.tenant.0).fetch_all(&self.store.readers).await?;
        Ok(rows.iter().map(plan).collect::<Result<_, _>>()?)
    }

    /// Adds a plan.
    ///
    /// # Errors
    /// [`ScanPlanRefused`]; nothing was changed.
    pub async fn add_scan_plan(&self, plan: &ScanPlan, by: Actor<'_>, now: UnixTime) -> Result<(), ScanPlanRefused> {
        let mut tx = self.store.begin().await?;
        let sql = "SELECT count(*) FROM scan_plans WHERE tenant_id = ?";
        let count = sqlx::query_scalar::<_, i64>(sql).bind(self.tenant.0).fetch_one(&mut *tx).await;
        if count.map_err(StoreError::from)? >= i64::from(SCAN_PLANS_MAX) {
            return Err(ScanPlanRefused::TooMany);
        }
        if !insert(&mut tx, self.tenant, plan, by, now).await? {
            return Err(ScanPlanRefused::NameTaken);
        }
        noted(&mut tx, self.tenant, by, (Action::ScanPlanAdded, plan), now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Puts a plan in the place of the one with its id.
    ///
    /// # Errors
    /// [`ScanPlanRefused`]; nothing was changed.
    pub async fn change_scan_plan(&self, plan: &ScanPlan, by: Actor<'_>, now: UnixTime) -> Result<(), ScanPlanRefused> {
        let mut tx = self.store.begin().await?;
        if delete(&mut tx, self.tenant, &plan.id).await?.is_none() {
            return Err(ScanPlanRefused::Unknown);
        }
        if !insert(&mut tx, self.tenant, plan, by, now).await? {
            return Err(ScanPlanRefused::NameTaken);
        }
        noted(&mut tx, self.tenant, by, (Action::ScanPlanChanged, plan), now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// One plan.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn scan_plan(&self, id: &[u8; 16]) -> Result<Option<ScanPlanRow>, StoreError> {
        let query = sqlx::query(plans_where!("tenant_id = ? AND plan_id = ?"));
        let query = query.bind(self.tenant.0).bind(id.as_slice());
        Ok(query.fetch_optional(&self.store.readers).await?.as_ref().map(plan).transpose()?)
    }

    /// Has a plan wait, or lets it go on: then its next scan begins at `next_at`. What it is already stays so.
    ///
    /// # Errors
    /// [`ScanPlanRefused`]; nothing was changed.
    pub async fn pause_scan_plan(
        &self,
        id: &[u8; 16],
        (paused, next_at): (bool, UnixTime),
        by: Actor<'_>,
        now: UnixTime,
    ) -> Result<(), ScanPlanRefused> {
        let mut tx = self.store.begin().await?;
        let sql = "SELECT name, paused FROM scan_plans WHERE tenant_id = ? AND plan_id = ?";
        let query = sqlx::query_as(sql).bind(self.tenant.0).bind(id.as_slice());
        let found: Option<(String, bool)> = query.fetch_optional(&mut *tx).await.map_err(StoreError::from)?;
        let Some((name, was)) = found else { return Err(ScanPlanRefused::Unknown) };
        if was == paused {
            return Ok(());
        }
        let sql = "UPDATE scan_plans SET paused = ?, next_at = ? WHERE tenant_id = ? AND plan_id = ?";
        let query = sqlx::query(sql).bind(paused).bind(int(next_at)).bind(self.tenant.0).bind(id.as_slice());
        query.execute(&mut *tx).await.map_err(StoreError::from)?;
        let action = if paused { Action::ScanPlanPaused } else { Action::ScanPlanResumed };
        note(&mut tx, self.tenant, by, (action, &name), now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Takes a plan away.
    ///
    /// # Errors
    /// [`ScanPlanRefused`]; nothing was changed.
    pub async fn remove_scan_plan(&self, id: &[u8; 16], by: Actor<'_>, now: UnixTime) -> Result<(), ScanPlanRefused> {
        let mut tx = self.store.begin().await?;
        let Some(name) = delete(&mut tx, self.tenant, id).await? else { return Err(ScanPlanRefused::Unknown) };
        note(&mut tx, self.tenant, by, (Action::ScanPlanRemoved, &name), now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Says when a plan's scan begins next, and begins one now, in one step. `None`: the plan is not there any more, or its
    /// time was moved meanwhile.
    ///
    /// # Errors
    /// [`ScanRefused`]; then only the next time was written.
    pub async fn start_planned(
        &self,
        row: &ScanPlanRow,
        new: &NewScan,
        next_at: UnixTime,
        now: UnixTime,
    ) -> Result<Option<Scan>, ScanRefused> {
        let mut tx = self.store.begin().await?;
        if !move_on(&mut tx, row, next_at).await? {
            return Ok(None);
        }
        let by = Actor { account: &row.account, client: "" };
        let refused = match self.insert_scan(&mut tx, new, &row.plan.name, by, now).await {
            Ok(scan) => {
                tx.commit().await.map_err(StoreError::from)?;
                return Ok(Some(scan));
            }
            Err(ScanRefused::Store(error)) => return Err(error.into()),
            Err(refused @ (ScanRefused::Nobody | ScanRefused::TooMany | ScanRefused::Again)) => refused,
        };
        // What was begun of the scan goes; that its time has passed stays.
        tx.rollback().await.map_err(StoreError::from)?;
        let mut tx = self.store.begin().await?;
        move_on(&mut tx, row, next_at).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Err(refused)
    }
}

async fn move_on(
    tx: &mut Transaction<'static, Sqlite>,
    row: &ScanPlanRow,
    next_at: UnixTime,
) -> Result<bool, StoreError> {
    let sql = "UPDATE scan_plans SET next_at = ? WHERE tenant_id = ? AND plan_id = ? AND next_at = ? AND paused = 0";
    let query = sqlx::query(sql).bind(int(next_at)).bind(row.tenant.0).bind(row.plan.id.as_slice());
    Ok(query.bind(int(row.plan.next_at)).execute(&mut **tx).await?.rows_affected() == 1)
}

/// `false`: the name is taken.
async fn insert(
    tx: &mut Transaction<'static, Sqlite>,
    tenant: TenantRef,
    plan: &ScanPlan,
    by: Actor<'_>,
    now: UnixTime,
) -> Result<bool, StoreError> {
    let sql = "INSERT INTO scan_plans (tenant_id, plan_id, name, cron, labels, checks, at_once, wait_secs, account, \
               created_at, next_at, paused) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant_id, name) DO NOTHING";
    let done = sqlx::query(sql)
        .bind(tenant.0)
        .bind(plan.id.as_slice())
        .bind(&plan.name)
        .bind(&plan.cron)
        .bind(plan.terms.labels_text())
        .bind(plan.terms.checks_text())
        .bind(i64::from(plan.terms.at_once))
        .bind(unsigned(plan.terms.wait_secs))
        .bind(by.account)
        .bind(int(now))
        .bind(int(plan.next_at))
        .bind(plan.paused)
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// The name of what was deleted.
async fn delete(
    tx: &mut Transaction<'static, Sqlite>,
    tenant: TenantRef,
    id: &[u8; 16],
) -> Result<Option<String>, StoreError> {
    let sql = "DELETE FROM scan_plans WHERE tenant_id = ? AND plan_id = ? RETURNING name";
    Ok(sqlx::query_scalar(sql).bind(tenant.0).bind(id.as_slice()).fetch_optional(&mut **tx).await?)
}

async fn noted(
    tx: &mut Transaction<'static, Sqlite>,
    tenant: TenantRef,
    by: Actor<'_>,
    (action, plan): (Action, &ScanPlan),
    now: UnixTime,
) -> Result<(), StoreError> {
    note(tx, tenant, by, (action, &format!("{} {}", plan.name, plan.cron)), now).await
}
