//! What the relay keeps: one SQLite file in WAL mode, `tenant_id` in every table.
//!
//! A query about a customer goes through [`Scoped`], which only a [`TenantRef`] opens, and only the store makes
//! those: forgetting the tenant does not compile. The few questions that are asked before a tenant is known (who has
//! this login, this transport key, this enrolment secret) are methods of [`Store`] itself.
//!
//! Never here: a clock (callers pass `now`), a secret in clear, a terminal byte. A method that has returned `Ok` has
//! its change on disk (`synchronous = FULL`).

mod accounts;
mod agents;
mod approvals;
mod audit;
mod check_plans;
mod check_runs;
mod enrol_tokens;
mod identities;
mod invitations;
mod joins;
mod labels;
mod logins;
mod passkeys;
mod recordings;
mod resets;
mod rows;
mod scan_changes;
mod scan_findings;
mod scan_plans;
mod scan_servers;
mod scans;
mod standing;
mod streams;
mod tenants;
mod totp;
mod trust_log;

pub use accounts::{Account, AccountRef, AccountWithHash, NameTaken, NotARole, Role};
pub use agents::{AgentRow, AgentSeen, NewAgent};
pub use approvals::{AnswerRefused, Approval, ApprovalState, Closing, Ended, NewApproval};
pub use audit::{Action, Actor, AuditRow};
pub use check_plans::{NewWaiver, PlanRefused, Scheduled, WAIVERS_MAX, Waiver};
pub use check_runs::{CheckRun, FindingCounts, RUNS_BYTES_MAX, RUNS_MAX, RunLine, RunWhy};
pub use enrol_tokens::{EnrolToken, EnrolTokenId, NewEnrolToken, TokenRefused};
pub use identities::{Identity, IdentityRow, NotCreated};
pub use invitations::{Guest, Invitation, NewInvitation};
pub use joins::{FirstWay, Invited, Join, JoinKey, JoinRefused, JoinState, NewJoin, StepRefused};
pub use labels::{LABELS_MAX, Label, LabelledAgent, LabelsRefused, NotALabel};
pub use logins::{Lifetime, Login, LoginId, LoginKind, LoginRow, NewLogin, Way};
pub use passkeys::{KnownPasskey, NewPasskey, PasskeyNotAdded, PasskeyRow, WayNotRemoved};
pub use recordings::RecordingRow;
pub use resets::ResetRefused;
pub use scan_findings::{CheckCount, FindingPlace, NewFinding, ScanFinding, WhichFindings};
pub use scan_plans::{SCAN_PLANS_MAX, ScanPlan, ScanPlanRefused, ScanPlanRow};
pub use scan_servers::{NotAState, Rank, ScanServer, ServerCount, ServerResult, ServerState, WhichServers};
pub use scans::{NewScan, SCAN_ROWS_MAX, SCANS_OPEN_MAX, Scan, ScanRef, ScanRefused, ScanTerms};
pub use standing::{Change, ChangeRefused, Standing};
pub use streams::{StreamClosed, StreamOpened, StreamRow, WhichStreams};
pub use tenants::{AlreadySetUp, FirstAccount, FirstPasskey, Tenant};
pub use totp::{NewTotp, TotpRow};
pub use trust_log::{AppendError, EnrolError, Enrolment};

use cloud_doctor_proto::time::UnixTime;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();
/// Connections that read. Readers never wait for the writer in WAL mode.
const READERS: u32 = 4;
/// How long a statement may wait for a backup or another process that looks at the file.
const BUSY: Duration = Duration::from_secs(5);
/// How long a request waits for a connection before it is told to come back.
const ACQUIRE: Duration = Duration::from_secs(8);

/// A customer's number in this relay's database. Only the store hands these out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantRef(i64);

#[cfg(test)]
impl TenantRef {
    /// For tests of what decides about customers without a database.
    pub(crate) fn of_test(number: i64) -> Self {
        Self(number)
    }
}

/// The database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    readers: SqlitePool,
    /// One connection: SQLite has one writer, so the queue is ours and fair, not a busy loop.
    writer: SqlitePool,
}

/// The database as one customer sees it.
#[derive(Debug, Clone, Copy)]
pub struct Scoped<'a> {
    store: &'a Store,
    tenant: TenantRef,
}

