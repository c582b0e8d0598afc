//! Rows of a relay's database for agents that do not exist: ten thousand real enrolments would measure nothing else.
//!
//! The relay is running meanwhile, as with any other reader and writer of a SQLite file.

use anyhow::{Context as _, Result};
use cloud_doctor_proto::control::TrustHead;
use cloud_doctor_proto::ids::{Hash, TenantId};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection as _, Row as _};
use std::path::Path;
use tokio::runtime::Builder;

use super::Simulated;

/// A customer of the relay, and how far their trust log goes.
#[derive(Debug, Clone, Copy)]
pub struct Customer {
    number: i64,
    /// The id that agents pin.
    pub tenant: TenantId,
    /// The newest entry: an agent that has it is sent none.
    pub trust: TrustHead,
}

/// The relay's only customer.
///
/// # Errors
/// When there is none, or the database cannot be read.
pub fn customer(database: &Path) -> Result<Customer> {
    let sql = "SELECT t.tenant_id, t.genesis, e.seq, e.hash FROM tenants t JOIN trust_entries e USING (tenant_id) \
               ORDER BY e.seq DESC LIMIT 1";
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut connection = open(database).await?;
        let row = sqlx::query(sql).fetch_one(&mut connection).await.context("a customer with a trust log")?;
        let bytes = |column: &str| -> Result<[u8; 32]> { Ok(row.try_get::<&[u8], _>(column)?.try_into()?) };
        let seq = u64::try_from(row.try_get::<i64, _>("seq")?)?;
        let trust = TrustHead { seq, hash: Hash(bytes("hash")?) };
        Ok(Customer { number: row.try_get("tenant_id")?, tenant: TenantId(bytes("genesis")?), trust })
    })
}

/// Enters a fleet, in one transaction.
///
/// # Errors
/// When the database cannot be written.
pub fn enter(database: &Path, customer: &Customer, fleet: &[Simulated]) -> Result<()> {
    let sql = "INSERT INTO agents (agent_id, tenant_id, transport_key, name, build, enrolled_at) \
               VALUES (?, ?, ?, ?, 'simulated', 0)";
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut connection = open(database).await?;
        let mut transaction = connection.begin().await?;
        for agent in fleet {
            let key = agent.transport_key();
            let row = sqlx::query(sql).bind(agent.agent.0.as_slice()).bind(customer.number).bind(key.0.as_slice());
            row.bind(agent.name.as_str()).execute(&mut *transaction).await?;
        }
        Ok(transaction.commit().await?)
    })
}

async fn open(database: &Path) -> Result<SqliteConnection> {
    let options = SqliteConnectOptions::new().filename(database);
    Ok(SqliteConnection::connect_with(&options).await?)
}
