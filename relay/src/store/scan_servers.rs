//! What became of each server of a scan. A row goes from pending to asked to one result; a result is never changed.

use super::rows::{bytes, bytes_or_none, count, count_or_none, int, unsigned};
use super::scan_changes;
use super::scan_findings::{self, NewFinding};
use super::scans::{Scan, ScanRef};
use super::{CheckRun, Scoped, StoreError, TenantRef};
use cloud_doctor_proto::ids::{AgentId, Nonce};
use cloud_doctor_proto::time::UnixTime;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite, Transaction};

macro_rules! states {
    ($($(#[$doc:meta])* $name:ident $id:literal;)*) => {
        /// How it stands with a server of a scan.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum ServerState { $($(#[$doc])* $name,)* }

        impl ServerState {
            /// All of them.
            pub const ALL: &'static [ServerState] = &[$(ServerState::$name,)*];

            /// As stored and shown.
            #[must_use]
            pub fn id(self) -> &'static str {
                match self { $(ServerState::$name => $id,)* }
            }
        }
    };
}

states! {
    /// Not its turn yet.
    Pending "pending";
    /// Asked, and not answered yet.
    Asked "asked";
    /// Its report was kept.
    Report "report";
    /// It said no.
    Refused "refused";
    /// It was not here.
    Absent "absent";
    /// It did not answer in time.
    Silent "silent";
    /// Its answer may not be believed.
    Dropped "dropped";
    /// It went away before it answered.
    Broke "broke";
    /// The relay could not: its disk is full, or the server had no room for a stream.
    Failed "failed";
    /// The scan was ended before its turn.
    Cancelled "cancelled";
}

impl std::str::FromStr for ServerState {
    type Err = NotAState;
    fn from_str(text: &str) -> Result<Self, NotAState> {
        Self::ALL.iter().copied().find(|state| state.id() == text).ok_or(NotAState)
    }
}

/// No state has this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no state has this name")]
pub struct NotAState;

macro_rules! ranks {
    ($($(#[$doc:meta])* $name:ident $number:literal $id:literal;)*) => {
        /// How bad something is; the worst first.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Rank { $($(#[$doc])* $name,)* }

        impl Rank {
            /// All of them.
            pub const ALL: &'static [Rank] = &[$(Rank::$name,)*];

            /// As shown.
            #[must_use]
            pub fn id(self) -> &'static str {
                match self { $(Rank::$name => $id,)* }
            }

            pub(super) fn number(self) -> i64 {
                match self { $(Rank::$name => $number,)* }
            }
        }
    };
}

ranks! {
    /// It hurts, or will soon.
    Critical 0 "critical";
    /// Worth a look.
    Warning 1 "warning";
    /// It could not be told.
    Unknown 2 "unknown";
    /// As it should be.
    Ok 3 "ok";
    /// There is no result yet.
    Open 4 "open";
}

impl std::str::FromStr for Rank {
    type Err = NotAState;
    fn from_str(text: &str) -> Result<Self, NotAState> {
        Self::ALL.iter().copied().find(|rank| rank.id() == text).ok_or(NotAState)
    }
}

pub(super) fn rank(row: &SqliteRow) -> Result<Rank, sqlx::Error> {
    let number: i64 = row.try_get("rank")?;
    let found = Rank::ALL.iter().copied().find(|rank| rank.number() == number);
    found.ok_or_else(|| super::rows::damaged("rank", NotAState))
}

/// A server's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerResult {
    /// Which server.
    pub agent: AgentId,
    /// What became of it.
    pub state: ServerState,
    /// Why, by an id; empty for a report.
    pub reason: String,
    /// The value that the reason's sentence names.
    pub detail: String,
    /// How long it took.
    pub took_ms: u64,
    /// The kept run.
    pub run: Option<Nonce>,
    /// What is not as it should be, and what is not any more.
    pub findings: Vec<NewFinding>,
    /// Checks that have surely looked: what they do not tell of is not there.
    pub looked: Vec<String>,
}

/// A server of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanServer {
    /// Which.
    pub agent: AgentId,
    /// As it was called then.
    pub name: String,
    /// How it stands with it.
    pub state: ServerState,
    /// Why, by an id.
    pub reason: String,
    /// See [`ServerResult`].
    pub detail: String,
    /// The kept run.
    pub run: Option<Nonce>,
    /// How long it took.
    pub took_ms: Option<u64>,
    /// The worst that nobody answers for.
    pub rank: Rank,
}

/// Which servers of a scan.
#[derive(Debug, Clone, Copy, Default)]
pub struct WhichServers {
    /// Those of this state.
    pub state: Option<ServerState>,
    /// Those whose worst is this.
    pub rank: Option<Rank>,
    /// Those behind this one.
    pub after: Option<AgentId>,
}

