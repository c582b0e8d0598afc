//! Scans: who asked many servers for checks, which, how, and how far it is. What became of each server is in
//! `scan_servers.rs`, what was found in `scan_findings.rs`.

use super::audit::{Action, note};
use super::rows::{bytes, count, int, time, time_or_none, unsigned};
use super::{Actor, Label, Scoped, Store, StoreError, TenantRef};
use cloud_doctor_proto::ids::{ScanId, ScanSeed};
use cloud_doctor_proto::time::UnixTime;
use serde_json::json;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite, Transaction};

/// Scans of one customer that run at once: each server answers one at a time anyway.
pub const SCANS_OPEN_MAX: u32 = 4;
/// Rows of servers that are kept for one customer: 25 scans of 20,000, some hundred megabytes with what was found.
pub const SCAN_ROWS_MAX: u64 = 500_000;
/// Rows forgotten in one transaction; others write too.
const FORGOTTEN_AT_ONCE: u32 = 5_000;

/// Which servers, which checks, how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanTerms {
    /// Labels that a server must have, all of them; none: all servers.
    pub labels: Vec<Label>,
    /// Ids and groups; none: all that each server's ceiling allows.
    pub checks: Vec<String>,
    /// Servers of a wave.
    pub at_once: u32,
    /// How long one server may take.
    pub wait_secs: u64,
}

impl ScanTerms {
    /// The labels as one text: the same for the same ones, whatever their order.
    pub(super) fn labels_text(&self) -> String {
        joined(self.labels.iter().map(Label::to_string))
    }

    pub(super) fn checks_text(&self) -> String {
        joined(self.checks.iter().cloned())
    }
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    let parts: std::collections::BTreeSet<String> = parts.collect();
    parts.into_iter().collect::<Vec<_>>().join(" ")
}

fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ').filter(|part| !part.is_empty())
}

/// Reads what [`ScanTerms`] wrote.
pub(super) fn terms(row: &SqliteRow) -> Result<ScanTerms, sqlx::Error> {
    let labels = split(row.try_get("labels")?).map(str::parse).collect::<Result<Vec<Label>, _>>();
    Ok(ScanTerms {
        labels: labels.map_err(|error| super::rows::damaged("labels", error))?,
        checks: split(row.try_get("checks")?).map(str::to_owned).collect(),
        at_once: row.try_get("at_once")?,
        wait_secs: count(row, "wait_secs")?,
    })
}

/// A scan that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewScan {
    /// Drawn by whoever starts it.
    pub seed: ScanSeed,
    /// What it is about.
    pub terms: ScanTerms,
}

/// A scan's number in this relay's database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScanRef(pub(super) i64);

/// A scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// Whose.
    pub tenant: TenantRef,
    /// Its number here.
    pub number: ScanRef,
    /// Its name.
    pub id: ScanId,
    /// What the nonces follow from.
    pub seed: ScanSeed,
    /// The plan that started it; empty: somebody did.
    pub plan: String,
    /// Who asked, or who made the plan.
    pub account: String,
    /// From where.
    pub client: String,
    /// When it began.
    pub started_at: UnixTime,
    /// When every server had its result.
    pub ended_at: Option<UnixTime>,
    /// Somebody ended it before.
    pub cancelled: bool,
    /// What it is about.
    pub terms: ScanTerms,
    /// How many servers were selected.
    pub servers: u64,
}

