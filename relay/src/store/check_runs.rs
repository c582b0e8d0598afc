//! Runs of checks, as servers signed them: the newest of each server, bounded in number, age and bytes. The relay keeps
//! the bytes and vouches for nothing: whoever reads them verifies them.

use super::rows::{bytes, count, int, time, unsigned};
use super::{Action, Actor, Scoped, Store, StoreError, TenantRef};
use cloud_doctor_proto::ids::{AgentId, Nonce};
use cloud_doctor_proto::time::UnixTime;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite, Transaction};

/// Runs of one server that are kept: two weeks of a run each hour and a half.
pub const RUNS_MAX: u32 = 200;
/// Bytes of reports of one customer that are kept. A usual report has some 100 KiB, so a fleet of fifty fits with all of its
/// runs; of a larger one, the oldest go first.
pub const RUNS_BYTES_MAX: u64 = 1 << 30;
/// Runs forgotten in one transaction: a megabyte each at most, and others write too.
const FORGOTTEN_AT_ONCE: u32 = 50;

/// Why a run took place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunWhy {
    /// Somebody asked.
    Asked,
    /// It was time.
    Schedule,
}

impl RunWhy {
    /// As stored and shown.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            RunWhy::Asked => "asked",
            RunWhy::Schedule => "schedule",
        }
    }
}

/// How many findings of a run are how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FindingCounts {
    /// It hurts, or will soon.
    pub critical: u64,
    /// Worth a look.
    pub warning: u64,
    /// It could not be told.
    pub unknown: u64,
    /// As it should be.
    pub ok: u64,
    /// Works, with advice.
    pub notes: u64,
}

/// A run without what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunLine {
    /// The nonce of its request.
    pub run: Nonce,
    /// Of which server.
    pub agent: AgentId,
    /// When, by the host's clock.
    pub at: UnixTime,
    /// When its report came.
    pub received_at: UnixTime,
    /// Why.
    pub why: RunWhy,
    /// Who asked; empty for the schedule.
    pub account: String,
    /// All checks that are allowed were asked for.
    pub whole: bool,
    /// What was found, in numbers.
    pub counts: FindingCounts,
}

/// A run with its report as it was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckRun {
    /// What lists show.
    pub line: RunLine,
    /// The report's exact bytes.
    pub report: Vec<u8>,
    /// By the server's identity.
    pub signature: [u8; 64],
}

/// All columns of runs but the report, and that, for a condition.
macro_rules! runs_where {
    ($more:literal, $where:literal) => {
        concat!(
            "SELECT run_id, agent_id, at, received_at, why, account, whole, critical, warning, unknown, ok, notes",
            $more,
            " FROM check_runs WHERE tenant_id = ?1 AND agent_id = ?2 AND ",
            $where
        )
    };
}

impl Store {
    /// Forgets runs that came before a moment, those of servers that were removed, and the oldest of customers whose runs
    /// take more than `bytes_max`; some at a time. Whether more are left.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_check_runs(&self, before: UnixTime, bytes_max: u64) -> Result<bool, StoreError> {
        let at_once = i64::from(FORGOTTEN_AT_ONCE);
        let old = "DELETE FROM check_runs WHERE rowid IN \
                   (SELECT rowid FROM check_runs WHERE received_at < ? ORDER BY received_at LIMIT ?)";
        let old = sqlx::query(old).bind(int(before)).bind(at_once).execute(&self.writer).await?;
        let removed = "DELETE FROM check_runs WHERE rowid IN (SELECT r.rowid FROM agents a JOIN check_runs r \
                       USING (tenant_id, agent_id) WHERE a.removed_at IS NOT NULL LIMIT ?)";
        let removed = sqlx::query(removed).bind(at_once).execute(&self.writer).await?;
        let mut most = old.rows_affected().max(removed.rows_affected());
        let sql = "SELECT tenant_id FROM check_runs GROUP BY tenant_id HAVING sum(bytes) > ?";
        let full: Vec<i64> = sqlx::query_scalar(sql).bind(unsigned(bytes_max)).fetch_all(&self.readers).await?;
        let sql = "DELETE FROM check_runs WHERE rowid IN (SELECT id FROM (SELECT rowid AS id, \
                   sum(bytes) OVER (ORDER BY received_at DESC, rowid DESC) AS with_newer FROM check_runs WHERE tenant_id = ?1) \
                   WHERE with_newer > ?2 ORDER BY with_newer DESC LIMIT ?3)";
        for tenant in full {
            let query = sqlx::query(sql).bind(tenant).bind(unsigned(bytes_max)).bind(at_once);
            most = most.max(query.execute(&self.writer).await?.rows_affected());
        }
        Ok(most == u64::from(FORGOTTEN_AT_ONCE))
    }
}

