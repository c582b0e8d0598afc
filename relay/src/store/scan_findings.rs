//! What a scan found that is not as it should be: small rows, so that a fleet's are counted and listed without reading one
//! report. They are the relay's reading of what servers signed; whoever must be sure reads the reports.

use super::rows::{bytes, count, int};
use super::scan_servers::{Rank, rank};
use super::scans::ScanRef;
use super::{Scoped, StoreError, TenantRef};
use cloud_doctor_proto::ids::AgentId;
use cloud_doctor_proto::time::UnixTime;
use sqlx::query::Query;
use sqlx::sqlite::SqliteRow;
use sqlx::{Database, Row as _, Sqlite, Transaction};

/// A finding as a scan keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFinding {
    /// The check's id.
    pub check: String,
    /// What it is about.
    pub subject: String,
    /// How bad; [`Rank::Ok`]: it was bad, and is not any more.
    pub rank: Rank,
    /// `new`, `worse`, `better`, `gone`, or nothing.
    pub change: &'static str,
    /// One sentence in English.
    pub en: String,
    /// The same in Chinese.
    pub zh: String,
}

/// A finding of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanFinding {
    /// Which server.
    pub agent: AgentId,
    /// As it was called then.
    pub name: String,
    /// The check's id.
    pub check: String,
    /// What it is about.
    pub subject: String,
    /// How bad.
    pub rank: Rank,
    /// Somebody answers for it.
    pub waived: bool,
    /// See [`NewFinding`].
    pub change: String,
    /// One sentence in English.
    pub en: String,
    /// The same in Chinese.
    pub zh: String,
}

/// Which findings of a scan.
#[derive(Debug, Clone, Default)]
pub struct WhichFindings {
    /// As bad as this.
    pub rank: Option<Rank>,
    /// Of this check.
    pub check: Option<String>,
    /// Of this server.
    pub agent: Option<AgentId>,
    /// Changed like this.
    pub change: Option<String>,
    /// Answered for, or not.
    pub waived: Option<bool>,
    /// Those behind this one.
    pub after: Option<FindingPlace>,
}

/// A finding's place in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingPlace {
    /// How bad.
    pub rank: Rank,
    /// The check's id.
    pub check: String,
    /// Which server.
    pub agent: AgentId,
    /// What it is about.
    pub subject: String,
}

/// A question with what is bound to it so far.
type Asking<'q> = Query<'q, Sqlite, <Sqlite as Database>::Arguments>;

/// Findings of a scan, counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckCount {
    /// The check's id.
    pub check: String,
    /// How bad.
    pub rank: Rank,
    /// Answered for.
    pub waived: bool,
    /// How they changed.
    pub change: String,
    /// How many.
    pub findings: u64,
    /// On how many servers.
    pub servers: u64,
}

pub(super) fn finding(row: &SqliteRow) -> Result<ScanFinding, sqlx::Error> {
    Ok(ScanFinding {
        agent: AgentId(bytes(row, "agent_id")?),
        name: row.try_get("name")?,
        check: row.try_get("check_id")?,
        subject: row.try_get("subject")?,
        rank: rank(row)?,
        waived: row.try_get("waived")?,
        change: row.try_get("change")?,
        en: row.try_get("en")?,
        zh: row.try_get("zh")?,
    })
}

pub(super) fn counted(row: &SqliteRow) -> Result<CheckCount, sqlx::Error> {
    Ok(CheckCount {
        check: row.try_get("check_id")?,
        rank: rank(row)?,
        waived: row.try_get("waived")?,
        change: row.try_get("change")?,
        findings: count(row, "findings")?,
        servers: count(row, "servers")?,
    })
}

impl WhichFindings {
    /// Binds rank, check, server, change, waived, and the four parts of the place, in this order.
    pub(super) fn bound<'q>(&'q self, query: Asking<'q>) -> Asking<'q> {
        let after = self.after.as_ref();
        query
            .bind(self.rank.map(Rank::number))
            .bind(self.check.as_deref())
            .bind(self.agent.map(|agent| agent.0.to_vec()))
            .bind(self.change.as_deref())
            .bind(self.waived)
            .bind(after.map(|place| place.rank.number()))
            .bind(after.map(|place| place.check.as_str()))
            .bind(after.map(|place| place.agent.0.to_vec()))
            .bind(after.map(|place| place.subject.as_str()))
    }
}