/// A scan that did not begin.
#[derive(Debug, thiserror::Error)]
pub enum ScanRefused {
    /// No server has these labels.
    #[error("no server is selected")]
    Nobody,
    /// The customer has [`SCANS_OPEN_MAX`] that run.
    #[error("at most 4 scans run at once")]
    TooMany,
    /// There is one of this seed.
    #[error("there is a scan of this seed already")]
    Again,
    /// See there.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All columns of a scan, for a condition.
macro_rules! scans_where {
    ($where:literal) => {
        concat!(
            "SELECT scan_no, tenant_id, scan_id, seed, plan, account, client, started_at, ended_at, cancelled, labels, \
             checks, at_once, wait_secs, servers FROM scans WHERE ",
            $where
        )
    };
}

fn scan(row: &SqliteRow) -> Result<Scan, sqlx::Error> {
    Ok(Scan {
        tenant: TenantRef(row.try_get("tenant_id")?),
        number: ScanRef(row.try_get("scan_no")?),
        id: ScanId(bytes(row, "scan_id")?),
        seed: ScanSeed(bytes(row, "seed")?),
        plan: row.try_get("plan")?,
        account: row.try_get("account")?,
        client: row.try_get("client")?,
        started_at: time(row, "started_at")?,
        ended_at: time_or_none(row, "ended_at")?,
        cancelled: row.try_get("cancelled")?,
        terms: terms(row)?,
        servers: count(row, "servers")?,
    })
}

impl Store {
    /// Scans that have not ended, of all customers.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open_scans(&self) -> Result<Vec<Scan>, StoreError> {
        let sql = scans_where!("ended_at IS NULL ORDER BY scan_no");
        let rows = sqlx::query(sql).fetch_all(&self.readers).await?;
        Ok(rows.iter().map(scan).collect::<Result<_, _>>()?)
    }

    /// Forgets scans that began before a moment, and the oldest of customers who have more than `rows_max` rows of servers;
    /// some rows at a time. The newest of each customer stays. Whether more are left.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_scans(&self, before: UnixTime, rows_max: u64) -> Result<bool, StoreError> {
        let sql = "SELECT scan_no FROM (SELECT scan_no, started_at, ended_at, \
                   sum(servers) OVER (PARTITION BY tenant_id ORDER BY scan_no DESC) AS with_newer, \
                   row_number() OVER (PARTITION BY tenant_id ORDER BY scan_no DESC) AS place FROM scans) \
                   WHERE place > 1 AND ended_at IS NOT NULL AND (started_at < ? OR with_newer > ?) ORDER BY scan_no LIMIT 1";
        let query = sqlx::query_scalar(sql).bind(int(before)).bind(unsigned(rows_max));
        let Some(oldest): Option<i64> = query.fetch_optional(&self.readers).await? else { return Ok(false) };
        for sql in [
            "DELETE FROM scan_findings WHERE (tenant_id, scan_no, agent_id, check_id, subject) IN (SELECT tenant_id, scan_no, \
             agent_id, check_id, subject FROM scan_findings WHERE scan_no = ?1 \
             AND tenant_id = (SELECT tenant_id FROM scans WHERE scan_no = ?1) LIMIT ?2)",
            "DELETE FROM scan_servers WHERE (tenant_id, scan_no, agent_id) IN (SELECT tenant_id, scan_no, agent_id \
             FROM scan_servers WHERE scan_no = ?1 AND tenant_id = (SELECT tenant_id FROM scans WHERE scan_no = ?1) LIMIT ?2)",
        ] {
            let done = sqlx::query(sql).bind(oldest).bind(i64::from(FORGOTTEN_AT_ONCE)).execute(&self.writer).await?;
            if done.rows_affected() > 0 {
                return Ok(true);
            }
        }
        let sql = "DELETE FROM scan_looked WHERE scan_no = ?1 AND tenant_id = (SELECT tenant_id FROM scans WHERE scan_no = ?1)";
        sqlx::query(sql).bind(oldest).execute(&self.writer).await?;
        sqlx::query("DELETE FROM scans WHERE scan_no = ?").bind(oldest).execute(&self.writer).await?;
        Ok(true)
    }
}