/// Servers of a scan, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerCount {
    /// Of this state.
    pub state: ServerState,
    /// Whose worst is this.
    pub rank: Rank,
    /// How many.
    pub servers: u64,
}

fn state(row: &SqliteRow) -> Result<ServerState, sqlx::Error> {
    let text: &str = row.try_get("state")?;
    text.parse().map_err(|error| super::rows::damaged("state", error))
}

fn server(row: &SqliteRow) -> Result<ScanServer, sqlx::Error> {
    Ok(ScanServer {
        agent: AgentId(bytes(row, "agent_id")?),
        name: row.try_get("name")?,
        state: state(row)?,
        reason: row.try_get("reason")?,
        detail: row.try_get("detail")?,
        run: bytes_or_none(row, "run_id")?.map(Nonce),
        took_ms: count_or_none(row, "took_ms")?,
        rank: rank(row)?,
    })
}

impl Scoped<'_> {
    /// Servers without a result; whether each was asked before the relay stopped.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open_servers(&self, scan: ScanRef) -> Result<Vec<(AgentId, bool)>, StoreError> {
        let sql = "SELECT agent_id, state FROM scan_servers WHERE tenant_id = ? AND scan_no = ? \
                   AND state IN ('pending', 'asked') ORDER BY agent_id";
        let rows = sqlx::query(sql).bind(self.tenant.0).bind(scan.0).fetch_all(&self.store.readers).await?;
        let read = |row: &SqliteRow| {
            Ok::<_, sqlx::Error>((AgentId(bytes(row, "agent_id")?), state(row)? == ServerState::Asked))
        };
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }

    /// Servers are asked now; said before anything is sent.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn mark_asked(&self, scan: ScanRef, agents: &[AgentId]) -> Result<(), StoreError> {
        let mut tx = self.store.begin().await?;
        for agent in agents {
            let sql = "UPDATE scan_servers SET state = 'asked' WHERE tenant_id = ? AND scan_no = ? AND agent_id = ? \
                       AND state = 'pending'";
            sqlx::query(sql).bind(self.tenant.0).bind(scan.0).bind(agent.0.as_slice()).execute(&mut *tx).await?;
        }
        Ok(tx.commit().await?)
    }

    /// What was asked and not answered when the relay stopped is asked again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unmark_asked(&self, scan: ScanRef) -> Result<(), StoreError> {
        let sql = "UPDATE scan_servers SET state = 'pending' WHERE tenant_id = ? AND scan_no = ? AND state = 'asked'";
        sqlx::query(sql).bind(self.tenant.0).bind(scan.0).execute(&self.store.writer).await?;
        Ok(())
    }

    /// Servers have their results. One that has one keeps it, also when the scan was cancelled meanwhile.
    ///
    /// # Errors
    /// [`StoreError`]; none was written.
    pub async fn add_results(&self, scan: ScanRef, results: &[ServerResult], now: UnixTime) -> Result<(), StoreError> {
        let mut tx = self.store.begin().await?;
        for result in results {
            insert(&mut tx, (self.tenant, scan), result, now).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Servers of a scan, the worst first, then by name; at most `most`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn scan_servers(
        &self,
        scan: ScanRef,
        which: WhichServers,
        most: u32,
    ) -> Result<Vec<ScanServer>, StoreError> {
        let sql = "SELECT agent_id, name, state, reason, detail, run_id, took_ms, rank FROM scan_servers \
                   WHERE tenant_id = ?1 AND scan_no = ?2 AND (?3 IS NULL OR state = ?3) AND (?4 IS NULL OR rank = ?4) \
                   AND (?5 IS NULL OR (rank, name, agent_id) > (SELECT rank, name, agent_id FROM scan_servers \
                   WHERE tenant_id = ?1 AND scan_no = ?2 AND agent_id = ?5)) ORDER BY rank, name, agent_id LIMIT ?6";
        let query = sqlx::query(sql)
            .bind(self.tenant.0)
            .bind(scan.0)
            .bind(which.state.map(ServerState::id))
            .bind(which.rank.map(Rank::number))
            .bind(which.after.map(|agent| agent.0.to_vec()))
            .bind(i64::from(most));
        Ok(query.fetch_all(&self.store.readers).await?.iter().map(server).collect::<Result<_, _>>()?)
    }

    /// How many servers of a scan are how.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn scan_counts(&self, scan: ScanRef) -> Result<Vec<ServerCount>, StoreError> {
        let sql = "SELECT state, rank, count(*) AS servers FROM scan_servers WHERE tenant_id = ? AND scan_no = ? \
                   GROUP BY state, rank";
        let rows = sqlx::query(sql).bind(self.tenant.0).bind(scan.0).fetch_all(&self.store.readers).await?;
        let read = |row: &SqliteRow| {
            Ok::<_, sqlx::Error>(ServerCount { state: state(row)?, rank: rank(row)?, servers: count(row, "servers")? })
        };
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }

    /// The newest kept report of a server in an earlier scan of the same selection.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn report_before(&self, scan: &Scan, agent: &AgentId) -> Result<Option<CheckRun>, StoreError> {
        let sql = "SELECT s.run_id FROM scans c JOIN scan_servers s ON s.tenant_id = c.tenant_id AND s.scan_no = c.scan_no \
                   WHERE c.tenant_id = ? AND c.labels = ? AND c.checks = ? AND c.scan_no < ? AND s.agent_id = ? \
                   AND s.state = 'report' ORDER BY c.scan_no DESC LIMIT 1";
        let query = sqlx::query(sql).bind(self.tenant.0).bind(scan.terms.labels_text()).bind(scan.terms.checks_text());
        let row = query.bind(scan.number.0).bind(agent.0.as_slice()).fetch_optional(&self.store.readers).await?;
        match row.map(|row| bytes_or_none(&row, "run_id")).transpose()?.flatten() {
            Some(run) => self.check_run(agent, &Nonce(run)).await,
            None => Ok(None),
        }
    }
}