impl Scoped<'_> {
    /// Notes that somebody asks a server for checks: written before anything is sent.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn checks_asked(&self, agent: &AgentId, by: Actor<'_>, now: UnixTime) -> Result<(), StoreError> {
        self.note(by, Action::ChecksAsked, &agent.to_string(), now).await
    }

    /// Keeps a run, and forgets the server's oldest beyond [`RUNS_MAX`]. `false`: there is one of this nonce already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_check_run(&self, run: &CheckRun) -> Result<bool, StoreError> {
        let mut tx = self.store.begin().await?;
        if !insert(&mut tx, self.tenant, run).await? {
            return Ok(false);
        }
        let sql = "DELETE FROM check_runs WHERE rowid IN (SELECT rowid FROM check_runs WHERE tenant_id = ? AND agent_id = ? \
                   ORDER BY received_at DESC, rowid DESC LIMIT -1 OFFSET ?)";
        let query = sqlx::query(sql).bind(self.tenant.0).bind(run.line.agent.0.as_slice());
        query.bind(i64::from(RUNS_MAX)).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Runs of a server, the newest first, at most `most`; those older than `before`, if there is one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn check_runs(
        &self,
        agent: &AgentId,
        before: Option<&Nonce>,
        most: u32,
    ) -> Result<Vec<RunLine>, StoreError> {
        let sql = runs_where!(
            "",
            "(?3 IS NULL OR (received_at, rowid) < (SELECT received_at, rowid FROM check_runs \
             WHERE tenant_id = ?1 AND agent_id = ?2 AND run_id = ?3)) ORDER BY received_at DESC, rowid DESC LIMIT ?4"
        );
        let query = sqlx::query(sql).bind(self.tenant.0).bind(agent.0.as_slice());
        let query = query.bind(before.map(|run| run.0.to_vec())).bind(i64::from(most));
        Ok(query.fetch_all(&self.store.readers).await?.iter().map(line).collect::<Result<_, _>>()?)
    }

    /// One run of a server.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn check_run(&self, agent: &AgentId, run: &Nonce) -> Result<Option<CheckRun>, StoreError> {
        let sql = runs_where!(", signature, report", "run_id = ?3");
        let query = sqlx::query(sql).bind(self.tenant.0).bind(agent.0.as_slice()).bind(run.0.as_slice());
        let row = query.fetch_optional(&self.store.readers).await?;
        Ok(row.as_ref().map(check_run).transpose()?)
    }

    /// The newest run of a server.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn newest_check_run(&self, agent: &AgentId) -> Result<Option<CheckRun>, StoreError> {
        let sql = runs_where!(", signature, report", "1 ORDER BY received_at DESC, rowid DESC LIMIT 1");
        let query = sqlx::query(sql).bind(self.tenant.0).bind(agent.0.as_slice());
        let row = query.fetch_optional(&self.store.readers).await?;
        Ok(row.as_ref().map(check_run).transpose()?)
    }

    /// The newest run of all checks before another run: what that one is compared with.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn check_run_before(&self, agent: &AgentId, run: &Nonce) -> Result<Option<CheckRun>, StoreError> {
        let sql = runs_where!(
            ", signature, report",
            "whole = 1 AND (received_at, rowid) < (SELECT received_at, rowid FROM check_runs \
             WHERE tenant_id = ?1 AND agent_id = ?2 AND run_id = ?3) ORDER BY received_at DESC, rowid DESC LIMIT 1"
        );
        let query = sqlx::query(sql).bind(self.tenant.0).bind(agent.0.as_slice()).bind(run.0.as_slice());
        let row = query.fetch_optional(&self.store.readers).await?;
        Ok(row.as_ref().map(check_run).transpose()?)
    }
}

async fn insert(
    tx: &mut Transaction<'static, Sqlite>,
    tenant: TenantRef,
    CheckRun { line, report, signature }: &CheckRun,
) -> Result<bool, StoreError> {
    let sql = "INSERT INTO check_runs (run_id, tenant_id, agent_id, at, received_at, why, account, whole, critical, \
               warning, unknown, ok, notes, bytes, signature, report) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant_id, agent_id, run_id) DO NOTHING";
    let done = sqlx::query(sql)
        .bind(line.run.0.as_slice())
        .bind(tenant.0)
        .bind(line.agent.0.as_slice())
        .bind(int(line.at))
        .bind(int(line.received_at))
        .bind(line.why.id())
        .bind(&line.account)
        .bind(line.whole)
        .bind(unsigned(line.counts.critical))
        .bind(unsigned(line.counts.warning))
        .bind(unsigned(line.counts.unknown))
        .bind(unsigned(line.counts.ok))
        .bind(unsigned(line.counts.notes))
        .bind(unsigned(report.len() as u64))
        .bind(signature.as_slice())
        .bind(report)
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

fn line(row: &SqliteRow) -> Result<RunLine, sqlx::Error> {
    let why = match row.try_get("why")? {
        "schedule" => RunWhy::Schedule,
        _ => RunWhy::Asked,
    };
    Ok(RunLine {
        run: Nonce(bytes(row, "run_id")?),
        agent: AgentId(bytes(row, "agent_id")?),
        at: time(row, "at")?,
        received_at: time(row, "received_at")?,
        why,
        account: row.try_get("account")?,
        whole: row.try_get("whole")?,
        counts: FindingCounts {
            critical: count(row, "critical")?,
            warning: count(row, "warning")?,
            unknown: count(row, "unknown")?,
            ok: count(row, "ok")?,
            notes: count(row, "notes")?,
        },
    })
}

fn check_run(row: &SqliteRow) -> Result<CheckRun, sqlx::Error> {
    Ok(CheckRun { line: line(row)?, report: row.try_get("report")?, signature: bytes(row, "signature")? })
}