impl Scoped<'_> {
    /// Findings of a scan, the worst first, then by check; at most `most`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn scan_findings(
        &self,
        scan: ScanRef,
        which: &WhichFindings,
        most: u32,
    ) -> Result<Vec<ScanFinding>, StoreError> {
        let sql = "SELECT f.agent_id, s.name, f.check_id, f.subject, f.rank, f.waived, f.change, f.en, f.zh \
                   FROM scan_findings f JOIN scan_servers s USING (tenant_id, scan_no, agent_id) \
                   WHERE f.tenant_id = ?1 AND f.scan_no = ?2 AND (?3 IS NULL OR f.rank = ?3) AND (?4 IS NULL OR f.check_id = ?4) \
                   AND (?5 IS NULL OR f.agent_id = ?5) AND (?6 IS NULL OR f.change = ?6) AND (?7 IS NULL OR f.waived = ?7) \
                   AND (?8 IS NULL OR (f.rank, f.check_id, f.agent_id, f.subject) > (?8, ?9, ?10, ?11)) \
                   ORDER BY f.rank, f.check_id, f.agent_id, f.subject LIMIT ?12";
        let query = sqlx::query(sql).bind(self.tenant.0).bind(scan.0);
        let query = which.bound(query).bind(i64::from(most));
        Ok(query.fetch_all(&self.store.readers).await?.iter().map(finding).collect::<Result<_, _>>()?)
    }

    /// Check and subject of what somebody answers for, of one server.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn waived_in_scan(&self, scan: ScanRef, agent: &AgentId) -> Result<Vec<[String; 2]>, StoreError> {
        let sql = "SELECT check_id, subject FROM scan_findings WHERE tenant_id = ? AND scan_no = ? AND agent_id = ? \
                   AND waived = 1 ORDER BY check_id, subject";
        let query = sqlx::query(sql).bind(self.tenant.0).bind(scan.0).bind(agent.0.as_slice());
        let read = |row: &SqliteRow| Ok::<_, sqlx::Error>([row.try_get("check_id")?, row.try_get("subject")?]);
        Ok(query.fetch_all(&self.store.readers).await?.iter().map(read).collect::<Result<_, _>>()?)
    }

    /// How many findings of a scan are how, by check.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn finding_counts(&self, scan: ScanRef) -> Result<Vec<CheckCount>, StoreError> {
        // Grouped as the index has it: nothing of a fleet's rows is sorted.
        let sql = "SELECT rank, check_id, waived, change, count(*) AS findings, count(DISTINCT agent_id) AS servers \
                   FROM scan_findings WHERE tenant_id = ? AND scan_no = ? GROUP BY rank, check_id, waived, change \
                   ORDER BY rank, servers DESC, check_id";
        let rows = sqlx::query(sql).bind(self.tenant.0).bind(scan.0).fetch_all(&self.store.readers).await?;
        Ok(rows.iter().map(counted).collect::<Result<_, _>>()?)
    }
}

/// Adds a finding; whether somebody answers for it is looked up here.
pub(super) async fn insert(
    tx: &mut Transaction<'static, Sqlite>,
    (tenant, scan, agent): (TenantRef, ScanRef, &AgentId),
    finding: &NewFinding,
    now: UnixTime,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO scan_findings (tenant_id, scan_no, agent_id, check_id, subject, rank, waived, change, en, zh) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, EXISTS (SELECT 1 FROM check_waivers WHERE tenant_id = ?1 AND agent_id = ?3 \
               AND check_id = ?4 AND subject = ?5 AND until >= ?7), ?8, ?9, ?10) \
               ON CONFLICT (tenant_id, scan_no, agent_id, check_id, subject) DO NOTHING";
    sqlx::query(sql)
        .bind(tenant.0)
        .bind(scan.0)
        .bind(agent.0.as_slice())
        .bind(&finding.check)
        .bind(&finding.subject)
        .bind(finding.rank.number())
        .bind(int(now))
        .bind(finding.change)
        .bind(&finding.en)
        .bind(&finding.zh)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