/// The database did not do what was asked. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No space, or the disk refuses to write.
    #[error("the relay's disk is full or not writable: {0}")]
    Disk(#[source] sqlx::Error),
    /// Too many requests wait for the database.
    #[error("the database is busy: {0}")]
    Busy(#[source] sqlx::Error),
    /// Anything else: a damaged file, or our mistake.
    #[error("the database failed: {0}")]
    Failed(#[source] sqlx::Error),
}

/// The database file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be created or opened.
    #[error("cannot create {path}: {source}")]
    Create {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is not a database, is damaged, or its disk fails.
    #[error("cannot open the database: {0}. If the file is damaged, restore a backup: cloud-doctor-relay restore")]
    Open(#[from] sqlx::Error),
    /// It can be read, but what stands in it does not fit together.
    #[error("the database is damaged ({0}): restore a backup with cloud-doctor-relay restore")]
    Damaged(String),
    /// It was written by a newer relay, or changing it failed.
    #[error("cannot bring the database to this version: {0}. A newer relay may have written it; use that one")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|e| e.code()).and_then(|c| c.parse::<u32>().ok());
        // The low byte of an extended code is the class: 13 full, 8 read-only, 10 input/output, 14 cannot open.
        match code.map(|code| code & 0xff) {
            Some(8 | 10 | 13 | 14) => StoreError::Disk(error),
            Some(5 | 6) => StoreError::Busy(error),
            Some(_) => StoreError::Failed(error),
            None if matches!(error, sqlx::Error::PoolTimedOut) => StoreError::Busy(error),
            None => StoreError::Failed(error),
        }
    }
}

impl Store {
    /// Opens the database file, creating and migrating it as needed. The file is made with mode 0600.
    ///
    /// # Errors
    /// [`OpenError`]; the file is unchanged unless a migration had begun, which is a transaction.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        create_private(path).map_err(|source| OpenError::Create { path: path.display().to_string(), source })?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY);
        let pool = |max| SqlitePoolOptions::new().max_connections(max).acquire_timeout(ACQUIRE);
        // SQLite ends a transaction by itself when the disk is full; sqlx goes on counting it. Such a connection is
        // closed, or no change would ever be possible again.
        let writer = pool(1).before_acquire(|connection, _| {
            let usable = !sqlx::Connection::is_in_transaction(connection);
            Box::pin(async move { Ok(usable) })
        });
        let writer = writer.connect_with(options.clone()).await?;
        check_pages(&writer).await?;
        MIGRATIONS.run(&writer).await?;
        check_schema(&writer).await?;
        let readers = pool(READERS).connect_with(options.read_only(true)).await?;
        Ok(Self { readers, writer })
    }

    /// Opens a database that another process may be using, only to copy it: nothing is created or changed.
    ///
    /// # Errors
    /// [`OpenError::Open`].
    pub async fn open_to_copy(path: &Path) -> Result<Self, OpenError> {
        let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(BUSY);
        let pool = SqlitePoolOptions::new().max_connections(1).acquire_timeout(ACQUIRE).connect_with(options).await?;
        Ok(Self { readers: pool.clone(), writer: pool })
    }

    /// Ends every login, invitation, link and one-time code, and revokes every enrolment token: after a restore, what was
    /// taken back or used since the backup must not count again (FLT-26). Codes of apps count from after `step` on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_credentials(&self, now: UnixTime, step: u64) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query("DELETE FROM logins").execute(&mut *tx).await?;
        sqlx::query("DELETE FROM invitations").execute(&mut *tx).await?;
        sqlx::query("UPDATE joins SET ended_as = 'revoked', ended_at = ? WHERE ended_as IS NULL")
            .bind(rows::int(now))
            .execute(&mut *tx)
            .await?;
        sqlx::query("DELETE FROM reset_codes").execute(&mut *tx).await?;
        sqlx::query("DELETE FROM recovery_codes").execute(&mut *tx).await?;
        let sql = "UPDATE totp SET last_step = max(last_step, ?)";
        sqlx::query(sql).bind(rows::unsigned(step)).execute(&mut *tx).await?;
        sqlx::query("UPDATE enrol_tokens SET revoked_at = ? WHERE revoked_at IS NULL")
            .bind(rows::int(now))
            .execute(&mut *tx)
            .await?;
        Ok(tx.commit().await?)
    }

    /// The database as this customer sees it.
    #[must_use]
    pub fn of(&self, tenant: TenantRef) -> Scoped<'_> {
        Scoped { store: self, tenant }
    }

    /// Asks the database one question that touches the file.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot answer.
    pub async fn check(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT count(*) FROM tenants").fetch_one(&self.readers).await?;
        Ok(())
    }

    /// Writes a consistent copy into a new file while the relay goes on working.
    ///
    /// # Errors
    /// [`StoreError`] when the copy cannot be written.
    pub async fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        let target = path.to_string_lossy().into_owned();
        sqlx::query("VACUUM INTO ?").bind(target).execute(&self.writer).await?;
        Ok(())
    }

    /// Closes every connection; the write-ahead log is folded into the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    async fn begin(&self) -> Result<sqlx::Transaction<'static, sqlx::Sqlite>, StoreError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }
}

impl Scoped<'_> {
    /// Whose view this is.
    #[must_use]
    pub fn tenant_ref(&self) -> TenantRef {
        self.tenant
    }
}

/// Reads every page once: better a late start than answers from a damaged file.
async fn check_pages(pool: &SqlitePool) -> Result<(), OpenError> {
    // The schema is read as bytes: the library trusts its text to be UTF-8.
    for text in schema(pool).await? {
        String::from_utf8(text).map_err(|e| OpenError::Damaged(e.to_string()))?;
    }
    let verdict: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(pool).await?;
    if verdict == "ok" { Ok(()) } else { Err(OpenError::Damaged(verdict)) }
}

/// Tables and triggers must be exactly ours: without a trigger an audit log could be rewritten.
async fn check_schema(pool: &SqlitePool) -> Result<(), OpenError> {
    let fresh = SqlitePoolOptions::new().max_connections(1).connect_with(SqliteConnectOptions::new()).await?;
    MIGRATIONS.run(&fresh).await?;
    let (ours, found) = (schema(&fresh).await?, schema(pool).await?);
    fresh.close().await;
    if ours == found { Ok(()) } else { Err(OpenError::Damaged("its tables are not the relay's".to_owned())) }
}

async fn schema(pool: &SqlitePool) -> Result<Vec<Vec<u8>>, sqlx::Error> {
    let sql = "SELECT CAST(type || ' ' || name || ' ' || tbl_name || ' ' || coalesce(sql, '') AS BLOB) \
               FROM sqlite_schema ORDER BY name";
    sqlx::query_scalar(sql).fetch_all(pool).await
}

/// SQLite would create the file readable for all; its companions take the mode of the file.
fn create_private(path: &Path) -> std::io::Result<()> {
    std::fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).map(drop)
}

#[cfg(test)]
mod check_tests;
#[cfg(test)]
mod scan_tests;
#[cfg(test)]
mod tests;