async fn insert(
    tx: &mut Transaction<'static, Sqlite>,
    (tenant, scan): (TenantRef, ScanRef),
    result: &ServerResult,
    now: UnixTime,
) -> Result<(), StoreError> {
    let sql = "UPDATE scan_servers SET state = ?1, reason = ?2, detail = ?3, run_id = ?4, took_ms = ?5, rank = ?6 \
               WHERE tenant_id = ?7 AND scan_no = ?8 AND agent_id = ?9 AND state IN ('pending', 'asked')";
    let rank = if result.state == ServerState::Report { Rank::Ok } else { Rank::Unknown };
    let done = sqlx::query(sql)
        .bind(result.state.id())
        .bind(&result.reason)
        .bind(&result.detail)
        .bind(result.run.map(|run| run.0.to_vec()))
        .bind(unsigned(result.took_ms))
        .bind(rank.number())
        .bind(tenant.0)
        .bind(scan.0)
        .bind(result.agent.0.as_slice())
        .execute(&mut **tx)
        .await?;
    if done.rows_affected() == 0 || result.state != ServerState::Report {
        return Ok(());
    }
    for finding in &result.findings {
        scan_findings::insert(tx, (tenant, scan, &result.agent), finding, now).await?;
    }
    scan_changes::looked(tx, (tenant, scan, &result.agent), &result.looked).await?;
    rank_again(tx, tenant, &result.agent, Some(scan)).await
}

/// Says again what the worst is that nobody answers for: of one scan, or of all that are kept.
pub(super) async fn rank_again(
    tx: &mut Transaction<'static, Sqlite>,
    tenant: TenantRef,
    agent: &AgentId,
    scan: Option<ScanRef>,
) -> Result<(), StoreError> {
    let sql = "UPDATE scan_servers SET rank = coalesce((SELECT min(f.rank) FROM scan_findings f \
               WHERE f.tenant_id = ?1 AND f.scan_no = scan_servers.scan_no AND f.agent_id = ?2 AND f.waived = 0), 3) \
               WHERE tenant_id = ?1 AND scan_no IN (SELECT scan_no FROM scans WHERE tenant_id = ?1 AND (?3 IS NULL OR scan_no = ?3)) \
               AND agent_id = ?2 AND state = 'report'";
    let query = sqlx::query(sql).bind(tenant.0).bind(agent.0.as_slice()).bind(scan.map(|scan| scan.0));
    query.execute(&mut **tx).await?;
    Ok(())
}

/// Somebody answers for a finding until then, or does so no more: what kept scans say about it changes with that.
pub(super) async fn waived_again(
    tx: &mut Transaction<'static, Sqlite>,
    tenant: TenantRef,
    (agent, check, subject): (&AgentId, &str, &str),
    until: Option<UnixTime>,
    now: UnixTime,
) -> Result<(), StoreError> {
    let waived = until.is_some_and(|until| int(until) >= int(now));
    let sql = "UPDATE scan_findings SET waived = ?1 WHERE tenant_id = ?2 AND scan_no IN (SELECT scan_no FROM scans \
               WHERE tenant_id = ?2) AND agent_id = ?3 AND check_id = ?4 AND subject = ?5";
    let query = sqlx::query(sql).bind(waived).bind(tenant.0).bind(agent.0.as_slice()).bind(check).bind(subject);
    if query.execute(&mut **tx).await?.rows_affected() == 0 {
        return Ok(());
    }
    rank_again(tx, tenant, agent, None).await
}
