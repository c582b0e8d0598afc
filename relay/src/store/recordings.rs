//! What servers' last minutes looked like: one recording of each, as the recorder packed it.

use super::rows::{count, unsigned};
use super::{Scoped, Store, StoreError};
use cloud_doctor_proto::ids::AgentId;
use sqlx::Row as _;

/// A server's last minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingRow {
    /// Of which server.
    pub agent: AgentId,
    /// When it vanished, in milliseconds by the relay's clock.
    pub vanished_at: u64,
    /// As the recorder packed them.
    pub samples: Vec<u8>,
}

impl Store {
    /// Keeps recordings of servers that are on a list, in place of their older ones, in one transaction.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep_recordings(&self, rows: &[RecordingRow]) -> Result<(), StoreError> {
        let sql = "INSERT INTO recordings (tenant_id, agent_id, vanished_at, samples) \
                   SELECT tenant_id, agent_id, ?2, ?3 FROM agents WHERE agent_id = ?1 AND removed_at IS NULL \
                   ON CONFLICT (tenant_id, agent_id) DO UPDATE \
                   SET vanished_at = excluded.vanished_at, samples = excluded.samples";
        let mut tx = self.begin().await?;
        for row in rows {
            let query = sqlx::query(sql).bind(row.agent.0.as_slice()).bind(unsigned(row.vanished_at));
            query.bind(&row.samples).execute(&mut *tx).await?;
        }
        Ok(tx.commit().await?)
    }

    /// The recording of a server, whoever's it is: for the recorder, which goes on with it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn recording_of(&self, agent: &AgentId) -> Result<Option<RecordingRow>, StoreError> {
        let sql = "SELECT r.vanished_at, r.samples FROM recordings r JOIN agents a USING (tenant_id, agent_id) \
                   WHERE r.agent_id = ? AND a.removed_at IS NULL";
        let row = sqlx::query(sql).bind(agent.0.as_slice()).fetch_optional(&self.readers).await?;
        Ok(row.as_ref().map(|row| recording(row, agent)).transpose()?)
    }

    /// Forgets recordings from before a moment, and those of servers that were removed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_recordings(&self, before_millis: u64) -> Result<(), StoreError> {
        let sql = "DELETE FROM recordings WHERE vanished_at < ? OR EXISTS (SELECT 1 FROM agents a \
                   WHERE a.tenant_id = recordings.tenant_id AND a.agent_id = recordings.agent_id \
                   AND a.removed_at IS NOT NULL)";
        sqlx::query(sql).bind(unsigned(before_millis)).execute(&self.writer).await?;
        Ok(())
    }
}

impl Scoped<'_> {
    /// The recording of one of the customer's servers.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn recording(&self, agent: &AgentId) -> Result<Option<RecordingRow>, StoreError> {
        let sql = "SELECT vanished_at, samples FROM recordings WHERE tenant_id = ? AND agent_id = ?";
        let query = sqlx::query(sql).bind(self.tenant.0).bind(agent.0.as_slice());
        let row = query.fetch_optional(&self.store.readers).await?;
        Ok(row.as_ref().map(|row| recording(row, agent)).transpose()?)
    }
}

fn recording(row: &sqlx::sqlite::SqliteRow, agent: &AgentId) -> Result<RecordingRow, sqlx::Error> {
    Ok(RecordingRow { agent: *agent, vanished_at: count(row, "vanished_at")?, samples: row.try_get("samples")? })
}