impl Scoped<'_> {
    /// Begins a scan: each server that is selected now has a row from here on.
    ///
    /// # Errors
    /// [`ScanRefused`]; there is no scan then.
    pub async fn start_scan(&self, new: &NewScan, by: Actor<'_>, now: UnixTime) -> Result<Scan, ScanRefused> {
        let mut tx = self.store.begin().await?;
        let scan = self.insert_scan(&mut tx, new, "", by, now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(scan)
    }

    /// The same within a transaction, in the name of a plan if there is one.
    pub(super) async fn insert_scan(
        &self,
        tx: &mut Transaction<'static, Sqlite>,
        NewScan { seed, terms }: &NewScan,
        plan: &str,
        by: Actor<'_>,
        now: UnixTime,
    ) -> Result<Scan, ScanRefused> {
        let id = seed.scan();
        let (labels, checks) = (terms.labels_text(), terms.checks_text());
        let number = insert_head(tx, self.tenant, (seed, terms), plan, by, now).await?;
        let servers = insert_servers(tx, self.tenant, number, &terms.labels).await?;
        if servers == 0 {
            return Err(ScanRefused::Nobody);
        }
        let update = async {
            let sql = "UPDATE scans SET servers = ? WHERE scan_no = ?";
            sqlx::query(sql).bind(unsigned(servers)).bind(number.0).execute(&mut **tx).await?;
            let said = |text: &str| if text.is_empty() { "-".to_owned() } else { text.replace(' ', ",") };
            let subject = format!("{id} {servers} {} {} {plan}", said(&labels), said(&checks));
            note(tx, self.tenant, by, (Action::ScanStarted, subject.trim_end()), now).await
        };
        update.await?;
        let (account, client) = (by.account.to_owned(), by.client.to_owned());
        Ok(Scan {
            tenant: self.tenant,
            number,
            id,
            seed: *seed,
            plan: plan.to_owned(),
            account,
            client,
            started_at: now,
            ended_at: None,
            cancelled: false,
            terms: terms.clone(),
            servers,
        })
    }

    /// A scan by its name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn scan(&self, id: &ScanId) -> Result<Option<Scan>, StoreError> {
        let sql = scans_where!("tenant_id = ? AND scan_id = ?");
        let query = sqlx::query(sql).bind(self.tenant.0).bind(id.0.as_slice());
        let row = query.fetch_optional(&self.store.readers).await?;
        Ok(row.as_ref().map(scan).transpose()?)
    }

    /// Scans, the newest first, at most `most`; those before `before`, if there is one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn scans(&self, before: Option<&ScanId>, most: u32) -> Result<Vec<Scan>, StoreError> {
        let sql = scans_where!(
            "tenant_id = ?1 AND (?2 IS NULL OR scan_no < (SELECT scan_no FROM scans WHERE tenant_id = ?1 AND scan_id = ?2)) \
             ORDER BY scan_no DESC LIMIT ?3"
        );
        let query = sqlx::query(sql).bind(self.tenant.0).bind(before.map(|id| id.0.to_vec())).bind(i64::from(most));
        Ok(query.fetch_all(&self.store.readers).await?.iter().map(scan).collect::<Result<_, _>>()?)
    }

    /// The scan of the same selection before another: what that one is compared with.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn scan_before(&self, scan: &Scan) -> Result<Option<Scan>, StoreError> {
        let sql = scans_where!(
            "tenant_id = ?1 AND labels = ?2 AND checks = ?3 AND scan_no < ?4 AND ended_at IS NOT NULL \
             ORDER BY scan_no DESC LIMIT 1"
        );
        let query = sqlx::query(sql).bind(self.tenant.0).bind(scan.terms.labels_text());
        let query = query.bind(scan.terms.checks_text()).bind(scan.number.0);
        let row = query.fetch_optional(&self.store.readers).await?;
        Ok(row.as_ref().map(self::scan).transpose()?)
    }

    /// Every server has its result.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_scan(&self, number: ScanRef, now: UnixTime) -> Result<(), StoreError> {
        let sql = "UPDATE scans SET ended_at = ? WHERE tenant_id = ? AND scan_no = ? AND ended_at IS NULL";
        let query = sqlx::query(sql).bind(int(now)).bind(self.tenant.0).bind(number.0);
        query.execute(&self.store.writer).await?;
        Ok(())
    }

    /// Somebody ends a scan: who has no result gets none. `false`: it had ended, or there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn cancel_scan(&self, id: &ScanId, by: Actor<'_>, now: UnixTime) -> Result<bool, StoreError> {
        let mut tx = self.store.begin().await?;
        let sql = "UPDATE scans SET ended_at = ?1, cancelled = 1 WHERE tenant_id = ?2 AND scan_id = ?3 AND ended_at IS NULL \
                   RETURNING scan_no";
        let query = sqlx::query_scalar(sql).bind(int(now)).bind(self.tenant.0).bind(id.0.as_slice());
        let Some(number): Option<i64> = query.fetch_optional(&mut *tx).await? else { return Ok(false) };
        let sql = "UPDATE scan_servers SET state = 'cancelled', rank = 2 WHERE tenant_id = ? AND scan_no = ? \
                   AND state IN ('pending', 'asked')";
        sqlx::query(sql).bind(self.tenant.0).bind(number).execute(&mut *tx).await?;
        note(&mut tx, self.tenant, by, (Action::ScanCancelled, &id.to_string()), now).await?;
        tx.commit().await?;
        Ok(true)
    }
}

async fn insert_head(
    tx: &mut Transaction<'static, Sqlite>,
    tenant: TenantRef,
    (seed, terms): (&ScanSeed, &ScanTerms),
    plan: &str,
    by: Actor<'_>,
    now: UnixTime,
) -> Result<ScanRef, ScanRefused> {
    let sql = "SELECT count(*) FROM scans WHERE tenant_id = ? AND ended_at IS NULL";
    let open: i64 = sqlx::query_scalar(sql).bind(tenant.0).fetch_one(&mut **tx).await.map_err(StoreError::from)?;
    if open >= i64::from(SCANS_OPEN_MAX) {
        return Err(ScanRefused::TooMany);
    }
    let sql = "INSERT INTO scans (tenant_id, scan_id, seed, plan, account, client, started_at, labels, checks, at_once, \
               wait_secs, servers) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0) \
               ON CONFLICT (tenant_id, scan_id) DO NOTHING RETURNING scan_no";
    let query = sqlx::query_scalar(sql)
        .bind(tenant.0)
        .bind(seed.scan().0.to_vec())
        .bind(seed.0.as_slice())
        .bind(plan)
        .bind(by.account)
        .bind(by.client)
        .bind(int(now))
        .bind(terms.labels_text())
        .bind(terms.checks_text())
        .bind(i64::from(terms.at_once))
        .bind(unsigned(terms.wait_secs));
    let number: Option<i64> = query.fetch_optional(&mut **tx).await.map_err(StoreError::from)?;
    number.map(ScanRef).ok_or(ScanRefused::Again)
}

/// Selects the servers that have all of these labels; how many.
async fn insert_servers(
    tx: &mut Transaction<'static, Sqlite>,
    tenant: TenantRef,
    number: ScanRef,
    labels: &[Label],
) -> Result<u64, StoreError> {
    let wanted: Vec<_> = labels.iter().map(|label| json!({"key": label.key, "value": label.value})).collect();
    let sql = "INSERT INTO scan_servers (tenant_id, scan_no, agent_id, name, state) \
               SELECT a.tenant_id, ?2, a.agent_id, a.name, 'pending' FROM agents a \
               WHERE a.tenant_id = ?1 AND a.removed_at IS NULL AND NOT EXISTS (SELECT 1 FROM json_each(?3) w \
               WHERE NOT EXISTS (SELECT 1 FROM labels l WHERE l.tenant_id = ?1 AND l.agent_id = a.agent_id \
               AND l.key = w.value ->> 'key' AND (w.value ->> 'value' IS NULL OR l.value = w.value ->> 'value')))";
    let query = sqlx::query(sql).bind(tenant.0).bind(number.0).bind(json!(wanted).to_string());
    Ok(query.execute(&mut **tx).await?.rows_affected())
}
